"""What is done through Temporal for a cluster's queue: a removal stands in it, and a new queue asks who has a turn."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from datetime import UTC, timedelta
from typing import TYPE_CHECKING, Any, Final

from etcd_handoff.contract import OPERATIONS, QUEUE_TASK_TIMEOUT, FailureType, HandoffState
from etcd_handoff.operation.queue_state import (
    LOST,
    ChangeQueueState,
    Join,
    QueueEntry,
    QueuePosition,
    Recalled,
    RecallEntriesInput,
    TakeTurnResult,
    change_queue_id,
    start_delay,
)
from etcd_handoff.temporal.search_attributes import CLUSTER_KEY, STATE_KEY
from temporalio import activity
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import PendingWorkflowTaskState, WorkflowExecutionStatus
from temporalio.api.workflowservice.v1 import DescribeWorkflowExecutionRequest, DescribeWorkflowExecutionResponse
from temporalio.client import WorkflowUpdateFailedError, WorkflowUpdateRPCTimeoutOrCancelledError
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import ApplicationError, WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

if TYPE_CHECKING:
    from temporalio.client import Client, WorkflowHandle
    from temporalio.client import WorkflowExecution as Listed

TURNS_TYPE: Final = "ClusterTurns"
TYPES: Final = ", ".join(f"'{request.workflow_type}'" for request in OPERATIONS)
OPEN_REMOVALS: Final = f"WorkflowType IN ({TYPES}) AND CloseTime IS NULL"
"""Not by their status, since one that somebody has paused is open too, and may have a turn."""
LATELY_SECONDS: Final = 10.0
"""Removals that have begun within that time are under way as a rule, where there are many."""
JOIN, POSITION, REJOIN = "join", "position", "rejoin"
ASK_SECONDS: Final = (1.0, 3.0, 8.0)
"""How long a queue may take to answer each time that it is asked. Together more than `QUEUE_TASK_TIMEOUT`, after which
another worker goes on where one was killed."""
WAKE_SECONDS: Final = 0.5
RECALL_SECONDS: Final = 5.0
"""How long a removal may take to say whether it has a turn."""
RECALLED_AT_ONCE: Final = 50
WITHOUT_TURN: Final = frozenset({HandoffState.QUEUED, HandoffState.AWAITING_APPROVAL})
"""States in which a removal has no turn, whatever else it does."""


class TurnActivities:
    """The activities of the queue.

    Args:
        client: Connected to the server that the worker works for.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._begun: deque[float] = deque()

    @activity.defn
    async def take_turn(self, join: Join) -> TakeTurnResult:
        """A removal stands in its cluster's queue, or gives its turn back.

        Without a queue it starts one, which gives it the turn, unless the last queue did not end by itself: then others
        may have a turn from it, and the new queue asks them first. Done again after a lost answer, it finds the queue
        that it started itself and joins it, which changes nothing but makes the queue tell whose turn it is.
        """
        ticket, queue = join.ticket, self._client.get_workflow_handle(change_queue_id(join.cluster_id))
        still = start_delay(self._begun_lately()) if ticket.waits else None
        if not (ticket.waits or join.wakes):
            # A turn is given back beside the queue's start delay, which nobody is to end for that.
            return await self._joined(queue, join) or TakeTurnResult(turn=_unknown(ticket))
        while True:
            # ALLOW_DUPLICATE would start it in any case: how the last one ended has to be asked before.
            last = await describe(self._client, queue.id)
            if last is not None and not last.workflow_execution_info.HasField("close_time"):
                if (place := await self._joined(queue, join)) is not None:
                    return place
                continue  # it ended in between
            lost = last is not None and last.workflow_execution_info.status != COMPLETED
            if not await self._started(queue.id, join, None if lost else still, doubtful=(LOST,) if lost else ()):
                continue  # somebody else was quicker
            if lost:
                return TakeTurnResult(turn=_unknown(ticket, LOST))
            return TakeTurnResult(
                turn=QueuePosition(granted=ticket.waits, chain_id=ticket.chain_id, request=ticket.request)
            )

    @activity.defn
    async def recall_tickets(self, recall: RecallEntriesInput) -> Recalled:
        """Who of the open removals stands in the queue of an etcd cluster, and who has the turn.

        Asking makes a removal count its request up: what an earlier queue granted and is still on its way counts no
        more.
        """
        slots = asyncio.Semaphore(RECALLED_AT_ONCE)

        async def one(workflow_id: str, *, matters: bool) -> QueueEntry | str | None:
            async with slots:
                answer = await self._recall(workflow_id, recall)
                return None if isinstance(answer, str) and not matters else answer

        removals = [(workflow_id, True) for workflow_id in recall.only]
        if not removals:
            listed = [removal async for removal in self._client.list_workflows(OPEN_REMOVALS)]
            listed.sort(key=lambda removal: (removal.start_time, removal.id))
            removals = [(removal.id, _may_hold(removal, recall.profiles)) for removal in listed]
        answers = await asyncio.gather(*(one(workflow_id, matters=matters) for workflow_id, matters in removals))
        return Recalled(
            tickets=tuple(answer for answer in answers if isinstance(answer, QueueEntry)),
            silent=tuple(answer for answer in answers if isinstance(answer, str)),
        )

    async def _started(self, queue_id: str, join: Join, still: timedelta | None, doubtful: tuple[str, ...]) -> bool:
        """Whether there was no queue, so that it could be started."""
        try:
            await self._client.start_workflow(
                TURNS_TYPE,
                ChangeQueueState(cluster_id=join.cluster_id, tickets=(join.ticket,), doubtful=doubtful),
                id=queue_id,
                task_queue=activity.info().task_queue,
                id_conflict_policy=WorkflowIDConflictPolicy.FAIL,
                id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
                task_timeout=QUEUE_TASK_TIMEOUT,
                start_delay=still,
                static_summary=f"One change at a time to etcd cluster {join.cluster_id}",
            )
        except WorkflowAlreadyStartedError:
            return False
        return True

    async def _joined(self, queue: WorkflowHandle[Any, Any], join: Join) -> TakeTurnResult | None:
        """The place in a queue that runs; None when it has ended.

        The signal is kept until somebody works for the queue, which keeps the place; the update brings the answer.
        """
        ticket = join.ticket
        try:
            await queue.signal(JOIN, ticket)
            if ticket.waits:
                return await self._ask(queue, ticket)
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise
            return None
        if join.wakes:
            # A signal alone does not end a start delay (seen on Temporal Server 1.32), an update does.
            with contextlib.suppress(RPCError, WorkflowUpdateFailedError, WorkflowUpdateRPCTimeoutOrCancelledError):
                await _position(queue, ticket, WAKE_SECONDS)
        return TakeTurnResult(turn=_unknown(ticket))

    async def _ask(self, queue: WorkflowHandle[Any, Any], ticket: QueueEntry) -> TakeTurnResult:
        """What the queue answers, or why it does not.

        Raises:
            RPCError: NOT_FOUND when it has ended.
        """
        for seconds in ASK_SECONDS:
            try:
                return TakeTurnResult(turn=await _position(queue, ticket, seconds))
            except WorkflowUpdateFailedError:  # a worker of another version, where the signal has to do
                return TakeTurnResult(turn=_unknown(ticket))
            except WorkflowUpdateRPCTimeoutOrCancelledError:
                if activity.is_cancelled():  # which the SDK calls by the same name
                    raise asyncio.CancelledError from None
            except RPCError as error:
                if error.status is RPCStatusCode.NOT_FOUND:
                    raise
        text = why_silent(await describe(self._client, queue.id), activity.info().task_queue)
        return TakeTurnResult(turn=_unknown(ticket), silent=f"the queue {queue.id} does not answer: {text}")

    async def _recall(self, workflow_id: str, recall: RecallEntriesInput) -> QueueEntry | str | None:
        """The ticket of a removal; None when it has none for this etcd cluster, its ID when it does not answer."""
        removal = self._client.get_workflow_handle(workflow_id)
        try:
            ticket: QueueEntry = await removal.execute_update(
                REJOIN, recall, result_type=QueueEntry, rpc_timeout=timedelta(seconds=RECALL_SECONDS)
            )
        except WorkflowUpdateFailedError as error:
            refused = isinstance(error.cause, ApplicationError) and error.cause.type == FailureType.INVALID_INPUT
            return None if refused else workflow_id
        except WorkflowUpdateRPCTimeoutOrCancelledError:
            return workflow_id
        except RPCError as error:
            return None if error.status is RPCStatusCode.NOT_FOUND else workflow_id
        return ticket

    def _begun_lately(self) -> int:
        """How many removals have begun here of late, but for the one that begins now."""
        now = time.monotonic()
        while self._begun and self._begun[0] < now - LATELY_SECONDS:
            self._begun.popleft()
        self._begun.append(now)
        return len(self._begun) - 1


COMPLETED: Final = WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_COMPLETED


async def describe(client: Client, workflow_id: str, run_id: str = "") -> DescribeWorkflowExecutionResponse | None:
    """What Temporal knows of the last run under an ID, or of the given one; None when it knows none.

    The SDK's own description cannot be read for a status that it does not know, such as paused.
    """
    request = DescribeWorkflowExecutionRequest(
        namespace=client.namespace, execution=WorkflowExecution(workflow_id=workflow_id, run_id=run_id)
    )
    try:
        return await client.workflow_service.describe_workflow_execution(request, retry=True)
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            return None
        raise


def why_silent(described: DescribeWorkflowExecutionResponse | None, ours: str) -> str:
    """What keeps a queue from answering, as far as Temporal tells.

    Args:
        described: The queue.
        ours: Task queue of the removal that asks.
    """
    if described is None:
        return "Temporal does not know it any more"
    theirs, task = described.execution_config.task_queue.name, described.pending_workflow_task
    apart = "" if theirs == ours else f", while this removal runs on task queue {ours}"
    if not described.HasField("pending_workflow_task"):
        return f"it has nothing to do by Temporal's word, on task queue {theirs}{apart}"
    since = task.original_scheduled_time if task.HasField("original_scheduled_time") else task.scheduled_time
    when = since.ToDatetime(UTC).isoformat(timespec="seconds")
    if task.attempt > 1:
        return f"its last workflow task failed, attempt {task.attempt} of it is due on task queue {theirs}{apart}"
    if task.state == PendingWorkflowTaskState.PENDING_WORKFLOW_TASK_STATE_STARTED:
        return f"a worker on task queue {theirs} has its workflow task since {when} and does not end it{apart}"
    return f"no worker serves its task queue {theirs}: a workflow task has waited there since {when}{apart}"


async def _position(queue: WorkflowHandle[Any, Any], ticket: QueueEntry, seconds: float) -> QueuePosition:
    """The queue's answer; asked again it is the same question, since Temporal takes only ten at once."""
    turn: QueuePosition = await queue.execute_update(
        POSITION,
        ticket,
        id=f"{ticket.chain_id}/{ticket.request}",
        result_type=QueuePosition,
        rpc_timeout=timedelta(seconds=seconds),
    )
    return turn


def _unknown(ticket: QueueEntry, *behind: str) -> QueuePosition:
    """Not granted, and the queue says when it is."""
    return QueuePosition(granted=False, behind=behind, chain_id=ticket.chain_id, request=ticket.request)


def _may_hold(removal: Listed, profiles: tuple[str, ...]) -> bool:
    """Whether a removal that does not answer may have a turn in this etcd cluster, as far as lists tell."""
    cluster = removal.typed_search_attributes.get(CLUSTER_KEY)
    state = removal.typed_search_attributes.get(STATE_KEY)
    return state not in WITHOUT_TURN and (cluster is None or cluster in profiles)
