"""Read, correct and create EtcdMembers for the reconciler."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from activities import timestamps
from activities.old_leave_orders import clear_leave, would_follow
from etcd_handoff import time_limits
from etcd_handoff.command_lines import with_cluster
from etcd_handoff.errors import ApiUnavailableError, ConflictError, KubernetesError, ObjectGoneError
from etcd_handoff.etcdmember import (
    JOINED,
    SHUTDOWN_ON_LEAVE_LABEL,
    DesiredStatus,
    annotation_of,
    asks_to_leave,
    conditions_of,
    differs,
    joined_condition,
    labels_of,
    member_id_of,
    message_fields,
    new_resource,
    resource_name,
    status_for,
    status_of,
    why_nameless,
)
from etcd_handoff.etcdmember_events import EventSpec, event_for
from etcd_handoff.etcdmember_matching import desired_status, without_resource
from etcd_handoff.etcdmember_messages import (
    MESSAGE_JOINED,
    OLD_ANNOTATION,
    OLD_REQUEST,
    STANDING,
    old_generation,
)
from etcd_handoff.leave_requester import requester_of
from etcd_handoff.managed_fields import (
    ANNOTATION,
    FIELD_MANAGER,
    SPEC_LEAVE,
    STATUS_MESSAGE,
    last_write,
    value_since,
    writes,
)
from etcd_handoff.reconciler.member_resources import MemberResource, WatchMembersResult

if TYPE_CHECKING:
    from collections.abc import Sequence

    from etcd_handoff.cluster_view import MemberView
    from etcd_handoff.doubts import ResourceClaim
    from etcd_handoff.kubernetes.port import KubernetesPort
    from etcd_handoff.reconciler.drift import Hold
    from etcd_handoff.reconciler.member_resources import StandingMessage, SyncMembersInput


async def list_resources(gateway: KubernetesPort) -> tuple[WatchMembersResult, str]:
    """Return all EtcdMembers, and the resourceVersion of the list."""
    try:
        resources, version = await gateway.list_at()
    except ObjectGoneError:
        return WatchMembersResult(installed=False), ""
    members = tuple(sorted(map(to_member_resource, resources), key=lambda resource: resource.name))
    return WatchMembersResult(resources=members), version


def to_member_resource(resource: dict[str, Any]) -> MemberResource:
    """Return an EtcdMember as the reconciler sees it."""
    metadata, leave = resource["metadata"], asks_to_leave(resource)
    leave_since = value_since(resource, SPEC_LEAVE) if leave else ""
    annotation = annotation_of(resource)
    annotation_since = value_since(resource, ANNOTATION) if annotation else ""
    joined_since = (c.get("lastTransitionTime") for c in conditions_of(resource) if c.get("type") == JOINED)
    return MemberResource(
        name=metadata["name"],
        uid=metadata["uid"],
        generation=int(metadata.get("generation") or 0),
        leave=leave,
        leave_since=leave_since,
        leave_manager="" if leave else last_write(resource, SPEC_LEAVE).manager,
        leave_by_us=leave and any(write.manager == FIELD_MANAGER for write in writes(resource, SPEC_LEAVE)),
        old_request=leave and _called_old(resource, leave_since),
        annotation=annotation,
        annotation_since=annotation_since,
        old_annotation=bool(annotation) and str(status_of(resource).get("message")).startswith(OLD_ANNOTATION),
        created=str(metadata.get("creationTimestamp") or ""),
        k0s_start=str(labels_of(resource).get(SHUTDOWN_ON_LEAVE_LABEL) or ""),
        member_id=member_id_of(resource),
        joined=joined_condition(resource),
        joined_since=str(next(joined_since, "") or ""),
        leave_asked_by=requester_of(resource, SPEC_LEAVE) if leave else "",
        annotation_asked_by=requester_of(resource, ANNOTATION) if annotation else "",
    )


def _called_old(resource: dict[str, Any], leave_since: str) -> bool:
    """Return whether the message calls this flag an old request. A flag set after the message is a new request."""
    message = str(status_of(resource).get("message"))
    if old_generation(message) == int(resource["metadata"].get("generation") or 0):
        return True
    written = last_write(resource, STATUS_MESSAGE).time
    return message.startswith(OLD_REQUEST) and not (written and leave_since > written)


async def correct(
    gateway: KubernetesPort, resource: dict[str, Any], sync: SyncMembersInput, *, k0s: bool = False
) -> list[str]:
    """Write the true status to an EtcdMember, and return the corrections as sentences.

    Args:
        gateway: Of the cluster.
        resource: The EtcdMember.
        sync: What is true, and what was known before.
        k0s: Whether k0s works on the EtcdMembers too. Then an order about another member is cleared first.

    Raises:
        ConflictError: It differs from what was known before the list was read, or it keeps changing.
        ObjectGoneError: It was deleted meanwhile.
        KubernetesError: The API server refuses the write.
    """
    name = resource["metadata"]["name"]
    for _ in range(time_limits.STEPS.repair_conflict_attempts):
        seen = to_member_resource(resource)
        if seen.status_digest != sync.status_digests.get(name):
            break
        desired, standing = desired_status(resource, sync.view.members), _standing(sync, seen)
        if desired is None:
            return []
        if standing is not None and desired.joined:
            desired = replace(desired, message=standing.message, failed=standing.failed)
        wrong = differs(resource, desired)
        if not wrong and not _has_wrong_message(resource, desired, standing):
            return []
        try:
            # We set the flag when the member had left. It says nothing about a member that a restore brought back.
            ours = seen.leave_by_us and seen.joined == "False"
            if k0s and desired.joined and (ours or would_follow(resource, desired.member_id, sync.view.members)):
                resource = await clear_leave(gateway, resource)
                continue
            await gateway.patch_status(resource, status_for(resource, desired, timestamps.seconds()))
        except ConflictError:
            resource = await gateway.get(name)
            continue
        if not wrong:
            spec = EventSpec("Request", desired.message, warning=standing is not None)
            await gateway.record_event(event_for(resource, spec, timestamps.microseconds()))
            return []
        spec = EventSpec("Repaired", f"Joined is {desired.joined}: etcd's own list says so")
        await gateway.record_event(event_for(resource, spec, timestamps.microseconds()))
        return [f"{name}: Joined={desired.joined}, was {joined_condition(resource)}"]
    msg = f"EtcdMember {name} changed meanwhile"
    raise ConflictError(msg)


def _standing(sync: SyncMembersInput, seen: MemberResource) -> StandingMessage | None:
    """Return the message that the EtcdMember must have, as long as it still asks for what the message answers."""
    standing = sync.standing.get(seen.name)
    if standing is None or not (seen.leave or seen.annotation):
        return None
    same = (standing.generation, standing.annotation) == (seen.generation, seen.annotation)
    return standing if same else None


def _has_wrong_message(resource: dict[str, Any], desired: DesiredStatus, standing: StandingMessage | None) -> bool:
    """Whether only the message has to change.

    Without a standing message any message is right, except a standing one whose cause is gone.
    """
    message = str(status_of(resource).get("message") or "")
    outdated = standing is not None or message.startswith(STANDING)
    return desired.joined is True and message != desired.message and outdated


async def note_held_back(gateway: KubernetesPort, resource: dict[str, Any], sync: SyncMembersInput, held: Hold) -> None:
    """Write to an EtcdMember why it is not corrected. Its condition stays as it is.

    Raises:
        ApiUnavailableError: No API server answers.
    """
    message = with_cluster(held.message, sync.cluster)
    fields = message_fields(resource, message, failed=True)
    known = sync.status_digests.get(resource["metadata"]["name"])
    if not fields or to_member_resource(resource).status_digest != known:
        return
    try:
        await gateway.patch_status(resource, fields)
    except ApiUnavailableError:
        raise
    except KubernetesError:  # a refusal for one EtcdMember must not stop the others
        return
    spec = EventSpec("NotCorrected", message, warning=True)
    await gateway.record_event(event_for(resource, spec, timestamps.microseconds()))


async def create_missing(
    gateway: KubernetesPort, members: Sequence[MemberView], claims: Sequence[ResourceClaim]
) -> tuple[list[str], list[str]]:
    """Create an EtcdMember for each member that has none. Return what was created, and why others were not."""
    created, notes = list[str](), list[str]()
    names = [member.name for member in members]
    for member in without_resource(members, claims):
        name = resource_name(member.name)
        if why := why_nameless(member.name, names):
            text = f"member {member.name} ({member.id}) gets no EtcdMember: {why}; restart it with another --name"
            notes.append(text)
            continue
        try:
            resource = await gateway.create(new_resource(name))
            desired = DesiredStatus(member.id, joined=True, message=MESSAGE_JOINED, peer_urls=member.peer_urls)
            await gateway.patch_status(resource, status_for(resource, desired, timestamps.seconds()))
        except KubernetesError as error:
            notes.append(f"EtcdMember {name} could not be created: {error}")
        else:
            created.append(f"{name}: created")
    return created, notes
