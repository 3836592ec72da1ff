"""Make the removal that the orders on an EtcdMember ask for. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from etcd_handoff.annotations import LEAVE_ANNOTATION
from etcd_handoff.contract import workflow_id
from etcd_handoff.reconciler import leave_orders
from etcd_handoff.reconciler.state import RunningRemoval

if TYPE_CHECKING:
    from etcd_handoff.cluster_view import ClusterView
    from etcd_handoff.reconciler.member_resources import MemberResource
    from etcd_handoff.reconciler.state import LeaveOrder, ReconcilerState


def ordered_removal(
    state: ReconcilerState, cluster: str, resource: MemberResource, view: ClusterView
) -> RunningRemoval | None:
    """Return the removal that an EtcdMember asks for; None when it asks for none. Its annotation comes first.

    Args:
        state: The reconciler's state.
        cluster: Cluster profile.
        resource: The EtcdMember.
        view: The member list.
    """
    by_annotation = state.annotated.get(resource.uid) if resource.annotation else None
    by_flag = state.orders.get(resource.uid)
    return _removal(by_annotation, f"annotation {LEAVE_ANNOTATION}", cluster, resource, view) or _removal(
        by_flag, "spec.leave", cluster, resource, view
    )


def _removal(
    order: LeaveOrder | None, what: str, cluster: str, resource: MemberResource, view: ClusterView
) -> RunningRemoval | None:
    member = leave_orders.member_to_remove(order, resource, view)
    if order is None or member is None:
        return None
    return RunningRemoval(
        uid=resource.uid,
        resource=resource.name,
        generation=resource.generation,
        member_id=member.member_id,
        label=member.label,
        workflow_id=workflow_id(cluster, member.label),
        source=what,
        requester=order.asked_by,
        since=order.since,
    )
