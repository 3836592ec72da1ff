"""The annotations of EtcdMembers that ask a member to leave. Operators and kubectl know them by these names."""

from __future__ import annotations

from typing import Final

LEAVE_ANNOTATION: Final = "etcd-handoff.io/leave"
"""Asks that leadership moves and the member leaves: `true`, or the member's ID."""
REQUESTER_ANNOTATION: Final = "etcd-handoff.io/leave-asked-by"
"""The Kubernetes user who asked for that; kept by deploy/requester-policy.yaml, where that is in force."""
