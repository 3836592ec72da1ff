"""Plan an addition: the member joins as a learner, and gets a vote once it runs and has caught up. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from etcd_handoff.planning import joining, leadership, obstacles
from etcd_handoff.planning.decisions import AddLearner, Done, PromoteLearner

if TYPE_CHECKING:
    from etcd_handoff.cluster_view import ClusterView
    from etcd_handoff.planning.decisions import AdditionDecision
    from etcd_handoff.planning.goals import MemberPresent


def plan(view: ClusterView, goal: MemberPresent) -> AdditionDecision:
    """Return the next decision of the addition; `view` contradicts neither itself nor what is known.

    An addition whose answer was lost is found by its peer URLs: nothing is added twice.
    """
    member = goal.member_in(view)
    if member is None:
        return obstacles.obstacle_to_joining(view, goal) or AddLearner(via_id=leadership.via(view))
    if not member.is_learner:
        return joining.unstarted_voter(member) or Done()
    return obstacles.obstacle_to_promotion(view, member) or PromoteLearner(member.id, via_id=leadership.via(view))
