"""Read who wrote a field of a Kubernetes object, and when, from `metadata.managedFields`. Pure.

An API server notes for each field manager which fields it set last. It also notes when the manager last changed one of
them (Kubernetes API concepts, "Server-Side Apply", "Field management"). Times are whole seconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from etcd_handoff.annotations import LEAVE_ANNOTATION

FIELD_MANAGER: Final = "etcd-handoff"
"""Our own name as a field manager."""
K0S_MANAGERS: Final = "k0s"
"""Prefix of k0s's names as a field manager."""
ANYTHING: Final[tuple[str, ...]] = ()
SPEC_LEAVE: Final = ("f:spec", "f:leave")
ANNOTATION: Final = ("f:metadata", "f:annotations", f"f:{LEAVE_ANNOTATION}")
STATUS: Final = ("f:status",)
STATUS_MESSAGE: Final = ("f:status", "f:message")


@dataclass(frozen=True, slots=True, order=True)
class Write:
    """One manager's ownership of a field.

    Attributes:
        time: When the manager last changed one of its fields, RFC 3339 in UTC; empty when that is not known.
        manager: Its name.
    """

    time: str
    manager: str


def writes(resource: dict[str, Any], field: tuple[str, ...]) -> list[Write]:
    """Return all owners of a field.

    Args:
        resource: The object.
        field: Path of the field in `fieldsV1`.
    """
    entries = resource["metadata"].get("managedFields")
    return [
        Write(str(entry.get("time") or ""), str(entry.get("manager") or ""))
        for entry in (entries if isinstance(entries, list) else [])
        if isinstance(entry, dict) and _owns(entry.get("fieldsV1"), field)
    ]


def last_write(resource: dict[str, Any], field: tuple[str, ...]) -> Write:
    """Return the latest owner of a field; both parts are empty when there is none."""
    return max(writes(resource, field), default=Write("", ""))


def value_since(resource: dict[str, Any], field: tuple[str, ...]) -> str:
    """Return since when a field has its value; empty when that is not known.

    A manager that sets a field to its present value becomes a further owner, so the earliest time counts.
    """
    return min((write.time for write in writes(resource, field) if write.time), default="")


def _owns(fields: object, field: tuple[str, ...]) -> bool:
    for part in field:
        if not isinstance(fields, dict) or part not in fields:
            return False
        fields = fields[part]
    return True
