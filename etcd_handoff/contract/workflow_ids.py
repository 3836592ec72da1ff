"""Task queues, and the workflow IDs that people may start and look up (contract)."""

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


def workflow_id(cluster: str, member: str) -> str:
    """The workflow ID of a removal: one at a time for each member (contract)."""
    return f"etcd-remove/{cluster}/{member}"


def record_id(cluster: str, member_id: str) -> str:
    """The workflow ID of `RecordStatus`, which writes an EtcdMember that a removal could not write in its time."""
    return f"etcd-record/{cluster}/{member_id}"


def plan_id(cluster: str, member: str) -> str:
    """The workflow ID of a dry run that our client starts: no removal ever joins it."""
    return f"etcd-plan/{cluster}/{member}"
