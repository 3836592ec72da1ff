"""How a removal takes its place in the queue of its etcd cluster."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, is_cancelled_exception

with workflow.unsafe.imports_passed_through():
    from activities.change_queue import ChangeQueueActivities
    from etcd_handoff.operation.queue_state import NO_MEMBER, QueueEntry, QueuePosition, TakeTurnInput, TakeTurnResult

if TYPE_CHECKING:
    from etcd_handoff.activity_io import Target

TAKE_TURN_TIMEOUT: Final = timedelta(seconds=20)
"""Longer than the activity goes on asking a queue that does not answer."""
TAKE_TURN_RETRY: Final = RetryPolicy(initial_interval=timedelta(milliseconds=200), maximum_attempts=4)


def entry_of(cluster: str, pinned: Target, request: int, *, noun: str = "removal", waits: bool = True) -> QueueEntry:
    """The queue entry of the operation that runs this.

    Args:
        cluster: Cluster profile.
        pinned: The member that it is about.
        request: Higher than in every entry of this operation before.
        noun: What people call the operation.
        waits: Whether the turn is wanted.
    """
    me = workflow.info()
    return QueueEntry(
        workflow_id=me.workflow_id,
        chain_id=me.first_execution_run_id,
        cluster=cluster,
        member_name=pinned.member_name,
        member_id=pinned.member_id if noun == "removal" else NO_MEMBER,
        noun=noun,
        waits=waits,
        request=request,
    )


async def take_turn(  # noqa: PLR0913  # all that the queue is told
    cluster: str, pinned: Target, request: int, *, noun: str = "removal", waits: bool = True, wakes: bool = True
) -> TakeTurnResult:
    """Ask the queue of an etcd cluster for the turn, or give it up; for operations.

    Args:
        cluster: Cluster profile.
        pinned: The member that it is about.
        request: Higher than in every call before; answers to older requests do not count.
        noun: What people call the operation.
        waits: Whether the turn is wanted; False gives it up.
        wakes: Whether the queue is to hear at once that the turn is given up, though nobody waits for it: it then tells
            the EtcdMember why. Not when the removal is about to end.

    Returns:
        Where the removal stands, and the signal `your_turn` tells the rest; or why the queue does not answer.
    """
    entry = entry_of(cluster, pinned, request, noun=noun, waits=waits)
    try:
        return await workflow.execute_local_activity_method(
            ChangeQueueActivities.take_turn,
            TakeTurnInput(cluster_id=pinned.cluster_id, entry=entry, wakes=wakes),
            start_to_close_timeout=TAKE_TURN_TIMEOUT,
            retry_policy=TAKE_TURN_RETRY,
        )
    except ActivityError as error:
        if is_cancelled_exception(error):
            raise
        position = QueuePosition(granted=False, chain_id=entry.chain_id, request=request)
        return TakeTurnResult(turn=position, silent=f"the cluster's queue cannot be asked: {error.cause or error}")
