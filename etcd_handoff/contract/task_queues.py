"""The task queues on which workers take work."""

from __future__ import annotations

from typing import Final

TASK_QUEUE: Final = "etcd-handoff"
"""Default task queue, for the setting `task_queue`."""


def node_queue(task_queue: str, node: str) -> str:
    """Return the task queue that only the worker of a node serves (contract)."""
    return f"{task_queue}/node/{node}"
