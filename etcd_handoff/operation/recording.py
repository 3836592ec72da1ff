"""Write the end of an operation on its EtcdMember: in ever longer calls, and at last by another workflow."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from etcd_handoff import time_limits
from etcd_handoff.activity_io import UpdateStatusInput, UpdateStatusResult
from etcd_handoff.contract import HandoffState, Step, StepOutcome, record_id
from etcd_handoff.etcdmember import joined_text, resource_name
from etcd_handoff.etcdmember_messages import MESSAGE_JOINED, MESSAGE_REMOVED
from etcd_handoff.operation import observation, people, queue_requests, texts
from etcd_handoff.operation.commands import HandRecordOver, Until, Wait, WriteStatus
from etcd_handoff.operation.phases import EndPhase
from etcd_handoff.operation.state import NextCommand

if TYPE_CHECKING:
    from etcd_handoff.operation.commands import StepFailure
    from etcd_handoff.operation.phases import EndState
    from etcd_handoff.operation.state import OperationState


def decide(state: OperationState, end: EndState, now: float) -> NextCommand | OperationState:
    """Write the EtcdMember; where that fails for too long, end with a note, as etcd's list is the truth.

    Only attempts use up the time: a call that no worker takes costs no more than its own length.
    """
    if end.record is None:
        return _begin(state, now)
    record, out = end.record, end.record.joined is state.request.adds
    if end.given_up:
        return _give_up(state, record, now)
    if end.error is not None:
        doing = f"an API server takes the status; until now: {end.error}"
        state = state.showing(state.handoff_state, state.doing, doing)
        if out and state.holds_turn and not state.released:
            return queue_requests.ask(state, waits=False, wakes=False)
        if end.rest_seconds:
            summary = "wait before the EtcdMember is written again"
            return NextCommand(state, Wait(until=Until.TIME, seconds=end.rest_seconds, summary=summary, resumable=out))
    record = record.model_copy(update={"late": is_late(state, now)})
    call_seconds = end.call_seconds or time_limits.OPERATION.record_first_call_seconds
    most = max(0.1, min(call_seconds, _patience(state, record) - state.recording_seconds))
    command = WriteStatus(
        ask=record,
        # The API server of a member that stays; any worker will do once one call has failed.
        node=observation.staying_node(state) if end.error is None else "",
        most_seconds=most,
        summary=f"write Joined={joined_text(record.joined)} to the EtcdMember of {state.label}",
        resumable=out and end.error is not None,
    )
    return NextCommand(state.at_end(call_seconds=most), command)


def written(state: OperationState, recorded: UpdateStatusResult) -> OperationState:
    """Return the state after the EtcdMember was written, or not written for a reason."""
    return _recorded(state.with_step(recorded.step), recorded)


def not_written(state: OperationState, failure: StepFailure, now: float) -> OperationState:
    """Return the state after a call that failed."""
    end = state.end
    took, most = now - state.since, end.call_seconds
    state = state.changed(recording_seconds=state.recording_seconds + min(max(took, 0.1), most))
    record = end.record
    out = record is not None and record.joined is state.request.adds
    over = record is None or state.recording_seconds >= _patience(state, record)
    limits = time_limits.OPERATION
    second = most < limits.record_call_seconds
    return state.at_end(
        error=failure.text,
        given_up=over or (out and state.cancel_requested),
        rest_seconds=min(limits.record_longest_rest_seconds, most - took) if took < most else 0.0,
        call_seconds=limits.record_call_seconds if second else min(2 * most, limits.record_longest_call_seconds),
    )


def rested(state: OperationState) -> OperationState:
    """Return the state after a pause between two calls."""
    return state.at_end(rest_seconds=0.0)


def handed_over(state: OperationState, command: HandRecordOver, now: float, *, goes_on: bool) -> OperationState:
    """Return the state after the handover to another workflow.

    `goes_on` is False in a run that began before there were handovers.
    """
    who = f"; it goes on: workflow {command.workflow_id}" if goes_on else ""
    return _unwritten(state, f"{state.end.error}{who}", now)


def record_of(
    state: OperationState, now: float, *, joined: bool | None, message: str, failed: bool = False
) -> UpdateStatusInput:
    """Return the record of what is true of the member."""
    target, view, info = state.target, state.view, state.worker_info
    out = joined is False and not state.request.adds
    return UpdateStatusInput(
        cluster=state.request.cluster,
        cluster_id=target.cluster_id,
        member_name=target.member_name,
        member_id=target.member_id,
        peer_urls=target.peer_urls,
        joined=joined,
        members=tuple(m.id for m in view.members) if view else (),
        present_names=tuple(m.name for m in view.members if m.name) if view else (),
        since=state.began,
        message=message,
        failed=failed,
        run_id=state.chain_id,
        steps=state.steps,
        kubernetes=info is not None and info.kubernetes,
        leave=out and info is not None and info.sets_leave,
        next_steps=next_steps(state) if out else (),
        asked_by=state.person,
        reason=state.original_request.reason,
        approved_by=people.approver(state.approval, state.approved),
        made=_in_utc(now),
    )


def next_steps(state: OperationState) -> tuple[str, ...]:
    """Return what is left to do by hand once the member has left; only known of a node that k0s runs."""
    info = state.worker_info
    if info is None or state.request.adds:
        return ()
    if not (info.k0s or info.sets_leave or info.remover != "etcd"):  # whose worker does not tell that it is k0s
        return ()
    runs_on = state.ending.runs_on if state.ending else None
    return texts.next_steps(state.label, leave_asked=state.leave_stored, runs_on=runs_on)


def namesakes(state: OperationState) -> tuple[str, ...]:
    """Return the members that joined under the removed member's name, so that they are not mistaken for it."""
    name = resource_name(state.target.member_name)
    if state.view is None or state.request.adds or not name:
        return ()
    others = (m for m in state.view.members if resource_name(m.name) == name and m.id != state.target.member_id)
    return tuple(
        texts.namesake(state.target.member_name, state.target.member_id, other.id, state.request.cluster)
        for other in others
    )


def is_late(state: OperationState, now: float) -> bool:
    """Whether the record is based on an old look: no API server took it, or no worker went on."""
    return state.recording_seconds > 0 or observation.is_old(state, now)


def _begin(state: OperationState, now: float) -> OperationState:
    what, message = (
        ("is a member", MESSAGE_JOINED) if state.request.adds else ("is not a member any more", MESSAGE_REMOVED)
    )
    state = state.showing(HandoffState.RECORDING, f"recording that {state.label} {what}")
    return state.at_end(record=record_of(state, now, joined=state.request.adds, message=message))


def _patience(state: OperationState, record: UpdateStatusInput) -> float:
    """Return how long to try to write the status; not long where the next part of a larger change waits.

    With a dead member still listed, or one voter too many, a cluster tolerates fewer failures than it could.
    """
    out, part = record.joined is state.request.adds, state.whole.part if state.whole else None
    if not out or (part and part.number < part.of):
        return time_limits.OPERATION.record_at_least_seconds
    return max(time_limits.OPERATION.record_at_least_seconds, state.request.blocked_timeout_seconds)


def _give_up(state: OperationState, record: UpdateStatusInput, now: float) -> NextCommand | OperationState:
    """Hand the record over to another workflow where the operation may have changed something, and end."""
    reached = record.joined is state.request.adds
    if not reached and (state.request.adds or not state.end.proposed):
        return _unwritten(state, state.end.error or "", now)
    return NextCommand(
        state,
        HandRecordOver(
            workflow_id=record_id(record.cluster, record.member_id),
            record=record,
            summary=texts.record_summary(state.label, record),
        ),
    )


def _unwritten(state: OperationState, text: str, now: float) -> OperationState:
    note = f"the EtcdMember could not be written within {state.recording_seconds:.0f} s: {text}"
    step = Step(
        name="update_status",
        started=_in_utc(now),
        milliseconds=state.recording_seconds * 1000,
        attempts=0,
        node="",
        outcome=StepOutcome.FAILED,
        note=note,
    )
    return _recorded(state.with_step(step), UpdateStatusResult(step=step, recorded=False, note=note))


def _in_utc(now: float) -> str:
    return datetime.fromtimestamp(now, UTC).isoformat(timespec="milliseconds")


def _recorded(state: OperationState, recorded: UpdateStatusResult) -> OperationState:
    return state.at_end(recorded=recorded, phase=EndPhase.REPORT if state.end.failure else EndPhase.SEE)


def result_fields(state: OperationState, recorded: UpdateStatusResult) -> dict[str, Any]:
    """Return the fields that every operation's result has (`OperationResult`), except the outcome."""
    pinned, view = state.pinned, state.view
    leadership = view.leadership if view else None
    return {
        "cluster": state.request.cluster,
        "cluster_id": pinned.cluster_id if pinned else (view.cluster_id if view else ""),
        "member_id": pinned.member_id if pinned else "",
        "member_name": pinned.member_name if pinned else state.request.subject,
        "peer_urls": pinned.peer_urls if pinned else (),
        "leader_before": pinned.leader_before if pinned else None,
        "leader_after": leadership.id if leadership else None,
        "term_before": pinned.term_before if pinned else 0,
        "term_after": leadership.term if leadership else 0,
        "status_recorded": recorded.recorded,
        "status_note": recorded.note,
        "next_steps": (*next_steps(state), *namesakes(state)) if state.absent and not state.request.dry_run else (),
        "steps": state.steps,
        "steps_left_out": state.steps_left_out,
        "asked_by": state.person,
        "reason": state.original_request.reason,
        "approved_by": people.approver(state.approval, state.approved),
    }
