"""Run the loop of an operation in two pure functions: observe, plan, do one step, plan again.

    state, command = decide(state, now)
    state = apply(state, command, <result of the command>, now)

The planner decides on the cluster. This module has the order of everything around the planner's decisions. Each concern
has its own module (`etcd_handoff.operation` lists them). An operation has its own goal and its own steps (`strategy`),
and shares the rest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from etcd_handoff.operation import (
    approvals,
    blocked_waiting,
    ending,
    failures,
    gates,
    identity,
    leave,
    membership,
    node_looks,
    observation,
    parts,
    pause_resume,
    queue_requests,
    resource_progress,
    schedule,
    strategy,
    texts,
    view_doubts,
)
from etcd_handoff.operation.apply import apply
from etcd_handoff.operation.commands import DescribeWorker, TransferLeadership
from etcd_handoff.operation.current_details import lasting_since
from etcd_handoff.operation.phases import LeavePhase, LookDue
from etcd_handoff.operation.queue_messages import QueuePosition, TakeTurnResult
from etcd_handoff.operation.state import NextCommand, OperationState
from etcd_handoff.planning import Blocked, Done, Reason, Refused, doubted, plan

if TYPE_CHECKING:
    from etcd_handoff.cluster_view import ClusterView
    from etcd_handoff.operation.commands import AskQueue
    from etcd_handoff.planning import Decision

__all__ = ["apply", "decide", "transfer_in_turn"]


def decide(state: OperationState, now: float) -> NextCommand:
    """Decide on the next command.

    Args:
        state: All that is known.
        now: Workflow time in seconds.

    Returns:
        The command, and the state that holds while it is carried out. That is what may be true from its first moment
            on, such as a proposed removal, and what people see.
    """
    following: NextCommand | OperationState = state.changed(since=now)
    while isinstance(following, OperationState):
        following = _decide(following, now)
    return resource_progress.first(NextCommand(lasting_since(following.state, now), following.command))


def transfer_in_turn(
    state: OperationState, command: AskQueue, now: float
) -> tuple[OperationState, TransferLeadership] | None:
    """Return the transfer that any worker may make as soon as the queue grants the turn.

    Args:
        state: The state in which the queue is asked.
        command: What it is asked.
        now: Workflow time in seconds.

    Returns:
        The state while the turn is taken with the transfer, and the transfer; None when something else is next.
    """
    granted = QueuePosition(granted=True, chain_id=state.chain_id, request=state.turn_request)
    then, following = decide(apply(state, command, TakeTurnResult(turn=granted), now), now)
    if not isinstance(following, TransferLeadership) or following.node:
        return None
    return state.showing(then.handoff_state, f"{then.doing} as soon as it has its turn"), following


def _decide(state: OperationState, now: float) -> NextCommand | OperationState:
    """Return a command, or the state after something that needs none."""
    if state.half_look is None and (failure := schedule.too_late(state, now)) and not membership.is_goal_reached(state):
        return state.failing(failure)
    if state.is_paused and state.half_look is None:
        return pause_resume.decide(state)
    return _under_way(state, now) or _afresh(state, now)


def _under_way(state: OperationState, now: float) -> NextCommand | OperationState | None:
    """Go on with what has begun; return None when nothing has."""
    if state.half_look is not None:
        return node_looks.decide(state, state.half_look)
    if state.leave_step is not LeavePhase.NONE:
        return leave.decide(state, now)
    if state.ending is not None:
        return ending.decide(state, state.ending, now)
    if state.blocked is not None:
        return blocked_waiting.decide(state, state.blocked)
    if state.election is not None:
        return NextCommand(state, state.election)
    return queue_requests.acquired(state) if state.queueing and state.holds_turn else None


def _afresh(state: OperationState, now: float) -> NextCommand | OperationState:
    """Take a look where one is due, or act on the last one."""
    if state.look_due is not LookDue.NO:
        return observation.look(state, now, patient=state.look_due is LookDue.PATIENT)
    if state.worker_info is None:
        return NextCommand(state, DescribeWorker(cluster=state.request.cluster))
    if state.cancel_requested and not state.point_of_no_return and not membership.is_complete(state):
        return ending.cancelled(state)  # it came too late at first, and nothing has come of the proposal
    if state.view is None:
        if state.request.dry_run:
            return _unseen(state, now)
        return state.finishing() if state.absent else state.blocked_by(texts.unavailable(state.steps))
    return _plan(state, state.view, now)


def _unseen(state: OperationState, now: float) -> OperationState:
    """Fail a dry run after two looks without a member list: it waits for nothing."""
    if not state.looked_twice:
        return observation.looking_twice(state)
    waited_seconds = round(now - state.looked_at, 1)
    return state.failing(
        failures.blocked_too_long(texts.unavailable(state.steps), waited_seconds, state.original_request.noun)
    )


def _plan(state: OperationState, view: ClusterView, now: float) -> NextCommand | OperationState:
    """Act on the last view; a name is resolved before that, once."""
    if (doubt := view_doubts.remembered_doubt(state)) and view_doubts.contradiction(state) is None:
        return _follow(state, doubted(doubt), now)
    answer = strategy.of(state).resolve(state, view)
    if answer is not None:
        return answer if isinstance(answer, NextCommand | OperationState) else _follow(state, answer, now)
    leads = view.leadership is not None and view.leadership.id == state.target.member_id
    state = state.changed(was_leader=state.was_leader or leads)
    return _follow(state, plan(view, strategy.of(state).goal(state)), now)


def _follow(state: OperationState, decision: Decision, now: float) -> NextCommand | OperationState:
    """Act on the planner's decision."""
    if state.view is not None and not isinstance(decision, Done):
        waits = isinstance(decision, Blocked | Refused)
        if (other := membership.reconsidered(state, state.view, waits=waits)) is not None:
            return other
    if isinstance(decision, Refused):
        return _refused(state, decision, now)
    if isinstance(decision, Blocked):
        return _blocked(state, decision, now)
    if state.request.dry_run:
        return ending.planned(state, decision, now)
    if isinstance(decision, Done):
        return strategy.of(state).on_goal_reached(state, now)
    return _advance(state, decision, now)


def _refused(state: OperationState, decision: Refused, now: float) -> NextCommand | OperationState:
    if decision.reason is Reason.NO_QUORUM:
        if not state.looked_twice:
            return observation.looking_twice(state)  # voters may be late for one look
        if (waits := node_looks.without_workers(state, decision)) is not None:
            return _blocked(state, waits, now)
    return state.failing(failures.refusal(decision, strategy.of(state).REFUSAL))


def _blocked(state: OperationState, decision: Blocked, now: float) -> NextCommand | OperationState:
    if _may_look_twice(state):
        return observation.looking_twice(state)
    return (
        ending.planned(state, decision, now)
        if state.request.dry_run
        else strategy.of(state).on_blocked(state, decision)
    )


def _may_look_twice(state: OperationState) -> bool:
    """Whether a longer look may show that nothing blocks: a dry run waits for nothing, and EtcdMembers may be slow."""
    lacks_witness = state.view is not None and identity.lacks_witness(state, state.view)
    return not state.looked_twice and (lacks_witness or (state.request.dry_run and observation.may_be_late(state)))


def _advance(state: OperationState, decision: Decision, now: float) -> NextCommand | OperationState:
    """Do what has to come before the step, or the step."""
    state = approvals.without_lapsed_approval(gates.without_lapsed_checks(state, now), decision, now)
    state = parts.found_possible(state.changed(planned=strategy.of(state).plan_lines(state, decision)))
    if gates.awaits_approval(state):
        return approvals.wait(state, decision, now)
    if (waits := gates.awaits_window(state, now)) is not None:
        return waits
    if not state.holds_turn and (gates.has_checks(state) or not state.request.of_parts):
        return queue_requests.acquire(state)  # a part takes its turn itself, once it has something to change
    return gates.passes(state) or approvals.bounded(strategy.of(state).decide(state, decision, now), state, now)
