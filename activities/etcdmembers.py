"""Effects on all EtcdMembers of a cluster: watching what they ask for, and keeping what they say true."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from temporalio import activity
from temporalio.exceptions import ApplicationError

from etcd_handoff import drift
from etcd_handoff.belief import ResourceClaim
from etcd_handoff.errors import (
    ApiUnavailableError,
    ConflictError,
    KubernetesError,
    ObjectGoneError,
)
from etcd_handoff.etcdmember import (
    JOINED,
    MESSAGE_JOINED,
    OLD_REQUEST,
    STANDING,
    News,
    Truth,
    asks_to_leave,
    conditions_of,
    disagrees,
    event_for,
    is_object_name,
    member_id_of,
    new_resource,
    noted,
    resource_name,
    says,
    status_for,
    status_of,
    truth_of,
    with_message,
)
from etcd_handoff.leave_requests import Asked, Seen, Sync, Synced, Watch
from etcd_handoff.removal_progress import Note

if TYPE_CHECKING:
    from collections.abc import Awaitable, Mapping, Sequence

    from etcd_handoff.drift import Hold
    from etcd_handoff.kubernetes.pool import KubernetesGateways
    from etcd_handoff.kubernetes.port import KubernetesPort
    from etcd_handoff.view import MemberView

NOT_INSTALLED_SECONDS: Final = 5.0
"""Pause between looks for a resource kind that is not installed: nothing of it can be watched."""
NOT_INSTALLED: Final = "EtcdMembers are not installed; install deploy/crd.yaml"
TRIES: Final = 5
"""How often an EtcdMember is read again after a conflict."""


class EtcdMemberActivities:
    """The activities on the EtcdMembers of a cluster.

    Args:
        gateways: Gateways to the API servers of each cluster profile.
    """

    def __init__(self, gateways: KubernetesGateways) -> None:
        self._gateways = gateways

    @activity.defn
    async def watch_members(self, ask: Watch) -> Seen:
        """All EtcdMembers, as soon as they differ from what is known, or when the time is over."""
        gateway = self._gateways.require(ask.cluster)
        seen = await _see(gateway)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(ask.seconds):
                while seen[0].digest == ask.known:
                    wait = (
                        gateway.wait_for_change(seen[1]) if seen[0].installed else asyncio.sleep(NOT_INSTALLED_SECONDS)
                    )
                    await _unless_stopped(wait)
                    seen = await _see(gateway)
        if seen[0].digest == ask.known:
            return Seen(installed=seen[0].installed, unchanged=True)
        return seen[0]

    @activity.defn
    async def sync_members(self, sync: Sync) -> Synced:
        """Every EtcdMember that says what it said before the list was read says what the list says.

        Nothing is written of a list that contradicts too many of them, unless somebody has confirmed it.
        """
        gateway = self._gateways.require(sync.cluster)
        try:
            resources = {r["metadata"]["name"]: r for r in await gateway.list()}
        except ObjectGoneError:
            return Synced(note=NOT_INSTALLED)
        claims = [_claim(resource, sync.view.members) for resource in resources.values()]
        held = drift.hold(sync.view, claims, sync.explained, self._gateways.cluster_id(sync.cluster))
        if held is not None and not sync.confirmed:
            changed = [text for name in held.names for text in await _say_held(gateway, resources[name], sync, held)]
            note = f"{held.doubt.kind}: {held.doubt.text}; {held.doubt.remedy}"
            return Synced(changed=tuple(changed), held=held.doubt.kind, note=note)
        changed, notes, again = list[str](), list[str](), False
        for name, resource in resources.items():
            try:
                told = await _put_right(gateway, resource, sync)
            except (ConflictError, ObjectGoneError):
                again = True
            except ApiUnavailableError:
                raise
            except KubernetesError as error:  # what forbids one of them must not stop the others
                notes.append(f"EtcdMember {name} could not be put right: {error}")
            else:
                changed += told
        if self._gateways.manages(sync.cluster):
            await _create_missing(gateway, sync.view.members, resources, changed, notes)
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


async def _put_right(gateway: KubernetesPort, resource: dict[str, Any], sync: Sync) -> list[str]:
    """What was put right of an EtcdMember, in a sentence.

    Raises:
        ConflictError: It says something else than before the list was read, or changes all the time.
        ObjectGoneError: It was deleted meanwhile.
        KubernetesError: The API server does not let what is true be written.
    """
    name = resource["metadata"]["name"]
    for _ in range(TRIES):
        asked = _asked(resource)
        if asked.digest != sync.before.get(name):
            break
        truth = truth_of(resource, sync.view.members)
        if truth is None:
            return []
        word = sync.standing.get(name)
        word = word if word is not None and word.generation == asked.generation and asked.leave else None
        if word is not None and truth.joined:
            truth = with_message(truth, word.message, failed=word.failed)
        wrong = disagrees(resource, truth)
        if not wrong and not _words_are_wrong(resource, truth, bound=word is not None):
            return []
        try:
            await gateway.patch_status(resource, status_for(resource, truth, _now()))
        except ConflictError:
            resource = await gateway.get(name)
            continue
        if not wrong:
            await gateway.record_event(
                event_for(resource, News("Request", truth.message, warning=word is not None), _micro())
            )
            return []
        said = f"Joined is {truth.joined}: etcd's own list says so"
        await gateway.record_event(event_for(resource, News("Repaired", said), _micro()))
        return [f"{name}: Joined={truth.joined}, was {says(resource)}"]
    msg = f"EtcdMember {name} changed meanwhile"
    raise ConflictError(msg)


def _words_are_wrong(resource: dict[str, Any], truth: Truth, *, bound: bool) -> bool:
    """Whether the message has to be another one, though all the rest is true.

    Args:
        resource: The EtcdMember.
        truth: What it should say.
        bound: The message is one that has to stand there; otherwise any may, but one whose cause is gone.
    """
    message = str(status_of(resource).get("message") or "")
    return truth.joined is True and message != truth.message and (bound or message.startswith(STANDING))


async def _say_held(gateway: KubernetesPort, resource: dict[str, Any], sync: Sync, held: Hold) -> list[str]:
    """What was written of an EtcdMember that is held back: its message, while its condition stays as it is."""
    fields = noted(resource, held.message, failed=True)
    if not fields or _asked(resource).digest != sync.before.get(resource["metadata"]["name"]):
        return []
    try:
        await gateway.patch_status(resource, fields)
    except ApiUnavailableError:
        raise
    except KubernetesError:  # what forbids one of them must not stop the others
        return []
    await gateway.record_event(event_for(resource, News("NotCorrected", held.message, warning=True), _micro()))
    return []


def _why_not(resource: dict[str, Any], note: Note) -> str:
    """Why an EtcdMember is not to carry a sentence; empty when it is."""
    if member_id_of(resource) not in ("", note.member_id):
        return f"it speaks of {member_id_of(resource)}"
    if note.instead_of and status_of(resource).get("message") not in note.instead_of:
        return "somebody else has spoken since"
    if not noted(resource, note.message, failed=note.failed):
        return "it says so already, or its member is out"
    return ""


async def _see(gateway: KubernetesPort) -> tuple[Seen, str]:
    """All EtcdMembers, and the resourceVersion of the list."""
    try:
        resources, version = await gateway.list_at()
    except ObjectGoneError:
        return Seen(installed=False), ""
    members = tuple(sorted((_asked(r) for r in resources), key=lambda asked: asked.name))
    return Seen(members=members), version


def _asked(resource: dict[str, Any]) -> Asked:
    metadata, leave = resource["metadata"], asks_to_leave(resource)
    return Asked(
        name=metadata["name"],
        uid=metadata["uid"],
        generation=int(metadata.get("generation") or 0),
        leave=leave,
        leave_since=_leave_since(metadata) if leave else "",
        called_old=leave and str(status_of(resource).get("message")).startswith(OLD_REQUEST),
        member_id=member_id_of(resource),
        joined=says(resource),
        since=_since(resource),
    )


def _claim(resource: dict[str, Any], members: Sequence[MemberView]) -> ResourceClaim:
    """What it says of who is a member."""
    name = resource["metadata"]["name"]
    return ResourceClaim(name=name, member_id=member_id_of(resource, members), joined=says(resource))


async def _create_missing(
    gateway: KubernetesPort,
    members: Sequence[MemberView],
    resources: Mapping[str, Any],
    changed: list[str],
    notes: list[str],
) -> None:
    """Members that no EtcdMember speaks of get one; a member that has not started has no name yet."""
    spoken_of = {member_id_of(r, members) for r in resources.values()}
    times = Counter(resource_name(m.name) for m in members)
    for member in members:
        name = resource_name(member.name)
        if not name or name in resources or member.id in spoken_of:
            continue
        if times[name] > 1 or not is_object_name(name):
            why = "another member has that name" if times[name] > 1 else "no object can have that name"
            notes.append(
                f"member {member.name} ({member.id}) gets no EtcdMember: {why}; restart it with another --name"
            )
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


def _leave_since(metadata: dict[str, Any]) -> str:
    """When `spec.leave` got its present value (Kubernetes server-side apply, "Field management"); empty if unknown.

    Whoever sets a field to what it is already becomes a further owner of it, so the earliest time counts.
    """
    entries = metadata.get("managedFields")
    times = [
        str(entry.get("time") or "")
        for entry in (entries if isinstance(entries, list) else [])
        if isinstance(entry, dict) and _owns_leave(entry.get("fieldsV1"))
    ]
    return min((time for time in times if time), default="")


def _owns_leave(fields: object) -> bool:
    spec = fields.get("f:spec") if isinstance(fields, dict) else None
    return isinstance(spec, dict) and "f:leave" in spec


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _micro() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
