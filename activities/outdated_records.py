"""Whether a record for an EtcdMember is still true: it may wait for an API server for days."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from temporalio.exceptions import ApplicationError

from etcd_handoff.etcdmember import member_id_of
from etcd_handoff.etcdmember_messages import MESSAGE_REMOVED
from etcd_handoff.temporal.failure_converter import NOT_RECORDED

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from etcd_handoff.activity_io import UpdateStatusInput

    Listed = Callable[[str, str], Awaitable[tuple[frozenset[str] | None, str]]]
    """Takes a profile and the ID of its etcd cluster, empty when not known. It gives the IDs of all members and "", or
    None and the reason when the list is not known or another cluster answers."""
    Elsewhere = Callable[[str, str], Awaitable[None]]
    """Takes a profile and the ID of its etcd cluster, empty when not known. It raises what leaves the step to another
    worker if this one's node belongs to another cluster."""
    Reached = Callable[[str], Awaitable[str]]
    """Takes a profile. It gives the cluster ID of this node's etcd if the worker reaches no other member, else ''."""


async def nowhere_else(_cluster: str, _cluster_id: str) -> None:
    """Do nothing: this worker does not check which cluster its node belongs to."""


async def anywhere(_cluster: str) -> str:
    """Return "": it is not known which cluster this worker's node belongs to."""
    return ""


async def as_known_by_now(listed: Listed, record: UpdateStatusInput) -> UpdateStatusInput:
    """Return the record of a removal that may not have taken place, updated by etcd's present member list.

    It stays as it is if that list is not known now either.
    """
    if record.joined is not None or not record.late:
        return record
    members, _ = await _members(listed, record)
    if members is None or record.member_id in members:
        return record if members is None else record.model_copy(update={"joined": True})
    return record.model_copy(update={"joined": False, "failed": False, "message": MESSAGE_REMOVED})


def may_be_outdated(record: UpdateStatusInput) -> bool:
    """Return whether etcd has to be asked again.

    A member may leave at any moment. One that has left comes back only by a restore.
    """
    return bool(record.joined) or (record.joined is False and record.late)


async def why_outdated(listed: Listed, record: UpdateStatusInput, resource: dict[str, Any] | None) -> str:
    """Return why a record is not true any more by etcd's list, or "" while it is.

    Another client may have removed the member meanwhile. Or the cluster was restored from a backup with its old member
    IDs. Then Joined=False of a present member could make people wipe a needed node. Or another member has joined under
    the same name, as a replacement, and the EtcdMember has that member's ID by now.

    Args:
        listed: Gives the IDs of all members.
        record: What was true.
        resource: The EtcdMember that would be written; None where there is none.

    Raises:
        ApplicationError: The member list is not known now.
    """
    members, note = await _members(listed, record)
    if members is None:
        raise ApplicationError(f"whether it is a member is not known: {note}", type=NOT_RECORDED)
    is_member, who = record.member_id in members, f"{record.member_name or 'member'} ({record.member_id})"
    described = member_id_of(resource) if resource is not None else ""
    if is_member and resource is not None and described != record.member_id and described in members:
        name = resource["metadata"]["name"]
        return f"EtcdMember {name} describes member {described}, which is in the cluster; it was not changed"
    if is_member is record.joined:
        return ""
    if is_member:
        return f"{who} is in the cluster again, which may have been restored; its EtcdMember was not changed"
    return f"{who} has left the cluster since; its EtcdMember was not changed"


async def _members(listed: Listed, record: UpdateStatusInput) -> tuple[frozenset[str] | None, str]:
    """Return the IDs of all members by now, or None and why that list may be another cluster's.

    That a member has left was seen before, and only its own cluster can list it again. Any other conclusion needs that
    cluster's list. A node started with --force-new-cluster keeps the cluster's ID, and lists only itself.
    """
    if record.joined is False:
        return await listed(record.cluster, "")
    members, note = await listed(record.cluster, record.cluster_id)
    known = set(record.members) - {record.member_id}
    nobody_new = members is not None and members <= set(record.members)
    if members is not None and nobody_new and known and 2 * len(known & members) <= len(known):
        text = f"of the members {', '.join(sorted(known))} too few are listed: this may be another cluster's list"
        return None, text
    return members, note
