"""Decide which EtcdMember belongs to which member: the one place that decides it. Pure.

An EtcdMember has a name, and in its status the ID of a member. k0s names it after the node, so a member's name in lower
case is the name of its EtcdMember. IDs are never used twice; a node that joins again has its old name and a new ID.

`member_of`: the listed member that an EtcdMember belongs to.

| listed members of its name | its ID          | it belongs to                                                   |
| -------------------------- | --------------- | --------------------------------------------------------------- |
| one                        | any, or missing | that member; when the ID is another's, the node joined again    |
| none, or two and more      | listed          | the member with the ID                                          |
| none, or two and more      | not listed      | no member: its member has left                                  |
| none, or two and more      | missing         | no member                                                       |

`resource_of`: the EtcdMember of a member, which need not be listed.

| EtcdMember of its name | with the ID        | EtcdMember with its ID | its EtcdMember is   |
| ---------------------- | ------------------ | ---------------------- | ------------------- |
| one                    | its own or missing | any                    | the one of its name |
| one                    | another's          | one                    | the one with its ID |
| one                    | another's          | none                   | none                |
| none                   |                    | one                    | the one with its ID |
| none                   |                    | none                   | none                |

`resource_asked_for`: the EtcdMember that an operator means by a text that is a name or an ID. The name counts first.

`without_resource`: a member has no EtcdMember when none has its name and none its ID.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from etcd_handoff.doubts import ResourceClaim
from etcd_handoff.etcdmember import DesiredStatus, joined_condition, member_id_of, resource_name
from etcd_handoff.etcdmember_messages import MESSAGE_JOINED, MESSAGE_REMOVED

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

    from etcd_handoff.cluster_view import MemberView


def claim_of(resource: dict[str, Any], members: Sequence[MemberView] = ()) -> ResourceClaim:
    """Return an EtcdMember's claim about its member.

    Args:
        resource: The EtcdMember.
        members: The member list, where it is known: an ID in decimal can be read by it.
    """
    name, member_id = str(resource["metadata"]["name"]), member_id_of(resource, members)
    return ResourceClaim(name=name, member_id=member_id, joined=joined_condition(resource))


def member_of(name: str, member_id: str, members: Sequence[MemberView]) -> MemberView | None:
    """Return the listed member that an EtcdMember belongs to, by the first table.

    Args:
        name: Name of the EtcdMember.
        member_id: The member ID in its status; empty when it has none.
        members: The member list.
    """
    return only_namesake(name, members) or next((m for m in members if m.id == member_id), None)


def names_of_resources(members: Iterable[MemberView]) -> frozenset[str]:
    """Return the names of the EtcdMembers of these members, without those that have not started."""
    return frozenset(resource_name(m.name) for m in members if m.name)


def only_namesake(name: str, members: Sequence[MemberView]) -> MemberView | None:
    """Return the listed member of an EtcdMember's name, if there is exactly one."""
    namesakes = [m for m in members if m.name and resource_name(m.name) == name]
    return namesakes[0] if len(namesakes) == 1 else None


def resource_of(member_name: str, member_id: str, claims: Iterable[ResourceClaim]) -> ResourceClaim | None:
    """Return the EtcdMember of a member, by the second table.

    Args:
        member_name: The member's name; empty when it has not started.
        member_id: The member's ID.
        claims: What all EtcdMembers say.
    """
    claims = tuple(claims)
    named = _named(member_name, claims)
    if named is not None and named.member_id in ("", member_id):
        return named
    return next((claim for claim in claims if claim.member_id == member_id), None)


def resource_asked_for(name: str, member_id: str, claims: Iterable[ResourceClaim]) -> ResourceClaim | None:
    """Return the EtcdMember that an operator means.

    Args:
        name: The text that was given.
        member_id: The same text as a member ID.
        claims: What all EtcdMembers say.
    """
    claims = tuple(claims)
    return _named(name, claims) or next((c for c in claims if c.member_id and c.member_id == member_id), None)


def without_resource(members: Iterable[MemberView], claims: Iterable[ResourceClaim]) -> list[MemberView]:
    """Return the members without an EtcdMember, except unstarted ones, which have no name for one."""
    known = {text for claim in claims for text in (claim.name, claim.member_id)}
    return [m for m in members if m.name and not {resource_name(m.name), m.id} & known]


def desired_status(resource: dict[str, Any], members: Sequence[MemberView]) -> DesiredStatus | None:
    """Return the status that an EtcdMember should have by the member list; None when its member is unknown.

    An EtcdMember takes on the ID of a member that joined again under its name, also while it asks to leave. Whether
    that request means this member is another question (`etcd_handoff.reconciler.leave_orders`).
    """
    member_id = member_id_of(resource, members)
    member = member_of(resource["metadata"]["name"], member_id, members)
    if member is not None:
        return DesiredStatus(member.id, joined=True, message=MESSAGE_JOINED, peer_urls=member.peer_urls)
    return DesiredStatus(member_id, joined=False, message=MESSAGE_REMOVED) if member_id else None


def _named(member_name: str, claims: tuple[ResourceClaim, ...]) -> ResourceClaim | None:
    """Return the EtcdMember of this member name."""
    name = resource_name(member_name)
    return next((claim for claim in claims if name and claim.name == name), None)
