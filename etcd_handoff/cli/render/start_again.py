"""The command that starts an operation again that has ended without doing what was asked for."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any, Final

from etcd_handoff.cli.operation_kinds import KINDS

if TYPE_CHECKING:
    from collections.abc import Mapping

FLAGS: Final = {
    "require_approval": "--require-approval",
    "not_before": "--not-before",
    "snapshot": "--snapshot",
    "hash_check": "--hash-check",
    "progress_timeout_seconds": "--progress-timeout",
    "blocked_timeout_seconds": "--blocked-timeout",
    "reason": "--reason",
}
"""Options by the field of the request; `not_after` is not among them, since it may be why it has ended."""


def start_again(noun: str, cluster: str, member: str, given: Mapping[str, Any], *, dry_run: bool) -> str:
    """Return the line with the command; empty for an operation that a file describes.

    Args:
        noun: What the operation is.
        cluster: Cluster profile.
        member: Its member as it was asked for.
        given: What else was asked for, by field.
        dry_run: It was to change nothing.
    """
    kind = next((kind for kind in KINDS if kind.noun == noun and not kind.of_whole), None)
    if kind is None or not member:
        return ""
    words = ["etcd-handoff", kind.command, member]
    words += ["--with", str(given["name"])] if kind.of_parts and "name" in given else []
    words += [word for url in given.get("peer_urls", ()) for word in ("--peer-url", str(url))]
    for field, flag in FLAGS.items():
        value = given.get(field)
        words += [] if value in (None, False, "") else [flag] if value is True else [flag, _shown(value)]
    return f"to start it again: {shlex.join([*words, *(['--dry-run'] if dry_run else []), '-c', cluster])}"


def _shown(value: object) -> str:
    return f"{value:g}" if isinstance(value, int | float) else str(value)
