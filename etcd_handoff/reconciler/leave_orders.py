"""Decide which member `spec.leave` orders to leave. Pure.

An order names one member ID: that of the member which the EtcdMember described when `spec.leave` was set. It never
passes to a member that joins under the name later. An order is one generation of an EtcdMember whose `spec.leave` is
true. In the table, "out" means not in the believed member list. "Namesake" means the only present member of the
EtcdMember's name, if no other EtcdMember has its ID.

| known of this EtcdMember       | its ID            | the member that the order names                               |
| ------------------------------ | ----------------- | ------------------------------------------------------------- |
| this generation, or set by us  | any               | the same member as before, or none                            |
| another generation, its status | listed            | the member with its ID                                        |
| another generation             | out, Joined=False | the namesake, if its status was the same at the last reading, |
|                                |                   | or if the flag is younger than that condition                 |
| another generation             | out, otherwise    | the ID of the removed member: that one was described          |
| nothing, created with the flag | any               | none: its creator saw no status of it, for instance when it   |
|                                |                   | was deleted and applied again from a file                     |
| nothing, or another status     | listed            | the member with its ID; none if the flag is not younger than  |
|                                |                   | its Joined=True, as it is another member's flag then; none if |
|                                |                   | a message on this generation, or one that is not older than   |
|                                |                   | the flag, calls it an old request                             |
| nothing                        | out, Joined=False | the namesake, if the flag is younger than that condition      |
| nothing                        | out, otherwise    | the ID of the removed member                                  |
| any but this generation        | none              | the namesake                                                  |

A flag that we have set is no wish of a person: it marks a removed member, or repeats an order to k0s that was lost.
Where there is no namesake, the order names the removed ID, or no member. After a restore of the cluster, and after
a confirmed change of the cluster, all standing orders name no member. An order that names no member, or one that is
out, starts no removal.

An order ends when `spec.leave` is cleared. There are two exceptions (`may_ask_again`). k0s clears it whenever a
controller starts. A removal that asks k0s clears it for as long as the member must not leave. Neither takes the order
back, so a running removal goes on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from etcd_handoff.etcdmember import as_listed, resource_name
from etcd_handoff.etcdmember_matching import only_namesake
from etcd_handoff.managed_fields import FIELD_MANAGER, K0S_MANAGERS
from etcd_handoff.reconciler.state import LeaveOrder

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from etcd_handoff.cluster_view import ClusterView, MemberView
    from etcd_handoff.reconciler.member_resources import MemberResource

FIRST_GENERATION: Final = 1

Orders = dict[str, LeaveOrder]
"""Orders by UID. An EtcdMember that does not ask to leave has an order without a member, which shows that it was seen.
"""


@dataclass(frozen=True, slots=True)
class MemberToRemove:
    """The member whose removal an order starts.

    Attributes:
        member_id: Its ID, which alone decides who is removed.
        label: The label of its removal: its name, where it is the only one of that name.
    """

    member_id: str
    label: str


def may_ask_again(manager: str) -> bool:
    """Whether a cleared `spec.leave` is a lost order, in contrast to one that was taken back.

    k0s writes `spec.leave: false` whenever a controller starts (k0s
    `pkg/component/controller/etcd_member_reconciler.go`, createMemberObject).

    Args:
        manager: The field manager that wrote `spec.leave` last; empty when that is not known.
    """
    return manager in ("", FIELD_MANAGER) or manager.startswith(K0S_MANAGERS)


def updated(before: Mapping[str, LeaveOrder], resources: Sequence[MemberResource], view: ClusterView) -> Orders:
    """Return all orders after a look that nothing contradicts.

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
        uid: order if by_uid[uid].leave else _cleared(order, by_uid[uid])
        for uid, order in before.items()
        if uid in by_uid
    }


def void(resources: Iterable[MemberResource]) -> Orders:
    """Return all orders without a member: an order from before a restore counts no more."""
    return {resource.uid: order_about(resource) for resource in resources}


def member_to_remove(order: LeaveOrder | None, resource: MemberResource, view: ClusterView) -> MemberToRemove | None:
    """Return the member whose removal the order starts; None when it starts none."""
    member = view.member(order.member_id) if order is not None and stands(order, resource) else None
    if member is None or _has_another_name(member, resource):
        return None
    same_name = [m for m in view.members if m.name == member.name]
    return MemberToRemove(member.id, member.name if member.name and len(same_name) == 1 else member.id)


def stands(order: LeaveOrder, resource: MemberResource) -> bool:
    """Whether the EtcdMember still asks for it, by the order's own annotation or by `spec.leave`."""
    return resource.annotation == order.annotation if order.annotation else resource.leave


def order_about(resource: MemberResource, member_id: str = "", *, by_annotation: bool = False) -> LeaveOrder:
    """Return an EtcdMember's present order about this member, or about nobody.

    Args:
        resource: The EtcdMember.
        member_id: The member; empty for nobody.
        by_annotation: The order is the annotation's; else it is that of `spec.leave`.
    """
    if by_annotation:
        asked_by, since = resource.annotation_asked_by, resource.annotation_since
    else:
        asked_by, since = resource.leave_asked_by, resource.leave_since
    return LeaveOrder(
        uid=resource.uid,
        generation=resource.generation,
        member_id=member_id,
        status_digest=resource.status_digest,
        annotation=resource.annotation if by_annotation else "",
        k0s_start="" if by_annotation else resource.k0s_start,
        asked_by=asked_by,
        since=since,
    )


def still_by(before: LeaveOrder, order: LeaveOrder) -> LeaveOrder:
    """Return the same order, with the requester and the time that were first known.

    Later a program that owns the field may have written something else, or another one may own it too.
    """
    return order.model_copy(
        update={"asked_by": before.asked_by or order.asked_by, "since": before.since or order.since}
    )


def _cleared(before: LeaveOrder, resource: MemberResource) -> LeaveOrder:
    """Return the order of an EtcdMember that no longer asks to leave: without a member, unless it is only lost.

    k0s leaves the field out, so that it has no owner afterwards, and writes its start label in the same request. When
    it is not known what cleared it, it counts as taken back: the member stays, which can be mended.
    """
    by, restarted = resource.leave_manager, resource.k0s_start != before.k0s_start
    if not (may_ask_again(by) if by else restarted):
        return order_about(resource)
    order = still_by(before, order_about(resource, before.member_id))
    return order.model_copy(update={"k0s_start": before.k0s_start})


def _order(
    before: LeaveOrder | None, resource: MemberResource, resources: Sequence[MemberResource], view: ClusterView
) -> LeaveOrder:
    if not resource.leave:
        return order_about(resource) if before is None else _cleared(before, resource)
    if before is not None and (resource.leave_by_us or before.generation == resource.generation):
        return still_by(before, order_about(resource, before.member_id))
    if before is None and (resource.leave_by_us or resource.generation <= FIRST_GENERATION):
        return order_about(resource)
    old = resource.old_request or "" < resource.leave_since <= resource.joined_since
    return order_about(resource, described_member(before, resource.leave_since, resource, resources, view, old=old))


def described_member(  # noqa: PLR0913  # all that the table names
    before: LeaveOrder | None,
    since: str,
    resource: MemberResource,
    resources: Sequence[MemberResource],
    view: ClusterView,
    *,
    old: bool,
) -> str:
    """Return the member of an order that was not known yet; see the table above.

    Args:
        before: What was known of the EtcdMember; None when it has not been seen yet.
        since: When the order was given.
        resource: The EtcdMember.
        resources: All EtcdMembers.
        view: The member list.
        old: The order is not younger than the EtcdMember's claim about its member.
    """
    member_id = as_listed(resource.member_id, view.members)
    if not member_id:
        return _namesake(resource, resources, view)
    same_status = before is not None and before.status_digest == resource.status_digest
    if view.member(member_id) is not None:
        return "" if old and not same_status else member_id
    described_as_out = resource.joined == "False" and (same_status or since > resource.joined_since)
    return (_namesake(resource, resources, view) if described_as_out else "") or member_id


def _namesake(resource: MemberResource, resources: Sequence[MemberResource], view: ClusterView) -> str:
    """Return the ID of the only present member of this name; empty if another EtcdMember has it, or there is none."""
    namesake = only_namesake(resource.name, view.members)
    others = {as_listed(r.member_id, view.members) for r in resources if r.uid != resource.uid}
    return namesake.id if namesake is not None and namesake.id not in others else ""


def _has_another_name(member: MemberView, resource: MemberResource) -> bool:
    """Whether the member has another name than the EtcdMember; one that has not started has none yet.

    An EtcdMember never removes a member of another name.
    """
    return bool(member.name) and resource_name(member.name) != resource.name
