"""The time now, as Kubernetes writes it."""

from __future__ import annotations

from datetime import UTC, datetime


def seconds() -> str:
    """Return the time now, in the format of conditions."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def microseconds() -> str:
    """Return the time now, in the format of Events."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
