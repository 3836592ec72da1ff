"""Which cluster the etcd data on a node are of."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from etcd_handoff import time_limits
from etcd_handoff.data_directory import DataDirectoryError, identity

if TYPE_CHECKING:
    from pathlib import Path

    from etcd_handoff.config import Config


class NodeData:
    """The data directories that the profiles name on this node.

    Args:
        config: Where the clusters are.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        self._reading: dict[str, asyncio.Task[str]] = {}

    async def cluster_id(self, cluster: str) -> str:
        """Return the ID of the cluster that the data are of, in hex.

        It is empty if the profile names no directory, there are no data, this user may not read them, or the disk does
        not answer in time. A read that hangs is not begun again.

        Args:
            cluster: Name of the profile.

        Raises:
            UnknownClusterError: There is no such profile.
        """
        folder = self._config.cluster(cluster).etcd_data_dir
        if folder is None:
            return ""
        reading = self._reading.get(cluster) or asyncio.ensure_future(asyncio.to_thread(_cluster_id, folder))
        self._reading[cluster] = reading
        done, _ = await asyncio.wait({reading}, timeout=time_limits.STEPS.data_directory_seconds)
        if not done:
            return ""
        self._reading.pop(cluster, None)
        return reading.result()


def _cluster_id(folder: Path) -> str:
    try:
        found = identity(folder)
    except (DataDirectoryError, OSError):
        return ""
    return found.cluster_id if found else ""
