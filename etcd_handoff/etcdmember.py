"""What an EtcdMember should say: pure functions from a resource as read to the status fields to write.

Messages, conditions and status values are k0s's own (`pkg/component/controller/etcd_member_reconciler.go`), so that its
users' `kubectl wait --for condition=Joined=False` and their scripts work unchanged. `lastTransitionTime` moves only
when the condition's status does (Kubernetes API conventions, "Typical status properties").
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from etcd_handoff.view import MemberView

GROUP: Final = "etcd.k0sproject.io"
VERSION: Final = "v1beta1"
KIND: Final = "EtcdMember"
JOINED: Final = "Joined"
MESSAGE_REMOVED: Final = "Member removed from cluster"
MESSAGE_JOINED: Final = "Member joined"


@dataclass(frozen=True, slots=True)
class Truth:
    """What is to be recorded about one member.

    Attributes:
        member_id: The member that it is true of.
        joined: Whether it is in the linearizable member list; None when that is not known, and then the condition
            Joined stays as it is.
        message: The sentence for people.
        failed: Whether the last thing that was tried with it failed.
        peer_urls: Its peer URLs, where they are known.
    """

    member_id: str
    joined: bool | None
    message: str
    failed: bool = False
    peer_urls: tuple[str, ...] = ()


def resource_name(member_name: str) -> str:
    """The EtcdMember of a member: k0s names it after the node, and names of objects are lower case (RFC 1123)."""
    return member_name.strip().lower()


def status_of(resource: dict[str, Any]) -> dict[str, Any]:
    """The status, empty where there is none: another definition of the resource may let anything through."""
    status = resource.get("status")
    return status if isinstance(status, dict) else {}


def conditions_of(resource: dict[str, Any]) -> list[dict[str, Any]]:
    """The conditions, as far as they are any."""
    conditions = status_of(resource).get("conditions")
    return [c for c in conditions if isinstance(c, dict)] if isinstance(conditions, list) else []


def asks_to_leave(resource: dict[str, Any]) -> bool:
    """Whether `spec.leave` is true, and not only looks like it."""
    spec = resource.get("spec")
    return isinstance(spec, dict) and spec.get("leave") is True


def member_id_of(resource: dict[str, Any]) -> str:
    """`status.memberID` in our form; empty when the resource has no status yet."""
    return str(status_of(resource).get("memberID") or "").lower().removeprefix("0x").lstrip("0")


def status_for(resource: dict[str, Any], truth: Truth, now: str) -> dict[str, Any]:
    """The status fields to set so that `resource` says `truth`; empty when it says so already.

    Args:
        resource: The object as read; conditions of other types and unknown fields are kept.
        truth: What it should say.
        now: Time of a transition, RFC 3339 in UTC.
    """
    old = status_of(resource)
    wanted: dict[str, Any] = {
        "memberID": truth.member_id,
        "peerAddress": _address(old, truth),
        "reconcileStatus": "Failed" if truth.failed else "Success",
        "message": truth.message,
        "conditions": _conditions(conditions_of(resource), truth, now),
    }
    return {key: value for key, value in wanted.items() if old.get(key) != value}


def says(resource: dict[str, Any]) -> str:
    """`True`, `False` or `Unknown`: the status of the condition Joined."""
    for condition in conditions_of(resource):
        if condition.get("type") == JOINED:
            return str(condition.get("status"))
    return "Unknown"


def _conditions(old: list[dict[str, Any]], truth: Truth, now: str) -> list[dict[str, Any]]:
    if truth.joined is None:
        return old
    status = "True" if truth.joined else "False"
    before = next((c for c in old if c.get("type") == JOINED), {})
    since = before.get("lastTransitionTime") if before.get("status") == status else now
    word = MESSAGE_JOINED if truth.joined else truth.message
    joined = {**before, "type": JOINED, "status": status, "lastTransitionTime": since or now, "message": word}
    return [joined if c is before else c for c in old] if before else [*old, joined]


def _address(old: dict[str, Any], truth: Truth) -> str:
    """The address in etcd's list while the member is in it; of one that is out, what stood there last."""
    listed, last = _peer_address(truth.peer_urls), str(old.get("peerAddress") or "")
    return (listed or last) if truth.joined else (last or listed)


def _peer_address(peer_urls: tuple[str, ...]) -> str:
    """The host of the first peer URL: k0s writes a bare address, without scheme, port and brackets."""
    return (urlsplit(peer_urls[0]).hostname or "") if peer_urls else ""


def truth_of(resource: dict[str, Any], members: Sequence[MemberView]) -> Truth | None:
    """What etcd's list says of the member that `resource` speaks of; None when it speaks of none.

    A member ID is never used twice, so an ID that is not in the list is out for good. A member that joined again under
    the same name has a new ID: the resource takes it on, as it does when it carries another member's, unless it asks to
    leave, which was meant for the member whose ID it carries.
    """
    name, member_id = resource["metadata"]["name"], member_id_of(resource)
    by_id = next((m for m in members if m.id == member_id), None)
    by_name = [m for m in members if resource_name(m.name) == name]
    if len(by_name) == 1 and not (member_id and asks_to_leave(resource)):
        by_id = by_name[0]
    if by_id is not None:
        return Truth(by_id.id, joined=True, message=MESSAGE_JOINED, peer_urls=by_id.peer_urls)
    return Truth(member_id, joined=False, message=MESSAGE_REMOVED) if member_id else None


def disagrees(resource: dict[str, Any], truth: Truth) -> bool:
    """Whether `resource` says something else than `truth` about who the member is, where, and whether it is in."""
    status = status_of(resource)
    moved = str(status.get("peerAddress") or "") != _address(status, truth)
    return member_id_of(resource) != truth.member_id or says(resource) != str(truth.joined) or moved


def noted(resource: dict[str, Any], message: str, *, failed: bool) -> dict[str, Any]:
    """The status fields to set so that `resource` carries a sentence; empty when it needs or bears none.

    What is said of a member that is out stays; a resource without an ID cannot bear a status yet (the CRD requires it).
    """
    status = status_of(resource)
    if says(resource) == "False" or not status.get("memberID") or not status.get("peerAddress"):
        return {}
    wanted = {"message": message, **({"reconcileStatus": "Failed"} if failed else {})}
    return {key: value for key, value in wanted.items() if status.get(key) != value}


def new_resource(name: str) -> dict[str, Any]:
    """An EtcdMember for a member that has none."""
    return {
        "apiVersion": f"{GROUP}/{VERSION}",
        "kind": KIND,
        "metadata": {"name": name, "labels": {"app.kubernetes.io/managed-by": "etcd-handoff"}},
        "spec": {"leave": False},
    }


@dataclass(frozen=True, slots=True)
class News:
    """What an Event tells.

    Attributes:
        reason: One word in UpperCamelCase (Kubernetes API conventions, "Events").
        message: The sentence; cut to the 1024 characters that an Event holds.
        warning: Whether it is one.
        once: What makes it the same Event when it is told again; empty, it is always another.
    """

    reason: str
    message: str
    warning: bool = False
    once: str = ""


def event_for(resource: dict[str, Any], news: News, now: str) -> dict[str, Any]:
    """An Event about an EtcdMember, as `kubectl describe` and `kubectl get events` show it.

    Args:
        resource: The EtcdMember.
        news: What to tell.
        now: RFC 3339 with microseconds, UTC.
    """
    metadata = resource["metadata"]
    told = hashlib.sha256(f"{metadata['uid']} {news.reason} {news.message} {news.once or now}".encode()).hexdigest()[
        :16
    ]
    return {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"name": f"{metadata['name']}.{told}", "namespace": "default"},
        "regarding": {
            "apiVersion": f"{GROUP}/{VERSION}",
            "kind": KIND,
            "name": metadata["name"],
            "uid": metadata["uid"],
        },
        "type": "Warning" if news.warning else "Normal",
        "reason": news.reason,
        "action": news.reason,
        "note": news.message[:1024],
        "eventTime": now,
        "reportingController": "etcd-handoff",
        "reportingInstance": "etcd-handoff",
    }
