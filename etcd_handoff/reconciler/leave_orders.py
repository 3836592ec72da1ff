"""Which member `spec.leave` is about. Pure.

An order is about one member ID: that of the member which the EtcdMember described when `spec.leave` was set. It never
passes to a member that joins under the name later. An order is one generation of an EtcdMember whose `spec.leave` is
true; "out" means not in the believed member list, "namesake" the only present member of the EtcdMember's name, if no
other EtcdMember has its ID.

| what was known of this EtcdMember | its ID            | the order is about                                         |
| --------------------------------- | ----------------- | ---------------------------------------------------------- |
| this generation, or set by us     | any               | whom it was about before, or nobody                        |
| another generation, its status    | listed            | the member that it carries                                 |
| another generation                | out, Joined=False | the namesake if its status was the same when it was read   |
|                                   |                   | last, or if the flag is younger than that condition        |
| another generation                | out, otherwise    | the ID that is out: that one was described                 |
| nothing, created with the flag    | any               | nobody: whoever created it had seen no status of it, as    |
|                                   |                   | when it was deleted and applied again from a file          |
| nothing, or another status        | listed            | the member that it carries, or nobody if the flag is not   |
|                                   |                   | younger than its Joined=True, which is another member's    |
|                                   |                   | flag then, or if a message that is about this generation,  |
|                                   |                   | or not older than the flag, calls it an old request        |
| nothing                           | out, Joined=False | the namesake if the flag is younger than that condition    |
| nothing                           | out, otherwise    | the ID that is out                                         |
| any but this generation           | none              | the namesake                                               |

A flag that we have set is nobody's wish: it marks a member that is out, or repeats an order to k0s that it has lost.
Where there is no namesake, it is about the ID that is out, or about nobody. After a restore of the cluster, and after a
change of the cluster that was confirmed, all standing orders are about nobody. An order about nobody, or about a member
that is out, starts no removal.

An order ends when somebody clears `spec.leave`. k0s clears it whenever a controller starts, and a removal that asks k0s
clears it for as long as the member must not leave: neither is taking the order back (`may_ask_again`), so a removal
that is under way goes on.
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
"""By UID; an EtcdMember that does not ask to leave has an order about nobody, which shows that it was seen."""


@dataclass(frozen=True, slots=True)
class MemberToRemove:
    """The member whose removal an order starts.

    Attributes:
        member_id: Its ID, which alone decides who is removed.
        label: How its removal is called: its name, where it is the only one of that name.
    """

    member_id: str
    label: str


def may_ask_again(manager: str) -> bool:
    """Whether `spec.leave` that was cleared is a lost order, and not one that somebody took back.

    k0s writes `spec.leave: false` whenever a controller starts (k0s
    `pkg/component/controller/etcd_member_reconciler.go`, createMemberObject).

    Args:
        manager: Who wrote `spec.leave` last, as a field manager calls itself; empty when that is not known.
    """
    return manager in ("", FIELD_MANAGER) or manager.startswith(K0S_MANAGERS)


def updated(before: Mapping[str, LeaveOrder], resources: Sequence[MemberResource], view: ClusterView) -> Orders:
    """All orders after a look that nothing contradicts.

    Args:
        before: Orders as they were; an EtcdMember without an entry has not been seen yet.
        resources: All EtcdMembers, read before the member list.
        view: The member list.
    """
    return {r.uid: _order(before.get(r.uid), r, resources, view) for r in resources}


def withdrawn(before: Mapping[str, LeaveOrder], resources: Sequence[MemberResource]) -> Orders:
    """All orders without those that were taken back; for this no member list is needed."""
    by_uid = {resource.uid: resource for resource in resources}
    return {
        uid: order if by_uid[uid].leave else _cleared(order, by_uid[uid])
        for uid, order in before.items()
        if uid in by_uid
    }


def void(resources: Iterable[MemberResource]) -> Orders:
    """All orders about nobody: what was ordered before a restore does not count any more."""
    return {resource.uid: _about_member(resource) for resource in resources}


def member_to_remove(order: LeaveOrder | None, resource: MemberResource, view: ClusterView) -> MemberToRemove | None:
    """The member whose removal the order starts; None when it starts none."""
    member = view.member(order.member_id) if order is not None and stands(order, resource) else None
    if member is None or _has_another_name(member, resource):
        return None
    same_name = [m for m in view.members if m.name == member.name]
    return MemberToRemove(member.id, member.name if member.name and len(same_name) == 1 else member.id)


def stands(order: LeaveOrder, resource: MemberResource) -> bool:
    """Whether the EtcdMember still asks for it, by the annotation that the order came by or by `spec.leave`."""
    return resource.annotation == order.annotation if order.annotation else resource.leave


def _about_member(resource: MemberResource, member_id: str = "") -> LeaveOrder:
    return LeaveOrder(
        uid=resource.uid,
        generation=resource.generation,
        member_id=member_id,
        status_digest=resource.status_digest,
        k0s_start=resource.k0s_start,
        asked_by=resource.leave_asked_by,
        since=resource.leave_since,
    )


def still_by(before: LeaveOrder, order: LeaveOrder) -> LeaveOrder:
    """The same order with who gave it, and when, as that was told first.

    Later a program that owns the field may have written something else, or another one may own it too.
    """
    return order.model_copy(
        update={"asked_by": before.asked_by or order.asked_by, "since": before.since or order.since}
    )


def _cleared(before: LeaveOrder, resource: MemberResource) -> LeaveOrder:
    """The order of an EtcdMember that does not ask to leave any more; nobody's, unless it is only lost.

    k0s leaves the field out, so that nobody owns it afterwards, and writes what it calls its start in the same request.
    When nobody knows who cleared it, it counts as taken back: the member stays, which can be mended.
    """
    by, restarted = resource.leave_manager, resource.k0s_start != before.k0s_start
    if not (may_ask_again(by) if by else restarted):
        return _about_member(resource)
    order = still_by(before, _about_member(resource, before.member_id))
    return order.model_copy(update={"k0s_start": before.k0s_start})


def _order(
    before: LeaveOrder | None, resource: MemberResource, resources: Sequence[MemberResource], view: ClusterView
) -> LeaveOrder:
    if not resource.leave:
        return _about_member(resource) if before is None else _cleared(before, resource)
    if before is not None and (resource.leave_by_us or before.generation == resource.generation):
        return still_by(before, _about_member(resource, before.member_id))
    if before is None and (resource.leave_by_us or resource.generation <= FIRST_GENERATION):
        return _about_member(resource)
    old = resource.old_request or "" < resource.leave_since <= resource.joined_since
    return _about_member(resource, described_member(before, resource.leave_since, resource, resources, view, old=old))


def described_member(  # noqa: PLR0913  # all that the table speaks of
    before: LeaveOrder | None,
    since: str,
    resource: MemberResource,
    resources: Sequence[MemberResource],
    view: ClusterView,
    *,
    old: bool,
) -> str:
    """The member that an order is about which was not known yet; see the table above.

    Args:
        before: What was known of the EtcdMember; None when it has not been seen yet.
        since: When the order was given.
        resource: The EtcdMember.
        resources: All EtcdMembers.
        view: The member list.
        old: The order is not younger than what it says of its member.
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
    """ID of the only present member of this name, unless another EtcdMember carries it; empty otherwise."""
    namesake = only_namesake(resource.name, view.members)
    others = {as_listed(r.member_id, view.members) for r in resources if r.uid != resource.uid}
    return namesake.id if namesake is not None and namesake.id not in others else ""


def _has_another_name(member: MemberView, resource: MemberResource) -> bool:
    """A name never takes a member of another name; one that has not started has none yet."""
    return bool(member.name) and resource_name(member.name) != resource.name
