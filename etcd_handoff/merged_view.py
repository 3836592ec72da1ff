"""One view of a cluster from what several workers saw, none of which reaches all members. Pure.

Stock k0s has every etcd member listen on its own node's loopback address alone, so the worker of that node is the only
one that can ask it (k0s `pkg/component/controller/etcd.go`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from etcd_handoff.cluster_view import MIXED_CLUSTERS, ClusterView, Doubt, HeardMember, MemberView
from etcd_handoff.doubts import LISTS_DIFFER
from etcd_handoff.doubts.one_look import TWO_LISTS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ELSEWHERE: Final = "another node"
"""Who reaches a member that this worker does not."""


def node_of(member_name: str, nodes: Mapping[str, str]) -> str:
    """The node of a member: what the profile's table says, else its own name."""
    return nodes.get(member_name, member_name)


def merged(  # noqa: PLR0913, PLR0917  # all that it follows from
    first: ClusterView,
    first_node: str,
    others: Mapping[str, ClusterView],
    silent: Mapping[str, str],
    nodes: Mapping[str, str],
    heard: Mapping[str, Sequence[HeardMember]] | None = None,
) -> ClusterView:
    """One view out of several; `first` itself when the others reach nobody whom it lacks.

    A member counts as the worker saw it that reaches it. All workers must speak of one cluster and give the same
    members: each of them has a linearizable list from its own member. A learner gives no such list, so its own word to
    the worker that reaches it is all that can be had; nobody else counts by his word alone.

    Args:
        first: What the worker saw that looked first.
        first_node: The node of that worker.
        others: What other workers saw, by their nodes.
        silent: Why nothing came from a node, by nodes.
        nodes: The profile's table of member names and nodes.
        heard: What members said of themselves to workers that saw no list, by nodes.
    """
    doubts = [*first.doubts]
    for node, view in sorted(others.items()):
        doubts += [doubt for doubt in (*_against(first, first_node, view, node), *view.doubts) if doubt not in doubts]
    agreeing = {node: view for node, view in sorted(others.items()) if view.cluster_id == first.cluster_id}
    words = sorted((heard or {}).items())
    doubts += [
        _foreign(first, first_node, node, word) for node, own in words for word in own if _is_foreign(first, word)
    ]
    members = tuple(_best(member, agreeing, silent, node_of(member.name, nodes)) for member in first.members)
    members = tuple(_by_own_word(member, first.cluster_id, words) for member in members)
    if any(member.through_node for member in members):
        members = tuple(_through(member, first_node) for member in members)
    alarms = {alarm for view in (first, *agreeing.values()) for alarm in view.alarms}
    alarms |= {alarm for _, own in words for word in own if not _is_foreign(first, word) for alarm in word.alarms}
    return first.model_copy(
        update={
            "members": members,
            "doubts": tuple(doubts),
            "alarms": tuple(sorted(alarms, key=lambda alarm: (alarm.member_id, alarm.kind))),
        }
    )


def completed(own: ClusterView, seen: ClusterView) -> ClusterView:
    """A worker's own view, with the members that it does not reach as they were seen a moment ago.

    It is its own view alone when anything that it sees itself has changed since: the members, the leader or the term
    that one of them names, or a committed index that went back.

    Args:
        own: What the worker sees now.
        seen: The merged view that a decision stands on.
    """
    agreed, reached = seen.leadership, [m for m in own.members if m.reachable]
    same_members = own.cluster_id == seen.cluster_id and _roles(own) == _roles(seen)
    if agreed is None or not same_members or not reached or own.doubts:
        return own
    if any(not m.is_learner and (m.leader_id, m.term) != (agreed.id, agreed.term) for m in reached):
        return own
    if any(m.raft_index < _index(seen, m.id) for m in reached):
        return own
    members = tuple(_of_one_moment(m, seen.member(m.id)) for m in own.members)
    return own.model_copy(update={"members": members})


def _of_one_moment(own: MemberView, seen: MemberView | None) -> MemberView:
    """The member as this worker sees it, or as it was seen.

    Indexes are those of one moment, since lags are compared.
    """
    if seen is None:
        return own
    if own.reachable:
        return own.model_copy(update={"raft_index": seen.raft_index or own.raft_index})
    return seen.model_copy(update={"through_node": seen.through_node or ELSEWHERE})


def _roles(view: ClusterView) -> dict[str, bool]:
    """Who is a member, and whether as a learner."""
    return {m.id: m.is_learner for m in view.members}


def _listed(view: ClusterView) -> str:
    return ", ".join(f"{m.id}{' (learner)' if m.is_learner else ''}" for m in view.members)


def _index(view: ClusterView, member_id: str) -> int:
    member = view.member(member_id)
    return member.raft_index if member else 0


def _best(
    member: MemberView, others: Mapping[str, ClusterView], silent: Mapping[str, str], own_node: str
) -> MemberView:
    """The member as somebody sees it who reaches it: the worker on its own node before all others."""
    if member.reachable:
        return member
    seen = {node: found for node, view in others.items() if (found := view.member(member.id)) and found.reachable}
    best = max(seen, key=lambda node: (seen[node].serves_reads, node == own_node), default="")
    if best:
        return seen[best].model_copy(update={"through_node": best})
    why = silent.get(own_node, "")
    if not why and own_node in others:
        why = f"the worker on {own_node} does not reach it either"
    return member.model_copy(update={"note": "; ".join(text for text in (member.note, why) if text)}) if why else member


def _through(member: MemberView, first_node: str) -> MemberView:
    return (
        member
        if member.through_node or not member.reachable
        else member.model_copy(update={"through_node": first_node})
    )


def _by_own_word(member: MemberView, cluster_id: str, words: Sequence[tuple[str, Sequence[HeardMember]]]) -> MemberView:
    """A learner that nobody reaches who has a list, as it described itself to the worker of its node."""
    if member.reachable or not member.is_learner:
        return member
    statements = ((node, word) for node, own in words for word in own)
    found = next(((node, w) for node, w in statements if (w.cluster_id, w.id) == (cluster_id, member.id)), None)
    if found is None:
        return member
    node, word = found
    own_alarms = tuple(alarm.kind for alarm in word.alarms if alarm.member_id == member.id)
    return member.model_copy(
        update={
            "reachable": True,
            "leader_id": word.leader_id,
            "term": word.term,
            "raft_index": word.raft_index,
            "version": word.version,
            "db_size_bytes": word.db_size_bytes,
            "alarms": tuple(dict.fromkeys((*member.alarms, *own_alarms))),
            "through_node": node,
            "note": ", ".join(own_alarms),
        }
    )


def _is_foreign(first: ClusterView, word: HeardMember) -> bool:
    return word.cluster_id != first.cluster_id


def _foreign(first: ClusterView, first_node: str, node: str, word: HeardMember) -> Doubt:
    """A member of another cluster answers where a member of this one should."""
    return Doubt(
        kind=MIXED_CLUSTERS,
        text=f"the worker on {first_node} sees cluster {first.cluster_id}, and the worker on {node} hears of cluster"
        f" {word.cluster_id} from member {word.id}",
        remedy=f"correct the cluster profile on {node} or {first_node}, or stop what runs there",
        member_id=word.id,
    )


def _against(first: ClusterView, first_node: str, view: ClusterView, node: str) -> list[Doubt]:
    """What another worker's view holds against the first one's."""
    if view.cluster_id != first.cluster_id:
        return [
            Doubt(
                kind=MIXED_CLUSTERS,
                text=f"the worker on {first_node} sees cluster {first.cluster_id}, and the worker on {node} sees"
                f" cluster {view.cluster_id}",
                remedy=f"correct the cluster profile on {node} or {first_node}, or stop what runs there",
            )
        ]
    if _roles(first) == _roles(view):
        return []
    return [
        Doubt(
            kind=LISTS_DIFFER,
            text=f"workers see different member lists: {first_node} {_listed(first)}; {node} {_listed(view)}",
            remedy=TWO_LISTS,
        )
    ]
