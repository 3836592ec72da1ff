"""What may be believed of a look at a cluster: the one place where answers are held against each other. Pure.

A member list counts only while nothing contradicts it. `contradictions` compares the answers of one look;
`contradiction` adds what was known before: which cluster is meant, and how far it had come. Everything that concludes
something from a view asks `contradiction` first: the planner, the reconciler of EtcdMembers, the command line.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from etcd_handoff.cluster_view import MIXED_CLUSTERS, Doubt
from etcd_handoff.wire import Message

if TYPE_CHECKING:
    from collections.abc import Collection, Container, Iterable, Sequence

    from etcd_handoff.cluster_view import ClusterView

WRONG_CLUSTER: Final = "WrongCluster"
LISTS_DIFFER: Final = "ListsDiffer"
UNLISTED_MEMBER: Final = "UnlistedMember"
ZERO_ID: Final = "ZeroId"
CLUSTER_CHANGED: Final = "ClusterChanged"
CLUSTER_RESTORED: Final = "ClusterRestored"
RESOURCES_DISAGREE: Final = "ResourcesDisagree"
OLD_ETCD: Final = "OldEtcd"

OLDEST_ETCD: Final = (3, 5)
"""MemberListRequest has the field `linearizable` from 3.5 on (etcd `api/etcdserverpb/rpc.proto`)."""
INDEX_SLACK: Final = 10_000
"""A new leader may know for a moment of some entries less to be committed than the old one did: of those that it had
written and the old leader had not yet heard of. At 50,000 entries per second and 100 ms for an fsync these are 5,000.
"""
INDEX_FLOOR: Final = 100
"""From this raft index on a leader that stands at less than half of it has lost its log: a restored member's log starts
anew (etcd `etcdutl/snapshot/v3_snapshot.go`, saveWALAndSnap)."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What one endpoint answered within a look; endpoints that did not answer are left out.

    Attributes:
        endpoint: How to speak of the endpoint, without its address: `endpoint 2 of the profile`.
        cluster_id: Cluster ID in the header.
        member_id: Member that answered, by the header.
        listed: IDs of its own linearizable member list; None when it gave none.
    """

    endpoint: str
    cluster_id: str
    member_id: str
    listed: frozenset[str] | None = None


class Binding(Message):
    """The cluster that is meant, and the furthest that it has been seen.

    Attributes:
        cluster_id: Cluster ID; empty while nothing is known.
        term: Highest term at which a leader was agreed. It never goes back in a living cluster.
        raft_index: Highest committed index of an agreed leader.
    """

    cluster_id: str = ""
    term: int = 0
    raft_index: int = 0


class ResourceClaim(Message):
    """What an EtcdMember says of who is a member.

    Attributes:
        name: Name of the EtcdMember.
        member_id: The ID in its status; empty when it has none.
        joined: Its condition Joined: `True`, `False` or `Unknown`.
    """

    name: str
    member_id: str = ""
    joined: str = "Unknown"


def contradictions(cluster_id: str, listed: Collection[str], answers: Sequence[Answer]) -> tuple[Doubt, ...]:
    """What the answers of one look hold against the list that was taken from one of them.

    Args:
        cluster_id: Cluster ID of that list.
        listed: Its member IDs.
        answers: Everybody's answers; the one with that list need not be among them.
    """
    doubts = [*_zero_ids(cluster_id, listed, answers)]
    for answer in answers:
        if answer.cluster_id != cluster_id:
            doubts.append(_foreign(cluster_id, answer))
        elif answer.member_id not in listed:
            doubts.append(_unlisted(answer))
    givers = {frozenset(listed): list[str]()}
    for answer in answers:
        if answer.listed is not None and answer.cluster_id == cluster_id:
            givers.setdefault(answer.listed, []).append(answer.member_id)
    if len(givers) > 1:
        doubts.append(_differ(givers))
    return tuple(doubts)


def contradiction(view: ClusterView, binding: Binding, departed: Container[str] = ()) -> Doubt | None:
    """Why nothing may be concluded from this view; None when nothing contradicts it.

    Args:
        view: What was seen.
        binding: The cluster that is meant.
        departed: Members that are known to leave or to have left. One of them may still run without being listed, as
            long as it gives no linearizable list of its own.
    """
    for doubt in view.doubts:
        if not (doubt.by_status_alone and doubt.member_id in departed):
            return doubt
    if old := [f"{m.label} runs {m.version}" for m in view.members if _older(m.version, OLDEST_ETCD)]:
        return Doubt(
            kind=OLD_ETCD,
            text=f"etcd below 3.5 gives no linearizable member list: {', '.join(old)}",
            remedy="upgrade etcd first",
            lasting=True,
        )
    if binding.cluster_id and view.cluster_id != binding.cluster_id:
        return Doubt(
            kind=CLUSTER_CHANGED,
            text=f"the endpoints now answer for cluster {view.cluster_id}, cluster {binding.cluster_id} is meant",
            remedy="check the endpoints of the cluster profile, then start again",
            lasting=True,
        )
    return _restored(view, binding)


def silent_outsiders(view: ClusterView) -> tuple[str, ...]:
    """Unlisted members that answer and give no list of their own: as a rule they have left and still run.

    They speak against a change, since one of them may be right; but nobody claims another list than the one in view.
    """
    return tuple(doubt.member_id for doubt in view.doubts if doubt.by_status_alone)


def bound(binding: Binding, view: ClusterView) -> Binding:
    """The binding after this view, which nothing contradicts."""
    leadership = view.leadership
    if leadership is None:
        return binding if binding.cluster_id else binding.model_copy(update={"cluster_id": view.cluster_id})
    leader = view.member(leadership.id)
    return Binding(
        cluster_id=view.cluster_id,
        term=max(binding.term, leadership.term),
        raft_index=max(binding.raft_index, leader.raft_index if leader else 0),
    )


def witness(view: ClusterView, claims: Iterable[ResourceClaim]) -> Doubt | None:
    """EtcdMembers as a second witness of which cluster this is: a doubt when all with Joined=True speak of others."""
    joined = [claim for claim in claims if claim.joined == "True" and claim.member_id]
    if not joined or any(view.member(claim.member_id) for claim in joined):
        return None
    spoken = ", ".join(f"{claim.name} of {claim.member_id}" for claim in joined)
    members = ", ".join(f"{m.label} ({m.id})" for m in view.members)
    return Doubt(
        kind=RESOURCES_DISAGREE,
        text=f"no EtcdMember that says Joined=True speaks of a member of cluster {view.cluster_id}:"
        f" EtcdMembers speak of {spoken}, members are {members}",
        remedy="check that etcd endpoints and Kubernetes contexts of the profile belong together; when this is the"
        " right cluster, set cluster_id in the profile, or run `etcd-handoff watch resync --confirm`",
    )


def expected(view: ClusterView, cluster_id: str) -> ClusterView:
    """The view, in doubt when the profile names another cluster."""
    if not cluster_id or view.cluster_id == cluster_id:
        return view
    doubt = Doubt(
        kind=WRONG_CLUSTER,
        text=f"the profile's cluster_id is {cluster_id}, its endpoints answer for {view.cluster_id}",
        remedy="correct the endpoints or the cluster_id of the cluster profile",
    )
    return view.model_copy(update={"doubts": (doubt, *view.doubts)})


def _zero_ids(cluster_id: str, listed: Collection[str], answers: Sequence[Answer]) -> list[Doubt]:
    zero = [a.endpoint for a in answers if "0" in {a.cluster_id, a.member_id, *(a.listed or ())}]
    if "0" not in {cluster_id, *listed} and not zero:
        return []
    return [
        Doubt(
            kind=ZERO_ID,
            text=f"an ID is 0, which etcd never gives: {', '.join(dict.fromkeys(zero)) or 'the member list'}",
            remedy="ask etcd's own members, and not something that stands in for them",
        )
    ]


def _foreign(cluster_id: str, answer: Answer) -> Doubt:
    return Doubt(
        kind=MIXED_CLUSTERS,
        text=f"the member list is of cluster {cluster_id}, and {answer.endpoint} answers for cluster"
        f" {answer.cluster_id} (member {answer.member_id})",
        remedy="take the endpoint of the other cluster out of the cluster profile, or stop the member that runs there",
        member_id=answer.member_id,
    )


def _unlisted(answer: Answer) -> Doubt:
    """A member that runs and is not listed; one that does not list itself either agrees that it is out."""
    claims = answer.listed is not None and answer.member_id in answer.listed
    how = f"lists {_ids(answer.listed or ())}" if claims else "answers, but gives no member list that it is in"
    return Doubt(
        kind=UNLISTED_MEMBER,
        text=f"member {answer.member_id} ({answer.endpoint}) {how}, and is not in the member list of the others",
        remedy="stop it if it has left the cluster; else find out which side is right before anything is changed",
        member_id=answer.member_id,
        by_status_alone=not claims,
    )


def _differ(givers: dict[frozenset[str], list[str]]) -> Doubt:
    """Linearizable lists that differ, each with the members that gave it."""
    sides = "; ".join(
        f"{f'member {_ids(by)} lists' if by else 'the member list is'} {_ids(listed)}" for listed, by in givers.items()
    )
    return Doubt(
        kind=LISTS_DIFFER,
        text=f"members give different linearizable member lists: {sides}",
        remedy="another membership change may just be going on; when it stays, one side was started with"
        " --force-new-cluster or restored: stop the wrong one",
    )


def _ids(member_ids: Iterable[str]) -> str:
    return ", ".join(sorted(member_ids)) or "nobody"


def _older(version: str, oldest: tuple[int, int]) -> bool:
    """Whether a version such as `3.4.23` is below `oldest`; what cannot be read is not."""
    parts = version.split(".")[:2]
    return len(parts) == len(oldest) and all(p.isdecimal() for p in parts) and tuple(map(int, parts)) < oldest


def _restored(view: ClusterView, binding: Binding) -> Doubt | None:
    leadership = view.leadership
    leader = view.member(leadership.id) if leadership else None
    if leadership is None or leader is None:
        return None
    index, before = leader.raft_index, binding.raft_index
    # Where several workers looked, the leader may have been seen at another moment than those who name it.
    leads = not view.merged or (leader.leader_id, leader.term) == (leadership.id, leadership.term)
    fell_back = (
        leader.reachable and leads and (index + INDEX_SLACK < before or (before >= INDEX_FLOOR and 2 * index < before))
    )
    if leadership.term >= binding.term and not fell_back:
        return None
    return Doubt(
        kind=CLUSTER_RESTORED,
        text=f"cluster {view.cluster_id} stood at term {binding.term}, index {before}, and now stands at term"
        f" {leadership.term}, index {index}: it was restored or made anew",
        remedy="what was ordered before a restore counts no more: check the cluster, then order it again",
        lasting=True,
    )
