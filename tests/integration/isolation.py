"""Tests on isolated nodes run where the machine can have them, and say so where it cannot."""

from __future__ import annotations

import os

import pytest

from etcd_handoff.lab.isolation import obstacle


def require_isolation() -> None:
    """Go on if nodes can be isolated here; otherwise the test is skipped with the reason, or fails in CI."""
    reason = obstacle()
    if reason and os.environ.get("CI"):
        pytest.fail(f"in CI this must run: {reason}")
    if reason:
        pytest.skip(reason)
