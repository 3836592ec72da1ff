"""Decide on approvals: what is shown, who may approve, and how long an approval counts.

An approval covers what its page showed: the member, all members, the leader, and the changes that follow. The
transferee is not part of it: the choice follows from small lags and differs from look to look. Once something was
changed under an approval, later differences are the operation's own changes. From then on only time lets the approval
lapse: `approval_lapses_after_seconds` in the profile (`config/policies.py`).

`gates.py` decides whether an approval is needed, and `schedule.remaining_seconds` how long an operation waits for one
that nobody gives: until its `not_after`, or without an end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from etcd_handoff.contract import HandoffState, StepOutcome
from etcd_handoff.operation import membership, people, queue_requests, schedule
from etcd_handoff.operation.commands import (
    AddTarget,
    PromoteTarget,
    RemoveTarget,
    StepFailure,
    TransferLeadership,
    Until,
    Wait,
)
from etcd_handoff.operation.phases import ApprovalState, ApprovedChange
from etcd_handoff.operation.state import NextCommand
from etcd_handoff.operation.step_log import cut
from etcd_handoff.operation.unblocking_commands import command
from etcd_handoff.planning import StartAddition
from etcd_handoff.planning.outline import outline

if TYPE_CHECKING:
    from etcd_handoff.activity_io import StepResult
    from etcd_handoff.contract import Approval
    from etcd_handoff.operation.state import OperationState

CHANGES: Final = (TransferLeadership, RemoveTarget, AddTarget, PromoteTarget)
CHANGED: Final = (StepOutcome.MOVED, StepOutcome.REMOVED, StepOutcome.ADDED, StepOutcome.PROMOTED)
"""Outcomes of steps that have changed the cluster."""
LONGEST_REASON: Final = 300
"""Characters of the reason why an approval lapsed: it is handed on from run to run."""


def change_of(state: OperationState, step: object) -> ApprovedChange:
    """Return the change that an approval covers.

    Args:
        state: The state, once the cluster has been seen.
        step: The planner's answer.
    """
    view, target = state.view, state.subject
    members = view.members if view else ()
    leader = view.leadership if view else None
    return ApprovedChange(
        target=f"{target.member_name} ({target.member_id})" if target else "",
        members=tuple(sorted(f"{m.label} ({m.id}){', a learner' * m.is_learner}" for m in members)),
        leader=state.label_of(leader.id) if leader else "",
        plan=_plan(state, step),
    )


def _plan(state: OperationState, step: object) -> tuple[str, ...]:
    """Return the changes that follow, in words."""
    if state.whole is None or state.view is None:
        return (type(step).__name__,)
    parts = (stage.part for stage in outline(state.view, membership.goal(state)).stages)
    return tuple(
        f"add {part.name}" if isinstance(part, StartAddition) else f"remove {state.label_of(part.member_id)}"
        for part in parts
    )


def wait(state: OperationState, step: object, now: float) -> NextCommand:
    """Wait for an approval, and give up the turn meanwhile."""
    doing = "everything is ready"
    if state.approval_lapsed:
        doing = f"{doing} again, and {state.approval_lapsed}"
    if (opens := schedule.opens_at(state, now)) > now:
        doing = f"{doing}; once it is approved, it goes on at {schedule.moment_text(state, opens)}"
    request = state.original_request
    approve = command("approve", request.cluster, request.subject, request.start_id)
    state = state.showing(HandoffState.AWAITING_APPROVAL, doing, f"an approval: `{approve}`")
    state = state.changed(to_approve=change_of(state, step), queueing=False)
    if state.holds_turn or state.wants_turn:
        return queue_requests.ask(state, waits=False)
    if not (state.queue_knows or state.released):
        return queue_requests.ask(state, waits=False, news=True)  # the queue tells the EtcdMember what it waits for
    seconds = schedule.remaining_seconds(state)
    return NextCommand(state, Wait(until=Until.APPROVAL, seconds=seconds, summary="wait for an approval"))


def refusal(state: OperationState, approval: Approval, identity: str) -> str:
    """Return why this approval is not accepted; empty when it is.

    Args:
        state: The state.
        approval: The approver's input.
        identity: The identity that Temporal recorded for the approver.
    """
    if state.handoff_state is not HandoffState.AWAITING_APPROVAL:
        noun = state.original_request.noun
        return f"the {noun} does not wait for an approval, it is {state.handoff_state}: {state.doing}"
    if state.worker_info is None or not state.worker_info.four_eyes:
        return ""
    doubt = people.doubt(state.started_by, approval.by, identity)
    return f"the profile asks for four eyes: {doubt}" if doubt else ""


def approved(state: OperationState, approval: Approval, identity: str, now: float) -> OperationState:
    """Return the state after an approval; waiting for a change window does not use up its time."""
    change = state.to_approve or ApprovedChange()
    given = ApprovalState(identity=identity, counts_from=schedule.opens_at(state, now), change=change)
    return state.changed(approval=approval, approved=given, approval_lapsed="")


def _ends(state: OperationState) -> float:
    """Return when the approval lapses, in seconds since 1970; 0 where it never does or there is none."""
    given = state.approved
    if state.approval is None or given is None or not schedule.may_wait(state):
        return 0.0
    return given.counts_from + _lasts(state)


def _lasts(state: OperationState) -> float:
    return state.worker_info.approval_lapses_after_seconds if state.worker_info else 0.0


def without_lapsed_approval(state: OperationState, step: object, now: float) -> OperationState:
    """Return the state without a lapsed approval, unless something is half done."""
    given = state.approved
    if state.approval is None or given is None or not schedule.may_wait(state):
        return state
    if now - given.counts_from >= (lasts := _lasts(state)):
        why = f"it was given more than {lasts:g} s ago"
    elif given.used or not (differs := given.change.differs(change_of(state, step))):
        return state
    else:
        why = differs
    text = f"the approval by {people.approver(state.approval, state.approved) or 'somebody'} has lapsed: {why}"
    return state.changed(approval=None, approved=None, approval_lapsed=cut(text, LONGEST_REASON))


def bounded(decided: NextCommand | OperationState, before: OperationState, now: float) -> NextCommand | OperationState:
    """Return the decision, with a limit on when its change may begin.

    Args:
        decided: The decision.
        before: The state in which it was made.
        now: Workflow time in seconds.
    """
    if not isinstance(decided, NextCommand) or not isinstance(decided.command, CHANGES):
        return decided
    bounds = (schedule.begin_before(before, now), _ends(before))
    if not (bound := min(filter(None, bounds), default=0.0)):
        return decided
    command = decided.command
    ask = command.ask.model_copy(update={"begin_before": bound})
    return NextCommand(decided.state, command.model_copy(update={"ask": ask}))


def with_approval_used(state: OperationState, command: object, result: StepResult | StepFailure) -> OperationState:
    """Return the state after a command, with the approval marked as used once a change may have been made."""
    given = state.approved
    if given is None or given.used or not isinstance(command, CHANGES):
        return state
    if isinstance(result, StepFailure):
        begun = result.tried
    else:
        begun = result.proposed or result.step.attempts > 1 or result.step.outcome in CHANGED
    return state.changed(approved=given.model_copy(update={"used": True})) if begun else state
