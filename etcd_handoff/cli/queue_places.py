"""The queue of an etcd cluster, and an operation's place in it."""
# ruff: noqa: PLC0415
# Commands import what they need when they run: `--help` answers at once, without gRPC and Temporal.

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from etcd_handoff import time_limits

if TYPE_CHECKING:
    from temporalio.client import Client

    from etcd_handoff.operation.queue_messages import ChangeQueueState


UNKNOWN: Final = "?"
"""The place when the queue does not answer, or when the cluster is unknown."""


async def queue_of(client: Client, cluster_id: str) -> ChangeQueueState | None:
    """Read the queue of an etcd cluster; an empty one if there is none, None if it does not answer in time."""
    from datetime import timedelta

    from temporalio.client import WorkflowQueryFailedError
    from temporalio.service import RPCError

    from etcd_handoff.errors import HandoffError
    from etcd_handoff.operation.queue_messages import ChangeQueueState, change_queue_id
    from etcd_handoff.temporal.connection_failures import is_unknown_workflow

    limit = timedelta(seconds=time_limits.COMMANDS.place_query_seconds)
    try:
        queue: ChangeQueueState = await client.get_workflow_handle(change_queue_id(cluster_id)).query(
            "state", result_type=ChangeQueueState, rpc_timeout=limit
        )
    except RPCError as error:
        return ChangeQueueState(cluster_id=cluster_id) if is_unknown_workflow(error) else None
    except (WorkflowQueryFailedError, HandoffError):
        return None
    return queue


def place_of(queue: ChangeQueueState | None, chain_id: str) -> str:
    """Describe an operation's place; empty if it is in no queue, `?` if that is unknown.

    Args:
        queue: The queue; None if it is unknown.
        chain_id: ID of the operation's first run.
    """
    from etcd_handoff.operation.change_queue import waiters

    if queue is None:
        return UNKNOWN
    if chain_id not in {entry.chain_id for entry in queue.entries}:
        return ""
    if queue.holder == chain_id:
        return "first in the queue: it may change the cluster"
    waiting = [entry.chain_id for entry in waiters(queue)]
    if chain_id not in waiting:
        return "gave up its place while it waits for something else"
    holder = next((entry.label for entry in queue.entries if entry.chain_id == queue.holder), "")
    place = f"{waiting.index(chain_id) + 1} of {len(waiting)} in the queue"
    return f"{place}; {holder} is first" if holder else place
