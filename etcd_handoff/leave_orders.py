"""Whom `spec.leave` is about. Pure.

An order is about one member ID: that of the member which the EtcdMember described when the order was given. It never
passes to a member that joins under the name later. An order is one generation of an EtcdMember whose `spec.leave` is
true; "out" means not in the believed member list, "namesake" the only present member of the EtcdMember's name, if no
other EtcdMember speaks of it.

| what was known of this EtcdMember | its ID            | the order is about                                         |
| --------------------------------- | ----------------- | ---------------------------------------------------------- |
| this generation                   | any               | whom it was about before                                   |
| another generation                | listed            | the member that it carries                                 |
| another generation                | out, Joined=False | the namesake if it said so already when it was read last,  |
|                                   |                   | or if the flag is younger than that condition              |
| another generation                | out, otherwise    | the ID that is out: that one was described                 |
| nothing                           | listed            | the member that it carries, or nobody if the flag is not   |
|                                   |                   | younger than its Joined=True, which is another member's    |
|                                   |                   | flag then, or if its message calls it an old request       |
| nothing                           | out, Joined=False | the namesake if the flag is younger than that condition    |
| nothing                           | out, otherwise    | the ID that is out                                         |
| any but this generation           | none              | the namesake                                               |

Where there is no namesake, it is about the ID that is out, or about nobody. After a restore of the cluster, and after a
change of the cluster that was confirmed, all standing orders are about nobody. An order about nobody, or about a member
that is out, starts no removal.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from etcd_handoff.etcdmember import NOT_STARTED, as_listed, old_request, resource_name, spoken_of
from etcd_handoff.leave_requests import LeaveOrder, Standing

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from etcd_handoff.leave_requests import Asked
    from etcd_handoff.view import ClusterView, MemberView

Orders = dict[str, LeaveOrder]
"""By UID; an EtcdMember that does not ask to leave has an order about nobody, which shows that it was seen."""


@dataclass(frozen=True, slots=True)
class Target:
    """The member whose removal an order starts.

    Attributes:
        member_id: Its ID, which alone decides who is removed.
        label: How its removal is called: its name, where it is the only one of that name.
    """

    member_id: str
    label: str


def updated(before: Mapping[str, LeaveOrder], resources: Sequence[Asked], view: ClusterView) -> Orders:
    """All orders after a look that nothing contradicts.

    Args:
        before: Orders as they were; without an entry an EtcdMember has not been seen yet.
        resources: All EtcdMembers, read before the member list.
        view: The member list.
    """
    return {asked.uid: _order(before.get(asked.uid), asked, resources, view) for asked in resources}


def withdrawn(before: Mapping[str, LeaveOrder], resources: Sequence[Asked]) -> Orders:
    """All orders without those that were taken back; for this no member list is needed."""
    asks = {asked.uid: asked for asked in resources}
    kept = {uid: order for uid, order in before.items() if uid in asks}
    taken_back = {uid: _of(asks[uid]) for uid in kept if not asks[uid].leave}
    return {**kept, **taken_back}


def void(resources: Iterable[Asked]) -> Orders:
    """All orders about nobody: what was ordered before a restore counts no more."""
    return {asked.uid: _of(asked) for asked in resources}


def target(order: LeaveOrder | None, asked: Asked, view: ClusterView) -> Target | None:
    """The member whose removal the order starts; None when it starts none."""
    member = view.member(order.member_id) if order is not None and asked.leave else None
    if member is None or _of_another_name(member, asked):
        return None
    same_name = [m for m in view.members if m.name == member.name]
    return Target(member.id, member.name if member.name and len(same_name) == 1 else member.id)


def standing(orders: Mapping[str, LeaveOrder], resources: Iterable[Asked], view: ClusterView) -> dict[str, Standing]:
    """What EtcdMembers of present members have to say whose `spec.leave` starts no removal, by their names."""
    found: dict[str, Standing] = {}
    for asked in resources:
        order = orders.get(asked.uid)
        member = spoken_of(asked.name, as_listed(asked.member_id, view.members), view.members)
        if not asked.leave or order is None or member is None or target(order, asked, view) is not None:
            continue
        other = view.member(order.member_id)
        if other is not None and other.id == member.id:
            text, failed = _refusal(asked, other), True
        else:
            text, failed = old_request(order.member_id), False
        found[asked.name] = Standing(generation=asked.generation, message=text, failed=failed)
    return found


def _of(asked: Asked, member_id: str = "") -> LeaveOrder:
    return LeaveOrder(uid=asked.uid, generation=asked.generation, member_id=member_id, said=asked.digest)


def _order(before: LeaveOrder | None, asked: Asked, resources: Sequence[Asked], view: ClusterView) -> LeaveOrder:
    if not asked.leave:
        return _of(asked)
    if before is not None and before.generation == asked.generation:
        return _of(asked, before.member_id)
    return _of(asked, _about(before, asked, resources, view))


def _about(before: LeaveOrder | None, asked: Asked, resources: Sequence[Asked], view: ClusterView) -> str:
    """Whom an order is about that was not known yet; see the table above."""
    member_id = as_listed(asked.member_id, view.members)
    if not member_id:
        return _namesake(asked, resources, view)
    if view.member(member_id) is not None:
        older = asked.called_old or "" < asked.leave_since <= asked.since
        return "" if before is None and older else member_id
    said_so_before = before is not None and before.said == asked.digest
    described_as_out = asked.joined == "False" and (said_so_before or asked.leave_since > asked.since)
    return (_namesake(asked, resources, view) if described_as_out else "") or member_id


def _namesake(asked: Asked, resources: Sequence[Asked], view: ClusterView) -> str:
    """ID of the only present member of this name, unless another EtcdMember speaks of it; empty otherwise."""
    found = [m.id for m in view.members if m.name and resource_name(m.name) == asked.name]
    others = {as_listed(r.member_id, view.members) for r in resources if r.uid != asked.uid}
    return found[0] if len(found) == 1 and found[0] not in others else ""


def _of_another_name(member: MemberView, asked: Asked) -> bool:
    """A name never takes a member of another name; one that has not started has none yet."""
    return bool(member.name) and resource_name(member.name) != asked.name


def _refusal(asked: Asked, member: MemberView) -> str:
    return (
        f"{NOT_STARTED}EtcdMember {asked.name} speaks of {member.name} (ID {member.id}): correct its status, or remove"
        f" {member.name} by its own EtcdMember or with `etcd-handoff remove {member.id}`"
    )
