"""Find doubts in the answers of several nodes' workers, where each sees only its own member. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from etcd_handoff import doubts
from etcd_handoff.cluster_view import Doubt
from etcd_handoff.merged_view import node_of

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from etcd_handoff.activity_io import DataOwner, StepResult
    from etcd_handoff.cluster_view import ClusterView

UNSETTLED: Final = "start workers on the others, or start the operation again if these have left"
"""Remedy for lists that contradicted each other, when no worker is left to settle which is right."""


class DataOnNodes(NamedTuple):
    """What is known of the etcd data on nodes whose workers saw no member list.

    Attributes:
        owners: Whose data they are, by node.
        unread: Why they could not be read, by node.
    """

    owners: dict[str, DataOwner]
    unread: dict[str, str]

    @property
    def not_read(self) -> list[str]:
        """Which data could not be read, one sentence each."""
        return [f"the etcd data on {node} do not count: {why}" for node, why in sorted(self.unread.items())]


def confirmed_by_most(
    view: ClusterView,
    agreeing: Collection[str],
    unheard: Collection[str],
    data: DataOnNodes | None = None,
    *,
    unlisted: bool = False,
) -> ClusterView:
    """Return the view, in doubt where too few nodes confirm its cluster.

    This is for a look that has to find out which cluster is meant. A node that was set up anew has its own API server,
    so its EtcdMembers agree with its list. The members of other nodes may be down or have left: their data still tell
    of which cluster they were. The first member of a cluster that is set up anew may give it the old ID (etcd
    `server/etcdserver/api/membership/cluster.go`, genID). So data count for a list only if it has their member.

    Args:
        view: The list.
        agreeing: Nodes whose workers gave it, at least one.
        unheard: Nodes whose workers Temporal lists and that gave no answer, whether or not they were asked.
        data: The etcd data on nodes whose workers saw no list.
        unlisted: Temporal did not say which workers there are.
    """
    owners, unread = (data.owners, data.not_read) if data else ({}, [])
    own = {node: owner.member_id for node, owner in sorted(owners.items()) if owner.cluster_id == view.cluster_id}
    same = [node for node, member_id in own.items() if view.member(member_id)]
    silent, otherwise = sorted(set(unheard) - set(agreeing)), sorted(owners.keys() - own.keys())
    if not unlisted and len(silent) + len(otherwise) < len(agreeing) + len(same):
        return view
    seen_from = ", ".join(sorted(agreeing))
    speak = f"the worker on {seen_from} reports" if len(agreeing) == 1 else f"the workers on {seen_from} report"
    facts = [f"only {speak} cluster {view.cluster_id}"]
    right = f'if this is the right cluster, set cluster_id = "{view.cluster_id}" in the profile'
    remedies = []
    if same:
        facts.append(f"the etcd data on {', '.join(same)} belong to it")
    if unlisted:
        facts.append("Temporal did not say in time which other workers there are")
        remedies.append("wait for the next look")
    elif silent:
        facts.append(f"the workers on {', '.join(silent)} gave no answer, though Temporal lists them")
        remedies.append("start these workers; Temporal lists one that has ended for about a minute")
    facts += [f"the etcd data on {node} belong to cluster {owners[node].cluster_id}" for node in otherwise]
    facts += [f"those on {n} belong to member {m}, which is not listed" for n, m in own.items() if n not in same]
    if otherwise:
        there = ", ".join(otherwise)
        right = f"{right} or move the etcd data on {there} away"
        right = f"{right}; if it is not, stop the worker on {seen_from} and start etcd on {there}"
    doubt = Doubt(
        kind=doubts.WRONG_CLUSTER, text=", and ".join([*facts, *unread]), remedy="; ".join([*remedies, right])
    )
    return view.model_copy(update={"doubts": (*view.doubts, doubt)})


def confirmed_by_its_worker(report: StepResult) -> StepResult:
    """Return the look of one worker, in doubt as long as Temporal lists others that gave no answer."""
    if report.view is None:
        return report
    unheard = set(report.worker_nodes) - {report.step.node}
    view = confirmed_by_most(report.view, {report.step.node}, unheard, unlisted=report.workers_unlisted)
    return report.model_copy(update={"view": view})


def unconfirmed(report: StepResult, agreeing: Collection[str], known: Collection[str], table: Mapping[str, str]) -> str:
    """Return why a list does not settle which of two is right; empty where it does.

    This concerns workers that each see only their own member. A member that was forced into a new cluster lists no
    other member. So where the list lacks a node of the last view, most nodes of that view have to confirm it. A node
    that contradicted it may have lost its worker meanwhile.

    Args:
        report: The look of all workers that answered.
        agreeing: Nodes whose workers gave this list.
        known: Nodes of the last view, without those of members that are to leave.
        table: Nodes of members that are named otherwise.
    """
    if report.view is None or doubts.contradiction(report.view, doubts.Binding()):
        return ""  # what contradicts it tells more
    missing = sorted(set(known) - {node_of(m.name, table) for m in report.view.members})
    confirm = sorted(set(agreeing) & set(known))
    if not missing or 2 * len(confirm) > len(known):
        return ""
    return (
        f"the list of the worker on {', '.join(sorted(agreeing))} lacks {', '.join(missing)}, which only"
        f" {', '.join(confirm) or 'that worker'} of {', '.join(sorted(known))} says; {UNSETTLED}"
    )


def far_nodes(report: StepResult) -> tuple[str, ...]:
    """Return the nodes whose workers a view relies on; none where one worker reaches all members."""
    return tuple(sorted({m.through_node for m in report.view.members} - {""})) if report.view else ()
