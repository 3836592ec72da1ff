"""Decide how long a blocked operation waits: pauses grow, and after a total time it gives up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from etcd_handoff import time_limits
from etcd_handoff.contract import HandoffState
from etcd_handoff.operation import failures, learner, queue_requests
from etcd_handoff.operation.commands import LONGEST_SUMMARY, FindResource, LookThroughNodes, Observe, Until, Wait
from etcd_handoff.operation.phases import LookDue
from etcd_handoff.operation.state import NextCommand
from etcd_handoff.operation.step_log import cut

if TYPE_CHECKING:
    from etcd_handoff.operation.commands import Effect
    from etcd_handoff.operation.state import OperationState
    from etcd_handoff.planning import Blocked

MOST_PAUSES: Final = 100
"""Number of pauses after which they grow no more; a larger power would overflow."""


def decide(state: OperationState, blocked: Blocked) -> NextCommand | OperationState:
    """Pause and give up the turn, or fail when the time for waiting is used up."""
    state = _hurried(state)
    progresses = state.joining.progresses
    shown = HandoffState.SYNCING if progresses else HandoffState.BLOCKED
    state = state.showing(shown, f"{blocked.reason}: {blocked.seen}", blocked.unblocks)
    if state.blocked_remaining_seconds <= 0 and not progresses:
        most = state.request.blocked_timeout_seconds
        waited = min(most, time_limits.OPERATION.cancelled_seconds) if _is_hurried(state) else most
        return state.failing(failures.blocked_too_long(blocked, waited, state.original_request.noun))
    silent = state.subject is None or state.change_pending or state.released
    if not silent and (state.holds_turn or not state.queue_knows):
        # It may wait for the very removal that stands behind it. The queue also writes this on the EtcdMember.
        return queue_requests.ask(state, waits=False)
    longest = time_limits.OPERATION.blocked_longest_pause_seconds
    longest = longest if progresses else min(longest, state.blocked_remaining_seconds)
    if state.request.adds and (watched := learner.pause(state, blocked, longest)):
        return NextCommand(state, watched)
    summary = cut(f"blocked: {blocked.reason}, until {state.waiting_for}", LONGEST_SUMMARY)
    return NextCommand(state, Wait(until=Until.RECHECK, seconds=pause_seconds(state), summary=summary))


def _is_hurried(state: OperationState) -> bool:
    """Whether an addition was cancelled too late to remove its learner again."""
    known = state.pinned is not None and bool(state.pinned.member_id)
    return state.cancel_requested and state.request.adds and known and state.point_of_no_return


def _hurried(state: OperationState) -> OperationState:
    """Return the state with the shorter time for waiting that a cancellation leaves."""
    if not _is_hurried(state) or state.blocked_remaining_seconds <= time_limits.OPERATION.cancelled_seconds:
        return state
    return state.changed(blocked_remaining_seconds=time_limits.OPERATION.cancelled_seconds)


def paused(state: OperationState, now: float) -> OperationState:
    """Return the state after a pause, which a `recheck` may have ended early."""
    rechecked, state = (
        state.recheck,
        state.changed(
            blocked=None, recheck=False, avoid=(), steps_since_pause=0, leadership_moved=False, look_due=LookDue.PATIENT
        ),
    )
    if rechecked:
        state = state.changed(silent_nodes={})
    return waited(state, 0.0 if state.joining.progresses else now - state.since, rechecked=rechecked)


def counted(state: OperationState, command: Effect, now: float) -> OperationState:
    """Return the state with a look between two pauses counted as waiting.

    Where no member answers, a look may take a minute.
    """
    looks = isinstance(command, Observe | LookThroughNodes | FindResource)
    if not looks or state.handoff_state is not HandoffState.BLOCKED or state.ending is not None:
        return state
    seconds = min(now - state.since, time_limits.OPERATION.counted_look_seconds)
    return state.changed(blocked_remaining_seconds=max(0.0, state.blocked_remaining_seconds - seconds))


def pause_seconds(state: OperationState) -> float:
    """Return the length of the next pause."""
    limits = time_limits.OPERATION
    grown = limits.blocked_first_pause_seconds * limits.blocked_pause_growth ** min(state.pauses, MOST_PAUSES)
    longest = limits.blocked_longest_pause_seconds if state.joining.progresses else state.blocked_remaining_seconds
    return min(grown, limits.blocked_longest_pause_seconds, longest)


def waited(state: OperationState, seconds: float, *, rechecked: bool) -> OperationState:
    """Return the state after a pause of `seconds`, which a `recheck` may have ended."""
    return state.changed(
        pauses=0 if rechecked else state.pauses + 1,
        blocked_remaining_seconds=state.blocked_remaining_seconds - max(0.001, seconds),
    )
