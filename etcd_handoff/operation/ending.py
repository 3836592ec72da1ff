"""Decide how an operation ends: record the truth, then return the result or the failure.

    Undo       revoke the order to k0s, where there is one; a cancelled addition looks for its learner
    Remove     remove that learner
    Settle     wait until etcd has given up what was proposed
    Look       the last look
    Classify   decide whether the member has left after all, and what to write
               (from here on an abandoned lock in etcd is released)
    Record     write the EtcdMember, in calls that grow longer; at last another workflow goes on with it
    See        check whether the member's etcd still runs, on a node of k0s
    Stop       stop that etcd, where its node has a command for it; also that of a removed learner
    Archive    archive its data
    Report     the result, or the failure

A removal whose member has left begins with Record.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from etcd_handoff.activity_io import UpdateStatusResult
from etcd_handoff.command_lines import with_cluster
from etcd_handoff.contract import FailureType, HandoffState, Outcome
from etcd_handoff.operation import (
    abandoned_lock,
    departed,
    failures,
    learner_removal,
    leave,
    membership,
    observation,
    parts,
    process_end,
    proposal,
    recording,
    schedule,
    strategy,
    texts,
    unrecorded,
    view_doubts,
)
from etcd_handoff.operation.commands import Cancel, DescribeWorker, Fail, Failure, Finish, Until, Wait
from etcd_handoff.operation.phases import EndPhase, EndState, LeavePhase
from etcd_handoff.operation.state import NextCommand
from etcd_handoff.planning import Blocked, Done

if TYPE_CHECKING:
    from etcd_handoff.operation.state import OperationState
    from etcd_handoff.planning import Decision


def decide(state: OperationState, end: EndState, now: float) -> NextCommand | OperationState:
    """Return what is next until the operation has ended."""
    if abandoned_lock.is_due(state, end):
        return abandoned_lock.release(state, end)
    following: NextCommand | OperationState
    match end.phase:
        case EndPhase.UNDO | EndPhase.REMOVE_LEARNER:
            following = learner_removal.decide(state, end, now)
        case EndPhase.SETTLE:
            following = _settle(state, now)
        case EndPhase.LOOK:
            following = observation.look(state.at_end(phase=EndPhase.CLASSIFY), now, patient=True)
        case EndPhase.CLASSIFY:
            following = _classify_end(state, end, now)
        case EndPhase.RECORD:
            following = recording.decide(state, end, now)
        case EndPhase.SEE:
            following = departed.decide(state)
        case EndPhase.STOP | EndPhase.ARCHIVE:
            following = _end_process(state, end, now)
        case EndPhase.REPORT:
            following = _report_failure(state, end.failure, end) if end.failure else _report(state, end, now)
    return following


def cancelled(state: OperationState) -> OperationState:
    """Return the state after a cancellation: it ends, unless k0s, which was asked, has removed the member."""
    return state.changed(ending=EndState(), released=False, leave_step=LeavePhase.NONE)


def planned(state: OperationState, decision: Decision, now: float) -> NextCommand:
    """Return the answer of a dry run: the start time and the steps in words, or what it would wait for."""
    lines = strategy.of(state).plan_lines(state, decision)
    if lines and (opens := schedule.opens_at(state, now)) > now and not isinstance(decision, Done):
        lines = (f"wait until {schedule.moment_text(state, opens)}: {schedule.why_closed(state, now)}", *lines)
    lines = tuple(with_cluster(line, state.request.cluster) for line in lines)
    blocked = texts.in_words(decision) if isinstance(decision, Blocked) else ""
    blocked = with_cluster(blocked, state.request.cluster)
    state = state.showing(HandoffState.DONE, f"dry run: {blocked or '; '.join(lines)}")
    unwritten = UpdateStatusResult(step=state.steps[-1], recorded=False, note="dry run: nothing was written")
    result = (
        strategy.of(state)
        .result(state, Outcome.PLANNED, unwritten)
        .model_copy(update={"plan": lines, "blocked_by": blocked})
    )
    return NextCommand(state, Finish(result=result))


def _settle(state: OperationState, now: float) -> NextCommand | OperationState:
    """Wait until a look can show whether what was proposed can still take place."""
    if state.pending_since is None:
        # After the last part, only a look shows that a larger change is complete and can't be cancelled any more.
        unseen = state.view is None and state.whole is not None and state.whole.part is None and state.whole.ended
        return state.at_end(phase=EndPhase.LOOK if unseen else EndPhase.CLASSIFY)
    state = state.at_end(phase=EndPhase.LOOK, proposed=True)
    if not (seconds := proposal.seconds_to_settle(state, now)):
        return state
    summary = "wait until etcd has given up what was proposed"
    return NextCommand(state, Wait(until=Until.TIME, seconds=seconds, summary=summary, resumable=False))


def _classify_end(state: OperationState, end: EndState, now: float) -> NextCommand | OperationState:
    """Decide whether the member has left after all; else write what is true, where it may have been touched."""
    failure = end.failure
    touched = failure is not None or end.proposed or state.absent
    if strategy.of(state).is_reached(state) and touched and state.pinned is not None:
        return state.finishing()
    if failure is None and _came_too_late(state):
        return state.changed(ending=None, blocked=None)  # the result is told
    if failure is None:
        remaining_text = parts.half_done(state.whole) if state.whole and state.whole.part else ""
        text = f"{strategy.of(state).cancelled_text(state)}{parts.put_off(state)}{remaining_text}"
        text = with_cluster(text, state.request.cluster)
        return NextCommand(state.showing(HandoffState.FAILED, text), Cancel())
    waited = failure.kind == FailureType.BLOCKED_TOO_LONG and state.view is not None and not state.request.dry_run
    # No record: the EtcdMember of a member that has not joined is not read, and between two parts all is written.
    if state.request.adds or state.request.of_parts:
        remaining_text = strategy.of(state).remaining_text(state)
        text = f"{failure.text}; {remaining_text}" if remaining_text else failure.text
        return _fail(state, Failure(failure.kind, text))
    if (stands := leave.standing_order(state)) not in failure.text:
        short = f"{failure.short or failure.text}{stands}"
        failure = Failure(failure.kind, f"{failure.text}{stands}", short=short)
        state = state.at_end(failure=failure)
    if state.pinned is None or not (end.proposed or waited):
        return _fail(state, failure)
    pending = state.pending_since is not None
    why = failure.short or failure.text
    message = f"Removal was proposed, not confirmed: {why}" if pending else f"Not removed: {why}"
    known = not pending and view_doubts.undoubted(state) is not None
    record = recording.record_of(state, now, joined=True if known else None, message=message, failed=True)
    return state.at_end(phase=EndPhase.RECORD, record=record)


def _came_too_late(state: OperationState) -> bool:
    """Whether a larger change was complete before it was cancelled; a missing record would be one more part."""
    complete = membership.is_complete(state) and view_doubts.undoubted(state) is not None
    return complete and unrecorded.part(state, membership.goal(state)) is None


def _end_process(state: OperationState, end: EndState, now: float) -> NextCommand | OperationState:
    """Stop the member's etcd and archive its data; after a long wait for the record, check first that it is still gone.

    Its data have the IDs of a member that a restore brings back, so they cannot show that.
    """
    late = end.phase is EndPhase.STOP and end.recorded is not None and recording.is_late(state, now)
    if late and not end.rechecked:
        return observation.look(state.at_end(rechecked=True), now, patient=True)
    view = view_doubts.undoubted(state)
    if end.rechecked and (view is None or view.member(state.target.member_id) is not None):
        return process_end.skipped(state)
    return process_end.decide(state)


def _fail(state: OperationState, failure: Failure) -> NextCommand:
    if state.worker_info is None:
        return NextCommand(state, DescribeWorker(cluster=state.request.cluster))
    failure = parts.failed(state, failure).with_cluster(state.request.cluster)
    refused = failure.kind in (FailureType.REMOVAL_REFUSED, FailureType.CHANGE_REFUSED, FailureType.UNKNOWN_MEMBER)
    state = state.showing(HandoffState.REFUSED if refused else HandoffState.FAILED, failure.text)
    return NextCommand(state, Fail(failure))


def _report_failure(state: OperationState, failure: Failure, end: EndState) -> NextCommand:
    recorded = end.recorded
    unwritten = recorded.note if recorded is not None and recorded.step.attempts == 0 else ""
    return _fail(state, failures.ended(failure, pending=state.pending_since is not None, unwritten=unwritten))


def _report(state: OperationState, end: EndState, now: float) -> NextCommand | OperationState:
    """Return the result, or begin the next part.

    Where nothing could be recorded, a look comes first that shows whether the other members commit writes.
    """
    recorded = end.recorded
    if recorded is None:
        msg = "the status is to be recorded before the result is told"
        raise RuntimeError(msg)
    if not recorded.recorded and not state.request.adds:
        if state.writes_acknowledged is None and not end.looked:
            return observation.look(state.at_end(phase=EndPhase.REPORT, looked=True), now, patient=True, probe=True)
        note = f"{recorded.note}{texts.alarmed(state.view)}"
        recorded = recorded.model_copy(update={"note": note})
    written = "its EtcdMember says so" if recorded.recorded else recorded.note
    state = state.showing(HandoffState.DONE, strategy.of(state).success_text(state, written))
    result = strategy.of(state).result(state, None, recorded)
    return parts.ended(state, result) if state.whole else NextCommand(state, Finish(result=result))
