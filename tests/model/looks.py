"""What a look at a cluster of the model shows, put together as the gateway does it from everybody's answers."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from etcd_handoff.cluster_view import ClusterView, MemberView
from etcd_handoff.doubts import Answer, contradictions

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.model.cluster import Cluster
    from tests.model.members import Member

FOREIGN: Final = "dead"
"""ID of another cluster, which has a member of the target's name."""
FOREIGN_IDS: Final = ("dead1", "dead2")


def true_look(cluster: Cluster, from_id: str = "") -> ClusterView:
    """The members, by their own list, and everybody's answers; or those of one of them alone."""
    members = cluster.members.values()
    given = [answer for answer in answers(cluster) if from_id in ("", answer.member_id)]
    return _view(cluster.cluster_id, (_seen(cluster, m) for m in members), given)


def foreign_look(cluster: Cluster, *, alone: bool) -> ClusterView:
    """Another cluster's two members, of which the second has the target's name; all is well there."""
    names = ("elsewhere", cluster.target)
    members = [
        _well(member_id, name, FOREIGN_IDS[0], term=99, index=10 * cluster.index)
        for member_id, name in zip(FOREIGN_IDS, names, strict=True)
    ]
    listed = frozenset(FOREIGN_IDS)
    foreign = [Answer(f"endpoint of {i}", FOREIGN, i, listed) for i in FOREIGN_IDS]
    return _view(FOREIGN, members, foreign + ([] if alone else answers(cluster)))


def half_a_look(cluster: Cluster, lone: Member) -> ClusterView:
    """One voter that was forced into a cluster of its own, and what the others answer beside it."""
    others = [answer for answer in answers(cluster) if answer.member_id != lone.id]
    return lone_look(cluster, lone, others)


def lone_look(cluster: Cluster, lone: Member, others: Iterable[Answer] = ()) -> ClusterView:
    """What it says itself: it lists itself, and goes on from where it was."""
    alone = _well(lone.id, lone.name, lone.id, term=cluster.term + 1, index=cluster.index + 1)
    mine = Answer(f"endpoint of {lone.id}", cluster.cluster_id, lone.id, frozenset({lone.id}))
    return _view(cluster.cluster_id, [alone], [mine, *others])


def one_answer(cluster: Cluster, lone: Member) -> ClusterView:
    """What it says itself, and the endpoints of all others are silent."""
    return lone_look(cluster, lone).model_copy(update={"endpoints": len(cluster.members), "answering": 1})


def forgetful_look(cluster: Cluster, forgetful: Member) -> ClusterView:
    """The list of a voter that takes another one for a learner, and what the others answer beside it."""
    others = [m for m in cluster.members.values() if m.voter and m not in (forgetful, cluster.leaving)]
    victim = min(others, key=lambda m: m.well).id if others else ""
    members = [_seen(cluster, m) for m in cluster.members.values()]
    listed = [
        m.model_copy(update={"is_learner": True, "serves_reads": False}) if m.id == victim else m for m in members
    ]
    learners = frozenset(m.id for m in listed if m.is_learner)
    given = [
        replace(answer, learners=learners) if answer.member_id == forgetful.id else answer
        for answer in answers(cluster)
    ]
    return _view(cluster.cluster_id, listed, given)


def answers(cluster: Cluster) -> list[Answer]:
    """What each process answers that runs; who has left and does not know it gives no list."""
    listed, learners = frozenset(cluster.members), frozenset(m.id for m in cluster.members.values() if not m.voter)
    return [
        *(
            Answer(f"endpoint of {m.id}", cluster.cluster_id, m.id, listed if m.well and m.voter else None, learners)
            for m in cluster.members.values()
            if m.alive
        ),
        *(Answer(f"endpoint of {i}", cluster.cluster_id, i) for i in sorted(cluster.running_on)),
    ]


def _view(cluster_id: str, members: Iterable[MemberView], given: list[Answer]) -> ClusterView:
    sorted_members = tuple(sorted(members, key=lambda m: int(m.id, 16)))
    learners = [m.id for m in sorted_members if m.is_learner]
    doubts = contradictions(cluster_id, [m.id for m in sorted_members], given, learners)
    return ClusterView(cluster_id=cluster_id, members=sorted_members, doubts=doubts)


def _seen(cluster: Cluster, member: Member) -> MemberView:
    leader_id, term, index = member.memory or cluster.standing
    return MemberView(
        id=member.id,
        name=member.name,
        peer_urls=(f"http://{member.id}:2380",),
        is_learner=not member.voter,
        reachable=member.alive,
        serves_reads=member.well and member.voter,
        leader_id=(leader_id or None) if member.alive else None,
        term=term if member.alive else 0,
        raft_index=index - member.lag if member.alive else 0,
    )


def _well(member_id: str, name: str, leader_id: str, term: int, index: int) -> MemberView:
    return MemberView(
        id=member_id, name=name, reachable=True, serves_reads=True, leader_id=leader_id, term=term, raft_index=index
    )
