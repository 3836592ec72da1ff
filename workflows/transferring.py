"""The part of an operation that moves leadership: steps that belong together go to Temporal together."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from etcd_handoff.contract import StepOutcome
    from etcd_handoff.operation.approvals import with_approval_used
    from etcd_handoff.operation.commands import StepFailure, TransferLeadership
    from etcd_handoff.operation.loop import apply, decide, transfer_in_turn
    from etcd_handoff.unawaited import mark_exception_retrieved
    from workflows import activity_calls, patches
    from workflows.queue_entry import Queued

if TYPE_CHECKING:
    from etcd_handoff.operation.commands import AskQueue, AwaitNewLeader, TransferOnceGranted
    from etcd_handoff.operation.queue_messages import MoveLeaderResult, TakeTurnResult


class Transferring(Queued):
    """The part of an operation that moves leadership, with the turn before it and the election after it."""

    def __init__(self) -> None:
        """Begin without a transfer."""
        self._election: asyncio.Task[Any] | None = None
        self._transferred: tuple[TransferLeadership, MoveLeaderResult] | None = None

    def _show(self) -> None:
        """Publish where it stands."""
        raise NotImplementedError

    async def _transfer(self, command: TransferLeadership | TransferOnceGranted) -> Any:
        """Carry out the transfer and await the election beside it, which saves a round trip through Temporal."""
        electing = asyncio.create_task(activity_calls.activity(command.election))
        mark_exception_retrieved(electing)
        moved = False
        try:
            result = await activity_calls.activity(command)
            moved = not isinstance(result, StepFailure) and result.step.outcome == StepOutcome.MOVED
        finally:
            if moved:
                self._election = electing
            else:
                electing.cancel()
        return result

    async def _turn_with_transfer(self, command: AskQueue) -> TakeTurnResult | None:
        """Take the turn with the transfer that follows, if any, which saves a round trip through Temporal.

        Returns:
            What the queue has answered; None if no transfer follows, or the queue has not answered.
        """
        if not command.waits or not patches.is_on(patches.TURN_WITH_TRANSFER):
            return None
        ahead = transfer_in_turn(self._state, command, workflow.time())
        if ahead is None:
            return None
        self._state, transfer = ahead
        turn = self._numbered(command)
        self._show()
        result = await self._transfer(transfer.in_turn(turn))
        if isinstance(result, StepFailure) or result.turn is None or result.turn.turn.granted:
            # An attempt before the last one may have moved leadership: then the approved change has begun.
            self._state = with_approval_used(self._state, transfer, result)
        asked_since = self._state.turn_request != turn.entry.request  # by a new queue, which knows of no grant
        if isinstance(result, StepFailure) or result.turn is None or asked_since:
            if not isinstance(result, StepFailure) and result.step.outcome == StepOutcome.MOVED:
                self._state = self._state.with_step(result.step).changed(leadership_moved=True)
            self._state = self._state.changed(holds_turn=False, behind=())  # the answer to the next request counts
            return None
        if result.turn.turn.granted:
            self._transferred = transfer, result
        taken: TakeTurnResult = result.turn
        return taken

    def _take_in_transfer(self) -> None:
        """Apply the result of the transfer that took the turn, as if it had been decided since."""
        if self._transferred is None:
            return
        (transfer, result), self._transferred = self._transferred, None
        decided = decide(self._state, workflow.time())
        state = decided.state if isinstance(decided.command, TransferLeadership) else self._state
        self._state = apply(state, transfer, result, workflow.time())

    async def _await_election(self, command: AwaitNewLeader) -> Any:
        electing, self._election = self._election, None
        if electing is None:
            return await activity_calls.activity(command)
        try:
            result = await electing
        finally:
            electing.cancel()
        if isinstance(result, StepFailure) or result.step.outcome == StepOutcome.ELECTED:
            return result
        return await activity_calls.activity(command)  # the first one has waited for a transfer that came late
