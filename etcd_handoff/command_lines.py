"""Complete our own commands in texts for people. Pure."""

from __future__ import annotations

import re
import shlex
from typing import Final

COMMANDS: Final = (
    "add|apply|approve|cancel|describe|doctor|history|pause|plan|recheck|remove|replace|report|resume|status|watch"
)
COMMAND: Final = re.compile(rf"`(etcd-handoff (?:{COMMANDS})\b[^`]*)`")
HOW_TO_START: Final = "with `systemctl start etcd-handoff-worker`, or with `etcd-handoff worker` and its options"
START_A_WORKER: Final = f"start one on a node of the cluster, {HOW_TO_START}"
"""Remedy where no worker answers: start the service that `install-service` makes, or the program that starts the
others."""
NAMES_CLUSTER: Final = re.compile(r" (-c|--cluster)\b")


def with_cluster(text: str, cluster: str) -> str:
    """Return the text with the cluster profile named in each command.

    A copied command without a name takes the only profile in the configuration, which may be another cluster's. A
    member of the same name would leave that cluster.

    Args:
        text: A text with commands in backticks.
        cluster: The cluster profile; empty where none is known, and the text stays as it is.
    """

    def named(command: re.Match[str]) -> str:
        line = command[1]
        return f"`{line}`" if not cluster or NAMES_CLUSTER.search(line) else f"`{line} -c {shlex.quote(cluster)}`"

    return COMMAND.sub(named, text)
