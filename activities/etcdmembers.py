"""Activities on all EtcdMembers of a cluster: watch them, correct them, and write progress to one of them."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities import timestamps
from activities.etcdmember_repairs import (
    correct,
    create_missing,
    list_resources,
    note_held_back,
)
from activities.interceptor import STEP_FAILS
from activities.outdated_records import anywhere
from etcd_handoff import time_limits
from etcd_handoff.errors import ApiUnavailableError, ConflictError, KubernetesError, ObjectGoneError
from etcd_handoff.etcdmember import member_id_of, message_fields, status_of
from etcd_handoff.etcdmember_events import EventSpec, event_for
from etcd_handoff.etcdmember_matching import claim_of
from etcd_handoff.etcdmember_messages import MESSAGE_JOINED, NO_KUBERNETES, NO_SUCH_RESOURCE, NOT_INSTALLED
from etcd_handoff.managed_fields import K0S_MANAGERS, SPEC_LEAVE, STATUS_MESSAGE, last_write, value_since
from etcd_handoff.reconciler import drift
from etcd_handoff.reconciler.member_resources import (
    SyncMembersInput,
    SyncMembersResult,
    WatchMembersInput,
    WatchMembersResult,
)
from etcd_handoff.reconciler.removal_progress import NoteProgressInput, waits_for_k0s

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from activities.outdated_records import Listed, Reached
    from etcd_handoff.kubernetes.pool import KubernetesGateways


class EtcdMemberActivities:
    """The activities on the EtcdMembers of a cluster.

    Args:
        gateways: Gateways to the API servers of each cluster profile.
        listed: Gives the IDs of all members of a profile's cluster, or None and the reason. None if etcd is not asked.
        reached: Gives the cluster that this worker's node belongs to.
    """

    def __init__(self, gateways: KubernetesGateways, listed: Listed | None = None, reached: Reached = anywhere) -> None:
        self._gateways = gateways
        self._listed = listed
        self._reached = reached

    @activity.defn
    async def watch_members(self, watch: WatchMembersInput) -> WatchMembersResult:
        """Wait until the EtcdMembers differ from what is known, or the time is over.

        Afterwards the result has all EtcdMembers, or says that they are unchanged. Nothing is written.

        Raises:
            ConfigError: The profile has no Kubernetes, or there is no such profile.
            KubernetesPermissionError: They may not be listed or watched.
            ApiUnavailableError: No API server answers.
            ApplicationError: This worker stops, and another one has to watch.
        """
        gateway = self._gateways.require(watch.cluster)
        seen, version = await list_resources(gateway)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(watch.seconds):
                while seen.digest == watch.known_digest:
                    pause = time_limits.STEPS.not_installed_seconds
                    wait = gateway.wait_for_change(version) if seen.installed else asyncio.sleep(pause)
                    await _unless_stopped(wait)
                    seen, version = await list_resources(gateway)
        if seen.digest == watch.known_digest:
            return WatchMembersResult(installed=seen.installed, unchanged=True)
        # Asked last: a node cannot join another cluster in the short time since the EtcdMembers were read.
        return seen.model_copy(update={"reached": await self._reached(watch.cluster)})

    @activity.defn
    async def sync_members(self, sync: SyncMembersInput) -> SyncMembersResult:
        """Correct every EtcdMember that differs from the member list, unless its status changed since it was seen.

        Afterwards each of them agrees with the list, or the result says why not. If the list contradicts too many of
        them, nothing is corrected before a person has confirmed that doubt.

        Raises:
            ConfigError: The profile has no Kubernetes, or there is no such profile.
            KubernetesPermissionError: They may not be listed.
            ApiUnavailableError: No API server answers.
            EtcdPermissionError: The user may not list etcd's members.
            ApplicationError: etcd's member list cannot be read again now.
        """
        gateway = self._gateways.require(sync.cluster)
        try:
            resources = {r["metadata"]["name"]: r for r in await gateway.list()}
        except ObjectGoneError:
            return SyncMembersResult(note=NOT_INSTALLED)
        if await self._has_changed_since(sync):
            return SyncMembersResult(retry_soon=True)
        claims = [claim_of(resource, sync.view.members) for resource in resources.values()]
        named = self._gateways.cluster_id(sync.cluster)
        held = drift.hold(sync.view, claims, sync.explained, named, bound=sync.bound)
        if held is not None and not drift.is_confirmed(held.doubt, sync.confirmed):
            for name in held.names:
                await note_held_back(gateway, resources[name], sync, held)
            return SyncMembersResult(doubt=held.doubt)
        repairs, notes, retry_soon = list[str](), list[str](), False
        k0s = self._gateways.is_k0s(sync.cluster)
        for name, resource in resources.items():
            try:
                repairs += await correct(gateway, resource, sync, k0s=k0s)
            except (ConflictError, ObjectGoneError):
                retry_soon = True
            except ApiUnavailableError:
                raise
            except KubernetesError as error:  # a refusal for one EtcdMember must not stop the others
                notes.append(f"EtcdMember {name} could not be corrected: {error}")
        if self._gateways.manages(sync.cluster):
            created, why_not = await create_missing(gateway, sync.view.members, claims)
            repairs, notes = repairs + created, notes + why_not
        return SyncMembersResult(repairs=tuple(repairs), retry_soon=retry_soon, note="; ".join(notes))

    async def _has_changed_since(self, sync: SyncMembersInput) -> bool:
        """Whether the members differ from the list that was read before, which may have waited for workers.

        Raises:
            ApplicationError: The member list cannot be read now.
        """
        if self._listed is None:
            return False
        members, note = await self._listed(sync.cluster, sync.view.cluster_id)
        if members is None:
            raise ApplicationError(f"the member list could not be read again: {note}", type=STEP_FAILS)
        return members != {member.id for member in sync.view.members}

    @activity.defn
    async def note_progress(self, note: NoteProgressInput) -> str:
        """Write the message to the EtcdMember, unless it is another member's.

        Afterwards the EtcdMember has the message.

        Returns:
            Why the message was not written, or "" when it was.
        """
        gateway = self._gateways.get(note.cluster)
        if gateway is None:
            return NO_KUBERNETES
        for _ in range(time_limits.STEPS.repair_conflict_attempts):
            try:
                resource = await gateway.get(note.resource)
                if reason := _reason_to_skip(resource, note):
                    return reason
                own_words = _has_k0s_own_words(resource, note)
                if not own_words:
                    await gateway.patch_status(resource, message_fields(resource, note.message, failed=note.failed))
            except ConflictError:
                continue
            except ObjectGoneError:
                return NO_SUCH_RESOURCE
            spec = EventSpec("Failed" if note.failed else "Progress", note.message, warning=note.failed)
            await gateway.record_event(event_for(resource, spec, timestamps.microseconds()))
            return "k0s has written its message itself" if own_words else ""
        return "it changed all the time"


def _reason_to_skip(resource: dict[str, Any], note: NoteProgressInput) -> str:
    """Return why an EtcdMember does not get a message, or "" when it does."""
    if member_id_of(resource) not in ("", note.member_id):
        return f"it describes {member_id_of(resource)}"
    if note.instead_of and status_of(resource).get("message") not in note.instead_of:
        return "somebody else has written its message since"
    if note.yields_to and str(status_of(resource).get("message")).startswith(note.yields_to):
        return "its message says more"
    if not message_fields(resource, note.message, failed=note.failed):
        return "the message is already set, or its member has left"
    return ""


def _has_k0s_own_words(resource: dict[str, Any], note: NoteProgressInput) -> bool:
    """Whether k0s has written the result of the request, where we could only write that it was requested."""
    if not waits_for_k0s(note.message) or status_of(resource).get("message") in ("", None, MESSAGE_JOINED):
        return False
    latest_write = last_write(resource, STATUS_MESSAGE)
    return latest_write.manager.startswith(K0S_MANAGERS) and latest_write.time >= value_since(resource, SPEC_LEAVE)


async def _unless_stopped(wait: Awaitable[None]) -> None:
    """Wait, but let another worker continue at once when this one is stopping."""
    waiting = asyncio.ensure_future(wait)
    stopping = asyncio.ensure_future(activity.wait_for_worker_shutdown())
    try:
        await asyncio.wait({waiting, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if stopping.done():
            text = "the worker stops; another one goes on"
            raise ApplicationError(text)
        await waiting
    finally:
        for task in (waiting, stopping):
            task.cancel()
        await asyncio.gather(waiting, stopping, return_exceptions=True)
