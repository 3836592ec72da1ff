"""Pause an operation: it begins no further change until somebody resumes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from etcd_handoff.contract import HandoffState
from etcd_handoff.operation import hash_check, queue_requests, schedule
from etcd_handoff.operation.commands import Until, Wait
from etcd_handoff.operation.phases import LeavePhase, LookDue
from etcd_handoff.operation.state import NextCommand
from etcd_handoff.operation.unblocking_commands import command

if TYPE_CHECKING:
    from etcd_handoff.operation.state import OperationState


def decide(state: OperationState) -> NextCommand:
    """Wait until somebody resumes it, with the turn given up; the time for waiting does not pass."""
    by = f" by {state.paused.by}" if state.paused and state.paused.by else ""
    why = f": {state.paused.reason}" if state.paused and state.paused.reason else ""
    request = state.original_request
    resume = command("resume", request.cluster, request.subject, request.start_id)
    state = state.showing(HandoffState.PAUSED, f"paused{by}{why}", f"`{resume}`").changed(queueing=False)
    queue_informed = state.queue_knows or state.released
    if state.subject is not None and (state.holds_turn or state.wants_turn or not queue_informed):
        return queue_requests.ask(state, waits=False)
    return NextCommand(
        state,
        Wait(until=Until.RESUME, seconds=schedule.remaining_seconds(state), summary="wait until somebody resumes it"),
    )


def resumed(state: OperationState) -> OperationState:
    """Return the state after the pause: the cluster may have changed meanwhile, so it is looked at again."""
    if state.is_paused:
        return state
    state = hash_check.unchecked(state.with_joining(in_sync=False, works_since=None))  # nobody has looked since
    return state.changed(
        blocked=None,
        pauses=0,
        steps_since_pause=0,
        leadership_moved=False,
        leave_step=LeavePhase.NONE,
        look_due=LookDue.PATIENT,
    )


def refusal(state: OperationState) -> str:
    """Return why it cannot be paused now; empty when it can."""
    noun = state.original_request.noun
    last = state.whole is None or state.whole.part is None  # after a part of a larger change another one may begin
    if state.paused is not None:
        return f"the {noun} is paused already"
    if state.original_request.dry_run:
        return "a dry run changes nothing, so there is nothing to pause; cancel it"
    if last and (state.ending is not None or state.change_pending):
        return (
            f"the {noun} was proposed to etcd and can no longer be paused; it is {state.handoff_state}: {state.doing}"
        )
    return ""
