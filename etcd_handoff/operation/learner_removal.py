"""Remove the learner of a cancelled addition. Pure.

Only a learner that this addition has proposed is removed, by its pinned ID. It is removed only as long as it has no
vote. The step makes sure of that in the look right before the removal. A larger change also removes a learner that it
added in a part that was put off. This takes no turn in the queue: a learner's removal touches no quorum, and the lock
in etcd keeps it apart from other changes. The result names what cannot be removed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from etcd_handoff import time_limits
from etcd_handoff.activity_io import StepInput  # noqa: TC001  # pydantic reads the field's type
from etcd_handoff.contract import HandoffState, StepOutcome
from etcd_handoff.operation import leave, observation, parts, process_end, view_doubts
from etcd_handoff.operation.commands import Activity, Until, Wait
from etcd_handoff.operation.observation import act_input
from etcd_handoff.operation.phases import EndPhase
from etcd_handoff.operation.state import NextCommand
from etcd_handoff.planning import via

if TYPE_CHECKING:
    from etcd_handoff.activity_io import StepResult
    from etcd_handoff.operation.commands import StepFailure
    from etcd_handoff.operation.phases import EndState
    from etcd_handoff.operation.state import OperationState


class RemoveLearner(Activity):
    """Remove the own learner; the result is a `StepResult`."""

    ask: StepInput


def decide(state: OperationState, end: EndState, now: float) -> NextCommand | OperationState:
    """Return what is next until the own learner has left, or enough attempts were made."""
    return _remove(state) if end.phase is EndPhase.REMOVE_LEARNER else _begin(state, end, now)


def _begin(state: OperationState, end: EndState, now: float) -> NextCommand | OperationState:
    """Check whether there is an own learner to remove; revoke an order to k0s, where there is one."""
    owns = bool(parts.own_learner(state))
    if process_end.is_due(state):
        return state.at_end(phase=EndPhase.STOP)
    if (
        end.failure is not None
        or not owns
        or end.learner_removed
        or end.tries >= time_limits.OPERATION.learner_removal_attempts
    ):
        return leave.revoke(state.at_end(phase=EndPhase.SETTLE))
    state = state.showing(HandoffState.CHECKING, f"removing learner {parts.own_learner(state)}")
    if end.rest_seconds:
        summary = "wait before removing the learner"
        return NextCommand(state, Wait(until=Until.TIME, seconds=end.rest_seconds, summary=summary, resumable=False))
    merged = state.view is not None and state.view.merged
    return observation.look(state.at_end(phase=EndPhase.REMOVE_LEARNER), now, patient=True, before_change=merged)


def _remove(state: OperationState) -> NextCommand | OperationState:
    """Remove it if it is still a learner; one that has a vote by now stays, and the addition goes on."""
    view = view_doubts.undoubted(state)
    if view is None:
        return _again(state)
    learner = view.member(parts.own_learner(state))
    if learner is None:
        return _over(state, learner_removed=True)
    if not learner.is_learner:
        goes_on = state.joining.sent and not state.target.present  # else it is not this part that has added it
        if goes_on:
            return state.changed(ending=None, blocked=None)
        return _over(state, tries=time_limits.OPERATION.learner_removal_attempts)
    ask = act_input(state).model_copy(update={"target_id": learner.id, "learner_only": True})
    # The step removes it through this member, which only the worker of its node may reach.
    node = state.node_for(via(view, learner.id)) if view.healthy_voters else ""
    return NextCommand(state, RemoveLearner(ask=ask, node=node, summary=f"remove learner {learner.id}"))


def tried(state: OperationState, report: StepResult) -> OperationState:
    """Return the state after an attempt to remove it."""
    step = report.step
    state = observation.seen(state.with_step(step), report.view)
    if step.outcome in (StepOutcome.REMOVED, StepOutcome.ALREADY_ABSENT):
        unasked = report.writes_acknowledged is None and step.attempts > 1
        return _over(_with_lock(state, abandoned=report.writes_acknowledged is False or unasked), learner_removed=True)
    # An earlier attempt may have proposed it without being able to report it.
    return _again(_with_lock(state, abandoned=report.proposed or step.attempts > 1))


def failed(state: OperationState, failure: StepFailure) -> OperationState:
    """Return the state after an attempt whose worker did not answer."""
    return _again(_with_lock(state, abandoned=failure.tried))


def _with_lock(state: OperationState, *, abandoned: bool) -> OperationState:
    """Return the state after an attempt that may not have released its lock in etcd, or whose predecessor may not."""
    return state.changed(lock_abandoned=state.lock_abandoned or abandoned)


def _over(state: OperationState, **fields: Any) -> OperationState:
    """Return the state with no learner to remove any more; an order to k0s may still have to be revoked."""
    return state.at_end(phase=EndPhase.UNDO, rest_seconds=0.0, **fields)


def _again(state: OperationState) -> OperationState:
    pause = time_limits.OPERATION.learner_removal_pause_seconds
    return state.at_end(phase=EndPhase.UNDO, tries=state.end.tries + 1, rest_seconds=pause)
