"""Decide what must come before a change: an approval, a change window, a hash check, a snapshot."""

from __future__ import annotations

from typing import TYPE_CHECKING

from etcd_handoff import time_limits
from etcd_handoff.activity_io import StepResult
from etcd_handoff.contract import CheckedRequest, FailureType, HandoffState, StepOutcome
from etcd_handoff.operation import failures, hash_check, queue_requests, schedule, texts
from etcd_handoff.operation.commands import Failure, TakeSnapshot, Until, Wait
from etcd_handoff.operation.observation import act_input, staying_node
from etcd_handoff.operation.phases import HashCheck, LookDue
from etcd_handoff.operation.state import NextCommand

if TYPE_CHECKING:
    from collections.abc import Sequence

    from etcd_handoff.operation.commands import StepFailure
    from etcd_handoff.operation.state import OperationState


def without_lapsed_checks(state: OperationState, now: float) -> OperationState:
    """Return the state without checks that do not hold any more, unless a change has begun.

    They are older than an hour, or a member is about to join that may copy data which were not compared.
    """
    last_seconds = time_limits.OPERATION.gates_last_seconds
    if state.joining.sent or state.gates_passed_at is None:
        return state
    too_narrow = state.request.adds and hash_check.is_left_out_at_work(state)
    if now - state.gates_passed_at <= last_seconds and not too_narrow:
        return state
    return state.changed(gates_passed_at=None, snapshot="", hash_omitted=())


def awaits_approval(state: OperationState) -> bool:
    """Whether somebody has to approve first; others may have their turn meanwhile."""
    info = state.worker_info
    needs_approval = state.original_request.require_approval or (
        info is not None and (info.require_approval or info.four_eyes)
    )
    return needs_approval and state.approval is None


def may_change(state: OperationState) -> bool:
    """Whether neither an approval nor a window is waited for."""
    return not awaits_approval(state) and not _is_closed(state, state.since)


def awaits_window(state: OperationState, now: float) -> NextCommand | None:
    """Wait for a change window, with the turn given up; return None when it may, or has to, make a change now."""
    if not _is_closed(state, now):
        return None
    opens = schedule.opens_at(state, now)
    until = schedule.moment_text(state, opens)
    doing = f"{schedule.why_closed(state, now)}: it goes on at {until}"
    state = state.showing(HandoffState.AWAITING_WINDOW, doing, f"it is {until}").changed(queueing=False)
    # The queue writes on the EtcdMember what it waits for.
    if state.holds_turn or state.wants_turn or not (state.queue_knows or state.released):
        return queue_requests.ask(state, waits=False)
    seconds = min(opens - now, time_limits.OPERATION.longest_wait_seconds)
    return NextCommand(state, Wait(until=Until.WINDOW, seconds=seconds, summary=f"wait until {until}"))


def window_opened(state: OperationState) -> OperationState:
    """Return the state after the wait for a window: the cluster may have changed and is looked at again."""
    return hash_check.unchecked(state).changed(recheck=False, look_due=LookDue.PATIENT)


def _is_closed(state: OperationState, now: float) -> bool:
    return schedule.may_wait(state) and schedule.opens_at(state, now) > now


def approval_wait_over(state: OperationState) -> OperationState:
    """Return the state after the wait for an approval: the cluster may have changed and is looked at again."""
    return hash_check.unchecked(state).changed(look_due=LookDue.PATIENT)


def has_checks(state: OperationState) -> bool:
    """Whether a check is due that was not made within the hour."""
    return state.gates_passed_at is None and (_wants_hash_check(state) or _wants_snapshot(state))


def passes(state: OperationState) -> NextCommand | OperationState | None:
    """Return the next check; None when none was asked for, or all are made."""
    if state.gates_passed_at is not None:
        return None
    checking = state.showing(HandoffState.CHECKING, "running the checks that were asked for")
    if _wants_hash_check(state) and not state.hash_checked:
        return hash_check.decide(checking)
    if _wants_snapshot(state) and not state.snapshot:
        ask = act_input(state)
        return NextCommand(
            checking, TakeSnapshot(ask=ask, node=staying_node(state), summary="store a snapshot of the data first")
        )
    return None


def _wants_hash_check(state: OperationState) -> bool:
    """Whether the request or the cluster profile wants a hash check."""
    request, info = state.request, state.worker_info
    return isinstance(request, CheckedRequest) and (request.hash_check or (info is not None and info.hash_check))


def _wants_snapshot(state: OperationState) -> bool:
    request, info = state.request, state.worker_info
    return isinstance(request, CheckedRequest) and (request.snapshot or (info is not None and info.snapshot))


def hashed(
    state: OperationState, result: StepResult | Sequence[StepResult | StepFailure], now: float
) -> OperationState:
    """Return the state after one worker compared all voters, or nodes hashed theirs."""
    if isinstance(result, StepResult):
        return _compared(state, result, now)
    answer = hash_check.answered(state, result)
    return _compared(state, answer, now) if isinstance(answer, StepResult) else answer


def snapshot_taken(state: OperationState, report: StepResult, now: float) -> OperationState:
    """Return the state after a snapshot."""
    step = report.step
    state = state.with_step(step)
    if step.outcome == StepOutcome.FAILED:
        return state.failing(Failure(FailureType.INVALID_INPUT, f"snapshot: {step.note}"))
    if step.outcome != StepOutcome.SAVED:
        return state.blocked_by(texts.no_snapshot(step.note))
    return _passed(state.changed(snapshot=step.note), now)


def _compared(state: OperationState, report: StepResult, now: float) -> OperationState:
    step = report.step
    state = state.with_step(step)
    if step.outcome == StepOutcome.INCONSISTENT:
        return state.failing(failures.inconsistent(step.note, adds=state.request.adds))
    if step.outcome != StepOutcome.CONSISTENT:
        return state.blocked_by(texts.hash_unknown(step.note))
    omitted = hash_check.omitted(state)
    return _passed(state.changed(hash_checked=True, hashing=HashCheck(), hash_omitted=omitted), now)


def _passed(state: OperationState, now: float) -> OperationState:
    """Return the state after a check; once all are made, the cluster is looked at again."""
    if _wants_snapshot(state) and not state.snapshot:
        return state
    return state.changed(gates_passed_at=now, hash_checked=False, look_due=LookDue.QUICK)
