"""The command that starts a failed operation again."""

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
"""The option for each field of the request. `not_after` is missing, because it may be why the operation failed."""


def start_again(noun: str, cluster: str, member: str, given: Mapping[str, Any], *, dry_run: bool) -> str:
    """Return the line with the command; empty for an operation that a file describes.

    Args:
        noun: The operation's kind.
        cluster: Cluster profile.
        member: Its member, as in the request.
        given: Its other options, by field.
        dry_run: It changes nothing.
    """
    kind = next((kind for kind in KINDS if kind.noun == noun and not kind.of_whole), None)
    if kind is None or not member:
        return ""
    words = ["etcd-handoff", kind.command, member]
    words += ["--with", str(given["name"])] if kind.of_parts and "name" in given else []
    words += [word for url in given.get("peer_urls", ()) for word in ("--peer-url", str(url))]
    for field, flag in FLAGS.items():
        value = given.get(field)
        if value not in (None, "") and value is not False:  # a time-out of 0 s is one, and equals False
            words += [flag] if value is True else [flag, _shown(value)]
    return f"to start it again: {shlex.join([*words, *(['--dry-run'] if dry_run else []), '-c', cluster])}"


def _shown(value: object) -> str:
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
