"""Make Events on EtcdMembers, as `kubectl describe` and `kubectl get events` show them. Pure.

The sentences are where the Events are sent: in `activities/member_events.py` those of an operation's end, in
`activities/etcdmember_repairs.py` and `etcdmembers.py` those of the watcher and of progress.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any, Final

from etcd_handoff.etcdmember import GROUP, KIND, VERSION

LONGEST_NOTE: Final = 1024
"""Characters that the note of an Event holds (Kubernetes API, events.k8s.io/v1)."""
NAME_DIGITS: Final = 16


@dataclass(frozen=True, slots=True)
class EventSpec:
    """The content of an Event.

    Attributes:
        reason: One word in UpperCamelCase (Kubernetes API conventions, "Events").
        message: The sentence; cut to `LONGEST_NOTE`.
        warning: Whether its type is Warning.
        once: The key by which repeated Events are the same; empty for a separate Event each time.
    """

    reason: str
    message: str
    warning: bool = False
    once: str = ""


def event_for(resource: dict[str, Any], spec: EventSpec, now: str) -> dict[str, Any]:
    """Return an Event on an EtcdMember.

    Args:
        resource: The EtcdMember.
        spec: The content.
        now: RFC 3339 with microseconds, UTC.
    """
    metadata = resource["metadata"]
    identity = f"{metadata['uid']} {spec.reason} {spec.message} {spec.once or now}"
    digest = hashlib.sha256(identity.encode()).hexdigest()[:NAME_DIGITS]
    return {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"name": f"{metadata['name']}.{digest}", "namespace": "default"},
        "regarding": {
            "apiVersion": f"{GROUP}/{VERSION}",
            "kind": KIND,
            "name": metadata["name"],
            "uid": metadata["uid"],
        },
        "type": "Warning" if spec.warning else "Normal",
        "reason": spec.reason,
        "action": spec.reason,
        "note": spec.message[:LONGEST_NOTE],
        "eventTime": now,
        "reportingController": "etcd-handoff",
        "reportingInstance": "etcd-handoff",
    }
