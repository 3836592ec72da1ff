"""Snapshots on this node's disk: written with the modes of secrets, verified on disk, and limited in number.

`etcd_handoff.operation.gates` decides when one is taken.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from activities.interceptor import report_progress
from etcd_handoff import time_limits
from etcd_handoff.errors import UnreachableError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Container

    from etcd_handoff.cluster_view import ClusterView, MemberView

RUN_ID: Final = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
CHECKSUM_BYTES: Final = 32
READ_BYTES: Final = 1 << 20
SPARE: Final = 1.05
"""How much free space is required, as a factor of the database's size. The database may grow meanwhile."""


def source_of(view: ClusterView, leaving: Container[str]) -> MemberView | None:
    """Return the member from which to take the snapshot: a healthy voter, if possible neither leader nor leaving.

    One that this worker reaches directly comes before all others.

    Args:
        view: The cluster.
        leaving: IDs of the members that leave.
    """
    leader_id = view.leadership.id if view.leadership else ""
    return min(
        view.healthy_voters,
        key=lambda m: (bool(m.through_node), m.id in leaving, m.id == leader_id, int(m.id, 16)),
        default=None,
    )


def snapshot_path(folder: Path, cluster: str, run_id: str) -> Path:
    """Return where the snapshot of a removal's run is stored. `is_snapshot` recognizes such names."""
    return folder / f"{cluster}-{run_id}.db"


def is_snapshot(name: str, cluster: str) -> bool:
    """Return whether a file of this name is a snapshot that we stored for this cluster."""
    return re.fullmatch(rf"{re.escape(cluster)}-{RUN_ID}\.db", name) is not None


def is_part(name: str, cluster: str) -> bool:
    """Return whether a file of this name is the unfinished one of an attempt for this cluster."""
    return re.fullmatch(rf"{re.escape(cluster)}-{RUN_ID}\.\d+\.part", name) is not None


async def store(chunks: AsyncIterator[bytes], path: Path, attempt: int, expected_bytes: int) -> int:
    """Write the chunks to `path`, which appears only once the file on disk agrees with its checksum.

    Two attempts may run at once, one of them on a worker that was given up. So each writes its own file.

    Args:
        chunks: The snapshot; its last 32 bytes are its SHA-256.
        path: Where it is to be stored.
        attempt: Which attempt this is.
        expected_bytes: Size of the database.

    Returns:
        The bytes written.

    Raises:
        EtcdError: The stream broke off.
        UnreachableError: The checksum does not fit.
        OSError: The disk is full, or the folder cannot be written.
    """
    part = path.with_suffix(f".{attempt}.part")
    await asyncio.to_thread(_prepare, path.parent, expected_bytes)
    descriptor = await asyncio.to_thread(os.open, part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        size = 0
        try:
            await asyncio.to_thread(os.fchmod, descriptor, 0o600)  # an earlier attempt's file keeps its own mode
            async for chunk in chunks:
                await asyncio.to_thread(_write, descriptor, chunk)
                size += len(chunk)
                report_progress(size)
            await asyncio.to_thread(os.fsync, descriptor)
        finally:
            os.close(descriptor)
        await asyncio.to_thread(_verify, part)
        await asyncio.to_thread(_publish, part, path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    return size


def prune(path: Path, cluster: str, keep: int) -> list[str]:
    """Delete all but the `keep` newest snapshots of this cluster, and the files of dead attempts.

    Args:
        path: What was stored just now. It is the newest, also if others were stored while the clock ran ahead.
        cluster: The cluster profile.
        keep: How many snapshots stay, at least 1.

    Returns:
        The deleted names.
    """
    entries = [entry for entry in os.scandir(path.parent) if entry.is_file(follow_symlinks=False)]
    stored = [entry for entry in entries if is_snapshot(entry.name, cluster)]
    stored.sort(
        key=lambda entry: (entry.name == path.name, entry.stat(follow_symlinks=False).st_mtime_ns), reverse=True
    )
    dead = [
        entry
        for entry in entries
        if is_part(entry.name, cluster)
        and entry.stat(follow_symlinks=False).st_mtime < time.time() - time_limits.STEPS.unfinished_snapshot_seconds
    ]
    for entry in (old := [*stored[keep:], *dead]):
        Path(entry.path).unlink(missing_ok=True)
    return [entry.name for entry in old]


def _prepare(folder: Path, expected_bytes: int) -> None:
    """Make a missing folder with access for its owner alone, and check that the file fits."""
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
    needed, free = int(expected_bytes * SPARE), shutil.disk_usage(folder).free
    if free < needed:
        msg = f"{folder} has {free >> 20} MiB free, and the database has {expected_bytes >> 20} MiB"
        raise UnreachableError(msg)


def _write(descriptor: int, chunk: bytes) -> None:
    while chunk:
        chunk = chunk[os.write(descriptor, chunk) :]


def _verify(file: Path) -> None:
    """Raise UnreachableError unless the file ends with the SHA-256 of its preceding bytes."""
    remaining, digest, tail = file.stat().st_size - CHECKSUM_BYTES, hashlib.sha256(), b""
    with file.open("rb") as content:
        while remaining > 0 and (block := content.read(min(READ_BYTES, remaining))):
            digest.update(block)
            remaining -= len(block)
        tail = content.read()
    if remaining != 0 or tail != digest.digest():
        msg = "the snapshot's checksum does not fit"
        raise UnreachableError(msg)


def _publish(part: Path, path: Path) -> None:
    """Rename the file to its final name, and sync the folder so that the name lasts."""
    part.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
