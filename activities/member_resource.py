"""The EtcdMember of one member: find it, distinguish it from another member's, and write its status."""

from __future__ import annotations

import contextlib
from datetime import datetime
from typing import TYPE_CHECKING, Any

from activities import timestamps
from activities.old_leave_orders import clear_leave, would_follow
from etcd_handoff import time_limits
from etcd_handoff.errors import ConflictError, KindGoneError, ObjectGoneError
from etcd_handoff.etcdmember import (
    DesiredStatus,
    joined_condition,
    member_id_of,
    new_resource,
    resource_name,
    status_for,
    why_nameless,
)
from etcd_handoff.etcdmember_matching import claim_of, resource_of
from etcd_handoff.etcdmember_messages import no_resource
from etcd_handoff.managed_fields import STATUS, last_write

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from etcd_handoff.activity_io import UpdateStatusInput
    from etcd_handoff.kubernetes.port import KubernetesPort

    WhyOutdated = Callable[[dict[str, Any] | None], Awaitable[str]]

Resource = dict[str, Any]


async def write_status(  # noqa: PLR0913  # what it may do besides, each by its name
    gateway: KubernetesPort,
    record: UpdateStatusInput,
    known: Resource | None,
    *,
    k0s: bool = False,
    creates: bool = False,
    outdated: WhyOutdated | None = None,
) -> tuple[str, Resource | None]:
    """Write the true status to an EtcdMember: return "" and the EtcdMember, or why none was written, and None.

    Args:
        gateway: Of the cluster.
        record: What is true.
        known: The EtcdMember a moment ago. It saves a read, unless it has changed since or needs no write.
        k0s: Whether k0s works on the EtcdMembers too. Then an order about another member is cleared first.
        creates: Whether to create an EtcdMember for a member that has joined and has none.
        outdated: Takes the EtcdMember or None, and gives why the record is not true any more. It is called after the
            read, so that a later writer makes this write a conflict. None for a record that stays true.

    Raises:
        ObjectGoneError: There seems to be none, but not all API servers agree, or the kind is not installed.
        ConflictError: The EtcdMember kept changing.
    """
    if known is not None and not outdated and (written := await write_known(gateway, record, known, k0s=k0s)):
        return "", written
    for _ in range(time_limits.STEPS.conflict_attempts):
        resource = await member_resource(gateway, record.member_name, record.member_id)
        if resource is None:
            if why := await _create(gateway, record, outdated, creates=creates):
                return why, None
            continue
        try:
            return await _write_read(gateway, record, resource, outdated, k0s=k0s)
        except KindGoneError:
            raise
        except (ConflictError, ObjectGoneError):  # somebody else has just written or deleted it
            continue
    msg = f"the EtcdMember changed {time_limits.STEPS.conflict_attempts} times while its status was written"
    raise ConflictError(msg)


async def _create(
    gateway: KubernetesPort, record: UpdateStatusInput, outdated: WhyOutdated | None, *, creates: bool
) -> str:
    """Create the EtcdMember of a member that has none, and return "", or why it is not created."""
    if not creates:
        return no_resource(record.member_name, record.member_id)
    if why := why_nameless(record.member_name, record.present_names):
        return f"{no_resource(record.member_name, record.member_id)}, as {why}"
    if outdated and (note := await outdated(None)):
        return note
    with contextlib.suppress(ConflictError):  # another client has just created it
        await gateway.create(new_resource(resource_name(record.member_name)))
    return ""


async def _write_read(
    gateway: KubernetesPort,
    record: UpdateStatusInput,
    resource: Resource,
    outdated: WhyOutdated | None,
    *,
    k0s: bool,
) -> tuple[str, Resource | None]:
    """Write the status to an EtcdMember as it was read. See `write_status` for what it returns.

    Raises:
        ConflictError: The EtcdMember has changed since.
        ObjectGoneError: It was deleted.
    """
    note, status = _due(resource, record)
    if note or (outdated and (note := await outdated(resource))):
        return note, None
    return "", await _patched(gateway, record, resource, status, k0s=k0s) if status else resource


async def write_known(
    gateway: KubernetesPort, record: UpdateStatusInput, known: Resource, *, k0s: bool
) -> Resource | None:
    """Write the status by what is known of the EtcdMember, and return it as it was written.

    Return None if that needs no write, or if the EtcdMember has changed since.
    """
    note, status = _due(known, record)
    if status and not note:
        with contextlib.suppress(ConflictError, ObjectGoneError):
            return await _patched(gateway, record, known, status, k0s=k0s)
    return None


async def _patched(
    gateway: KubernetesPort, record: UpdateStatusInput, resource: Resource, status: dict[str, Any], *, k0s: bool
) -> Resource:
    if k0s and record.joined and would_follow(resource, record.member_id):
        resource = await clear_leave(gateway, resource, record.member_name)
    return await gateway.patch_status(resource, status, departing=record.member_name)


def _due(resource: Resource, record: UpdateStatusInput) -> tuple[str, dict[str, Any]]:
    """Return why an EtcdMember is not written, or else the status fields to set."""
    if note := reason_to_skip(resource, record):
        return note, {}
    status = {} if _agrees_late(resource, record) else _status(resource, record)
    return _why_older(resource, record) if status else "", status


def reason_to_skip(resource: Resource, record: UpdateStatusInput) -> str:
    """Return why an EtcdMember is not written although it has the member's name, or "" if it is the member's.

    One with another member's ID says nothing about ours, whatever its name: its node has joined again. One without an
    ID may belong to the next member, whose ID is written a moment later. When our member has joined, an EtcdMember with
    the ID of a removed member takes the new ID, as k0s does it. A member that was not in the record's list may have
    joined since. The present list shows that (`activities.outdated_records.why_outdated`).
    """
    name, member_id = resource["metadata"]["name"], member_id_of(resource)
    joined_again = record.joined and not record.failed and member_id not in record.members
    if member_id == record.member_id and record.joined is None and joined_condition(resource) == "False":
        return f"EtcdMember {name} says that {member_id} has left; it was not changed"
    if member_id == record.member_id or joined_again:
        return ""
    if member_id:
        return f"EtcdMember {name} describes member {member_id}; it was not changed"
    if record.joined is False and name in {resource_name(present) for present in record.present_names}:
        return f"EtcdMember {name} has no member ID, and a member of that name is in the cluster; it was not changed"
    if _created_after(resource, record.since):
        return f"EtcdMember {name} has no member ID and was created after the removal began; it was not changed"
    return ""


def _agrees_late(resource: Resource, record: UpdateStatusInput) -> bool:
    """Whether an addition that ended a while ago has nothing to correct: what others have written since stays."""
    joined = record.late and record.joined is True and not record.failed
    return joined and (member_id_of(resource), joined_condition(resource)) == (record.member_id, "True")


def _why_older(resource: Resource, record: UpdateStatusInput) -> str:
    """Return why a removal that failed a while ago must not write its status any more, or "".

    A resync, another removal or k0s has written the status since.
    """
    newer = record.failed and record.late and _is_after(last_write(resource, STATUS).time, record.made)
    name = resource["metadata"]["name"]
    return f"the status of EtcdMember {name} was written after the removal ended; it was not changed" if newer else ""


def _created_after(resource: Resource, since: str) -> bool:
    return _is_after(str(resource["metadata"].get("creationTimestamp") or ""), since)


def _is_after(when: str, since: str) -> bool:
    """Whether a time of an API server, cut to whole seconds, is after another one."""
    try:
        return datetime.fromisoformat(when) > datetime.fromisoformat(since)
    except (ValueError, TypeError):  # one of them is no time, or without a zone
        return False


def _status(resource: Resource, record: UpdateStatusInput) -> dict[str, Any]:
    """Return the status fields to set so that the EtcdMember agrees with `record`, or nothing if it agrees already."""
    truth = DesiredStatus(record.member_id, record.joined, record.message, record.failed, record.peer_urls)
    return status_for(resource, truth, timestamps.seconds())


async def member_resource(gateway: KubernetesPort, member_name: str, member_id: str) -> Resource | None:
    """Return the member's EtcdMember (`etcd_handoff.etcdmember_matching`), or else one of its name, or None.

    One that only has the member's name is another member's.

    Raises:
        ObjectGoneError: None was found, and not all API servers agree on that, or the kind is not installed.
    """
    named, doubt = None, None
    if member_name:
        try:
            named = await gateway.get(resource_name(member_name), departing=member_name)
        except KindGoneError:
            raise
        except ObjectGoneError as error:
            doubt = None if error.certain else error
    if named is not None and resource_of(member_name, member_id, [claim_of(named)]) is not None:
        return named
    resources = {r["metadata"]["name"]: r for r in await gateway.list(departing=member_name)}
    claim = resource_of(member_name, member_id, map(claim_of, resources.values()))
    found = resources[claim.name] if claim is not None else named
    if found is None and doubt is not None:
        raise doubt
    return found


def generation_of(resource: Resource) -> int:
    """Return its `metadata.generation`, which rises with every change of its spec."""
    return int(resource["metadata"].get("generation") or 0)
