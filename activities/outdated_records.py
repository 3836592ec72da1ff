"""Whether what is to be written on an EtcdMember is still true: a record may wait for an API server for days."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from temporalio.exceptions import ApplicationError

from activities.kubernetes_errors import NOT_RECORDED
from etcd_handoff.etcdmember import member_id_of
from etcd_handoff.etcdmember_messages import MESSAGE_REMOVED

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from etcd_handoff.activity_io import UpdateStatusInput

    Listed = Callable[[str, str], Awaitable[tuple[frozenset[str] | None, str]]]
    """Takes a profile and the ID of its etcd cluster, empty when not known; gives the IDs of all members. It gives None
    in their place, with the reason, when nobody knows or another cluster answers."""
    Elsewhere = Callable[[str, str], Awaitable[None]]
    """Takes a profile and the ID of its etcd cluster, empty when not known; raises what lets another worker do the step
    where this one's node belongs to another cluster."""
    Reached = Callable[[str], Awaitable[str]]
    """Takes a profile; gives the ID of the etcd cluster of this worker's node, where it reaches no other; else ''."""


async def nowhere_else(_cluster: str, _cluster_id: str) -> None:
    """Nobody asks which cluster this worker's node belongs to."""


async def anywhere(_cluster: str) -> str:
    """It is not known which cluster this worker's node belongs to."""
    return ""


async def as_known_by_now(listed: Listed, record: UpdateStatusInput) -> UpdateStatusInput:
    """The record of a removal that had perhaps still to take place, with what etcd's list says of it now.

    It stays as it is where that is not known now either.
    """
    if record.joined is not None or not record.late:
        return record
    members, _ = await _members(listed, record)
    if members is None or record.member_id in members:
        return record if members is None else record.model_copy(update={"joined": True})
    return record.model_copy(update={"joined": False, "failed": False, "message": MESSAGE_REMOVED})


def may_be_outdated(record: UpdateStatusInput) -> bool:
    """Whether etcd is to be asked again: a member may leave at any moment, and comes back by a restore alone."""
    return bool(record.joined) or (record.joined is False and record.late)


async def why_outdated(listed: Listed, record: UpdateStatusInput, resource: dict[str, Any] | None) -> str:
    """Why what was true of a member is not any more, by etcd's list; empty while it is.

    Somebody else may have taken the member out meanwhile. Or the cluster was restored from a backup, with all the IDs
    of then: whoever acted on Joined=False of a present member would wipe a node that is needed. Or another member has
    joined under its name, as one that is to replace it, and the EtcdMember speaks of that one by now.

    Args:
        listed: Gives the IDs of all members.
        record: What was true.
        resource: The EtcdMember that would be written; None where there is none.

    Raises:
        ApplicationError: That is not known now.
    """
    members, note = await _members(listed, record)
    if members is None:
        raise ApplicationError(f"whether it is a member is not known: {note}", type=NOT_RECORDED)
    is_member, who = record.member_id in members, f"{record.member_name or 'member'} ({record.member_id})"
    described = member_id_of(resource) if resource is not None else ""
    if is_member and resource is not None and described != record.member_id and described in members:
        name = resource["metadata"]["name"]
        return f"EtcdMember {name} speaks of member {described}, which is in the cluster; it was left alone"
    if is_member is record.joined:
        return ""
    if is_member:
        return f"{who} is in the cluster again, which may have been restored; its EtcdMember was left alone"
    return f"{who} has left the cluster since; its EtcdMember was left alone"


async def _members(listed: Listed, record: UpdateStatusInput) -> tuple[frozenset[str] | None, str]:
    """IDs of all members by now; None with the reason where that list may be another one than that of the record.

    That a member is out was seen before, and only its own cluster can list it again. Whatever else is to be concluded
    needs that cluster's list. A node started with --force-new-cluster has the cluster's ID, and lists itself alone.
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
