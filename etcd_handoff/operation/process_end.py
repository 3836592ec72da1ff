"""The etcd process of a member that is out: stopped, and its data put away, where its node has a command for it. Pure.

It is a help and no part of the change. So it comes after the proof that the member is out, takes three minutes at most,
and what cannot be done is told and left to people. The node's worker makes sure that what runs is that member's, by the
IDs in its data.

Two members leave like this: the learner of an addition that was cancelled, where its node has a command and so may have
started it; and the member that another one replaces. Whoever removes a member and no more has other plans with it, or
none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from etcd_handoff.contract import ReplacementRequest
from etcd_handoff.operation import member_process
from etcd_handoff.operation.member_process import StopMember
from etcd_handoff.operation.phases import EndPhase
from etcd_handoff.operation.state import Decided

if TYPE_CHECKING:
    from etcd_handoff.activity_io import ProcessResult
    from etcd_handoff.operation.commands import StepFailure
    from etcd_handoff.operation.member_process import ArchiveMember
    from etcd_handoff.operation.state import OperationState


def is_due(state: OperationState) -> bool:
    """Whether the node of a member that is out is to be asked now."""
    end = state.end
    if end.process_asked or end.failure is not None or state.pinned is None or not state.pinned.member_name:
        return False
    if state.request.adds:
        return end.taken_out and state.joining.process.command is True
    whole = state.whole
    return whole is not None and isinstance(whole.request, ReplacementRequest) and _has_left(state)


def decide(state: OperationState) -> Decided | OperationState:
    """Stop it, then put its data away."""
    if state.end.phase is EndPhase.STOP:
        # Where it ran already and has no data, nothing says that it is this member's.
        started = state.joining.process.started
        command: StopMember | ArchiveMember | None = member_process.stop(state, state.target, started=started)
    else:
        command = member_process.archive(state, state.target)
    if command is None:
        return _over(state, "")
    return Decided(state.changed(doing=command.summary, waiting_for=""), command)


def skipped(state: OperationState) -> OperationState:
    """Nothing is done on the node: its member may be in the cluster again, which was restored since."""
    who = f"{state.label} ({state.target.member_id})"
    return _over(state, f"nothing was touched on its node: {who} is not seen to be out any more")


def applied(state: OperationState, command: StopMember | ArchiveMember, report: ProcessResult) -> OperationState:
    """The state after the node has done it, or has said why not."""
    if not report.command:
        return _over(state, "")
    state = state.with_step(report.step)
    if report.error:
        say = _left_alone if report.left_alone else _left
        return _over(state, say(state, command, report.error))
    if isinstance(command, StopMember):
        note = f"on {command.node}: etcd {report.step.note}"
        return state.at_end(phase=EndPhase.PUT_AWAY, process_asked=True, process=note)
    return _over(state, f"{state.end.process}; {report.step.note}")


def failed(state: OperationState, command: StopMember | ArchiveMember, failure: StepFailure) -> OperationState:
    """The state after no worker of the node has answered: without one, nobody knows of a command."""
    known = isinstance(command, StopMember) and state.joining.process.command is not True
    if known and (not failure.taken or failure.kind in member_process.WITHOUT):
        return _over(state, "")
    return _over(state, _left(state, command, failure.text))


def _has_left(state: OperationState) -> bool:
    """It was there at the first look, and an undoubted list has been seen without it."""
    return state.absent and state.target.present


def _left(state: OperationState, command: StopMember | ArchiveMember, why: str) -> str:
    """What people have to do themselves."""
    if isinstance(command, StopMember):
        return f"on {command.node}: etcd could not be stopped: {why}. Left to do there: stop it, and move its data away"
    return f"{state.end.process}; its data could not be put away: {why}. Left to do there: move it away"


def _left_alone(state: OperationState, command: StopMember | ArchiveMember, why: str) -> str:
    """Why nothing was touched: it is another member's, which nobody is to stop because of this one."""
    stops = isinstance(command, StopMember)
    what = f"on {command.node}: nothing was touched" if stops else f"{state.end.process}; no data was moved"
    who = f"{state.label} ({state.target.member_id})"
    return f"{what}: {why}. If the etcd of {who} still runs somewhere, stop that one"


def _over(state: OperationState, note: str) -> OperationState:
    """The end goes on where it was left."""
    following = EndPhase.WITHDRAW if state.end.recorded is None else EndPhase.TELL
    return state.at_end(phase=following, process_asked=True, process=note)
