"""The commands that unblock an operation, ready to be copied: the same on the page and on the command line. Pure."""

from __future__ import annotations

import shlex


def command(name: str, cluster: str, member: str) -> str:
    """A command of ours about an operation on a member."""
    return f"etcd-handoff {name} {shlex.quote(member)} -c {shlex.quote(cluster)}"
