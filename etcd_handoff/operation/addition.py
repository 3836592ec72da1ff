"""The steps of an addition: a learner is added, and promoted when it has started and is in sync.

Etcd gives no peer URL to two members, so an addition whose answer was lost is found again by its peer URLs. From then
on the member's ID counts. A learner that nobody starts stays where it is: it has no vote and does no harm, but etcd
takes no other learner beside it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from etcd_handoff.activity_io import AdditionInput
from etcd_handoff.contract import AdditionRequest, AdditionResult, FailureType, HandoffState, Outcome, StepOutcome
from etcd_handoff.operation import gates, identity, join, member_process, observation, proposal, recording, texts
from etcd_handoff.operation.commands import Activity, Failure
from etcd_handoff.operation.state import Decided
from etcd_handoff.planning import AddLearner, Blocked, MemberPresent, PromoteLearner, Reason, Refused

if TYPE_CHECKING:
    from etcd_handoff.activity_io import StepResult, UpdateStatusResult
    from etcd_handoff.cluster_view import ClusterView
    from etcd_handoff.operation.state import OperationState
    from etcd_handoff.planning import Decision


class AddTarget(Activity):
    """Add the target as a learner; the result is a `StepResult`."""

    proposes = True

    ask: AdditionInput


class PromoteTarget(Activity):
    """Give the learner a vote; the result is a `StepResult`."""

    proposes = True

    ask: AdditionInput


REFUSAL: Final = FailureType.CHANGE_REFUSED
"""Type of the failure for what will never be safe."""


def resolve(state: OperationState, view: ClusterView) -> OperationState | Blocked | Refused | None:
    """Pin the cluster, and the member's ID once it has one; None when there is nothing to do about it."""
    if state.pinned is None:
        if doubt := identity.doubt(state, view):
            return doubt
        member = _wanted(state, view.cluster_id).member_in(view)
        present = member is not None and bool(member.name) and not member.is_learner
        target = identity.pinned_as(
            view, member.id if member else "", _request(state).name, _request(state).peer_urls, present=present
        )
        return identity.pin(state, view, target)
    member_id = state.pinned.member_id
    if member_id and observation.undoubted(state) and view.member(member_id) is None:
        text = (
            f"member {member_id}, which was added as {state.label}, is not in the member list any more: somebody has"
            " removed it; start the addition again if it is to join all the same"
        )
        return state.failing(Failure(REFUSAL, text))
    return None


def goal(state: OperationState) -> MemberPresent:
    """What is wanted, for the planner."""
    return _wanted(state, state.target.cluster_id)


def blocked(state: OperationState, decision: Blocked) -> Decided | OperationState:
    """It waits; when that is for the member's start, it starts it where it can, and says how to where it cannot."""
    if decision.reason is Reason.LEARNER_NOT_STARTED and (settings := join.configuration(state)):
        if not gates.awaits_approval(state) and (start := member_process.starting(state, settings)):
            return start
        decision = Blocked(decision.reason, decision.seen, join.in_words(settings))
    return member_process.told(state.blocked_by(decision))


def decide(state: OperationState, step: object, now: float) -> Decided | OperationState:
    """The step that the planner has answered with; too many in a row are a reason to wait."""
    if state.steps_since_pause >= texts.STEPS_WITHOUT_PAUSE:
        return state.blocked_by(texts.unsettled(state.steps))
    if isinstance(step, AddLearner) and (look := member_process.before_adding(state, now)):
        return look
    state = state.changed(steps_since_pause=state.steps_since_pause + 1)
    if observation.wants_entry_first(state):
        return observation.look(state, now, before_change=True)
    state = state.changed(in_flight=True)
    if isinstance(step, AddLearner):
        doing = f"adding {state.label} as a learner through {state.label_of(step.via_id)}"
        node = state.node_for(step.via_id)
        return Decided(state.showing(HandoffState.ADDING, doing), AddTarget(ask=_ask(state), node=node, summary=doing))
    if isinstance(step, PromoteLearner):
        doing = f"promoting {state.label} through {state.label_of(step.via_id)}"
        command = PromoteTarget(ask=_ask(state), node=state.node_for(step.via_id), summary=doing)
        return Decided(state.showing(HandoffState.PROMOTING, doing), command)
    msg = f"{step} is no step of an addition"
    raise TypeError(msg)


def applied(state: OperationState, command: Activity, report: StepResult, now: float) -> OperationState:  # noqa: ARG001  # both steps end alike
    """The state after an attempt to add the learner, or to promote it."""
    step = report.step
    done = step.outcome in (StepOutcome.ADDED, StepOutcome.PROMOTED)
    # A second attempt may come after one that has proposed it and could not say so.
    may_be_pending = not done and (report.proposed or step.attempts > 1)
    state = proposal.ended(state.with_step(step), now, may_be_pending=may_be_pending)
    if done:
        state = state.changed(pending_since=None)
    if report.added_id and not state.target.member_id:
        state = state.changed(pinned=state.target.model_copy(update={"member_id": report.added_id}))
    state = observation.after_step(state, report.view)
    if step.outcome == StepOutcome.REFUSED_BY_ETCD:
        return state.blocked_by(_refused_by_etcd(step.note))
    if step.outcome == StepOutcome.LOCKED:
        return state.blocked_by(texts.locked(step.note))
    return state


def plan_lines(state: OperationState, decision: Decision) -> tuple[str, ...]:
    """The steps of an addition in words; none while it is blocked."""
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
    return (*lines, f"record Joined=True on the EtcdMember of {state.label}")


def is_reached(state: OperationState) -> bool:
    """The last view, which nothing contradicts, shows the member with a vote."""
    view = observation.undoubted(state)
    member = view.member(state.pinned.member_id) if view and state.pinned else None
    return member is not None and bool(member.name) and not member.is_learner


def remains(state: OperationState) -> str:
    """What an addition leaves behind that ends without its goal, in words; empty when that is nothing."""
    if state.pending_since is not None:
        return "a change was proposed before that and may have taken place: `etcd-handoff status` shows the members"
    member_id = state.pinned.member_id if state.pinned else ""
    if not member_id or (state.view is not None and state.view.member(member_id) is None):
        return ""
    return (
        f"learner {member_id} stays in the cluster without a vote: `etcd-handoff remove {member_id}` takes it out, and"
        " an addition that is started again goes on with it"
    )


def cancelled(state: OperationState) -> str:
    """What is true of an addition that was cancelled, in words."""
    left = remains(state)
    return f"cancelled before {state.label} had a vote" + (f"; {left}" if left else "")


def ended(state: OperationState, written: str) -> str:
    """How it ended well, in words."""
    return f"{state.label} is a voter; {written}"


def result(state: OperationState, outcome: Outcome | None, recorded: UpdateStatusResult) -> AdditionResult:
    """The result.

    Args:
        state: The state at the end.
        outcome: How it ended; None for what follows from the state.
        recorded: How it was recorded.
    """
    fields = {**recording.result_fields(state, recorded), "peer_urls": _request(state).peer_urls}
    return AdditionResult(
        outcome=outcome or (Outcome.ALREADY_PRESENT if state.target.present else Outcome.ADDED), **fields
    )


def _request(state: OperationState) -> AdditionRequest:
    if not isinstance(state.request, AdditionRequest):
        msg = f"{state.request} asks for no addition"
        raise TypeError(msg)
    return state.request


def _wanted(state: OperationState, cluster_id: str) -> MemberPresent:
    request, seen = _request(state), state.binding
    return MemberPresent(cluster_id, request.name, request.peer_urls, seen.term, seen.raft_index)


def _ask(state: OperationState) -> AdditionInput:
    wanted = goal(state)
    return AdditionInput(
        **dict(observation.change_input(state)),
        name=wanted.name,
        peer_urls=wanted.peer_urls,
        learner_id=state.target.member_id,
    )


def _refused_by_etcd(note: str) -> Blocked:
    return Blocked(
        Reason.REFUSED_BY_ETCD,
        note,
        "etcd has seen its members connected for 5 s, and the learner is in sync by its own measure",
    )
