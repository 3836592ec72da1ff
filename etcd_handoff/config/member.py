"""Define the table of a cluster profile for starting and stopping this node's etcd process."""

from __future__ import annotations

import re
from pathlib import PurePath
from typing import Annotated, Final

from pydantic import AfterValidator, Field

from etcd_handoff.config.fields import Location, Port, Section, Text

VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
OURS: Final = ("ETCD_", "HANDOFF_")
"""Prefixes of the variables that a command gets from us."""
LOADER: Final = ("LD_", "DYLD_")
"""Prefixes of variables that change the code of every program that a command starts."""


def _command(words: tuple[str, ...]) -> tuple[str, ...]:
    if words and not PurePath(words[0]).is_absolute():
        msg = f"{words[0]!r} is no absolute path; a program is not looked for: write its path in full"
        raise ValueError(msg)
    if any("\0" in word for word in words):
        msg = "a word has a NUL character; no program can be given that: remove it"
        raise ValueError(msg)
    return words


def _environment(variables: dict[str, str]) -> dict[str, str]:
    for name, value in variables.items():
        if not VARIABLE.fullmatch(name) or "\0" in value:
            msg = f"{name!r} is no variable; give letters, digits and '_', and a value without NUL"
            raise ValueError(msg)
        if name.startswith(OURS):
            msg = f"{name} is not given here: what begins with ETCD_ or HANDOFF_ comes from the operation; rename it"
            raise ValueError(msg)
        if name.startswith(LOADER):
            msg = f"{name} is not given here: it changes which code runs; let the command set it"
            raise ValueError(msg)
    return variables


HookSeconds = Annotated[float, Field(gt=0, le=600)]


class MemberProfile(Section):
    """`[clusters.<name>.member]`: the command of this node that starts and stops its etcd process.

    Attributes:
        command: Program, by absolute path, and its words before the verb; no shell reads it.
        data_dir: Data directory of etcd on this node; left out, the one that the command's `status` reports.
        client_port: Where etcd will listen for clients.
        environment: Further variables for the command.
        status_timeout_seconds: How long the verb `status` may take.
        start_timeout_seconds: How long the verb `start` may take, and until `status` says that etcd runs.
        stop_timeout_seconds: How long the verb `stop` may take, and until `status` says that etcd does not run; the
            same for `archive`.
    """

    command: Annotated[tuple[Text, ...], Field(min_length=1), AfterValidator(_command)]
    data_dir: Location | None = None
    client_port: Port = 2379
    environment: Annotated[dict[Text, str], AfterValidator(_environment)] = {}  # noqa: RUF012  # pydantic copies it
    status_timeout_seconds: HookSeconds = 10.0
    start_timeout_seconds: HookSeconds = 60.0
    stop_timeout_seconds: HookSeconds = 60.0
