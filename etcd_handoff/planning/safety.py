"""Prevent what must never happen, whatever a strategy answers. Pure.

Strategies ask the `obstacles` before they decide. `check` looks at the decision once more before it leaves `plan`.
So a strategy that asks nothing, or picks a wrong member, still changes nothing. Policies of a profile, such as
`min_voters`, are left to the strategies: breaking one may be unwanted, but costs no quorum.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from etcd_handoff.planning import leadership, obstacles
from etcd_handoff.planning.decisions import (
    AddLearner,
    Blocked,
    Decision,
    Done,
    PromoteLearner,
    Refused,
    Remove,
    Transfer,
)
from etcd_handoff.planning.goals import MemberAbsent, MemberPresent
from etcd_handoff.planning.reasons import Reason

if TYPE_CHECKING:
    from etcd_handoff.cluster_view import ClusterView, MemberView

# --- what leaves the planner ---------------------------------------------------------------------------------


def check(view: ClusterView, goal: MemberAbsent | MemberPresent, decision: Decision) -> Decision:
    """Return `decision` when it is safe, else why it is not.

    Args:
        view: A view that contradicts neither itself nor what is known of the cluster.
        goal: The goal.
        decision: The answer of the goal's strategy.
    """
    if isinstance(decision, Blocked | Refused):
        return decision
    match goal:
        case MemberAbsent():
            return _unsafe_removal(view, goal, decision) or decision
        case MemberPresent():
            return _unsafe_addition(view, goal, decision) or decision


def _unsafe_removal(view: ClusterView, goal: MemberAbsent, decision: Decision) -> Blocked | Refused | None:
    target = view.member(goal.target_id)
    if isinstance(decision, Done):
        return stopped(decision, f"{target.label} is listed") if target else None
    if target is None:
        return stopped(decision, "the target is not listed")
    if found := obstacles.obstacle(view, leaving=target) or obstacles.successor_fails(view, target, goal.successors):
        return found
    if isinstance(decision, Transfer):
        return _bad_transfer(view, target, decision, goal)
    if not isinstance(decision, Remove):
        return stopped(decision, "it is no decision of a removal")
    leads = view.leadership is None or view.leadership.id == target.id
    return stopped(decision, f"{target.label} leads") if leads else _bad_via(view, decision, target.id)


def _bad_transfer(view: ClusterView, target: MemberView, decision: Transfer, goal: MemberAbsent) -> Blocked | None:
    leader = view.leadership
    if leader is None or (leader.id, leader.term) != (target.id, decision.term):
        return stopped(decision, f"{target.label} does not lead at term {decision.term}")
    if decision.transferee_id not in {m.id for m in leadership.candidates(view, target.id, goal.leaving_later)}:
        return stopped(decision, f"{view.label(decision.transferee_id)} cannot take over")
    return None


def _unsafe_addition(view: ClusterView, goal: MemberPresent, decision: Decision) -> Blocked | Refused | None:
    member = goal.member_in(view)
    if isinstance(decision, Done):
        there = member is not None and member.name and not member.is_learner
        return None if there else stopped(decision, f"{goal.name} is no voter that has started")
    if isinstance(decision, AddLearner):
        if member is not None:
            return stopped(decision, f"{member.label} is listed")
        return obstacles.obstacle_to_joining(view, goal) or _bad_via(view, decision)
    if not isinstance(decision, PromoteLearner):
        return stopped(decision, "it is no decision of an addition")
    if member is None or not member.is_learner or member.id != decision.learner_id:
        return stopped(decision, f"{view.label(decision.learner_id)} is not the learner that was added")
    return obstacles.obstacle_to_promotion(view, member) or _bad_via(view, decision)


def _bad_via(view: ClusterView, decision: Remove | AddLearner | PromoteLearner, leaving: str = "") -> Blocked | None:
    if decision.via_id in {m.id for m in view.healthy_voters} - {leaving}:
        return None
    return stopped(decision, f"{view.label(decision.via_id)} is no healthy voter that stays")


def stopped(decision: Decision, why: str) -> Blocked:
    """Return an obstacle for a strategy's fault.

    To raise an error here would fail the workflow task again and again.
    """
    return Blocked(
        Reason.UNSAFE_STEP,
        f"the planner chose {decision} and stopped itself: {why}",
        "this is a fault of etcd-handoff: report it with this text; this step was not done",
    )
