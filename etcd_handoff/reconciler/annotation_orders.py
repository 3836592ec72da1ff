"""Decide which member the annotation `etcd-handoff.io/leave` orders to leave. Pure.

The annotation is an order like `spec.leave` (`leave_orders`), but no reconciler of k0s acts on it. `true` means the
member that the EtcdMember described when it was annotated. An ID means the member with that ID. An order is one value
for as long as it stands. Nothing else distinguishes it from the next: `metadata.generation` does not count annotations.
The time in `metadata.managedFields` is that of any last write of its manager.

| known of this EtcdMember      | value  | its ID | the member that the order names                              |
| ----------------------------- | ------ | ------ | ------------------------------------------------------------ |
| this value                    | any    | any    | the same member as before                                    |
| anything else                 | an ID  | any    | the member with that ID                                      |
| nothing, created with it      | `true` | any    | none                                                         |
| another value, and its status | `true` | listed | the member with its ID                                       |
| nothing, or another status    | `true` | listed | the same; none if the annotation is not known to be younger  |
|                               |        |        | than its Joined=True, or if a message calls it old           |
| nothing                       | `true` | out    | the ID of the removed member                                 |
| anything else                 | `true` | other  | as by `spec.leave`                                           |
| any                           | no ID  | any    | none                                                         |

An order ends when the annotation goes, or comes to mean another member. A removal that has followed it removes the
annotation and sets `spec.leave`, since the member has left. That ends nothing.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from etcd_handoff.reconciler.leave_orders import Orders, described_member, order_about, still_by
from etcd_handoff.wire import HEX_ID

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from etcd_handoff.cluster_view import ClusterView
    from etcd_handoff.reconciler.member_resources import MemberResource
    from etcd_handoff.reconciler.state import LeaveOrder

WHOEVER_IS_DESCRIBED: Final = "true"


def updated(before: Mapping[str, LeaveOrder], resources: Sequence[MemberResource], view: ClusterView) -> Orders:
    """Return all orders by annotation after a look that nothing contradicts.

    Args:
        before: Orders as they were; an EtcdMember without an entry has not been seen yet.
        resources: All EtcdMembers, read before the member list.
        view: The member list.
    """
    return {r.uid: _order(before.get(r.uid), r, resources, view) for r in resources}


def without_taken_back(before: Mapping[str, LeaveOrder], resources: Sequence[MemberResource]) -> Orders:
    """Return all orders without those that were taken back; no member list is needed for this."""
    by_uid = {resource.uid: resource for resource in resources}
    return {
        uid: order.model_copy(update={"member_id": order.member_id if _still(order, by_uid[uid]) else ""})
        for uid, order in before.items()
        if uid in by_uid
    }


def void(resources: Iterable[MemberResource]) -> Orders:
    """Return all orders without a member: an order from before a restore counts no more."""
    return {resource.uid: order_about(resource, by_annotation=True) for resource in resources}


def named_member(value: str) -> str:
    """Return the member ID that a value is; empty when it is none."""
    digits = value.removeprefix("0x").lstrip("0")
    return digits if re.fullmatch(HEX_ID, digits) else ""


def is_understood(value: str) -> bool:
    """Whether a value means a member."""
    return value == WHOEVER_IS_DESCRIBED or bool(named_member(value))


def _order(
    before: LeaveOrder | None, resource: MemberResource, resources: Sequence[MemberResource], view: ClusterView
) -> LeaveOrder:
    value = resource.annotation
    if before is not None and value in ("", before.annotation):
        return (
            still_by(before, order_about(resource, before.member_id, by_annotation=True))
            if _still(before, resource)
            else order_about(resource, by_annotation=True)
        )
    if value != WHOEVER_IS_DESCRIBED:
        return order_about(resource, named_member(value), by_annotation=True)  # nobody where it is empty
    if before is None and resource.annotation_since <= resource.created:
        return order_about(resource, by_annotation=True)
    old = resource.old_annotation or resource.annotation_since <= resource.joined_since
    since = resource.annotation_since if before is not None else ""  # whatever its manager has written since
    member_id = described_member(before, since, resource, resources, view, old=old)
    return order_about(resource, member_id, by_annotation=True)


def _still(order: LeaveOrder, resource: MemberResource) -> bool:
    """Whether the order holds: the annotation is the same, means the same member, or was followed."""
    value = resource.annotation
    if value and value == order.annotation:
        return True
    if not value:
        return resource.leave and resource.leave_by_us and resource.joined == "False"
    return order.member_id in (named_member(value), resource.member_id if value == WHOEVER_IS_DESCRIBED else "")
