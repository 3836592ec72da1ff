"""Merge the views of several workers, none of which reaches all members, into one. Pure.

In stock k0s every etcd member listens only on its own node's loopback address. So only the worker of that node can ask
it (k0s `pkg/component/controller/etcd.go`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from etcd_handoff.cluster_view import MIXED_CLUSTERS, ClusterView, Doubt, MemberSelfReport, MemberView
from etcd_handoff.doubts import LISTS_DIFFER
from etcd_handoff.doubts.one_look import TWO_LISTS, TWO_ROLES, in_words

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ELSEWHERE: Final = "another node"
"""Stands for the node of a member that this worker does not reach."""


def node_of(member_name: str, nodes: Mapping[str, str]) -> str:
    """Return the node of a member: by the profile's table, else its own name."""
    return nodes.get(member_name, member_name)


def merged(  # noqa: PLR0913, PLR0917  # all that it follows from
    first: ClusterView,
    first_node: str,
    others: Mapping[str, ClusterView],
    silent: Mapping[str, str],
    nodes: Mapping[str, str],
    self_reports: Mapping[str, Sequence[MemberSelfReport]] | None = None,
) -> ClusterView:
    """Merge several views into one; return `first` itself when the others reach no further member.

    A member counts as seen by the worker that reaches it. All workers must see one cluster and give the same members:
    each of them has a linearizable list from its own member. A learner gives no such list, so its own status to the
    worker that reaches it must do. No other member counts by its own status alone.

    Args:
        first: The view of the worker that looked first.
        first_node: The node of that worker.
        others: The views of other workers, by their nodes.
        silent: Why nothing came from a node, by nodes.
        nodes: The profile's table of member names and nodes.
        self_reports: Members' own status from workers that saw no list, by nodes.
    """
    doubts = [*first.doubts]
    for node, view in sorted(others.items()):
        doubts += [doubt for doubt in (*_against(first, first_node, view, node), *view.doubts) if doubt not in doubts]
    agreeing = {node: view for node, view in sorted(others.items()) if view.cluster_id == first.cluster_id}
    words = sorted((self_reports or {}).items())
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
    """Complete a worker's own view with the members that it does not reach, as they were last seen.

    It stays the worker's own view when anything that it sees has changed since. That is the members, the leader or the
    term that one of them names, or a committed index that went back.

    Args:
        own: The worker's present view.
        seen: The merged view of the decision.
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
    """Return the member as this worker sees it, or as it was seen.

    Indexes are those of one moment, since lags are compared.
    """
    if seen is None:
        return own
    if own.reachable:
        return own.model_copy(update={"raft_index": seen.raft_index or own.raft_index})
    return seen.model_copy(update={"through_node": seen.through_node or ELSEWHERE})


def _roles(view: ClusterView) -> dict[str, bool]:
    """Return the members, and whether each is a learner."""
    return {m.id: m.is_learner for m in view.members}


def _listed(view: ClusterView) -> str:
    roles = _roles(view)
    return in_words(roles, [member_id for member_id, is_learner in roles.items() if is_learner])


def _index(view: ClusterView, member_id: str) -> int:
    member = view.member(member_id)
    return member.raft_index if member else 0


def _best(
    member: MemberView, others: Mapping[str, ClusterView], silent: Mapping[str, str], own_node: str
) -> MemberView:
    """Return the member as seen by a worker that reaches it.

    A view with linearizable reads comes first, then one from the member's own node.
    """
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


def _by_own_word(
    member: MemberView, cluster_id: str, words: Sequence[tuple[str, Sequence[MemberSelfReport]]]
) -> MemberView:
    """Return an unreached learner by its own status to the worker of its node."""
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


def _is_foreign(first: ClusterView, word: MemberSelfReport) -> bool:
    return word.cluster_id != first.cluster_id


def _foreign(first: ClusterView, first_node: str, node: str, word: MemberSelfReport) -> Doubt:
    """Return the doubt that a member of another cluster answers in place of one of this cluster."""
    return Doubt(
        kind=MIXED_CLUSTERS,
        text=f"the worker on {first_node} sees cluster {first.cluster_id}, and the worker on {node} hears of cluster"
        f" {word.cluster_id} from member {word.id}",
        remedy=f"correct the cluster profile on {node} or {first_node}, or stop what runs there",
        member_id=word.id,
    )


def _against(first: ClusterView, first_node: str, view: ClusterView, node: str) -> list[Doubt]:
    """Return the contradictions between another worker's view and the first one."""
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
            remedy=TWO_LISTS if _roles(first).keys() != _roles(view).keys() else TWO_ROLES,
        )
    ]
