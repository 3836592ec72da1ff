"""The part of an operation that communicates with its etcd cluster's queue.

`etcd_handoff.operation.queue_requests` decides what to ask, and what an answer means.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from temporalio import workflow
from temporalio.exceptions import ActivityError, is_cancelled_exception

with workflow.unsafe.imports_passed_through():
    from activities.change_queue import ChangeQueueActivities
    from etcd_handoff import time_limits
    from etcd_handoff.contract import RemovalRequest
    from etcd_handoff.operation import queue_requests
    from etcd_handoff.operation.queue_messages import (
        NO_MEMBER,
        QueueEntry,
        QueuePosition,
        RecallEntriesInput,
        TakeTurnInput,
        TakeTurnResult,
    )
    from etcd_handoff.temporal.converter import invalid_input
    from workflows import patches, retries

if TYPE_CHECKING:
    from etcd_handoff.operation.commands import AskQueue
    from etcd_handoff.operation.state import OperationState


class Queued:
    """The part of an operation that takes its turn, and receives the queue's messages."""

    _state: OperationState
    _running: bool

    @workflow.signal
    def your_turn(self, turn: QueuePosition) -> None:
        """Receive from the queue that this removal may change the cluster, or which ones are before it."""
        if self._running or patches.is_on(patches.EARLY_TURNS):
            self._state = queue_requests.position_received(self._state, turn)

    @workflow.update(description="For queues: a new one asks whether this removal has or wants a turn.")
    def rejoin(self, recall: RecallEntriesInput) -> QueueEntry:  # noqa: ARG002  # which the validator has looked at
        """Return the removal's entry, which from now on belongs to the queue that asks."""
        self._state = queue_requests.rejoined(self._state)
        entry = _entry(self._state, waits=self._state.wants_turn)
        return entry.model_copy(update={"holds": self._state.holds_turn})

    @rejoin.validator
    def _may_rejoin(self, recall: RecallEntriesInput) -> None:
        state = self._state
        if state.subject is None or state.subject.cluster_id != recall.cluster_id or not state.turn_request:
            raise invalid_input(f"{state.title} stands in no queue of cluster {recall.cluster_id}")

    async def _ask_queue(self, command: AskQueue) -> TakeTurnResult:
        """Ask the queue for the turn, or give it up.

        Returns:
            Where the operation stands, or why the queue does not answer. The signal `your_turn` brings later positions.

        Raises:
            ActivityError: It was cancelled.
        """
        if command.news and not patches.is_on(patches.APPROVALS_SHOWN):
            return TakeTurnResult(turn=QueuePosition(granted=False))
        turn = self._numbered(command)
        entry = turn.entry
        try:
            taken = await workflow.execute_local_activity_method(
                ChangeQueueActivities.take_turn,
                turn,
                start_to_close_timeout=time_limits.WORKFLOWS.take_turn_timeout,
                retry_policy=retries.TAKE_TURN,
                summary=command.summary,
            )
        except ActivityError as error:
            if is_cancelled_exception(error):
                raise
            position = QueuePosition(granted=False, chain_id=entry.chain_id, request=entry.request)
            taken = TakeTurnResult(turn=position, silent=f"the cluster's queue cannot be asked: {error.cause or error}")
        return queue_requests.unless_asked_since(self._state, entry.request, taken)

    def _numbered(self, command: AskQueue) -> TakeTurnInput:
        """Return the question to the queue, with a number that no request had before."""
        if patches.is_on(patches.REQUESTS_BY_TIME):
            self._state = queue_requests.numbered(self._state, workflow.time())
        state = self._state
        entry = _entry(state, waits=command.waits)
        return TakeTurnInput(cluster_id=(state.subject or state.target).cluster_id, entry=entry, wakes=command.wakes)


def _entry(state: OperationState, *, waits: bool) -> QueueEntry:
    """Return this operation's queue entry. `waits` is whether it wants the turn."""
    me, member, request = workflow.info(), state.subject or state.target, state.original_request
    return QueueEntry(
        workflow_id=me.workflow_id,
        chain_id=me.first_execution_run_id,
        cluster=request.cluster,
        member_name=member.member_name,
        member_id=member.member_id if isinstance(request, RemovalRequest) else NO_MEMBER,
        noun=request.noun,
        waits=waits,
        request=state.turn_request,
    )
