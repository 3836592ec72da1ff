"""The task queues on which workers take work, and how long they may take to decide."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

TASK_QUEUE: Final = "etcd-handoff"
"""Default task queue, for the setting `task_queue`."""
TASK_TIMEOUT: Final = timedelta(seconds=2)
"""The time-out of a workflow task, after which a killed worker is given up. Temporal's default is 10 s."""
QUEUE_TASK_TIMEOUT: Final = timedelta(seconds=10)
"""The time-out for workflows that live long, since their replay takes time."""


def node_queue(task_queue: str, node: str) -> str:
    """Return the task queue that only the worker of a node serves (contract)."""
    return f"{task_queue}/node/{node}"
