"""Who has asked a member to leave through its EtcdMember, as far as the API server tells. Pure.

The API server notes of each field the program that has set it (`metadata.managedFields`), by the name that the program
gives itself. The user is known only where deploy/requester-policy.yaml is in force, which keeps an annotation true.
Without that policy the annotation says whatever somebody has written there, and so it proves nothing.
"""

from __future__ import annotations

from typing import Any, Final

from etcd_handoff.etcdmember_messages import REQUESTER_ANNOTATION
from etcd_handoff.managed_fields import FIELD_MANAGER, writes

LONGEST_USER: Final = 120
LONGEST_MANAGERS: Final = 80
"""Characters of each part. Both go along in a memo, which may be as small as 8 KB."""


def requester_of(resource: dict[str, Any], field: tuple[str, ...]) -> str:
    """Who has asked for it, for people: `alice (by kubectl-patch)`, or the field manager alone; empty when unknown.

    All managers that own the field are named, ours left out: each of them asks for its value. The one that set it first
    comes first, unless it has written something else since. A manager that has only applied what was there already has
    no time, and comes last.

    Args:
        resource: The EtcdMember, which asks by this field.
        field: Path of the field in `fieldsV1`.
    """
    user = _bounded(_annotated(resource), LONGEST_USER)
    owners = sorted(writes(resource, field), key=lambda write: (not write.time, write.time))
    names = dict.fromkeys(write.manager for write in owners if write.manager not in ("", FIELD_MANAGER))
    managers = _bounded(", ".join(names), LONGEST_MANAGERS)
    return f"{user} (by {managers})" if user and managers else user or managers


def _annotated(resource: dict[str, Any]) -> str:
    annotations = resource["metadata"].get("annotations")
    return str(annotations.get(REQUESTER_ANNOTATION) or "") if isinstance(annotations, dict) else ""


def _bounded(text: str, most: int) -> str:
    """The text in one line of so many characters at most: what no terminal should get is a question mark."""
    line = "".join(c if c.isprintable() else "?" for c in text).strip()
    return line if len(line) <= most else f"{line[: most - 3]}..."
