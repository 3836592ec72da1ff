"""Which member `spec.leave` is about. Pure.

An order is about one member ID: that of the member which the EtcdMember described when `spec.leave` was set. It never
passes to a member that joins under the name later. An order is one generation of an EtcdMember whose `spec.leave` is
true; "out" means not in the believed member list, "namesake" the only present member of the EtcdMember's name, if no
other EtcdMember has its ID.

| what was known of this EtcdMember | its ID            | the order is about                                         |
| --------------------------------- | ----------------- | ---------------------------------------------------------- |
| this generation, or set by us     | any               | whom it was about before, or nobody                        |
| another generation                | listed            | the member that it carries                                 |
| another generation                | out, Joined=False | the namesake if its status was the same when it was read   |
|                                   |                   | last, or if the flag is younger than that condition        |
| another generation                | out, otherwise    | the ID that is out: that one was described                 |
| nothing, created with the flag    | any               | nobody: whoever created it had seen no status of it, as    |
|                                   |                   | when it was deleted and applied again from a file          |
| nothing                           | listed            | the member that it carries, or nobody if the flag is not   |
|                                   |                   | younger than its Joined=True, which is another member's    |
|                                   |                   | flag then, or if a message that is not older than the flag |
|                                   |                   | calls it an old request                                    |
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

from etcd_handoff.etcdmember import NOT_STARTED, as_listed, old_request, resource_name
from etcd_handoff.managed_fields import FIELD_MANAGER, K0S_MANAGERS
from etcd_handoff.operation.matching import member_of, only_namesake
from etcd_handoff.operation.member_resources import StandingMessage
from etcd_handoff.operation.reconciler_state import LeaveOrder

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from etcd_handoff.cluster_view import ClusterView, MemberView
    from etcd_handoff.operation.member_resources import MemberResource

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
    member = view.member(order.member_id) if order is not None and resource.leave else None
    if member is None or _has_another_name(member, resource):
        return None
    same_name = [m for m in view.members if m.name == member.name]
    return MemberToRemove(member.id, member.name if member.name and len(same_name) == 1 else member.id)


def standing_messages(
    orders: Mapping[str, LeaveOrder], resources: Iterable[MemberResource], view: ClusterView
) -> dict[str, StandingMessage]:
    """Messages of present members' EtcdMembers whose `spec.leave` starts no removal, by their names."""
    messages: dict[str, StandingMessage] = {}
    for resource in resources:
        order = orders.get(resource.uid)
        member = member_of(resource.name, as_listed(resource.member_id, view.members), view.members)
        starts = member_to_remove(order, resource, view) is not None
        if not resource.leave or order is None or member is None or starts or _is_ours(resource):
            continue
        refused = order.member_id == member.id
        text = _refusal(resource, member) if refused else old_request(order.member_id)
        messages[resource.name] = StandingMessage(generation=resource.generation, message=text, failed=refused)
    return messages


def _about_member(resource: MemberResource, member_id: str = "") -> LeaveOrder:
    return LeaveOrder(
        uid=resource.uid,
        generation=resource.generation,
        member_id=member_id,
        status_digest=resource.status_digest,
    )


def _cleared(before: LeaveOrder, resource: MemberResource) -> LeaveOrder:
    """The order of an EtcdMember that does not ask to leave any more; nobody's, unless it is only lost.

    When nobody knows who cleared it, it counts as taken back: the member stays, which can be mended.
    """
    lost = bool(resource.leave_manager) and may_ask_again(resource.leave_manager)
    return _about_member(resource, before.member_id if lost else "")


def _order(
    before: LeaveOrder | None, resource: MemberResource, resources: Sequence[MemberResource], view: ClusterView
) -> LeaveOrder:
    if not resource.leave:
        return _about_member(resource) if before is None else _cleared(before, resource)
    if resource.leave_by_us or (before is not None and before.generation == resource.generation):
        return _about_member(resource, before.member_id if before is not None else "")
    return _about_member(resource, _described_member(before, resource, resources, view))


def _described_member(
    before: LeaveOrder | None, resource: MemberResource, resources: Sequence[MemberResource], view: ClusterView
) -> str:
    """The member that an order is about which was not known yet; see the table above."""
    if before is None and resource.generation <= FIRST_GENERATION:
        return ""
    member_id = as_listed(resource.member_id, view.members)
    if not member_id:
        return _namesake(resource, resources, view)
    if view.member(member_id) is not None:
        older = resource.old_request or "" < resource.leave_since <= resource.joined_since
        return "" if before is None and older else member_id
    same_status = before is not None and before.status_digest == resource.status_digest
    described_as_out = resource.joined == "False" and (same_status or resource.leave_since > resource.joined_since)
    return (_namesake(resource, resources, view) if described_as_out else "") or member_id


def _namesake(resource: MemberResource, resources: Sequence[MemberResource], view: ClusterView) -> str:
    """ID of the only present member of this name, unless another EtcdMember carries it; empty otherwise."""
    namesake = only_namesake(resource.name, view.members)
    others = {as_listed(r.member_id, view.members) for r in resources if r.uid != resource.uid}
    return namesake.id if namesake is not None and namesake.id not in others else ""


def _is_ours(resource: MemberResource) -> bool:
    """Whether the flag is our order to k0s to take out the member that the EtcdMember speaks of."""
    return resource.leave_by_us and resource.leave_since > resource.joined_since


def _has_another_name(member: MemberView, resource: MemberResource) -> bool:
    """A name never takes a member of another name; one that has not started has none yet."""
    return bool(member.name) and resource_name(member.name) != resource.name


def _refusal(resource: MemberResource, member: MemberView) -> str:
    return (
        f"{NOT_STARTED}EtcdMember {resource.name} carries the ID of {member.name} ({member.id}): correct its status, or"
        f" remove {member.name} by its own EtcdMember or with `etcd-handoff remove {member.id}`"
    )
