"""Who a worker is in Temporal's records and lists: which node, which version, which process."""

from __future__ import annotations

import os
import platform
import re
from typing import Final, NamedTuple

from etcd_handoff import __version__

WORKER: Final = re.compile(r"etcd-handoff-worker/(?P<version>[^:]+):(?P<node>[^:]*):\d+@(?P<host>.*)")


class WorkerIdentity(NamedTuple):
    """What a worker's identity tells.

    Attributes:
        node: The node that it was started for; empty where the identity does not tell.
        version: Its version; empty where the identity does not tell.
        host: The host that it runs on, or the whole identity of a worker of another make.
    """

    node: str
    version: str
    host: str


def worker_identity(node: str) -> str:
    """The identity of the worker that runs in this process."""
    return f"etcd-handoff-worker/{__version__}:{node}:{os.getpid()}@{platform.node()}"


def parsed(identity: str) -> WorkerIdentity:
    """Which worker an identity is."""
    found = WORKER.fullmatch(identity)
    return WorkerIdentity(found["node"], found["version"], found["host"]) if found else WorkerIdentity("", "", identity)
