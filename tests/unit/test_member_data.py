"""The data directory of a node: whose it is, and how a member's data is archived."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from etcd_handoff import member_process
from etcd_handoff.data_directory import DataDirectoryError, Identity, NoLogError, archive_paths, identity
from etcd_handoff.member_command import MemberProcessError
from tests.unit.test_member_process import (
    ANOTHER,
    ELSEWHERE,
    JOIN,
    OBEDIENT,
    OURS,
    STARTS,
    Make,
    clock_of,
    process_of,
    settle_at_once,
    ticking,
    verbs,
)
from tests.unit.wal import written


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes of these tests settle at once."""
    settle_at_once(monkeypatch)


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """The process of the member `OURS`, whose command is this script, run in the test's folder."""
    return partial(process_of, tmp_path)


async def test_archive_renames_and_may_come_twice(make: Make, tmp_path: Path) -> None:
    """All data is there under the new name."""
    written(tmp_path / "data", OURS)
    process = make(OBEDIENT)
    new = tmp_path / f"data.member-{OURS.member_id}"
    assert await process.archive() == (f"{tmp_path / 'data'} is {new} now", True)
    assert identity(new) == OURS
    assert await process.archive() == (f"{tmp_path / 'data'} holds no data; {new} was archived before", False)
    assert verbs(tmp_path).count("archive") == 1


@pytest.mark.parametrize("whose", [ANOTHER, ELSEWHERE])
async def test_data_of_another_is_not_archived(make: Make, tmp_path: Path, whose: Identity) -> None:
    """Another member's, or a member of the same ID in another cluster."""
    written(tmp_path / "data", whose)
    with pytest.raises(MemberProcessError, match="it is left where it is"):
        await make(OBEDIENT).archive()
    assert identity(tmp_path / "data") == whose
    assert verbs(tmp_path) == ["status"]


async def test_nothing_is_archived_while_etcd_runs_or_over_an_archive(make: Make, tmp_path: Path) -> None:
    """Nor is a folder renamed into another one."""
    written(tmp_path / "data", OURS)
    (tmp_path / "runs").touch()
    with pytest.raises(MemberProcessError, match="stop it first"):
        await make(OBEDIENT).archive()
    (tmp_path / "runs").unlink()
    (tmp_path / f"data.member-{OURS.member_id}").mkdir()
    with pytest.raises(MemberProcessError, match="exists already"):
        await make(OBEDIENT).archive()
    assert "archive" not in verbs(tmp_path)


async def test_archive_that_leaves_the_data_is_an_error(make: Make, tmp_path: Path) -> None:
    """Its own word is not believed."""
    written(tmp_path / "data", OURS)
    with pytest.raises(MemberProcessError, match="data still lies in"):
        await make(OBEDIENT.replace('mv "$HANDOFF_ARCHIVE_FROM" "$HANDOFF_ARCHIVE_TO"', "true")).archive()


def test_empty_and_missing_directories_are_nobodys(tmp_path: Path) -> None:
    """Etcd would begin afresh there."""
    assert identity(tmp_path) is None
    assert identity(tmp_path / "missing") is None


@pytest.mark.parametrize("folder", ["member/snap", "member/wal"])
async def test_database_without_a_log_is_of_whoever_has_started_etcd_there(
    make: Make, tmp_path: Path, folder: str
) -> None:
    """Etcd leaves it where it ends before it has joined. Else a member may have its log elsewhere."""
    (tmp_path / "data" / folder).mkdir(parents=True)
    with pytest.raises(NoLogError):
        identity(tmp_path / "data")
    with pytest.raises(MemberProcessError, match="without a log"):
        await make(OBEDIENT).start(JOIN)
    assert "start" not in verbs(tmp_path)
    assert (await make(STARTS).start(JOIN, begun=True)).changed
    assert (await make(STARTS).start({**JOIN, "ETCD_NAME": "node4"}, begun=True, again=True)).changed
    with pytest.raises(MemberProcessError, match="without a log"):
        await make(OBEDIENT).stop(needs_data=True)
    assert (await make(OBEDIENT).stop()).changed


async def test_start_that_fails_may_have_started_etcd(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What lies there afterwards is its own."""
    clock_of(monkeypatch, member_process, ticking(25.0))
    with pytest.raises(MemberProcessError, match="until its time was up") as failed:
        await make(OBEDIENT.replace("start) touch runs ;;", "start) mkdir -p data/member/snap ;;")).start(JOIN)
    assert failed.value.started
    with pytest.raises(MemberProcessError, match="without a log") as refused:
        await make(OBEDIENT).start(JOIN)
    assert not refused.value.started
    assert verbs(tmp_path).count("start") == 1


@pytest.mark.parametrize("content", [b"", b"\0" * 4096, b"x" * 4096, b"\x04\0\0\0\0\0\0\0\x08\x04\x10\0"])
def test_what_etcd_has_not_written_is_nobodys_to_move(tmp_path: Path, content: bytes) -> None:
    """It is an error, and not an empty directory."""
    (tmp_path / "member" / "wal").mkdir(parents=True)
    (tmp_path / "member" / "wal" / f"{'0' * 16}-{'0' * 16}.wal").write_bytes(content)
    with pytest.raises(DataDirectoryError, match="no record of etcd"):
        identity(tmp_path)


def test_a_disk_of_its_own_stays_where_it_is() -> None:
    """What lies on it is renamed."""
    old, new = archive_paths(Path("/proc"), "ab")
    assert (old, new) == (Path("/proc/member"), Path("/proc/member-ab"))
