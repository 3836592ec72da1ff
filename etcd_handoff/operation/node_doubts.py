"""Find doubts in the answers of several nodes' workers, where each sees only its own member. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from etcd_handoff import doubts
from etcd_handoff.cluster_view import Doubt
from etcd_handoff.merged_view import node_of

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from etcd_handoff.activity_io import DataOwner, StepResult
    from etcd_handoff.cluster_view import ClusterView

UNSETTLED: Final = "start workers on the others, or start the operation again if these have left"
"""Remedy for lists that contradicted each other, when no worker is left to settle which is right."""


def confirmed_by_most(
    view: ClusterView,
    agreeing: Collection[str],
    unheard: Collection[str],
    owners: Mapping[str, DataOwner] | None = None,
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
        owners: Owners of the etcd data, by nodes whose workers saw no list.
        unlisted: Temporal did not say which workers there are.
    """
    owners = owners or {}
    same = sorted(n for n, of in owners.items() if of.cluster_id == view.cluster_id and view.member(of.member_id))
    silent = sorted(set(unheard) - set(agreeing))
    otherwise = sorted(node for node, of in owners.items() if of.cluster_id != view.cluster_id)
    if not unlisted and len(silent) + len(otherwise) < len(agreeing) + len(same):
        return view
    workers = ", ".join(sorted(agreeing))
    facts = [f"only the worker on {workers} speaks of cluster {view.cluster_id}"]
    remedies = [f'if this is the right cluster, set cluster_id = "{view.cluster_id}" in the profile']
    if same:
        facts.append(f"the etcd data on {', '.join(same)} belong to it")
    if unlisted:
        facts.append("Temporal did not say in time which other workers there are")
        remedies = ["wait for the next look", *remedies]
    elif silent:
        facts.append(f"the workers on {', '.join(silent)} gave no answer, though Temporal lists them")
        remedies = ["start these workers; Temporal lists one that has ended for about a minute", *remedies]
    facts += [f"the etcd data on {node} belong to cluster {owners[node].cluster_id}" for node in otherwise]
    if otherwise:
        remedies.append(f"or move the etcd data on {', '.join(otherwise)} away")
        remedies.append(f"if it is not, stop the worker on {workers} and start etcd on {', '.join(otherwise)}")
    doubt = Doubt(kind=doubts.WRONG_CLUSTER, text=", and ".join(facts), remedy="; ".join(remedies))
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
