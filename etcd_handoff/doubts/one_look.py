"""Compare the answers of one look with each other. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from etcd_handoff.cluster_view import MIXED_CLUSTERS, Doubt
from etcd_handoff.doubts.kinds import LISTS_DIFFER, UNLISTED_MEMBER, ZERO_ID

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from etcd_handoff.cluster_view import ClusterView

TWO_LISTS: Final = (
    "wait, as a membership change may be under way; if this lasts, one side was started with --force-new-cluster or"
    " restored: stop the side that clients do not use"
)
"""Remedy for member lists that differ."""
TWO_ROLES: Final = (
    "wait, as a promotion may be under way; if this lasts, a member may have forgotten a promotion, as etcd below"
    " 3.5.24 and 3.6 below 3.6.4 can: upgrade all members to the newest etcd of their release"
)
"""Remedy for member lists that have the same members, and not the same voters."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer of one endpoint within a look; endpoints that did not answer are left out.

    Attributes:
        endpoint: The endpoint for people, without its address: `endpoint 2 of the profile`.
        cluster_id: Cluster ID in the header.
        member_id: Member that answered, by the header.
        listed: IDs of its own linearizable member list; None when it gave none.
        learners: Those of them without a vote.
    """

    endpoint: str
    cluster_id: str
    member_id: str
    listed: frozenset[str] | None = None
    learners: frozenset[str] = frozenset()


class _List(NamedTuple):
    """A member list; one that takes a learner for a voter miscounts the quorum."""

    ids: frozenset[str]
    learners: frozenset[str]


def contradictions(
    cluster_id: str, listed: Collection[str], answers: Sequence[Answer], learners: Collection[str] = ()
) -> tuple[Doubt, ...]:
    """Return the doubts about a list, from all answers of its look.

    Args:
        cluster_id: Cluster ID of that list.
        listed: Its member IDs.
        answers: All answers; the one with that list need not be among them.
        learners: Members of that list without a vote.
    """
    doubts = [*_zero_ids(cluster_id, listed, answers)]
    for answer in answers:
        if answer.cluster_id != cluster_id:
            doubts.append(_foreign(cluster_id, answer))
        elif answer.member_id not in listed:
            doubts.append(_unlisted(answer))
    givers = {_List(frozenset(listed), frozenset(learners)): list[str]()}
    for answer in answers:
        if answer.listed is not None and answer.cluster_id == cluster_id:
            givers.setdefault(_List(answer.listed, answer.learners), []).append(answer.member_id)
    if len(givers) > 1:
        doubts.append(_differ(givers))
    return tuple(doubts)


def silent_outsiders(view: ClusterView) -> tuple[str, ...]:
    """Return unlisted members that answer and give no list: as a rule they have left and still run.

    They contradict a change, since one of them may be right. But no member claims another list than the one in view.
    """
    return tuple(doubt.member_id for doubt in view.doubts if doubt.by_status_alone)


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
        remedy="remove the endpoint of the other cluster from the cluster profile, or stop the member that runs there",
        member_id=answer.member_id,
    )


def _unlisted(answer: Answer) -> Doubt:
    """Return the doubt about a member that runs and is not listed.

    One that does not list itself either agrees that it has left.
    """
    claims = answer.listed is not None and answer.member_id in answer.listed
    how = f"lists {_ids(answer.listed or ())}" if claims else "answers, but gives no member list that it is in"
    return Doubt(
        kind=UNLISTED_MEMBER,
        text=f"member {answer.member_id} ({answer.endpoint}) {how}, and is not in the member list of the others",
        remedy="stop it if it has left the cluster; else find out which side is right before anything is changed",
        member_id=answer.member_id,
        by_status_alone=not claims,
    )


def _differ(givers: dict[_List, list[str]]) -> Doubt:
    """Return the doubt about linearizable lists that differ, each with the members that gave it."""
    sides = "; ".join(
        f"{f'member {_ids(by)} lists' if by else 'the member list is'} {in_words(one.ids, one.learners)}"
        for one, by in givers.items()
    )
    return Doubt(
        kind=LISTS_DIFFER,
        text=f"members give different linearizable member lists: {sides}",
        remedy=TWO_LISTS if len({one.ids for one in givers}) > 1 else TWO_ROLES,
    )


def in_words(member_ids: Iterable[str], learners: Collection[str]) -> str:
    """`a1, a2 (learner)`."""
    return _ids(f"{i} (learner)" if i in learners else i for i in member_ids)


def _ids(member_ids: Iterable[str]) -> str:
    return ", ".join(sorted(member_ids)) or "nobody"
