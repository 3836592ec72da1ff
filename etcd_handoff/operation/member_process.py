"""Run the etcd process of a member that joins or has left, where its node has a command for it. Pure.

Only the worker of the node knows whether the node's configuration names a command, so that worker is asked. Where there
is no command, or no worker on that node, a person starts and stops etcd. The operation waits for that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from etcd_handoff import time_limits
from etcd_handoff.activity_io import PreflightMemberInput, ProcessInput, StartMemberInput, StopMemberInput
from etcd_handoff.contract import FailureType
from etcd_handoff.merged_view import node_of
from etcd_handoff.operation import node_needs
from etcd_handoff.operation.commands import Activity
from etcd_handoff.operation.phases import NodeProcess
from etcd_handoff.operation.state import NextCommand
from etcd_handoff.planning import Blocked, Reason

if TYPE_CHECKING:
    from collections.abc import Mapping

    from etcd_handoff.activity_io import ProcessResult, Target
    from etcd_handoff.operation.commands import StepFailure
    from etcd_handoff.operation.state import OperationState
    from etcd_handoff.operation.whole_change import WholeChange

WITHOUT: Final = frozenset({FailureType.UNKNOWN_CLUSTER, "NotFoundError"})
"""Failures of a worker that does not know the profile, or is older than these activities (Temporal's type for that)."""


class PreflightMember(Activity):
    """Check the node of a member that is to be added; the result is a `ProcessResult`."""

    ask: PreflightMemberInput


class StartMember(Activity):
    """Start the etcd process of a learner that was added; the result is a `ProcessResult`."""

    ask: StartMemberInput


class StopMember(Activity):
    """Stop the etcd process of a removed member; the result is a `ProcessResult`.

    Attributes:
        most_seconds: Time limit over all attempts.
    """

    ask: StopMemberInput
    most_seconds: float = time_limits.OPERATION.process_end_seconds


class StopLearner(StopMember):
    """Stop the etcd process of a learner whose part was put off."""


class ArchiveMember(Activity):
    """Put the data directory of a removed member away; the result is a `ProcessResult`.

    Attributes:
        most_seconds: Time limit over all attempts.
    """

    ask: ProcessInput
    most_seconds: float = time_limits.OPERATION.process_end_seconds


# --- commands ---------------------------------------------------------------------------------------------------------


def before_adding(state: OperationState, now: float) -> NextCommand | None:
    """Check the node, if that is due; return None when no obstacle to joining is known there."""
    process = state.joining.process
    ready_seconds = time_limits.OPERATION.node_ready_seconds
    checked_recently = process.asked_at is not None and now - process.asked_at <= ready_seconds
    if process.command is False or checked_recently:
        return None
    target, node = state.target, _node(state)
    doing = f"looking at {node}, where {state.label} is to run"
    summary = f"check that {state.label} can run on {node}"
    ask = PreflightMemberInput(
        cluster=state.request.cluster, cluster_id=target.cluster_id, name=target.member_name, peer_urls=target.peer_urls
    )
    return NextCommand(_doing(state, doing), PreflightMember(ask=ask, node=node, summary=summary))


def starting(state: OperationState, settings: Mapping[str, str]) -> NextCommand | None:
    """Start the learner, or make sure that it still runs.

    Args:
        state: The state; the learner has been added and has not started.
        settings: The settings to start etcd with.

    Returns:
        None where a person starts it, or when that was just done.
    """
    process = state.joining.process
    limits = time_limits.OPERATION
    rest = limits.start_again_seconds if process.starts is not None else 0.0
    rest = limits.ask_again_seconds if process.command is None else rest
    rested = process.asked_at is None or state.since - process.asked_at >= rest
    if process.command is False or not rested:
        return None
    node = _node(state)
    what = f"the etcd of {state.label} on {node}"
    ask = StartMemberInput(
        **dict(_ask(state.request.cluster, state.target)),
        peer_urls=state.target.peer_urls,
        join=dict(settings),
        begun=process.started,
        again=process.started and process.join not in ({}, settings),
    )
    return NextCommand(_doing(state, f"starting {what}"), StartMember(ask=ask, node=node, summary=f"start {what}"))


def stop(
    state: OperationState, member: Target, *, started: bool = False, kind: type[StopMember] = StopMember
) -> StopMember:
    """Return the command that stops the process of a member that an undoubted list lacks.

    Args:
        state: The state.
        member: The member, whose name is known.
        started: This operation has started it: it may run on no data yet.
        kind: The command.
    """
    node = _node(state, member.member_name)
    summary = f"stop the etcd of {member.member_name} on {node}"
    ask = StopMemberInput(**dict(_ask(state.request.cluster, member)), needs_data=not started)
    return kind(ask=ask, node=node, summary=summary)


def archive(state: OperationState, member: Target) -> ArchiveMember:
    """Return the command that archives a removed member's data directory, once its process has stopped."""
    node = _node(state, member.member_name)
    summary = f"archive the data of {member.member_name} on {node}"
    return ArchiveMember(ask=_ask(state.request.cluster, member), node=node, summary=summary)


def known_of(whole: WholeChange | None, member_id: str) -> NodeProcess:
    """Return what is known of the process of a learner that an earlier part added and left."""
    learner = whole.learners.get(member_id) if whole else None
    return NodeProcess(started=learner.started, join=learner.join) if learner else NodeProcess()


# --- what they come to ------------------------------------------------------------------------------------------------


def applied(
    state: OperationState, command: PreflightMember | StartMember, report: ProcessResult, now: float
) -> OperationState:
    """Return the state after a node was checked, or the learner's process was started there."""
    # An earlier attempt may have started it without being able to report it.
    starts = isinstance(command, StartMember) and (report.changed or (report.step.attempts > 1 and not report.error))
    started, join = state.joining.process.started or starts, state.joining.process.join
    if isinstance(command, StartMember) and not report.error:
        join = command.ask.join
    state = state.with_joining(process=NodeProcess(command=report.command, asked_at=now, started=started, join=join))
    if not report.command:
        return state
    if isinstance(command, PreflightMember):
        state = state.with_step(report.step)
        why = (
            (report.error,)
            if report.facts is None
            else tuple(node_needs.obstacles(report.facts, command.node, state.view))
        )
        return _not_ready(state, command, "; ".join(why)) if any(why) else state
    already_ran = any(step.name == report.step.name for step in state.steps)
    if report.changed or report.error or not already_ran:  # that it still runs is told once
        state = state.with_step(report.step, instead_of_last=bool(report.error))
    return _tried(state, report.error)


def failed(
    state: OperationState, command: PreflightMember | StartMember, failure: StepFailure, now: float
) -> OperationState:
    """Return the state after no worker of the node answered: without one, a person has to start etcd."""
    before = state.joining.process
    # An attempt that could not report it may have started it.
    may_have = isinstance(command, StartMember) and failure.tried and failure.kind not in WITHOUT
    started = before.started or may_have
    update = {"asked_at": now, "starts": None, "error": "", "started": started}
    state = state.with_joining(process=before.model_copy(update=update))
    if not before.command and (not failure.taken or failure.kind in WITHOUT):
        return state
    text = f"{failure.step} fails: {failure.text}"
    if isinstance(command, PreflightMember):
        return _not_ready(state, command, text)
    return _tried(state, text)


def with_start_result(state: OperationState) -> OperationState:
    """Return the state that waits for the start, with its result on the node."""
    process, blocked = state.joining.process, state.blocked
    if blocked is None or blocked.reason is not Reason.LEARNER_NOT_STARTED or process.starts is None:
        return state
    node = _node(state)
    if process.starts:
        seen, unblocks = (
            f"etcd runs on {node} and has not joined yet",
            f"wait until it joins; if it does not, read the log of etcd on {node}",
        )
    else:
        seen = f"etcd could not be started on {node}: {process.error}"
        unblocks = f"fix this, and it is tried again by itself; or start it by hand: {blocked.unblocks}"
    return state.changed(blocked=Blocked(blocked.reason, f"{blocked.seen}; {seen}", unblocks))


def _not_ready(state: OperationState, command: PreflightMember, why: str) -> OperationState:
    state = state.with_joining(process=NodeProcess(command=state.joining.process.command))
    untouched = "" if state.whole and state.whole.ended else "nothing has been changed, and "
    return state.blocked_by(
        Blocked(
            Reason.NODE_NOT_READY,
            f"{state.label} cannot run on {command.node} as it is: {why}",
            f"fix this on {command.node}; {untouched}the node is looked at again by itself",
        )
    )


def _tried(state: OperationState, error: str) -> OperationState:
    known = state.joining.process.model_copy(update={"command": True, "starts": not error, "error": error})
    return state.with_joining(process=known)


def _doing(state: OperationState, doing: str) -> OperationState:
    """Return the state with what is happening; the handoff state in lists stays.

    A run that began before nodes were asked has published no other one.
    """
    return state.changed(doing=doing, waiting_for="")


def _ask(cluster: str, member: Target) -> ProcessInput:
    return ProcessInput(
        cluster=cluster, cluster_id=member.cluster_id, member_id=member.member_id, name=member.member_name
    )


def _node(state: OperationState, name: str = "") -> str:
    return node_of(name or state.target.member_name, state.worker_info.nodes if state.worker_info else {})
