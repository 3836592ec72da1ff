"""Find who asked a member to leave through its EtcdMember, as the API server shows it. Pure.

The API server notes for each field the program that set it (`metadata.managedFields`), by the program's own name. The
user is known only where deploy/requester-policy.yaml is in force, which keeps an annotation true. Without that policy
anybody can write the annotation, and so it proves nothing.
"""

from __future__ import annotations

from typing import Any, Final

from etcd_handoff.annotations import REQUESTER_ANNOTATION
from etcd_handoff.managed_fields import FIELD_MANAGER, writes

LONGEST_USER: Final = 120
LONGEST_MANAGERS: Final = 80
"""Characters of each part. Both go into a memo, which may be as small as 8 KB."""


def requester_of(resource: dict[str, Any], field: tuple[str, ...]) -> str:
    """Return the requester for people: `alice (by kubectl-patch)`, or the field manager alone; empty when unknown.

    All managers that own the field are named, except ours: each of them asks for its value. The one that set it first
    comes first, unless it has written something else since. A manager that has only applied the existing value has no
    time, and comes last.

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
    """Return the text in one line of bounded length, with a question mark for each unprintable character."""
    line = "".join(c if c.isprintable() else "?" for c in text).strip()
    return line if len(line) <= most else f"{line[: most - 3]}..."
