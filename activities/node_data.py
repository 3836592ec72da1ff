"""Whose etcd data lie on a node."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from typing import TYPE_CHECKING, NamedTuple

from etcd_handoff import time_limits
from etcd_handoff.activity_io import DataOwner
from etcd_handoff.data_directory import DataDirectoryError, identity

if TYPE_CHECKING:
    from pathlib import Path

    from etcd_handoff.config import Config

    Found = tuple[DataOwner | None, str]

NOT_IN_TIME = "the disk did not answer in time"


class _Reading(NamedTuple):
    """A read of a data directory.

    Attributes:
        found: What it brings.
        ends: Until when that counts, in seconds of the loop's clock.
    """

    found: asyncio.Future[Found]
    ends: float


class NodeData:
    """The data directories that the profiles name on this node.

    Args:
        config: Where the clusters are.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        self._reading: dict[str, _Reading] = {}

    async def owner(self, cluster: str) -> tuple[DataOwner | None, str]:
        """Return whose data they are, or None and why they cannot be read.

        It is None and "" if the profile names no directory, or if that holds no data. A read that hangs is not begun
        again before it ends, and does not count any more: the data may be others by then.

        Args:
            cluster: Name of the profile.

        Raises:
            UnknownClusterError: There is no such profile.
        """
        folder = self._config.cluster(cluster).etcd_data_dir
        if folder is None:
            return None, ""
        loop = asyncio.get_running_loop()
        if cluster not in self._reading:
            ends = loop.time() + time_limits.STEPS.data_directory_seconds
            self._reading[cluster] = _Reading(_started(folder, loop), ends)
            self._reading[cluster].found.add_done_callback(lambda _: self._reading.pop(cluster, None))
        found, ends = self._reading[cluster]
        if loop.time() < ends:
            await asyncio.wait({found}, timeout=ends - loop.time())
        in_time = found.done() and loop.time() < ends
        return found.result() if in_time else (None, f"{folder} cannot be read: {NOT_IN_TIME}")


def _started(folder: Path, loop: asyncio.AbstractEventLoop) -> asyncio.Future[Found]:
    """Start to read. Nobody waits for the thread when the worker ends: a disk may hang for ever."""
    reading: asyncio.Future[Found] = loop.create_future()

    def read() -> None:
        found = _read(folder)
        with contextlib.suppress(RuntimeError):  # the worker has ended meanwhile
            loop.call_soon_threadsafe(reading.set_result, found)

    threading.Thread(target=read, name="etcd-data", daemon=True).start()
    return reading


def _read(folder: Path) -> Found:
    try:
        found = identity(folder)
    except (DataDirectoryError, OSError) as error:
        return None, str(error)
    return (DataOwner(cluster_id=found.cluster_id, member_id=found.member_id) if found else None), ""
