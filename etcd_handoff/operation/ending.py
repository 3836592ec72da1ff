"""How a removal ends: the truth is recorded, by it or by a workflow that goes on after it, and the result told.

    Withdraw   the order to k0s, where there is one
    Settle     wait until etcd has given up what was proposed
    Look       the last look
    Judge      whether the member is out after all, and what to write
    Record     write the EtcdMember, in calls that grow longer
    Tell       the result, or the failure

A removal whose member is out begins with Record.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from etcd_handoff.activity_io import UpdateStatusResult
from etcd_handoff.contract import FailureType, HandoffState, Outcome, RemovalResult
from etcd_handoff.operation import failures, leave, observation, proposal, recording, texts
from etcd_handoff.operation.commands import Cancel, DescribeWorker, Fail, Finish, Until, Wait
from etcd_handoff.operation.phases import Ending, EndPhase, LeaveStep
from etcd_handoff.operation.state import Decided
from etcd_handoff.planning import Blocked

if TYPE_CHECKING:
    from etcd_handoff.operation.commands import Failure
    from etcd_handoff.operation.state import RemovalState
    from etcd_handoff.planning import Decision


def decide(state: RemovalState, end: Ending, now: float) -> Decided | RemovalState:
    """What is next until it has ended."""
    match end.phase:
        case EndPhase.WITHDRAW:
            return leave.withdraw(state.at_end(phase=EndPhase.SETTLE))
        case EndPhase.SETTLE:
            return _settle(state, now)
        case EndPhase.LOOK:
            return observation.look(state.at_end(phase=EndPhase.JUDGE), now, patient=True)
        case EndPhase.JUDGE:
            return _judge(state, end)
        case EndPhase.RECORD:
            return recording.decide(state, end, now)
        case EndPhase.TELL:
            return _tell_failure(state, end.failure, end) if end.failure else _tell(state, end, now)


def cancelled(state: RemovalState) -> RemovalState:
    """Somebody has cancelled it: it ends, unless it turns out that k0s, which was asked, has taken the member out."""
    return state.changed(ending=Ending(), released=False, leave_step=LeaveStep.NONE)


def planned(state: RemovalState, decision: Decision) -> Decided:
    """What a dry run answers: the steps in words, or what it would have to wait for."""
    lines = texts.plan_lines(decision, state.label, state.label_of, state.view)
    blocked = texts.in_words(decision) if isinstance(decision, Blocked) else ""
    state = state.showing(HandoffState.DONE, f"dry run: {blocked or '; '.join(lines)}")
    unwritten = UpdateStatusResult(step=state.steps[-1], recorded=False, note="dry run: nothing was written")
    result = _result(state, Outcome.PLANNED, unwritten).model_copy(update={"plan": lines, "blocked_by": blocked})
    return Decided(state, Finish(result=result))


def _settle(state: RemovalState, now: float) -> Decided | RemovalState:
    """Wait until a look can tell whether what was proposed can still take place."""
    if state.pending_since is None:
        return state.at_end(phase=EndPhase.JUDGE)
    state = state.at_end(phase=EndPhase.LOOK, proposed=True)
    if not (seconds := proposal.seconds_to_settle(state, now)):
        return state
    summary = "until etcd has given up what was proposed"
    return Decided(state, Wait(until=Until.TIME, seconds=seconds, summary=summary, resumable=False))


def _judge(state: RemovalState, end: Ending) -> Decided | RemovalState:
    """Whether the member is out after all; else what is true of it is written where it may have been touched."""
    failure = end.failure
    if state.absent and (failure or end.proposed) and state.pinned is not None:
        return state.finishing()
    if failure is None:
        stands = f", but spec.leave of {state.label} stands: k0s may still remove it" if state.leave_asked else ""
        doing = f"cancelled before anything was removed{stands}"
        return Decided(state.showing(HandoffState.FAILED, doing), Cancel())
    waited = failure.kind == FailureType.BLOCKED_TOO_LONG and state.view is not None and not state.request.dry_run
    if state.pinned is None or not (end.proposed or waited):
        return _fail(state, failure)
    pending = state.pending_since is not None
    why = failure.short or failure.text
    message = f"Removal was proposed, not confirmed: {why}" if pending else f"Not removed: {why}"
    known = not pending and observation.undoubted(state) is not None
    record = recording.record_of(state, joined=True if known else None, message=message, failed=True)
    return state.at_end(phase=EndPhase.RECORD, record=record)


def _fail(state: RemovalState, failure: Failure) -> Decided:
    if state.traits is None:
        return Decided(state, DescribeWorker(cluster=state.request.cluster))
    refused = failure.kind in (FailureType.REMOVAL_REFUSED, FailureType.UNKNOWN_MEMBER)
    state = state.showing(HandoffState.REFUSED if refused else HandoffState.FAILED, failure.text)
    return Decided(state, Fail(failure))


def _tell_failure(state: RemovalState, failure: Failure, end: Ending) -> Decided:
    recorded = end.recorded
    unwritten = recorded.note if recorded is not None and recorded.step.attempts == 0 else ""
    return _fail(state, failures.ended(failure, pending=state.pending_since is not None, unwritten=unwritten))


def _tell(state: RemovalState, end: Ending, now: float) -> Decided:
    """The result; before it, whether the members that remain commit anything, where nothing could be recorded."""
    recorded = end.recorded
    if recorded is None:
        msg = "the status is to be recorded before the result is told"
        raise RuntimeError(msg)
    if not recorded.recorded:
        if state.writes_acknowledged is None and not end.looked:
            return observation.look(state.at_end(phase=EndPhase.TELL, looked=True), now, patient=True, probe=True)
        note = f"{recorded.note}{texts.alarmed(state.view)}"
        recorded = recorded.model_copy(update={"note": note})
    written = "its EtcdMember says so" if recorded.recorded else recorded.note
    lost = texts.no_writes(state.writes_acknowledged)
    state = state.showing(HandoffState.DONE, f"{state.label} is out; {written}{lost}")
    outcome = Outcome.REMOVED if state.target.present else Outcome.ALREADY_ABSENT
    return Decided(state, Finish(result=_result(state, outcome, recorded)))


def _result(state: RemovalState, outcome: Outcome, recorded: UpdateStatusResult) -> RemovalResult:
    pinned, view = state.pinned, state.view
    leadership = view.leadership if view else None
    return RemovalResult(
        outcome=outcome,
        cluster=state.request.cluster,
        cluster_id=pinned.cluster_id if pinned else (view.cluster_id if view else ""),
        member_id=pinned.member_id if pinned else "",
        member_name=pinned.member_name if pinned else state.request.member,
        peer_urls=pinned.peer_urls if pinned else (),
        was_leader=state.was_leader,
        leader_before=pinned.leader_before if pinned else None,
        leader_after=leadership.id if leadership else None,
        term_before=pinned.term_before if pinned else 0,
        term_after=leadership.term if leadership else 0,
        status_recorded=recorded.recorded,
        status_note=recorded.note,
        steps=state.steps,
        steps_left_out=state.steps_left_out,
        writes_acknowledged=state.writes_acknowledged,
        snapshot=state.snapshot,
    )
