"""Views of clusters to plan on, what is expected of a decision, what operations and watchers know, and EtcdMembers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from etcd_handoff.cluster_view import ClusterView, Doubt, MemberView
from etcd_handoff.contract import Step, StepOutcome
from etcd_handoff.doubts import ResourceClaim
from etcd_handoff.operation.state import OperationState
from etcd_handoff.planning import Blocked, Decision, MemberAbsent, Reason, Refused, plan
from etcd_handoff.reconciler.member_resources import MemberResource

if TYPE_CHECKING:
    from collections.abc import Mapping

CLUSTER = "cdf818194e3a8c32"
A, B, C, D, E = (
    "8211f1d0f64f3269",
    "91bc3c398fb3c146",
    "fd422379fda50e48",
    "fd422379fda50e49",
    "fd422379fda50e4a",
)
NAMES = {member_id: f"node{number}" for number, member_id in enumerate((A, B, C, D, E))}
INDEX = 100_000
VERSION = "3.6.16"


def member(who: str | int, leader: str | None = "", **changes: object) -> MemberView:
    """A healthy, caught-up voter at term 7, but for `changes`.

    Args:
        who: An ID, of which A to E are called node0 to node4 and others have no name; or a number, which is also the
            ID of a member called n1, n2, ... on hosts 10.0.0.1, 10.0.0.2, ...
        leader: ID of the leader that it follows; left out, that is A, or number 1.
        changes: Other fields.
    """
    urls: tuple[str, ...] = ()
    if isinstance(who, int):
        member_id, name, first, urls = f"{who:x}", f"n{who}", "1", (f"https://10.0.0.{who}:2380",)
    else:
        member_id, name, first = who, NAMES.get(who, ""), A
    answers = {"reachable": True, "serves_reads": True, "leader_id": first if leader == "" else leader, "term": 7}
    usual = {"id": member_id, "name": name, "peer_urls": urls, "raft_index": INDEX, "version": VERSION, **answers}
    return MemberView.model_validate({**usual, **changes})


def down(who: str | int, **changes: object) -> MemberView:
    """A voter that does not answer, but for `changes`."""
    silent = {"reachable": False, "serves_reads": False, "leader_id": None, "term": 0, "raft_index": 0}
    return member(who).model_copy(update={**silent, "note": "connection refused", **changes})


def hangs(who: str | int, leader: str | None = "", **changes: object) -> MemberView:
    """A voter whose status is as it was, and that answers no linearizable read."""
    return member(who, leader).model_copy(update={"serves_reads": False, **changes})


def cluster(*members: MemberView, **changes: object) -> ClusterView:
    """The cluster of these members, of three healthy ones with numbers when none are given."""
    three = (member(1), member(2), member(3))
    return ClusterView.model_validate({"cluster_id": CLUSTER, "members": members or three, **changes})


def view_of(*pairs: tuple[str, str], cluster_id: str = "cafe") -> ClusterView:
    """The cluster of members of which no more is known than ID and name."""
    return ClusterView(cluster_id=cluster_id, members=tuple(MemberView(id=i, name=name) for i, name in pairs))


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


def begun(**fields: Any) -> OperationState:
    """An operation that may wait for a minute, with these fields."""
    return OperationState(run_id="r", blocked_remaining_seconds=60).changed(**fields)


def resource(name: str, member_id: str = "", **fields: object) -> MemberResource:
    """An EtcdMember with `spec.leave`, which says that its member has joined if it names one, but for `fields`."""
    usual = {"uid": f"uid-{name}", "generation": 1, "leave": True, "joined": "True" if member_id else "Unknown"}
    return MemberResource.model_validate({"name": name, "member_id": member_id, **usual, **fields})


def claim(name: str, member_id: str = "", joined: str = "True") -> ResourceClaim:
    """What an EtcdMember says of its member."""
    return ResourceClaim(name=name, member_id=member_id, joined=joined)


def etcdmember(
    name: str,
    member_id: str = "",
    joined: str = "True",
    *,
    leave: bool = False,
    metadata: Mapping[str, Any] | None = None,
    **status: Any,
) -> dict[str, Any]:
    """An EtcdMember as API servers return it; without an ID and `status` its status is empty.

    Args:
        name: Its name.
        member_id: ID of the member that it says it is about.
        joined: What its condition Joined says.
        leave: `spec.leave`.
        metadata: Further metadata, or other ones.
        status: Further fields of its status, or other ones.
    """
    about = {"memberID": member_id, "peerAddress": "h", "conditions": [{"type": "Joined", "status": joined}]}
    return {
        "metadata": {"name": name, "uid": f"uid-{name}", "generation": 1, **(metadata or {})},
        "spec": {"leave": leave},
        "status": {**(about if member_id else {}), **status},
    }


def step(
    name: str = "check_leader", outcome: StepOutcome = StepOutcome.OBSERVED, note: str = "", **fields: object
) -> Step:
    """A step that took 12.4 ms on node0, but for `fields`."""
    usual = {"started": "2026-01-01T00:00:00.000Z", "milliseconds": 12.4, "attempts": 1, "node": "node0"}
    return Step.model_validate({"name": name, "outcome": outcome, "note": note, **usual, **fields})
