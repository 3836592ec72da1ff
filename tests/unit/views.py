"""Views of clusters to plan on, and what is expected of a decision."""

from __future__ import annotations

from etcd_handoff.cluster_view import ClusterView, Doubt, MemberView
from etcd_handoff.planning import Blocked, Decision, MemberAbsent, Reason, Refused, plan

CLUSTER = "cdf818194e3a8c32"
A, B, C, D, E = (
    "8211f1d0f64f3269",
    "91bc3c398fb3c146",
    "fd422379fda50e48",
    "fd422379fda50e49",
    "fd422379fda50e4a",
)
INDEX = 100_000


def member(member_id: str, leader: str | None = A, **changes: object) -> MemberView:
    """A healthy, caught-up voter at term 7 that follows `leader`, but for `changes`."""
    name = f"node{(A, B, C, D, E).index(member_id)}" if member_id in (A, B, C, D, E) else ""
    healthy = {"name": name, "reachable": True, "serves_reads": True, "leader_id": leader, "term": 7}
    return MemberView.model_validate({"id": member_id, "raft_index": INDEX, **healthy, **changes})


def down(member_id: str, **changes: object) -> MemberView:
    """A voter that does not answer, but for `changes`."""
    silent = {"reachable": False, "serves_reads": False, "leader_id": None, "term": 0, "raft_index": 0}
    return member(member_id).model_copy(update={**silent, "note": "connection refused", **changes})


def hangs(member_id: str, leader: str | None = A, **changes: object) -> MemberView:
    """A voter whose status is as it was, and that answers no linearizable read."""
    return member(member_id, leader).model_copy(update={"serves_reads": False, **changes})


def cluster(*members: MemberView, **changes: object) -> ClusterView:
    """The cluster of these members."""
    return ClusterView.model_validate({"cluster_id": CLUSTER, "members": members, **changes})


def leave(target: str, *members: MemberView, avoid: tuple[str, ...] = (), **changes: object) -> Decision:
    """What is planned for `target` in the cluster of `members`."""
    return plan(cluster(*members, **changes), MemberAbsent(CLUSTER, target, frozenset(avoid)))


def doubt(kind: str, about: str = "", **changes: object) -> tuple[Doubt, ...]:
    """The one contradiction of a look."""
    given = {"kind": kind, "text": "node0 says this, node1 says that", "remedy": "stop one", "member_id": about}
    return (Doubt.model_validate({**given, **changes}),)


def blocked(decision: Decision, reason: Reason) -> Blocked:
    """`decision`, which blocks for `reason` and says what would unblock it."""
    assert isinstance(decision, Blocked)
    assert decision.reason is reason
    assert decision.seen
    assert decision.unblocks
    return decision


def refused(decision: Decision, reason: Reason) -> Refused:
    """`decision`, which refuses for `reason` and says what to do instead."""
    assert isinstance(decision, Refused)
    assert decision.reason is reason
    assert decision.seen
    assert decision.remedy
    return decision
