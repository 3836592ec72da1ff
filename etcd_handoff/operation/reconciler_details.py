"""What the Temporal Web UI shows of a reconciler, as Markdown. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from etcd_handoff.operation.member_resources import MemberResource
    from etcd_handoff.operation.reconciler_state import LeaveOrder, ReconcilerStatus


def details(status: ReconcilerStatus, *, installed: bool) -> str:
    """The page: trouble first, then all EtcdMembers, then what was corrected.

    Args:
        status: What the query answers.
        installed: The API servers serve EtcdMembers.
    """
    lines = [f"### EtcdMembers of cluster {status.cluster}", ""]
    if status.trouble:
        lines += [f"**Trouble:** {status.trouble}", ""]
    if not installed:
        lines += ["The API servers do not serve EtcdMembers: install `deploy/crd.yaml`.", ""]
    orders = {order.uid: order for order in status.orders}
    lines += [_line(resource, orders) for resource in status.members]
    if status.repaired:
        lines += ["", "**Corrected**", "", *(f"- {text}" for text in status.repaired)]
    return "\n".join(lines)


def _line(resource: MemberResource, orders: Mapping[str, LeaveOrder]) -> str:
    order = orders.get(resource.uid)
    request = ""
    if resource.leave:
        whom = order.member_id if order else ""
        request = ", asked to leave" if whom == resource.member_id else f", an old request for {whom or 'nobody'}"
    return f"- **{resource.name}** `{resource.member_id or 'no ID'}` Joined={resource.joined}{request}"
