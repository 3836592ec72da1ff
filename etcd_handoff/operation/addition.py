"""Decide the steps of an addition: add a learner, wait until it is in sync, promote it, verify it.

Etcd gives no peer URL to two members, so a lost answer is recovered by the peer URLs. From then on the member's ID
counts. When the addition fails, a learner that was never started stays. It has no vote, but etcd accepts no other
learner beside it. A cancelled addition removes its learner (`learner_removal`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from etcd_handoff import time_limits
from etcd_handoff.contract import AdditionResult, FailureType, HandoffState, Outcome, StepOutcome
from etcd_handoff.operation import (
    blocked_waiting,
    failures,
    gates,
    identity,
    join,
    learner,
    member_process,
    observation,
    proposal,
    recording,
    texts,
    view_doubts,
)
from etcd_handoff.operation.commands import Activity, AddTarget, Failure, PromoteTarget, Until, Wait
from etcd_handoff.operation.learner import AwaitSync
from etcd_handoff.operation.phases import LookDue
from etcd_handoff.operation.state import NextCommand
from etcd_handoff.planning import AddLearner, Blocked, PromoteLearner, Reason, Refused, name_taken, unverified

if TYPE_CHECKING:
    from etcd_handoff.activity_io import StepResult, UpdateStatusResult
    from etcd_handoff.cluster_view import ClusterView
    from etcd_handoff.operation.state import OperationState
    from etcd_handoff.planning import Decision, MemberPresent

REFUSAL: Final = FailureType.CHANGE_REFUSED
"""Type of the failure for what will never be safe."""


def resolve(state: OperationState, view: ClusterView) -> OperationState | Blocked | Refused | None:
    """Pin the cluster, and the member's ID once it has one; return None when there is nothing to do."""
    if state.pinned is None:
        if doubt := identity.doubt(state, view, view_doubts.leaving(state)):
            return doubt
        request, member = learner.request_of(state), learner.goal(state, view.cluster_id).member_in(view)
        if member is None and (taken := _name_taken(state, view)):
            return taken
        present = member is not None and bool(member.name) and not member.is_learner
        target = identity.pinned_as(view, member.id if member else "", request.name, request.peer_urls, present=present)
        own = state.whole is not None and target.member_id in state.whole.own
        process = member_process.known_of(state.whole, target.member_id)
        return identity.pin(state, view, target).with_joining(sent=own, process=process)
    member_id = state.pinned.member_id
    believed = view_doubts.undoubted(state) is not None
    if not member_id and believed and not state.proposed:
        return _name_taken(state, view)  # another operation may have added one of that name while this one waited
    if member_id and believed and view.member(member_id) is None:
        text = (
            f"member {member_id}, which was added as {state.label}, is not in the member list any more: somebody has"
            " removed it; start the addition again if it is to join all the same"
        )
        return state.failing(Failure(REFUSAL, text))
    return None


def _name_taken(state: OperationState, view: ClusterView) -> Refused | None:
    """Return the refusal if another member has the name; in a larger change that may be the member that leaves."""
    name = learner.request_of(state).name
    return name_taken(view.members, name) if state.whole is None else None


def goal(state: OperationState) -> MemberPresent:
    """Return the goal for the planner."""
    return learner.goal(state, state.target.cluster_id)


def on_blocked(state: OperationState, decision: Blocked) -> NextCommand | OperationState:
    """Wait; when the learner has not started, start it or describe how to start it."""
    settings = join.configuration(state) if decision.reason is Reason.LEARNER_NOT_STARTED else {}
    if settings and gates.may_change(state) and (start := member_process.starting(state, settings)):
        return start
    return member_process.with_start_result(learner.waits(state, decision))


def decide(state: OperationState, decision: object, now: float) -> NextCommand | OperationState:
    """Carry out the planner's decision, or wait after too many steps in a row.

    Raises:
        TypeError: It is no decision of an addition.
    """
    if state.steps_since_pause >= time_limits.OPERATION.without_pause_steps:
        return state.blocked_by(texts.unsettled(state.steps))
    if isinstance(decision, AddLearner) and (look := member_process.before_adding(state, now)):
        return look
    state = learner.noted(state.changed(steps_since_pause=state.steps_since_pause + 1))
    entry_first = observation.wants_entry_first(state)
    confirmed = state.joining.in_sync and (entry_first or learner.follows(state))
    if isinstance(decision, PromoteLearner) and not confirmed:
        return learner.confirm(state.with_joining(in_sync=False), now)
    if entry_first:
        return observation.look(state, now, before_change=True)
    if isinstance(decision, AddLearner):
        how = f"{state.label} as a learner through {state.label_of(decision.via_id)}"
        state = state.changed(in_flight=True).with_joining(sent=True)  # from here on one may be there that is ours
        command = AddTarget(ask=learner.ask(state), node=state.node_for(decision.via_id), summary=f"add {how}")
        return NextCommand(state.showing(HandoffState.ADDING, f"adding {how}"), command)
    if isinstance(decision, PromoteLearner):
        how = f"{state.label} through {state.label_of(decision.via_id)}"
        promote = PromoteTarget(ask=learner.ask(state), node=state.node_for(decision.via_id), summary=f"promote {how}")
        return NextCommand(state.changed(in_flight=True).showing(HandoffState.PROMOTING, f"promoting {how}"), promote)
    msg = f"{decision} is no decision of an addition"
    raise TypeError(msg)


def after_command(state: OperationState, command: Activity, report: StepResult, now: float) -> OperationState:
    """Return the state after an attempt to add, promote or await the learner."""
    if isinstance(command, AwaitSync):
        return _awaited(state, command, report, now)
    step = report.step
    done = step.outcome in (StepOutcome.ADDED, StepOutcome.PROMOTED)
    # An earlier attempt may have proposed it without being able to report it.
    may_be_pending = not done and (report.proposed or step.attempts > 1)
    state = proposal.ended(state.with_step(step), now, may_be_pending=may_be_pending)
    if isinstance(command, AddTarget):
        # Without etcd's own answer, the learner that is found may have been added by another client.
        state = state.with_joining(sent=done and report.proposed)
    if done:
        state = state.changed(pending_since=None, lock_abandoned=False)
    if report.added_id and not state.target.member_id:
        state = state.changed(pinned=state.target.model_copy(update={"member_id": report.added_id}))
    state = observation.after_step(state, report.view)
    if step.outcome == StepOutcome.REFUSED_BY_ETCD:
        return state.blocked_by(_refused_by_etcd(step.note))
    if step.outcome == StepOutcome.LOCKED:
        return state.blocked_by(texts.locked(step.note))
    return state


def _awaited(state: OperationState, command: AwaitSync, report: StepResult, now: float) -> OperationState:
    """Return the state after waiting for the learner, which may have replaced a pause."""
    merged, paused = state.view is not None and state.view.merged, state.blocked is not None
    state = state.with_step(report.step, instead_of_last=paused)
    state = blocked_waiting.paused(state, now) if paused else state
    if report.view is not None and not merged:
        state = observation.seen(state, report.view)
        by_its_node = state.own_member_alone and learner.is_out_of_reach(state)
        state = state.changed(look_due=LookDue.PATIENT if by_its_node else LookDue.NO)
    else:
        state = state.changed(look_due=LookDue.PATIENT)
    return state.with_joining(in_sync=report.step.outcome == StepOutcome.IN_SYNC, followed=command.ask.own_index)


def on_goal_reached(state: OperationState, now: float) -> NextCommand | OperationState:
    """Finish once the new voter has worked for a while: every list shows it, and it serves linearizable reads."""
    member = learner.member_of(state)
    if member is None or state.view is None:
        return state.finishing()
    problem = unverified(state.view, member)
    if problem is None and state.target.present:
        return state.finishing()
    if problem is not None:
        if state.cancel_requested:
            state = state.with_joining(works_since=None)
            return state.failing(failures.blocked_too_long(problem, 0, state.request.noun))
        return state.blocked_by(problem)
    since = now if state.joining.works_since is None else state.joining.works_since
    state = state.with_joining(works_since=since)
    if (seconds := since + time_limits.OPERATION.connected_seconds - now) <= 0:
        return state.finishing()
    doing = f"{state.label} has a vote; making sure that it works for {time_limits.OPERATION.connected_seconds:g} s"
    wait = Wait(until=Until.TIME, seconds=seconds, summary=f"make sure that {state.label} works as a voter")
    return NextCommand(state.showing(HandoffState.VERIFYING, doing), wait)


def plan_lines(state: OperationState, decision: Decision) -> tuple[str, ...]:
    """Return the steps of an addition in words; none while it is blocked."""
    if isinstance(decision, Blocked | Refused):
        return ()
    lines = []
    if isinstance(decision, AddLearner):
        lines += [
            f"add {state.label} as a learner through {state.label_of(decision.via_id)}",
            "wait until it has been started and is in sync",
        ]
    if isinstance(decision, AddLearner | PromoteLearner):
        lines.append(f"promote {state.label} through {state.label_of(decision.via_id)}")
        lines.append(f"make sure that {state.label} works as a voter for {time_limits.OPERATION.connected_seconds:g} s")
    return (*lines, f"record Joined=True on the EtcdMember of {state.label}")


def is_reached(state: OperationState) -> bool:
    """Whether the undoubted last view shows the member with a vote, and it has been seen to work."""
    view = view_doubts.undoubted(state)
    member = learner.member_of(state) if view else None
    if view is None or member is None or not member.name or member.is_learner:
        return False
    works_already = state.target.present and unverified(view, member) is None
    return state.joining.works_since is not None or works_already


def remaining_text(state: OperationState) -> str:
    """Return what an unfinished addition leaves behind, in words; empty when that is nothing."""
    if state.pending_since is not None:
        return "a change was proposed before that and may have taken place: `etcd-handoff status` shows the members"
    member_id = state.pinned.member_id if state.pinned and not state.pinned.present else ""
    if not member_id or (state.view is not None and state.view.member(member_id) is None):
        return ""
    takes_out = f"to remove it: `etcd-handoff remove {member_id}`; to go on with it: start the same addition again"
    if state.joining.has_vote:
        return f"{state.label} ({member_id}) has a vote, and was not seen to work with it: {takes_out}"
    return f"learner {member_id} stays in the cluster without a vote: {takes_out}"


def cancelled_text(state: OperationState) -> str:
    """Return what is true of an addition that was cancelled, in words."""
    if state.pinned is not None and state.pinned.present:
        return f"cancelled: {state.label} was a voter already, and nothing was changed"
    remains, end = remaining_text(state), state.ending
    if end is not None and end.learner_removed and state.joining.sent:
        remains = f"its learner {state.target.member_id} has been removed{f'; {end.process}' * bool(end.process)}"
    return f"cancelled before {state.label} had a vote" + (f"; {remains}" if remains else "")


def success_text(state: OperationState, written: str) -> str:
    """Return how it ended well, in words."""
    return f"{state.label} is a voter; {written}"


def result(state: OperationState, outcome: Outcome | None, recorded: UpdateStatusResult) -> AdditionResult:
    """Return the result; without `outcome`, the outcome follows from the state."""
    fields = {**recording.result_fields(state, recorded), "peer_urls": learner.request_of(state).peer_urls}
    return AdditionResult(
        outcome=outcome or (Outcome.ALREADY_PRESENT if state.target.present else Outcome.ADDED),
        snapshot=state.snapshot,
        join_configuration=join.planned(state) if outcome is Outcome.PLANNED else state.joining.settings,
        **fields,
    )


def _refused_by_etcd(note: str) -> Blocked:
    return Blocked(
        Reason.REFUSED_BY_ETCD,
        note,
        "etcd has seen its members connected for 5 s, and the learner is in sync by its own measure",
    )
