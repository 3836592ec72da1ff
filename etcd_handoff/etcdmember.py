"""Compute the status of an EtcdMember: pure functions from a resource as read to the status fields to write.

Messages, conditions and status values are k0s's own (`pkg/component/controller/etcd_member_reconciler.go`). So its
users' `kubectl wait --for condition=Joined=False` and their scripts work unchanged.

`lastTransitionTime` moves only when the condition's status does (Kubernetes API conventions, "Typical status
properties"). It also moves when the condition comes to describe another member, which has not joined before. It does
not move between True and Unknown: the member may have been in all the time, and that time distinguishes new orders from
old ones. Orders have an API server's time. So a transition is not dated before anything that an API server has noted of
the object.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from etcd_handoff.annotations import LEAVE_ANNOTATION
from etcd_handoff.etcdmember_messages import MESSAGE_JOINED
from etcd_handoff.managed_fields import ANYTHING, last_write
from etcd_handoff.wire import HEX_ID

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from etcd_handoff.cluster_view import MemberView

GROUP: Final = "etcd.k0sproject.io"
VERSION: Final = "v1beta1"
KIND: Final = "EtcdMember"
JOINED: Final = "Joined"
SHUTDOWN_ON_LEAVE_LABEL: Final = "k0s.k0sproject.io/shutdown-on-leave"
"""k0s's name for its present start on the member's node (`EtcdMemberReconciler.createMemberObject`, v1.36)."""
SHUTDOWN_LABEL: Final = "k0s.k0sproject.io/shutdown"
"""The start that k0s's lease holder has ordered to stop (`EtcdMemberReconciler.reconcileMember`, v1.36)."""

OBJECT_NAME: Final = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
"""A DNS subdomain (RFC 1123), as Kubernetes wants names of objects."""
LONGEST_NAME: Final = 253
LARGEST_ID: Final = 2**64 - 1
MAY_BE_IN_STILL: Final = (("True", "Unknown"), ("Unknown", "True"))
"""Changes of the condition Joined that are no transition: the member may have been in all the time."""


@dataclass(frozen=True, slots=True)
class DesiredStatus:
    """The wanted status of an EtcdMember.

    Attributes:
        member_id: The member.
        joined: Whether it is in the linearizable member list; None when that is not known.
        message: The sentence for people.
        failed: Whether the last action on it failed.
        peer_urls: Its peer URLs, where they are known.
    """

    member_id: str
    joined: bool | None
    message: str
    failed: bool = False
    peer_urls: tuple[str, ...] = ()


def resource_name(member_name: str) -> str:
    """Return the name of a member's EtcdMember.

    k0s names it after the node, and names of objects are lower case (RFC 1123).
    """
    return member_name.strip().lower()


def is_object_name(name: str) -> bool:
    """Whether an object can have this name."""
    return len(name) <= LONGEST_NAME and OBJECT_NAME.fullmatch(name) is not None


def why_nameless(member_name: str, present_names: Iterable[str]) -> str:
    """Return why a member can have no EtcdMember, in words; empty when it can.

    Args:
        member_name: The member's name.
        present_names: Names of all members, its own among them.
    """
    name = resource_name(member_name)
    if sum(resource_name(present) == name for present in present_names) > 1:
        return "another member has that name"
    return "" if is_object_name(name) else "no object can have that name"


def status_of(resource: dict[str, Any]) -> dict[str, Any]:
    """Return the status, empty where there is none: another definition of the resource may let anything through."""
    status = resource.get("status")
    return status if isinstance(status, dict) else {}


def conditions_of(resource: dict[str, Any]) -> list[dict[str, Any]]:
    """Return `status.conditions`, without entries that are no objects."""
    conditions = status_of(resource).get("conditions")
    return [c for c in conditions if isinstance(c, dict)] if isinstance(conditions, list) else []


def asks_to_leave(resource: dict[str, Any]) -> bool:
    """Whether `spec.leave` is the boolean true."""
    spec = resource.get("spec")
    return isinstance(spec, dict) and spec.get("leave") is True


def labels_of(resource: dict[str, Any]) -> dict[str, Any]:
    """Return the labels of an EtcdMember; empty where it has none, or something that is no map."""
    labels = resource["metadata"].get("labels")
    return labels if isinstance(labels, dict) else {}


def annotation_of(resource: dict[str, Any]) -> str:
    """Return the value of `LEAVE_ANNOTATION`; empty when it asks for nothing."""
    annotations = resource["metadata"].get("annotations")
    value = str(annotations.get(LEAVE_ANNOTATION) or "").strip().lower() if isinstance(annotations, dict) else ""
    return "" if value == "false" else value


def member_id_of(resource: dict[str, Any], members: Sequence[MemberView] = ()) -> str:
    """Return `status.memberID` in our form; empty without a status or an ID.

    An ID in decimal, as in JSON from etcd's gateway, is converted where it is certain: it has more digits than an ID in
    hex, or a listed member has it.

    Args:
        resource: The EtcdMember.
        members: The member list, where it is known.
    """
    return as_listed(_hex_id(resource) or _decimal_id(resource), members)


def as_listed(member_id: str, members: Sequence[MemberView]) -> str:
    """Return the ID, converted to hex when only its decimal reading is the ID of a listed member."""
    listed = {m.id for m in members}
    if member_id in listed or not member_id.isdecimal():
        return member_id
    decimal = format(int(member_id), "x")
    return decimal if decimal in listed else member_id


def _written_id(resource: dict[str, Any]) -> str:
    return str(status_of(resource).get("memberID") or "").strip().lower()


def _hex_id(resource: dict[str, Any]) -> str:
    digits = _written_id(resource).removeprefix("0x").lstrip("0")
    return digits if re.fullmatch(HEX_ID, digits) else ""


def _decimal_id(resource: dict[str, Any]) -> str:
    text = _written_id(resource)
    known = text.isascii() and text.isdecimal() and len(text) <= len(str(LARGEST_ID)) and 0 < int(text) <= LARGEST_ID
    return format(int(text), "x") if known else ""


def status_for(resource: dict[str, Any], desired: DesiredStatus, now: str) -> dict[str, Any]:
    """Return the status fields to set so that `resource` says `desired`; empty when it says so already.

    Args:
        resource: The object as read; conditions of other types and unknown fields are kept.
        desired: The wanted status.
        now: Time of a transition by this machine's clock, RFC 3339 in UTC. A clock that is behind does not count.
    """
    old, now = status_of(resource), max(now, last_write(resource, ANYTHING).time)
    same_member = desired.member_id in (member_id_of(resource), _decimal_id(resource)) or not member_id_of(resource)
    fields: dict[str, Any] = {
        "memberID": desired.member_id,
        "peerAddress": _address(old, desired),
        "reconcileStatus": "Failed" if desired.failed else "Success",
        "message": desired.message,
        "conditions": _conditions(conditions_of(resource), desired, now, same_member=same_member),
    }
    return {key: value for key, value in fields.items() if old.get(key) != value}


def joined_text(joined: bool | None) -> str:  # noqa: FBT001  # it is what is told
    """Return the status of the condition Joined: `True`, `False`, or `Unknown` for None."""
    return "Unknown" if joined is None else str(joined)


def joined_condition(resource: dict[str, Any]) -> str:
    """Return the status of the condition Joined: `True`, `False` or `Unknown`."""
    for condition in conditions_of(resource):
        if condition.get("type") == JOINED:
            return str(condition.get("status"))
    return "Unknown"


def _conditions(
    old: list[dict[str, Any]], desired: DesiredStatus, now: str, *, same_member: bool
) -> list[dict[str, Any]]:
    status = joined_text(desired.joined)
    before = next((c for c in old if c.get("type") == JOINED), {})
    stays = before.get("status") == status or (before.get("status"), status) in MAY_BE_IN_STILL
    since = before.get("lastTransitionTime") if stays and same_member else now
    word = MESSAGE_JOINED if desired.joined else desired.message
    joined = {**before, "type": JOINED, "status": status, "lastTransitionTime": since or now, "message": word}
    return [joined if c is before else c for c in old] if before else [*old, joined]


def _address(old: dict[str, Any], desired: DesiredStatus) -> str:
    """Return the listed address while the member is in; of one that has left, the address that was there last."""
    listed, last = _peer_address(desired.peer_urls), str(old.get("peerAddress") or "")
    return (last or listed) if desired.joined is False else (listed or last)


def _peer_address(peer_urls: tuple[str, ...]) -> str:
    """Return the host of the first peer URL: k0s writes a bare address, without scheme, port and brackets.

    Letters keep their case. k0s knows its own EtcdMember by this address (k0s
    `pkg/component/controller/etcd_member_reconciler.go`), and compares it as it stands.
    """
    host = urlsplit(peer_urls[0]).netloc.rpartition("@")[2] if peer_urls else ""
    return host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]


def differs(resource: dict[str, Any], desired: DesiredStatus) -> bool:
    """Whether `resource` says something else than `desired` about who the member is, where, and whether it is in."""
    status = status_of(resource)
    moved = str(status.get("peerAddress") or "") != _address(status, desired)
    other = joined_condition(resource) != joined_text(desired.joined)
    return _hex_id(resource) != desired.member_id or other or moved


def message_fields(resource: dict[str, Any], message: str, *, failed: bool) -> dict[str, Any]:
    """Return the status fields that give `resource` a message; empty when it has it, or must not get it.

    The message about a removed member stays. A resource without an ID can have no status yet (the CRD requires it).
    """
    status = status_of(resource)
    if joined_condition(resource) == "False" or not status.get("memberID") or not status.get("peerAddress"):
        return {}
    fields = {"message": message, **({"reconcileStatus": "Failed"} if failed else {})}
    return {key: value for key, value in fields.items() if status.get(key) != value}


def new_resource(name: str) -> dict[str, Any]:
    """Return an EtcdMember for a member that has none."""
    return {
        "apiVersion": f"{GROUP}/{VERSION}",
        "kind": KIND,
        "metadata": {"name": name, "labels": {"app.kubernetes.io/managed-by": "etcd-handoff"}},
        "spec": {"leave": False},
    }
