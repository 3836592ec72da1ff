"""The commands that change who is a member, and their options."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from etcd_handoff.cli.add import add_command
from etcd_handoff.cli.apply import apply_command
from etcd_handoff.cli.remove import remove_command
from etcd_handoff.cli.replace import replace_command

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    Add = Callable[..., argparse.ArgumentParser]
    """Adds a command: takes its name, its function, its description and an example."""

BLOCKED_TIMEOUT_SECONDS: Final = 3600.0
PROGRESS_TIMEOUT_SECONDS: Final = 600.0
"""Defaults of the requests in `etcd_handoff.contract`, as tests check. `--help` must not load these, and pydantic."""


def add_change_commands(add: Add) -> None:
    """Add the commands that change a membership to the parser."""
    _add_remove(add)
    _add_add(add)
    _add_replace(add)
    _add_apply(add)


def _add_remove(add: Add) -> None:
    remove = add(
        "remove",
        remove_command,
        "Remove a member and show the progress."
        " Attaches to the removal of this member if one is running."
        " The workers do the work: Ctrl-C ends this command only.",
        'etcd-handoff remove node2 -c prod --reason "replace the disk"',
    )
    remove.add_argument("member", metavar="MEMBER", help="member name, or member ID in hex")
    _add_options(remove, "removal", waits="for conditions that may pass")


def _add_add(add: Add) -> None:
    addition = add(
        "add",
        add_command,
        "Add a member as a learner, and promote it when it is in sync."
        " Attaches to the addition of this member if one is running. Shows what to start etcd with; you start it."
        " If you cancel before the member has a vote, its learner is removed again.",
        "etcd-handoff add node4 --peer-url https://10.0.0.4:2380 -c prod",
    )
    addition.add_argument("name", metavar="NAME", help="name that the member will have")
    text = "peer URL that the member will have; give the option once for each"
    addition.add_argument("--peer-url", action="append", default=[], metavar="URL", required=True, help=text)
    _add_env_file(addition)
    _add_progress_timeout(addition)
    _add_options(addition, "addition")


def _add_replace(add: Add) -> None:
    replace = add(
        "replace",
        replace_command,
        "Put a new member in the place of another one."
        " A member that works leaves once the new one has its vote; a dead one leaves first."
        " Shows what to start etcd with; you start it. If it stops, run the same command again to continue.",
        "etcd-handoff replace node2 --with node4 --peer-url https://10.0.0.4:2380 -c prod",
    )
    replace.add_argument("member", metavar="MEMBER", help="member that leaves: its name, or its ID in hex")
    text = "name that the new member will have"
    replace.add_argument("--with", dest="name", metavar="NAME", required=True, help=text)
    text = "peer URL that the new member will have; give the option once for each"
    replace.add_argument("--peer-url", action="append", default=[], metavar="URL", required=True, help=text)
    _add_env_file(replace)
    _add_progress_timeout(replace)
    _add_options(replace, "replacement")


def _add_apply(add: Add) -> None:
    apply = add(
        "apply",
        apply_command,
        "Give a cluster the members of a list, one change at a time."
        " Adds, removes and replaces until the members are those of FILE. Show the plan first, with --dry-run.",
        "etcd-handoff apply members.toml -c prod --dry-run",
    )
    text = "TOML or JSON with the wanted members, names and peer URLs; - reads JSON from standard input"
    apply.add_argument("file", type=Path, metavar="FILE", help=text)
    text = "write what to start each new member's etcd with to NAME.env in this folder, whenever it changes"
    apply.add_argument("--env-dir", type=Path, metavar="DIR", help=text)
    _add_progress_timeout(apply)
    _add_options(apply, "change")


def _add_env_file(command: argparse.ArgumentParser) -> None:
    text = "write what to start etcd with to this file, once it is known and whenever it changes"
    command.add_argument("--env-file", type=Path, metavar="FILE", help=text)


def _add_progress_timeout(command: argparse.ArgumentParser) -> None:
    text = (
        "report LearnerStalls when a learner has made no progress for so long;"
        " waiting for its start counts, and so does the copy of a large database"
        f" (default: {PROGRESS_TIMEOUT_SECONDS:g})"
    )
    command.add_argument(
        "--progress-timeout", type=float, default=PROGRESS_TIMEOUT_SECONDS, metavar="SECONDS", help=text
    )


def _add_gates(command: argparse.ArgumentParser) -> None:
    """Add the options that hold a change back until a condition is met."""
    text = "change nothing before a person has approved it with `etcd-handoff approve`"
    command.add_argument("--require-approval", action="store_true", help=text)
    text = "begin no change before this moment, such as 2026-11-28T01:00:00+01:00"
    command.add_argument("--not-before", default="", metavar="MOMENT", help=text)
    text = "fail at this moment, unless a change has begun"
    command.add_argument("--not-after", default="", metavar="MOMENT", help=text)


def _add_options(command: argparse.ArgumentParser, noun: str, waits: str = "the start of new members included") -> None:
    """Add the options that all of these commands have."""
    command.add_argument("--reason", default="", metavar="TEXT", help="why; shown in the Web UI and in the history")
    _add_gates(command)
    text = "first store a snapshot on the worker's node"
    command.add_argument("--snapshot", action="store_true", help=text)
    command.add_argument("--hash-check", action="store_true", help="first compare the data of the voters")
    text = f"fail after waiting so long, in all, {waits} (default: {BLOCKED_TIMEOUT_SECONDS:g})"
    command.add_argument("--blocked-timeout", type=float, default=BLOCKED_TIMEOUT_SECONDS, metavar="SECONDS", help=text)
    text = f"let a worker plan the {noun} and change nothing"
    command.add_argument("--dry-run", action="store_true", help=text)
    command.add_argument("--detach", action="store_true", help=f"start the {noun} and return at once")
