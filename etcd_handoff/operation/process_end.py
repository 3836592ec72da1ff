"""Stop the etcd process of a removed member and archive its data, where its node has a command. Pure.

This is a help and not part of the change. It comes after the proof that the member has left, and takes three minutes at
most. What cannot be done is reported and left to people. The node's worker checks by the IDs in the data that the
process is that member's.

Two kinds of members leave like this:

1. The learner of a cancelled addition, where its node has a command and so may have started it. That includes a learner
of a part that was put off.
2. The member that another one replaces.

A plain removal stops no process: its requester has other plans with the member, or none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from etcd_handoff.contract import ReplacementRequest
from etcd_handoff.operation import member_process, parts, view_doubts
from etcd_handoff.operation.member_process import StopLearner, StopMember
from etcd_handoff.operation.phases import EndPhase
from etcd_handoff.operation.state import NextCommand

if TYPE_CHECKING:
    from etcd_handoff.activity_io import ProcessResult, Target
    from etcd_handoff.operation.commands import StepFailure
    from etcd_handoff.operation.member_process import ArchiveMember
    from etcd_handoff.operation.state import OperationState
    from etcd_handoff.operation.whole_change import OwnLearner


def is_due(state: OperationState) -> bool:
    """Whether to ask the node of a removed member now."""
    end = state.end
    return not end.process_asked and end.failure is None and _member(state) is not None


def decide(state: OperationState) -> NextCommand | OperationState:
    """Stop the process, then archive its data."""
    member = _member(state)
    if member is None:
        return _over(state, "")
    if state.end.phase is EndPhase.STOP:
        # A process that ran already and has no data can't be identified as this member's.
        learner = _put_off(state)
        started = learner.started if learner else state.joining.process.started
        kind = StopLearner if learner else StopMember
        command: StopMember | ArchiveMember = member_process.stop(state, member, started=started, kind=kind)
    else:
        command = member_process.archive(state, member)
    return NextCommand(state.changed(doing=command.summary, waiting_for=""), command)


def skipped(state: OperationState) -> OperationState:
    """Return the state without a change on the node: after a restore its member may be in the cluster again."""
    return _over(state, f"its node was not changed: the member list no longer shows that {_who(state)} has left")


def applied(state: OperationState, command: StopMember | ArchiveMember, report: ProcessResult) -> OperationState:
    """Return the state after the node has done it, or has reported why not."""
    if not report.command:
        return _over(state, "")
    state = state.with_step(report.step)
    if report.error:
        say = _untouched if report.untouched else _remaining_work
        return _over(state, say(state, command, report.error))
    if isinstance(command, StopMember):
        note = f"on {command.node}: etcd {report.step.note}"
        return state.at_end(phase=EndPhase.ARCHIVE, process_asked=True, process=note)
    return _over(state, f"{state.end.process}; {report.step.note}")


def failed(state: OperationState, command: StopMember | ArchiveMember, failure: StepFailure) -> OperationState:
    """Return the state after no worker of the node answered: then no command is known there."""
    has_command = state.joining.process.may_run or _put_off(state) is not None
    without = not failure.taken or failure.kind in member_process.WITHOUT
    if isinstance(command, StopMember) and without and not has_command:
        return _over(state, "")
    return _over(state, _remaining_work(state, command, failure.text))


def _member(state: OperationState) -> Target | None:
    """Return the removed member whose node is to be asked; None where there is none."""
    target = state.target if state.pinned else None
    if (learner := _put_off(state)) is not None and target is not None:
        own = {"member_id": parts.own_learner(state), "member_name": learner.name, "present": False}
        return target.model_copy(update=own)
    if target is None or not (target.member_name and target.member_id):
        return None
    if state.request.adds:
        # A member that another client added is not stopped, though this part may have started its etcd.
        removed_own = state.end.learner_removed and state.joining.sent
        return target if removed_own and state.joining.process.may_run else None
    replaced = state.whole is not None and isinstance(state.whole.request, ReplacementRequest)
    return target if replaced and target.present and view_doubts.has_left(state) else None


def _put_off(state: OperationState) -> OwnLearner | None:
    """Return the removed learner where only a part that was put off knows its node."""
    knows_node = state.joining.sent and state.joining.process.command is not None
    if state.whole is None or not state.end.learner_removed or knows_node:
        return None
    return state.whole.learners.get(parts.own_learner(state))


def _who(state: OperationState) -> str:
    member = _member(state) or state.target
    return f"{member.member_name or member.member_id} ({member.member_id})"


def _remaining_work(state: OperationState, command: StopMember | ArchiveMember, why: str) -> str:
    """Return what people have to do themselves."""
    if isinstance(command, StopMember):
        return f"on {command.node}: etcd could not be stopped: {why}. Left to do there: stop it, and move its data away"
    return f"{state.end.process}; its data could not be archived: {why}. Left to do there: move it away"


def _untouched(state: OperationState, command: StopMember | ArchiveMember, why: str) -> str:
    """Return why nothing was touched: the process is another member's and must not be stopped for this one."""
    stops = isinstance(command, StopMember)
    what = f"on {command.node}: nothing was touched" if stops else f"{state.end.process}; no data was moved"
    return f"{what}: {why}. If the etcd of {_who(state)} still runs somewhere, stop that one"


def _over(state: OperationState, note: str) -> OperationState:
    """Return the state in which the end goes on where it was left."""
    following = EndPhase.UNDO if state.end.recorded is None else EndPhase.REPORT
    return state.at_end(phase=following, process_asked=True, process=note)
