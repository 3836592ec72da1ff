"""The task queues on which workers take work, and how long they may take to decide."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

TASK_QUEUE: Final = "etcd-handoff"
"""Default task queue; setting `task_queue`."""
TASK_TIMEOUT: Final = timedelta(seconds=2)
"""A worker that is killed while it decides what comes next is given up after this, not after Temporal's 10 s."""
QUEUE_TASK_TIMEOUT: Final = timedelta(seconds=10)
"""The same for workflows that live long: what they have to replay takes its time."""


def node_queue(task_queue: str, node: str) -> str:
    """The task queue that only the worker of a node serves (contract)."""
    return f"{task_queue}/node/{node}"
