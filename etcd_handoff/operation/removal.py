"""Decide the steps of a removal: leadership is handed over, then the target leaves the membership."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from etcd_handoff import time_limits
from etcd_handoff.activity_io import AwaitElectionInput
from etcd_handoff.contract import FailureType, HandoffState, Outcome, RemovalResult, StepOutcome
from etcd_handoff.etcdmember_messages import MESSAGE_REMOVED
from etcd_handoff.operation import failures, identity, leave, observation, proposal, recording, texts, view_doubts
from etcd_handoff.operation.commands import AwaitNewLeader, RemoveTarget, TransferLeadership
from etcd_handoff.operation.observation import act_input, after_step
from etcd_handoff.operation.state import NextCommand
from etcd_handoff.planning import Blocked, Refused, Remove, Transfer

if TYPE_CHECKING:
    from etcd_handoff.activity_io import StepResult, UpdateStatusResult
    from etcd_handoff.cluster_view import ClusterView
    from etcd_handoff.operation.commands import Activity
    from etcd_handoff.operation.state import OperationState
    from etcd_handoff.planning import Decision, MemberAbsent


REFUSAL: Final = FailureType.REMOVAL_REFUSED
"""Type of the failure for what will never be safe."""


def resolve(state: OperationState, view: ClusterView) -> NextCommand | OperationState | Blocked | Refused | None:
    """Pin the member that leaves, once; return None when it is pinned and none has joined under its name since."""
    pinned = state.pinned
    if pinned is None:
        return identity.decide(state, view)
    if not pinned.present and view_doubts.undoubted(state) and view.member(pinned.member_id):
        return state.failing(failures.joined_since(state.request, pinned.member_id))
    return None


def goal(state: OperationState) -> MemberAbsent:
    """Return the goal for the planner."""
    return observation.intent(state)


def on_blocked(state: OperationState, decision: Blocked) -> OperationState:
    """Wait, and revoke an order to k0s while the member must not leave."""
    return leave.revoke_if_unsafe(state.blocked_by(decision), decision)


def decide(state: OperationState, decision: object, now: float) -> NextCommand | OperationState:
    """Carry out the planner's decision, or wait after too many steps in a row.

    Raises:
        TypeError: It is no decision of a removal.
    """
    if state.steps_since_pause >= time_limits.OPERATION.without_pause_steps:
        return state.blocked_by(texts.unsettled(state.steps))
    state = state.changed(steps_since_pause=state.steps_since_pause + 1)
    if isinstance(decision, Transfer):
        return _transfer(state, decision)
    if not isinstance(decision, Remove):
        msg = f"{decision} is no decision of a removal"
        raise TypeError(msg)
    if leave.is_due(state):
        if observation.is_old(state, now):  # k0s follows an order without looking who takes part
            return observation.look(state, now)
        return leave.begin(state)
    if observation.wants_entry_first(state):
        return observation.look(state, now, before_change=True)
    return _remove(state, decision, now)


def after_command(state: OperationState, command: Activity, report: StepResult, now: float) -> OperationState:
    """Return the state after a step."""
    match command:
        case TransferLeadership():
            return transferred(state, command, report)
        case AwaitNewLeader():
            return elected(state, report)
    return removed(state, report, now)


def _transfer(state: OperationState, decision: Transfer) -> NextCommand:
    """Move leadership from the target to another voter, and wait until a majority confirms it."""
    transferee = state.label_of(decision.transferee_id)
    act = act_input(state)
    voters = state.view.healthy_voters if state.view else ()
    node = state.node_for(decision.transferee_id)
    others = tuple(m.id for m in voters if m.id != act.target_id and m.through_node == node)
    election = AwaitElectionInput(**dict(act), term_before=decision.term, others=others)
    command = TransferLeadership(
        ask=act,
        election=AwaitNewLeader(ask=election, node=node, summary=texts.election(transferee)),
        node=state.node_for(act.target_id),
        summary=texts.hand_over(state.label, transferee),
    )
    doing = f"handing leadership from {state.label} to {transferee}"
    return NextCommand(state.showing(HandoffState.TRANSFERRING, doing), command)


def transferred(state: OperationState, command: TransferLeadership, report: StepResult) -> OperationState:
    """Return the state after a transfer: an election is awaited, or the planner decides anew."""
    state = state.with_step(report.step)
    if report.step.outcome == StepOutcome.TRANSFER_FAILED:
        state = state.changed(avoid=(*state.avoid, report.transferee_id))
    if report.step.outcome == StepOutcome.MOVED:
        return state.changed(election=command.election, leadership_moved=True)
    return after_step(state, report.view)


def elected(state: OperationState, report: StepResult) -> OperationState:
    """Return the state after an election was awaited."""
    return after_step(state.with_step(report.step).changed(election=None), report.view)


def _remove(state: OperationState, decision: Remove, now: float) -> NextCommand:
    """Remove the target: the point of no return, unless it turns out that nothing was proposed."""
    whom = f"{state.label} through {state.label_of(decision.via_id)}"
    state = state.showing(HandoffState.REMOVING, f"removing {whom}{texts.alarmed(state.view)}")
    record = recording.record_of(state.changed(steps=()), now, joined=False, message=MESSAGE_REMOVED)
    ask = act_input(state).model_copy(update={"record": record})
    command = RemoveTarget(ask=ask, node=state.node_for(decision.via_id), summary=f"remove {whom}")
    return NextCommand(state.changed(in_flight=True), command)


def removed(state: OperationState, report: StepResult, now: float) -> OperationState:
    """Return the state after an attempt to remove the target."""
    # An earlier attempt may have proposed it without being able to report it.
    may_be_pending = report.proposed or report.step.attempts > 1
    state = proposal.ended(state.with_step(report.step), now, may_be_pending=may_be_pending)
    state = after_step(state, report.view, removed=report.step.outcome == StepOutcome.REMOVED)
    if report.writes_acknowledged is not None:
        state = state.changed(writes_acknowledged=report.writes_acknowledged)
    absent = report.step.outcome == StepOutcome.ALREADY_ABSENT
    if absent or report.step.outcome == StepOutcome.REMOVED:
        # If no member could be asked to release it, the lock of an earlier attempt may remain.
        unasked = absent and report.writes_acknowledged is None and state.lock_abandoned
        state = state.changed(lock_abandoned=report.writes_acknowledged is False or unasked)
    if report.step.outcome == StepOutcome.REFUSED_BY_ETCD:
        return state.blocked_by(texts.refused_by_etcd(report.step.note))
    if report.step.outcome == StepOutcome.LOCKED:
        return state.blocked_by(texts.locked(report.step.note))
    return state


def on_goal_reached(state: OperationState, now: float) -> OperationState:  # noqa: ARG001  # a list without the member is enough
    """Record that the member has left."""
    return state.finishing()


def plan_lines(state: OperationState, decision: Decision) -> tuple[str, ...]:
    """Return the steps of the removal and its record, in words; none while it is blocked."""
    if isinstance(decision, Blocked | Refused):
        return ()
    name, target_id = state.target.member_name, state.target.member_id
    has_kubernetes = state.worker_info is None or state.worker_info.kubernetes
    record = texts.removal_record(state.label, name, target_id, state.claims, has_kubernetes=has_kubernetes)
    return (*texts.plan_lines(decision, state.label, state.label_of, state.view, target_id), record)


def is_reached(state: OperationState) -> bool:
    """Whether the member has left."""
    return view_doubts.has_left(state)


def remaining_text(state: OperationState) -> str:  # noqa: ARG001  # the EtcdMember says it
    """Return nothing: the EtcdMember shows what a failed removal leaves behind."""
    return ""


def cancelled_text(state: OperationState) -> str:
    """Return what is true of a removal that was cancelled, in words."""
    if state.pending_since is not None:
        shown = "`etcd-handoff status` shows the members"
        return f"cancelled; {state.label} may have been removed before that: {shown}{leave.standing_order(state)}"
    return f"cancelled before anything was removed{leave.standing_order(state)}"


def success_text(state: OperationState, written: str) -> str:
    """Return how it ended well, in words."""
    runs_on = texts.still_runs(state.label, state.ending.runs_on if state.ending else None)
    return f"{state.label} has left; {written}{texts.no_writes(state.writes_acknowledged)}{runs_on}"


def result(state: OperationState, outcome: Outcome | None, recorded: UpdateStatusResult) -> RemovalResult:
    """Return the result.

    Args:
        state: The state at the end.
        outcome: How it ended; None to derive it from the state.
        recorded: How it was recorded.
    """
    return RemovalResult(
        outcome=outcome or (Outcome.REMOVED if state.target.present else Outcome.ALREADY_ABSENT),
        **recording.result_fields(state, recorded),
        was_leader=state.was_leader,
        writes_acknowledged=state.writes_acknowledged,
        snapshot=state.snapshot,
    )
