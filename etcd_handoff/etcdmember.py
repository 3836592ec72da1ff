"""What an EtcdMember should say: pure functions from a resource as read to the status fields to write.

Messages, conditions and status values are k0s's own (`pkg/component/controller/etcd_member_reconciler.go`), so that its
users' `kubectl wait --for condition=Joined=False` and their scripts work unchanged. `lastTransitionTime` moves only
when the condition's status does (Kubernetes API conventions, "Typical status properties").
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

JOINED: Final = "Joined"
MESSAGE_REMOVED: Final = "Member removed from cluster"
MESSAGE_JOINED: Final = "Member joined"


@dataclass(frozen=True, slots=True)
class Truth:
    """What is to be recorded about one member.

    Attributes:
        member_id: The member that it is true of.
        joined: Whether it is in the linearizable member list.
        message: The sentence for people.
        failed: Whether the last thing that was tried with it failed.
        peer_urls: Its peer URLs, where they are known.
    """

    member_id: str
    joined: bool
    message: str
    failed: bool = False
    peer_urls: tuple[str, ...] = ()


def resource_name(member_name: str) -> str:
    """The EtcdMember of a member: k0s names it after the node, and names of objects are lower case (RFC 1123)."""
    return member_name.strip().lower()


def member_id_of(resource: dict[str, Any]) -> str:
    """`status.memberID` in our form; empty when the resource has no status yet."""
    return str((resource.get("status") or {}).get("memberID") or "").lower().removeprefix("0x").lstrip("0")


def status_for(resource: dict[str, Any], truth: Truth, now: str) -> dict[str, Any]:
    """The status fields to set so that `resource` says `truth`; empty when it says so already.

    Args:
        resource: The object as read; conditions of other types and unknown fields are kept.
        truth: What it should say.
        now: Time of a transition, RFC 3339 in UTC.
    """
    old: dict[str, Any] = resource.get("status") or {}
    wanted: dict[str, Any] = {
        "memberID": truth.member_id,
        "peerAddress": old.get("peerAddress") or _peer_address(truth.peer_urls),
        "reconcileStatus": "Failed" if truth.failed else "Success",
        "message": truth.message,
        "conditions": _conditions(list(old.get("conditions") or []), truth, now),
    }
    return {key: value for key, value in wanted.items() if old.get(key) != value}


def says(resource: dict[str, Any]) -> str:
    """`True`, `False` or `Unknown`: the status of the condition Joined."""
    for condition in (resource.get("status") or {}).get("conditions") or []:
        if condition.get("type") == JOINED:
            return str(condition.get("status"))
    return "Unknown"


def _conditions(old: list[dict[str, Any]], truth: Truth, now: str) -> list[dict[str, Any]]:
    status = "True" if truth.joined else "False"
    before = next((c for c in old if c.get("type") == JOINED), {})
    since = before.get("lastTransitionTime") if before.get("status") == status else now
    word = MESSAGE_JOINED if truth.joined else truth.message
    joined = {**before, "type": JOINED, "status": status, "lastTransitionTime": since or now, "message": word}
    return [joined if c is before else c for c in old] if before else [*old, joined]


def _peer_address(peer_urls: tuple[str, ...]) -> str:
    """Host and port of the first peer URL, as k0s writes it."""
    return peer_urls[0].partition("://")[2] if peer_urls else ""
