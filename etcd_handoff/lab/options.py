"""What a lab is made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class LabOptions:
    """What to start.

    Attributes:
        nodes: How many nodes, 1 to 7.
        workers: Names of the nodes whose worker starts with the lab.
        temporal: Whether a Temporal server is started.
        kubernetes: Whether API servers are started.
        cluster: Name of the cluster profile.
        directory: Where data and logs go; left out, a temporary folder that goes when all went well.
        worker_env: Environment of all workers beyond ours.
        etcd_flags: Flags of all etcd members beyond ours, such as a shorter `--heartbeat-interval`.
        temporal_flags: Flags of the Temporal server beyond ours, such as `--dynamic-config-value KEY=VALUE`.
        network: Whether a network lies between the nodes that `Lab.network` can cut and slow; needs Toxiproxy.
        remover: Who takes members out, as in the cluster profile.
        progress: Told what is happening.
    """

    nodes: int = 3
    workers: tuple[str, ...] = ()
    temporal: bool = True
    kubernetes: bool = True
    cluster: str = "demo"
    directory: Path | None = None
    worker_env: tuple[tuple[str, str], ...] = ()
    etcd_flags: tuple[str, ...] = ()
    temporal_flags: tuple[str, ...] = ()
    network: bool = False
    remover: str = "etcd"
    progress: Callable[[str], None] | None = None
