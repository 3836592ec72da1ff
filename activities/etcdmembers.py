"""Effects on all EtcdMembers of a cluster: watching what they ask for, and keeping what they say true."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from temporalio import activity
from temporalio.exceptions import ApplicationError

from etcd_handoff.errors import ConflictError, KubernetesError, ObjectGoneError, RejectedError
from etcd_handoff.etcdmember import (
    JOINED,
    MESSAGE_JOINED,
    News,
    Truth,
    asks_to_leave,
    conditions_of,
    disagrees,
    event_for,
    member_id_of,
    new_resource,
    noted,
    resource_name,
    says,
    status_for,
    status_of,
    truth_of,
)
from etcd_handoff.leave_requests import Asked, Seen, Sync, Synced, Watch
from etcd_handoff.removal_progress import Note

if TYPE_CHECKING:
    from collections.abc import Awaitable, Mapping

    from activities.kubernetes import Gateways
    from etcd_handoff.kubernetes_gateway import KubernetesGateway
    from etcd_handoff.view import ClusterView

NOT_INSTALLED_SECONDS: Final = 5.0
"""Pause between looks for a resource kind that is not installed: nothing of it can be watched."""
TRIES: Final = 5
"""How often an EtcdMember is read again after a conflict."""


class EtcdMemberActivities:
    """The activities on the EtcdMembers of a cluster.

    Args:
        gateways: Gateways to the API servers of each cluster profile.
    """

    def __init__(self, gateways: Gateways) -> None:
        self._gateways = gateways

    @activity.defn
    async def watch_members(self, ask: Watch) -> Seen:
        """All EtcdMembers, as soon as they differ from what is known, or when the time is over."""
        gateway = self._gateways.require(ask.cluster)
        seen = await _see(gateway)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(ask.seconds):
                while seen[0].says_as(ask.known):
                    wait = gateway.changed(seen[1]) if seen[0].installed else asyncio.sleep(NOT_INSTALLED_SECONDS)
                    await _unless_stopped(wait)
                    seen = await _see(gateway)
        return seen[0]

    @activity.defn
    async def sync_members(self, sync: Sync) -> Synced:
        """Every EtcdMember that says what it said before the list was read says what the list says."""
        gateway = self._gateways.require(sync.cluster)
        if not sync.seen.installed:
            return Synced(note="EtcdMembers are not installed")
        changed, notes, again = list[str](), list[str](), False
        before = {asked.name: asked for asked in sync.seen.members}
        resources = {r["metadata"]["name"]: r for r in await gateway.list()}
        for name, resource in resources.items():
            try:
                told = await _put_right(gateway, resource, before.get(name), sync.view)
            except (ConflictError, ObjectGoneError):
                again = True
            except RejectedError as error:
                notes.append(f"EtcdMember {name} could not be put right: {error}")
            else:
                changed += told
        if self._gateways.manages(sync.cluster):
            await _create_missing(gateway, sync, resources, changed, notes)
        return Synced(changed=tuple(changed), again=again, note="; ".join(notes))

    @activity.defn
    async def note_progress(self, note: Note) -> str:
        """The EtcdMember carries this sentence, unless it speaks of another member or of one that is out; why not."""
        gateway = self._gateways.get(note.cluster)
        if gateway is None:
            return "no Kubernetes in the profile"
        for _ in range(TRIES):
            try:
                resource = await gateway.get(note.resource)
                if why_not := _why_not(resource, note):
                    return why_not
                await gateway.patch_status(resource, noted(resource, note.message, failed=note.failed))
            except ConflictError:
                continue
            except ObjectGoneError:
                return "there is no such EtcdMember"
            reason = "Failed" if note.failed else "Progress"
            await gateway.record_event(event_for(resource, News(reason, note.message, warning=note.failed), _micro()))
            return ""
        return "it changed all the time"


async def _put_right(
    gateway: KubernetesGateway, resource: dict[str, Any], before: Asked | None, view: ClusterView
) -> list[str]:
    """What was put right of an EtcdMember, in a sentence.

    Raises:
        ConflictError: It says something else than before the list was read, or changes all the time.
        ObjectGoneError: It was deleted meanwhile.
        RejectedError: The API server does not accept what is true.
    """
    name = resource["metadata"]["name"]
    for _ in range(TRIES):
        if not _asked(resource).speaks_as(before):
            break
        truth = truth_of(resource, view.members)
        if truth is None or not disagrees(resource, truth):
            return []
        try:
            await gateway.patch_status(resource, status_for(resource, truth, _now()))
        except ConflictError:
            resource = await gateway.get(name)
            continue
        said = f"Joined is {truth.joined}: etcd's own list says so"
        await gateway.record_event(event_for(resource, News("Repaired", said), _micro()))
        return [f"{name}: Joined={truth.joined}, was {says(resource)}"]
    msg = f"EtcdMember {name} changed meanwhile"
    raise ConflictError(msg)


def _why_not(resource: dict[str, Any], note: Note) -> str:
    """Why an EtcdMember is not to carry a sentence; empty when it is."""
    if member_id_of(resource) not in ("", note.member_id):
        return f"it speaks of {member_id_of(resource)}"
    if note.instead_of and status_of(resource).get("message") not in note.instead_of:
        return "somebody else has spoken since"
    if not noted(resource, note.message, failed=note.failed):
        return "it says so already, or its member is out"
    return ""


async def _see(gateway: KubernetesGateway) -> tuple[Seen, str]:
    """All EtcdMembers, and the resourceVersion of the list."""
    try:
        resources, version = await gateway.list_at()
    except ObjectGoneError:
        return Seen(installed=False), ""
    members = tuple(sorted((_asked(r) for r in resources), key=lambda asked: asked.name))
    return Seen(members=members), version


def _asked(resource: dict[str, Any]) -> Asked:
    metadata = resource["metadata"]
    return Asked(
        name=metadata["name"],
        uid=metadata["uid"],
        generation=int(metadata.get("generation") or 0),
        leave=asks_to_leave(resource),
        member_id=member_id_of(resource),
        joined=says(resource),
        since=_since(resource),
    )


async def _create_missing(
    gateway: KubernetesGateway, sync: Sync, resources: Mapping[str, Any], changed: list[str], notes: list[str]
) -> None:
    """Members that no EtcdMember speaks of get one; a member that has not started has no name yet."""
    spoken_of = {member_id_of(r) for r in resources.values()}
    for member in sync.view.members:
        name = resource_name(member.name)
        if not name or name in resources or member.id in spoken_of:
            continue
        try:
            resource = await gateway.create(new_resource(name))
            truth = Truth(member.id, joined=True, message=MESSAGE_JOINED, peer_urls=member.peer_urls)
            await gateway.patch_status(resource, status_for(resource, truth, _now()))
        except KubernetesError as error:
            notes.append(f"EtcdMember {name} could not be created: {error}")
            continue
        changed.append(f"{name}: created")


async def _unless_stopped(wait: Awaitable[None]) -> None:
    """Wait, but let another worker go on at once when this one is told to stop."""
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


def _since(resource: dict[str, Any]) -> str:
    """When the condition Joined changed last."""
    return next(
        (str(c.get("lastTransitionTime") or "") for c in conditions_of(resource) if c.get("type") == JOINED), ""
    )


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _micro() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
