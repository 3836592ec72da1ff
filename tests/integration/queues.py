"""Removals in the queue of their cluster, as tests look at them."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from temporalio.service import RPCError

from etcd_handoff.contract import RemovalResult, workflow_id
from etcd_handoff.lab import wait_until
from etcd_handoff.operation.queue_messages import ChangeQueueState, QueueEntry
from etcd_handoff.temporal.search_attributes import STATE_KEY

if TYPE_CHECKING:
    from temporalio.client import WorkflowHandle

    from tests.integration.conftest import LiveCluster

QUEUES: Final = "WorkflowType = 'ChangeQueue'"


def removal_of(b: LiveCluster, member: str) -> WorkflowHandle[object, RemovalResult]:
    """The removal of a member."""
    return b.client.get_workflow_handle(workflow_id(b.lab.cluster, member), result_type=RemovalResult)


async def queue_of(b: LiveCluster) -> WorkflowHandle[Any, Any]:
    """The cluster's queue, whichever run of it is the last."""
    newest = max([run async for run in b.client.list_workflows(QUEUES)], key=lambda run: run.start_time)
    return b.client.get_workflow_handle(newest.id)


async def entry_in(queue: WorkflowHandle[Any, Any], removal: WorkflowHandle[Any, Any]) -> QueueEntry:
    """A removal's entry, as its queue has it."""
    turns: ChangeQueueState = await queue.query("state", result_type=ChangeQueueState)
    return next(entry for entry in turns.entries if entry.workflow_id == removal.id)


async def holds(b: LiveCluster, removal: WorkflowHandle[Any, Any]) -> None:
    """The queue that runs now gives the turn to this removal."""

    async def has_it() -> bool:
        try:
            turns: ChangeQueueState = await (await queue_of(b)).query("state", result_type=ChangeQueueState)
        except RPCError:  # the one that was terminated is the last as long as nobody has started another
            return False
        return [t.workflow_id for t in turns.entries if t.chain_id == turns.holder] == [removal.id]

    await wait_until(has_it, f"the queue knows that {removal.id} has the turn", 60)


async def queued(b: LiveCluster, member: str) -> None:
    """The search attribute says that the removal waits for its turn."""

    async def says_so() -> bool:
        described = await removal_of(b, member).describe()
        return described.typed_search_attributes.get(STATE_KEY) == "Queued"

    await wait_until(says_so, f"the removal of {member} is queued", 60)


def changing(result: RemovalResult) -> tuple[datetime, datetime]:
    """When a removal began to change the cluster, and when it had done so."""
    steps = [s for s in result.steps if s.name in ("move_leader", "await_election", "remove_member")]
    begin, last = datetime.fromisoformat(steps[0].started), steps[-1]
    return begin, datetime.fromisoformat(last.started) + timedelta(milliseconds=last.milliseconds)
