"""Activities of a change queue: take a turn in it, and recall which operations stand in it."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from temporalio import activity
from temporalio.api.enums.v1 import WorkflowExecutionStatus
from temporalio.client import WorkflowUpdateFailedError, WorkflowUpdateRPCTimeoutOrCancelledError
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import ApplicationError, WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from activities.attempts import is_cancelling
from activities.workflow_descriptions import describe, memo_value, why_silent
from etcd_handoff import time_limits
from etcd_handoff.contract import OPERATIONS, FailureType, HandoffState
from etcd_handoff.operation.change_queue import start_delay
from etcd_handoff.operation.queue_messages import (
    LOST_HOLDER,
    ChangeQueueState,
    QueueEntry,
    QueuePosition,
    RecallEntriesInput,
    RecallEntriesResult,
    TakeTurnInput,
    TakeTurnResult,
    change_queue_id,
)
from etcd_handoff.temporal.search_attributes import CLUSTER_KEY, STATE_KEY

if TYPE_CHECKING:
    from temporalio.client import Client, WorkflowHandle
    from temporalio.client import WorkflowExecution as Listed

QUEUE_TYPE: Final = "ChangeQueue"
TYPES: Final = ", ".join(f"'{request.workflow_type}'" for request in OPERATIONS)
OPEN_REMOVALS: Final = f"WorkflowType IN ({TYPES}) AND CloseTime IS NULL"
"""Selects by the end and not by the status: a paused removal is open too, and may have the turn."""
ENQUEUE, STEP_ASIDE, POSITION, REJOIN = "enqueue", "step_aside", "position", "rejoin"
TURN_MEMO: Final = "etcd-handoff-turn"
"""Key in a queue's memo: the removal that has started it, and by which request."""
COMPLETED: Final = WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_COMPLETED
CONCURRENT_REJOINS: Final = 50
STATES_WITHOUT_TURN: Final = frozenset(
    {HandoffState.QUEUED, HandoffState.AWAITING_APPROVAL, HandoffState.AWAITING_WINDOW}
)
"""States in which a removal never has the turn."""


class ChangeQueueActivities:
    """Take turns in change queues, and recall their entries.

    Args:
        client: Connected to the server that the worker works for.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._starts: deque[float] = deque()

    @activity.defn
    async def take_turn(self, turn: TakeTurnInput) -> TakeTurnResult:
        """Put a removal into its cluster's queue, or give its turn up. Afterwards the queue has recorded that.

        If there is no queue, this activity starts one, which gives the removal the turn. If the last queue did not
        complete, others may have the turn from it, so the new one asks them first. A repeated attempt finds in the memo
        that the same request has started the queue. Then the removal still has the turn, since only the removal gives
        it up. No worker has to serve the queue for that.
        """
        entry, queue = turn.entry, self._client.get_workflow_handle(change_queue_id(turn.cluster_id))
        delay = start_delay(self._recent_starts()) if entry.waits else None
        if not (entry.waits or turn.wakes):
            # To give a turn up is no reason to end the queue's start delay.
            return await self._enter(queue, turn) or _not_granted(entry)
        tries = 0
        while True:
            tries += 1
            # ALLOW_DUPLICATE would start it in any case, so ask first how the last one ended.
            last = await describe(self._client, queue.id)
            if last is not None and not last.workflow_execution_info.HasField("close_time"):
                if entry.waits and memo_value(last, TURN_MEMO) == [entry.chain_id, entry.request]:
                    return _granted(entry)
                if (result := await self._enter(queue, turn)) is not None:
                    return result
                continue  # it ended in between
            lost = last is not None and last.workflow_execution_info.status != COMPLETED
            state = ChangeQueueState(
                cluster_id=turn.cluster_id, entries=(entry,), possible_holders=(LOST_HOLDER,) if lost else ()
            )
            if not await self._start(queue.id, state, None if lost else delay):
                continue  # another removal was quicker
            if lost:
                return _not_granted(entry, LOST_HOLDER)
            return _granted(entry, began_queue=tries == 1) if entry.waits else _not_granted(entry)

    async def take_turn_soon(self, turn: TakeTurnInput) -> TakeTurnResult | None:
        """Take the turn as `take_turn` does, beside another step. Return None if that does not succeed soon."""
        with contextlib.suppress(TimeoutError, RPCError):
            async with asyncio.timeout(time_limits.STEPS.turn_seconds):
                return await self.take_turn(turn)
        return None

    @activity.defn
    async def recall_entries(self, recall: RecallEntriesInput) -> RecallEntriesResult:
        """Return which open removals stand in the queue of an etcd cluster, and which one has the turn.

        Each removal that answers has raised its request number. So a grant of an earlier queue does not count any more.
        """
        slots = asyncio.Semaphore(CONCURRENT_REJOINS)

        async def one(workflow_id: str, *, matters: bool) -> QueueEntry | str | None:
            async with slots:
                answer = await self._rejoin(workflow_id, recall)
                return None if isinstance(answer, str) and not matters else answer

        removals = [(workflow_id, True) for workflow_id in recall.only]
        if not removals:
            listed = [removal async for removal in self._client.list_workflows(OPEN_REMOVALS)]
            listed.sort(key=lambda removal: (removal.start_time, removal.id))
            removals = [(removal.id, _may_hold(removal, recall.profiles)) for removal in listed]
        answers = await asyncio.gather(*(one(workflow_id, matters=matters) for workflow_id, matters in removals))
        return RecallEntriesResult(
            entries=tuple(answer for answer in answers if isinstance(answer, QueueEntry)),
            silent=tuple(answer for answer in answers if isinstance(answer, str)),
        )

    async def _start(self, queue_id: str, state: ChangeQueueState, delay: timedelta | None) -> bool:
        """Start the queue, and return False if one runs already."""
        first = state.entries[0]
        granted = first.waits and not state.possible_holders
        try:
            await self._client.start_workflow(
                QUEUE_TYPE,
                state,
                id=queue_id,
                task_queue=activity.info().task_queue,
                id_conflict_policy=WorkflowIDConflictPolicy.FAIL,
                id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
                task_timeout=time_limits.WORKFLOWS.queue_task_timeout,
                start_delay=delay,
                memo={TURN_MEMO: [first.chain_id, first.request]} if granted else None,
                static_summary=f"Allow one change at a time to etcd cluster {state.cluster_id}",
            )
        except WorkflowAlreadyStartedError:
            return False
        return True

    async def _enter(self, queue: WorkflowHandle[Any, Any], turn: TakeTurnInput) -> TakeTurnResult | None:
        """Put the entry into a running queue, and return None if the queue has ended.

        Temporal keeps the signal until a worker serves the queue, which keeps the place. The update brings the answer.
        """
        entry = turn.entry
        try:
            await queue.signal(ENQUEUE if entry.waits else STEP_ASIDE, entry)
            if entry.waits:
                return await self._ask_position(queue, entry)
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise
            return None
        if turn.wakes:
            # A signal alone does not end a start delay (seen on Temporal Server 1.32), an update does.
            with contextlib.suppress(RPCError, WorkflowUpdateFailedError, WorkflowUpdateRPCTimeoutOrCancelledError):
                await _position(queue, entry, time_limits.STEPS.wake_seconds)
        return _not_granted(entry)

    async def _ask_position(self, queue: WorkflowHandle[Any, Any], entry: QueueEntry) -> TakeTurnResult:
        """Return what the queue answers, or why it does not.

        Raises:
            RPCError: NOT_FOUND when it has ended.
        """
        for seconds in time_limits.STEPS.position_seconds:
            try:
                return TakeTurnResult(turn=await _position(queue, entry, seconds))
            except WorkflowUpdateFailedError:  # a worker of another version, where the signal has to do
                return _not_granted(entry)
            except WorkflowUpdateRPCTimeoutOrCancelledError:
                if is_cancelling():  # which the SDK calls by the same name
                    raise asyncio.CancelledError from None
            except RPCError as error:
                if error.status is RPCStatusCode.NOT_FOUND:
                    raise
        text = why_silent(await describe(self._client, queue.id), activity.info().task_queue)
        return _not_granted(entry, silent=f"the queue {queue.id} does not answer: {text}")

    async def _rejoin(self, workflow_id: str, recall: RecallEntriesInput) -> QueueEntry | str | None:
        """Return a removal's entry, None without one for this etcd cluster, or its ID if it does not answer."""
        removal = self._client.get_workflow_handle(workflow_id)
        try:
            entry: QueueEntry = await removal.execute_update(
                REJOIN, recall, result_type=QueueEntry, rpc_timeout=timedelta(seconds=time_limits.STEPS.rejoin_seconds)
            )
        except WorkflowUpdateFailedError as error:
            refused = isinstance(error.cause, ApplicationError) and error.cause.type == FailureType.INVALID_INPUT
            return None if refused else workflow_id
        except WorkflowUpdateRPCTimeoutOrCancelledError:
            return workflow_id
        except RPCError as error:
            return None if error.status is RPCStatusCode.NOT_FOUND else workflow_id
        return entry

    def _recent_starts(self) -> int:
        """Count the removals that began on this worker a moment ago, without the one that begins now."""
        now = time.monotonic()
        while self._starts and self._starts[0] < now - time_limits.STEPS.recent_removal_seconds:
            self._starts.popleft()
        self._starts.append(now)
        return len(self._starts) - 1


async def _position(queue: WorkflowHandle[Any, Any], entry: QueueEntry, seconds: float) -> QueuePosition:
    """Return the queue's answer. Asked again it is the same update, since Temporal takes only ten at once."""
    position: QueuePosition = await queue.execute_update(
        POSITION,
        entry,
        id=f"{entry.chain_id}/{entry.request}",
        result_type=QueuePosition,
        rpc_timeout=timedelta(seconds=seconds),
    )
    return position


def _granted(entry: QueueEntry, *, began_queue: bool = False) -> TakeTurnResult:
    """Return the result of a removal that has the turn."""
    position = QueuePosition(granted=True, chain_id=entry.chain_id, request=entry.request)
    return TakeTurnResult(turn=position, began_queue=began_queue)


def _not_granted(entry: QueueEntry, *behind: str, silent: str = "") -> TakeTurnResult:
    """Return the result of a removal that does not have the turn: the queue signals it later."""
    position = QueuePosition(granted=False, behind=behind, chain_id=entry.chain_id, request=entry.request)
    return TakeTurnResult(turn=position, silent=silent)


def _may_hold(removal: Listed, profiles: tuple[str, ...]) -> bool:
    """Whether a removal that does not answer may have the turn in this cluster, judged by search attributes."""
    cluster = removal.typed_search_attributes.get(CLUSTER_KEY)
    state = removal.typed_search_attributes.get(STATE_KEY)
    return state not in STATES_WITHOUT_TURN and (cluster is None or cluster in profiles)
