"""Decide what to do next about the members of a cluster: a pure function of a view and a goal.

    observe -> plan(view, goal) -> one decision -> fresh view -> plan -> ... -> Done

The planner keeps no memory of earlier decisions. Each call looks at one view alone, so it may be called again after any
interruption, on any node. It has no clock, no I/O and no Temporal.

Rules that `plan` never breaks, whatever the view:

1. Quorum. It never answers a change of the members in three cases. First, when fewer healthy, caught-up voters than the
   quorum of the resulting configuration would remain. A member that joins is not counted among them. Second, when the
   present configuration has no healthy quorum to commit the change. Third, when the last voter would leave. etcd's own
   checks let changes through that leave a cluster without quorum: they count started or recently connected members, and
   promote a learner that is down (etcd `server/etcdserver/server.go`, mayRemoveMember, isLearnerReady). One exception:
   a single voter may grow to two, with a learner that runs and has caught up.
2. Hand-over. It never answers `Remove` for the leader, nor while the voters agree on no leader. While a healthy,
   caught-up voter other than the target exists, it answers `Transfer`; otherwise it waits. The transferee is the one
   with the smallest lag in raft index. Ties go to one without an alarm, then to the smallest ID.
3. Identity. Its answers name only the pinned member ID in the pinned cluster, or the peer URLs that are to be added. A
   name is resolved once, by `resolve`.
4. Belief. It concludes nothing, `Done` and `LastVoter` included, from a view that contradicts itself or what is known
   of the cluster (`etcd_handoff.doubts`).
5. One change at a time. It adds no learner while another member is a learner or has not started.
6. Known faults. It adds and promotes no member while a member runs an etcd that may forget the promotion. It adds no
   member where etcd itself would refuse it.

A strategy per goal (`removal`, `addition`) makes the decision, and `safety.check` has the last word on it. `part_order`
orders additions and removals into a larger change. It answers with the next part, which has decisions of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, overload

from etcd_handoff import doubts
from etcd_handoff.planning import addition, part_order, removal, safety
from etcd_handoff.planning.decisions import (
    AdditionDecision,
    AddLearner,
    Blocked,
    ChangeDecision,
    Decision,
    Done,
    PromoteLearner,
    Refused,
    RemovalDecision,
    Remove,
    StartAddition,
    StartRemoval,
    Transfer,
    doubted,
)
from etcd_handoff.planning.goals import Goal, Joiner, MemberAbsent, MemberPresent, MembersChanged
from etcd_handoff.planning.identity import Ambiguous, NotFound, canonical_id, is_member_id, resolve
from etcd_handoff.planning.joining import learner_lags, name_taken, unverified
from etcd_handoff.planning.lagging import CAUGHT_UP_ENTRIES, lag
from etcd_handoff.planning.leadership import via
from etcd_handoff.planning.reasons import Reason
from etcd_handoff.planning.removal import warnings
from etcd_handoff.planning.wording import FREE_SPACE

if TYPE_CHECKING:
    from etcd_handoff.cluster_view import ClusterView

__all__ = [
    "CAUGHT_UP_ENTRIES",
    "FREE_SPACE",
    "AddLearner",
    "AdditionDecision",
    "Ambiguous",
    "Blocked",
    "ChangeDecision",
    "Decision",
    "Done",
    "Goal",
    "Joiner",
    "MemberAbsent",
    "MemberPresent",
    "MembersChanged",
    "NotFound",
    "PromoteLearner",
    "Reason",
    "Refused",
    "RemovalDecision",
    "Remove",
    "StartAddition",
    "StartRemoval",
    "Transfer",
    "canonical_id",
    "doubted",
    "is_member_id",
    "lag",
    "learner_lags",
    "name_taken",
    "plan",
    "resolve",
    "unverified",
    "via",
    "warnings",
]


@overload
def plan(view: ClusterView, goal: MemberAbsent) -> RemovalDecision: ...
@overload
def plan(view: ClusterView, goal: MemberPresent) -> AdditionDecision: ...
@overload
def plan(view: ClusterView, goal: MembersChanged) -> ChangeDecision: ...
@overload
def plan(view: ClusterView, goal: Goal) -> Decision: ...
def plan(view: ClusterView, goal: Goal) -> Decision:
    """Return the next decision for `goal` in `view`; see the module's docstring for its rules."""
    if doubt := doubts.contradiction(view, goal.binding, departed=goal.departing):
        return doubted(doubt)
    match goal:
        case MemberAbsent():
            return safety.check(view, goal, removal.plan(view, goal))
        case MemberPresent():
            return safety.check(view, goal, addition.plan(view, goal))
        case MembersChanged():
            return part_order.plan(view, goal)
