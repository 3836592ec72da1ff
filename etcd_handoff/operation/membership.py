"""Decide a change of several members: its parts are additions and removals, each an operation.

Before the first part, and after each, the cluster is looked at and the next part is decided anew
(`etcd_handoff.planning.part_order`). So a second start after a stop goes on where the first one stopped.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from etcd_handoff import doubts
from etcd_handoff.activity_io import Target, UpdateStatusResult
from etcd_handoff.contract import (
    FailureType,
    HandoffState,
    ListedMember,
    MembershipRequest,
    MembershipResult,
    Outcome,
    ReplacementRequest,
    ReplacementResult,
)
from etcd_handoff.operation import change_words, identity, parts, recording, replaced, unrecorded
from etcd_handoff.operation.commands import Finish
from etcd_handoff.operation.membership_goal import joins, members_changed
from etcd_handoff.operation.phases import LookDue
from etcd_handoff.operation.state import NextCommand
from etcd_handoff.operation.whole_change import Part
from etcd_handoff.planning import (
    Blocked,
    Done,
    MembersChanged,
    Refused,
    StartAddition,
    StartRemoval,
    doubted,
    plan,
)
from etcd_handoff.planning.outline import outline, warnings
from etcd_handoff.planning.part_order import voters_at_the_end

if TYPE_CHECKING:
    from etcd_handoff.activity_io import StepResult
    from etcd_handoff.cluster_view import ClusterView
    from etcd_handoff.contract import OperationResult
    from etcd_handoff.operation.commands import Activity
    from etcd_handoff.operation.state import OperationState
    from etcd_handoff.planning import Decision

REFUSAL: Final = FailureType.CHANGE_REFUSED
"""Type of the failure for what will never be safe."""


def resolve(state: OperationState, view: ClusterView) -> NextCommand | OperationState | Blocked | Refused | None:
    """Pin the cluster and the members that leave, once; return None when that is done."""
    if state.pinned is not None:
        return None
    if isinstance(state.request, ReplacementRequest):
        found = replaced.find(state, state.request, view)
        return pinned(state, view, found) if isinstance(found, Target) else found
    if doubt := identity.doubt(state, view, doubts.silent_outsiders(view)):
        return doubt
    if lone := unrecorded.lone_list(state, view):
        return doubted(lone)
    return pinned(state, view, identity.pinned_as(view, "", state.request.subject, ()))


def pinned(state: OperationState, view: ClusterView, target: Target) -> OperationState:
    """Return the state with the cluster and the leaving members pinned."""
    if isinstance(state.request, MembershipRequest):
        nobody = MembersChanged(view.cluster_id, joins(state), exact=True)
        present = [nobody.member_in(view, joiner) for joiner in nobody.joins]
        leaves = tuple(identity.pinned(view, m) for m in view.members if m not in present)
    else:
        leaves = (target,) if target.member_id else ()
    left_before = unrecorded.left_before(state, view)
    whole = parts.whole_of(state).changed(pinned=target, leaves=leaves, left_before=left_before)
    look_due = LookDue.QUICK if left_before else state.look_due
    return identity.pin(state.changed(whole=whole, look_due=look_due), view, target)


def goal(state: OperationState) -> MembersChanged:
    """Return the goal for the planner."""
    return members_changed(state)


def on_blocked(state: OperationState, decision: Blocked) -> OperationState:
    """Wait: no part may begin now."""
    return state.blocked_by(decision)


def decide(state: OperationState, decision: object, now: float) -> NextCommand | OperationState:  # noqa: ARG001  # a part begins
    """Begin the part that the planner has chosen.

    Raises:
        TypeError: The decision is no part of a larger change.
    """
    whole, view = parts.whole_of(state), state.view
    if view and not whole.begun:
        whole = whole.changed(voters=voters_at_the_end(view, goal(state)))
        state = state.changed(whole=whole)
    ahead = len(outline(view, goal(state)).stages) if view else 0
    number = len(whole.ended) + 1
    of = max(number, len(whole.ended) + ahead)
    if isinstance(decision, StartAddition):
        return parts.begun(
            state, Part(kind="add", name=decision.name, peer_urls=decision.peer_urls, number=number, of=of)
        )
    if isinstance(decision, StartRemoval):
        leaves = next(target for target in whole.leaves if target.member_id == decision.member_id)
        stay = goal(state).successors(view) if view else ()
        part = Part(kind="remove", leaves=_led(state, leaves), successors=stay, number=number, of=of)
        return parts.begun(state, part, look_due=_look_before(leaves.member_id, view))
    msg = f"{decision} is no part of a larger change"
    raise TypeError(msg)


def _look_before(member_id: str, view: ClusterView | None) -> LookDue:
    """Return whether to look again at a leaving voter that one look found sick.

    If it is well, another member joins before it leaves.
    """
    sick = view is not None and any(m.id == member_id for m in view.voters if m not in view.healthy_voters)
    return LookDue.PATIENT if sick else LookDue.NO


def reconsidered(state: OperationState, view: ClusterView, *, waits: bool) -> OperationState | None:
    """Return the state when another part has to come before the running one; None when none has.

    Args:
        state: The state.
        view: The last view.
        waits: The part cannot go on now. If it can, only the removal of a member that works again is put off: another
            one joins before such a member leaves.
    """
    whole = state.whole
    # A member that has its vote is verified and recorded first: no later part would come back to it.
    if whole is None or whole.part is None or state.change_pending or state.joining.has_vote:
        return None
    part, decision = whole.part, plan(view, goal(state))
    if isinstance(decision, StartAddition):
        other = (decision.name, decision.peer_urls) != (part.name, part.peer_urls) and (waits or part.kind == "remove")
    elif not waits:
        return None
    elif isinstance(decision, StartRemoval):
        other = part.leaves is None or part.leaves.member_id != decision.member_id
    else:
        return None
    return parts.deferred(state) if other else None


def is_complete(state: OperationState) -> bool:
    """Whether a larger change has reached its goal, so that nothing of it could be cancelled."""
    return state.whole is not None and state.whole.part is None and is_goal_reached(state)


def is_goal_reached(state: OperationState) -> bool:
    """Whether all members are as a larger change wants them; a record may still be missing."""
    if state.whole is None or state.pinned is None or state.view is None:
        return False
    return isinstance(plan(state.view, goal(state)), Done)


def on_goal_reached(state: OperationState, now: float) -> NextCommand | OperationState:  # noqa: ARG001  # each part has seen to it
    """Record what EtcdMembers do not show yet, then return the result: all members are as wanted."""
    if part := unrecorded.part(state, goal(state)):
        return parts.begun(state, part)
    whole = parts.whole_of(state)
    recorded = all(part.status_recorded for part in whole.ended)
    notes = (f"{p.member_name or p.member_id}: {p.status_note}" for p in whole.ended if p.status_note)
    note = "; ".join(notes) or ("" if whole.ended else "all members were as they are to be; nothing was written")
    step = state.steps[-1]
    final = result(state, None, UpdateStatusResult(step=step, recorded=recorded and bool(whole.ended), note=note))
    return NextCommand(
        state.showing(HandoffState.DONE, f"{final.outcome}: {change_words.so_far(whole)}"), Finish(result=final)
    )


def after_command(state: OperationState, command: Activity, report: StepResult, now: float) -> OperationState:  # noqa: ARG001
    """Raise: each step belongs to a part.

    Raises:
        TypeError: Always.
    """
    msg = f"{command} is no step of {state.request.noun}"
    raise TypeError(msg)


def plan_lines(state: OperationState, decision: Decision) -> tuple[str, ...]:
    """Return all parts in words, with quorum and tolerated failures after each; none while it is blocked."""
    if isinstance(decision, Blocked | Refused) or state.view is None:
        return ()
    return (*change_words.plan_lines(state.view, goal(state)), *change_words.records(parts.whole_of(state)))


def is_reached(state: OperationState) -> bool:  # noqa: ARG001  # as every strategy has it
    """Return False: nothing was proposed between two parts, so a failure there is no success after all."""
    return False


def remaining_text(state: OperationState) -> str:  # noqa: ARG001  # `parts.failed` says it of any part
    """Return nothing: `parts.failed` adds what is left."""
    return ""


def cancelled_text(state: OperationState) -> str:
    """Return what is true after the cancellation, in words."""
    return f"cancelled{parts.half_done(parts.whole_of(state)) or ' before anything was changed'}"


def success_text(state: OperationState, written: str) -> str:
    """Return how it ended well, in words."""
    return f"{change_words.so_far(parts.whole_of(state))}; {written}"


def result(state: OperationState, outcome: Outcome | None, recorded: UpdateStatusResult) -> OperationResult:
    """Return the result of `ApplyMembership`, put together from those of its parts."""
    whole, view = parts.whole_of(state), state.view
    changed = any(part.outcome in (Outcome.ADDED, Outcome.REMOVED) for part in whole.ended)
    writes = [part.writes_acknowledged for part in whole.ended if part.writes_acknowledged is not None]
    fields = {
        **recording.result_fields(state, recorded),
        "parts": whole.ended,
        "was_leader": whole.was_leader,
        "writes_acknowledged": writes[-1] if writes else None,
        "snapshot": state.snapshot,
        "warnings": (*replaced.warnings(whole), *(warnings(view, goal(state)) if view and state.pinned else ())),
    }
    if isinstance(whole.request, ReplacementRequest):
        new = goal(state).member_in(view, joins(state)[0]) if view and state.pinned else None
        return ReplacementResult(
            outcome=outcome or (Outcome.REPLACED if changed else Outcome.ALREADY_REPLACED),
            **fields,
            new_member_id=new.id if new else "",
            new_member_name=whole.request.name,
            new_peer_urls=whole.request.peer_urls,
        )
    members = view.members if view else ()
    return MembershipResult(
        outcome=outcome or (Outcome.APPLIED if changed else Outcome.ALREADY_APPLIED),
        **fields,
        members=tuple(ListedMember(id=m.id, name=m.name, peer_urls=m.peer_urls) for m in members),
    )


def _led(state: OperationState, target: Target) -> Target:
    """Return the member that leaves, with the present leader."""
    view = state.view
    member = view.member(target.member_id) if view else None
    return identity.pinned(view, member) if view and member else target
