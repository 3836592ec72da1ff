"""Snapshots on disk: whose they are, who may read them, what is deleted, and from whom they are taken."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections import namedtuple
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from activities import snapshots
from etcd_handoff.errors import UnreachableError
from tests.unit.builders import cluster, down, member

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

RUNS = [f"0000000{n}-aaaa-bbbb-cccc-0123456789ab" for n in range(8)]
CONTENT = b"bolt" * 1000


@pytest.fixture(autouse=True)
def open_umask() -> Iterator[None]:
    """As a careless service has it: what protects the file is its own mode."""
    before = os.umask(0)
    yield
    os.umask(before)


async def stream(content: bytes, checksum: bytes | None = None) -> AsyncIterator[bytes]:
    """A snapshot as etcd sends it."""
    for at in range(0, len(content), 700):
        yield content[at : at + 700]
    yield hashlib.sha256(content).digest() if checksum is None else checksum


async def test_file_is_its_owners_alone(tmp_path: Path) -> None:
    """A snapshot has all Secrets in it: 0600 in a folder of 0700, and no unfinished file stays."""
    path = snapshots.snapshot_path(tmp_path / "new" / "folder", "prod", RUNS[0])
    assert await snapshots.store(stream(CONTENT), path, 1, len(CONTENT)) == len(CONTENT) + 32
    assert path.read_bytes()[:-32] == CONTENT
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


async def test_folder_that_is_there_keeps_its_mode(tmp_path: Path) -> None:
    """Only a folder that we make gets a mode of ours."""
    (tmp_path / "shared").mkdir(mode=0o750)
    await snapshots.store(stream(b"x"), snapshots.snapshot_path(tmp_path / "shared", "prod", RUNS[0]), 1, 1)
    assert (tmp_path / "shared").stat().st_mode & 0o777 == 0o750


@pytest.mark.parametrize("checksum", [b"", b"\0" * 32, b"\0" * 31], ids=["none", "another", "short"])
async def test_wrong_checksum_leaves_no_file(tmp_path: Path, checksum: bytes) -> None:
    """What does not end with its own checksum never gets its name."""
    path = snapshots.snapshot_path(tmp_path, "prod", RUNS[0])
    with pytest.raises(UnreachableError, match="checksum"):
        await snapshots.store(stream(CONTENT, checksum), path, 1, 0)
    assert os.listdir(tmp_path) == []  # noqa: PTH208


async def test_stream_that_turns_out_to_be_anothers_leaves_no_file(tmp_path: Path) -> None:
    """That may be known at its very end."""

    async def anothers() -> AsyncIterator[bytes]:
        async for chunk in stream(CONTENT):
            yield chunk
        msg = "another member answered"
        raise UnreachableError(msg)

    with pytest.raises(UnreachableError, match="another member answered"):
        await snapshots.store(anothers(), snapshots.snapshot_path(tmp_path, "prod", RUNS[0]), 1, 0)
    assert os.listdir(tmp_path) == []  # noqa: PTH208


async def test_what_lies_on_the_disk_is_verified(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A byte that the disk lost is noticed, though the stream was whole."""

    def lossy(descriptor: int, chunk: bytes) -> None:
        os.write(descriptor, chunk.replace(b"boltbolt", b"boltbolT", 1))

    monkeypatch.setattr(snapshots, "_write", lossy)
    with pytest.raises(UnreachableError, match="checksum"):
        await snapshots.store(stream(CONTENT), snapshots.snapshot_path(tmp_path, "prod", RUNS[0]), 1, 0)


async def test_attempts_do_not_share_a_file(tmp_path: Path) -> None:
    """An attempt that was given up and still writes does not spoil the one that took its place."""
    path = snapshots.snapshot_path(tmp_path, "prod", RUNS[0])
    going, go_on = asyncio.Event(), asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        yield CONTENT[:10]
        going.set()
        await go_on.wait()
        yield CONTENT[10:]
        yield hashlib.sha256(CONTENT).digest()

    first = asyncio.create_task(snapshots.store(slow(), path, 1, 0))
    await going.wait()
    await snapshots.store(stream(CONTENT), path, 2, 0)
    assert path.read_bytes()[:-32] == CONTENT
    go_on.set()
    await first
    assert path.read_bytes()[:-32] == CONTENT


async def test_file_is_on_the_disk_before_it_has_its_name_and_the_name_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A power cut leaves either the whole snapshot or none of that name."""
    synced, real, replace = list[str](), os.fsync, Path.replace

    def fsync(descriptor: int) -> None:
        synced.append(Path(f"/proc/self/fd/{descriptor}").readlink().name)
        real(descriptor)

    def named(part: Path, path: Path) -> Path:
        synced.append("named")
        return replace(part, path)

    monkeypatch.setattr("activities.snapshots.os.fsync", fsync)
    monkeypatch.setattr("activities.snapshots.Path.replace", named)
    path = snapshots.snapshot_path(tmp_path, "prod", RUNS[0])
    await snapshots.store(stream(CONTENT), path, 1, len(CONTENT))
    assert synced == [path.with_suffix(".1.part").name, "named", tmp_path.name]


async def test_full_disk_is_told_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is written where the database does not fit."""
    usage = namedtuple("usage", "total used free")  # noqa: PYI024  # as shutil's
    monkeypatch.setattr("activities.snapshots.shutil.disk_usage", lambda _: usage(1 << 30, 0, 100 << 20))
    with pytest.raises(UnreachableError, match="100 MiB free, and the database has 200 MiB"):
        await snapshots.store(stream(CONTENT), snapshots.snapshot_path(tmp_path, "prod", RUNS[0]), 1, 200 << 20)
    assert os.listdir(tmp_path) == []  # noqa: PTH208


def test_newest_are_kept_and_nobody_elses_file_is_touched(tmp_path: Path) -> None:
    """Only files of our own naming, of this cluster, beyond the number that is kept; and what dead attempts left."""
    strangers = ["prod.db", "backup-prod.db", f"prod-eu-{RUNS[0]}.db", f"prod-{RUNS[0]}.db.bak", f"x-{RUNS[0]}.db"]
    ours = [f"prod-{run}.db" for run in RUNS[:5]]
    parts = [f"prod-{RUNS[0]}.1.part", f"prod-{RUNS[1]}.2.part"]
    for number, name in enumerate([*strangers, *ours, *parts]):
        (tmp_path / name).write_text("x")
        os.utime(tmp_path / name, (1_000_000 + number, 1_000_000 + number))
    (tmp_path / parts[1]).touch()
    (tmp_path / f"prod-{RUNS[7]}.db").mkdir()
    deleted = snapshots.prune(tmp_path / ours[4], "prod", 2)
    assert sorted(deleted) == sorted([*ours[:3], parts[0]])
    left = {entry.name for entry in tmp_path.iterdir()}
    assert left == {*strangers, *ours[3:], parts[1], f"prod-{RUNS[7]}.db"}


def test_what_was_stored_just_now_stays_though_others_are_from_the_future(tmp_path: Path) -> None:
    """They were stored while the node's clock ran ahead; among themselves they go by their times."""
    for number, run in enumerate(RUNS[:4]):
        (tmp_path / f"prod-{run}.db").write_text("x")
        os.utime(tmp_path / f"prod-{run}.db", (1_000_000 + number, 1_000_000 + number))
    stored = snapshots.snapshot_path(tmp_path, "prod", RUNS[0])
    assert sorted(snapshots.prune(stored, "prod", 2)) == [f"prod-{run}.db" for run in RUNS[1:3]]
    assert snapshots.prune(stored, "prod", 1) == [f"prod-{RUNS[3]}.db"]
    assert [entry.name for entry in tmp_path.iterdir()] == [stored.name]


@pytest.mark.parametrize(
    ("healthy", "leader", "leaving", "source"),
    [
        ("123", "1", "2", "3"),
        ("123", "1", "1", "2"),
        ("12", "1", "2", "1"),
        ("12", "1", "1", "2"),
        ("123", "1", "23", "1"),
        ("12", "1", "12", "2"),
    ],
)
def test_source_is_a_follower_that_stays(healthy: str, leader: str, leaving: str, source: str) -> None:
    """The leader has enough to do, and those that leave may be sick."""
    voters = (member(n, leader) if f"{n}" in healthy else down(n) for n in (1, 2, 3))
    found = snapshots.source_of(cluster(*voters), leaving)
    assert found is not None
    assert found.id == source
