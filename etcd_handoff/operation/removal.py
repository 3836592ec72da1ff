"""The steps of a removal: leadership is handed over, then the target leaves the membership."""

from __future__ import annotations

from typing import TYPE_CHECKING

from etcd_handoff.activity_io import AwaitElectionInput
from etcd_handoff.contract import FailureType, HandoffState, StepOutcome
from etcd_handoff.operation import leave, proposal, texts
from etcd_handoff.operation.commands import AwaitNewLeader, RemoveTarget, StepFailure, TransferLeadership
from etcd_handoff.operation.observation import act_input, seen
from etcd_handoff.operation.phases import LookDue
from etcd_handoff.operation.state import Decided
from etcd_handoff.planning import Remove, Transfer

if TYPE_CHECKING:
    from etcd_handoff.activity_io import StepResult
    from etcd_handoff.operation.state import RemovalState


def decide(state: RemovalState, step: Transfer | Remove) -> Decided | RemovalState:
    """The step that the planner has answered with; too many in a row are a reason to wait."""
    if state.steps_since_pause >= texts.STEPS_WITHOUT_PAUSE:
        return state.blocked_by(texts.unsettled(state.steps))
    state = state.changed(steps_since_pause=state.steps_since_pause + 1)
    if isinstance(step, Transfer):
        return _transfer(state, step)
    if state.traits is not None and state.traits.remover == "k0s":
        return leave.begin(state)
    return _remove(state, step)


def _transfer(state: RemovalState, step: Transfer) -> Decided:
    """Leadership moves from the target to another voter, and a majority says so."""
    transferee = state.label_of(step.transferee_id)
    act = act_input(state)
    voters = state.view.healthy_voters if state.view else ()
    election = AwaitElectionInput(
        **dict(act),
        term_before=step.term,
        others=tuple(m.id for m in voters if m.id != act.target_id),
    )
    command = TransferLeadership(
        ask=act,
        election=AwaitNewLeader(ask=election, summary=f"a majority follows {transferee}"),
        summary=f"hand leadership from {state.label} to {transferee}",
    )
    doing = f"handing leadership from {state.label} to {transferee}"
    return Decided(state.showing(HandoffState.TRANSFERRING, doing), command)


def transferred(state: RemovalState, command: TransferLeadership, report: StepResult) -> RemovalState:
    """The state after a transfer: an election is to be awaited, or the planner decides anew."""
    state = state.with_step(report.step)
    if report.step.outcome == StepOutcome.TRANSFER_FAILED:
        state = state.changed(avoid=(*state.avoid, report.transferee_id))
    if report.step.outcome == StepOutcome.MOVED:
        return state.changed(election=command.election)
    if report.view is None:
        return state.changed(look_due=LookDue.QUICK)
    return seen(state, report.view)


def elected(state: RemovalState, report: StepResult) -> RemovalState:
    """The state after an election was awaited."""
    return _looking(seen(state.with_step(report.step).changed(election=None), report.view))


def _remove(state: RemovalState, step: Remove) -> Decided:
    """The target leaves the membership: the point of no return, unless it turns out that nothing was proposed."""
    whom = f"{state.label} through {state.label_of(step.via_id)}"
    state = state.showing(HandoffState.REMOVING, f"removing {whom}{texts.alarmed(state.view)}")
    command = RemoveTarget(ask=act_input(state), summary=f"remove {whom}")
    return Decided(state.changed(in_flight=True), command)


def removed(state: RemovalState, report: StepResult, now: float) -> RemovalState:
    """The state after an attempt to remove the target."""
    # A second attempt may come after one that has proposed it and could not say so.
    may_be_pending = report.proposed or report.step.attempts > 1
    state = proposal.ended(state.with_step(report.step), now, may_be_pending=may_be_pending)
    state = seen(state, report.view)
    if report.writes_acknowledged is not None:
        state = state.changed(writes_acknowledged=report.writes_acknowledged)
    if report.step.outcome == StepOutcome.REFUSED_BY_ETCD:
        return state.blocked_by(texts.refused_by_etcd(report.step.note))
    if report.step.outcome == StepOutcome.LOCKED:
        return state.blocked_by(texts.locked(report.step.note))
    return _looking(state)


def not_removed(state: RemovalState, failure: StepFailure, now: float) -> RemovalState:
    """The state after the activity that removes the target has failed, which it may have done after proposing it."""
    # Etcd denies it instead of proposing it; but an attempt before may have proposed it and died.
    denied = failure.kind == FailureType.PERMISSION_DENIED and failure.attempts == 1
    return proposal.ended(state, now, may_be_pending=not denied)


def _looking(state: RemovalState) -> RemovalState:
    """A look is due where an activity has seen nothing."""
    return state.changed(look_due=LookDue.QUICK) if state.view is None else state
