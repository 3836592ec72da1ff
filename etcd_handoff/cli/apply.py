"""`apply`: change a cluster to the members of a file, or attach to a running change, and follow it.

Its options are declared in `etcd_handoff.cli.change_options`.
"""
# ruff: noqa: PLC0415
# Commands import what they need when they run: `--help` answers at once, without gRPC and Temporal.

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from etcd_handoff.cli.configuration import OPTIONS, change_fields, cluster_name, read_config
from etcd_handoff.cli.environment_file import environment_folder
from etcd_handoff.cli.errors import CommandError
from etcd_handoff.cli.operations import Ends, run_operation
from etcd_handoff.exit_status import EXIT_USAGE

if TYPE_CHECKING:
    import argparse

    from etcd_handoff.cli.environment_file import EnvironmentFile
    from etcd_handoff.contract import MembershipRequest

STANDARD_INPUT: Final = Path("-")
FIELDS: Final = ("cluster", "members")
"""Fields that a file may have. The command line's defaults would override an option such as `dry_run` in it."""
WORDS: Final = {
    "missing": "is missing; add it",
    "too_short": "is empty; give at least one",
    "extra_forbidden": "is not known; correct its name, or remove it",
}
"""Remedy for a wrong field, by pydantic's name for the error."""


def apply_command(args: argparse.Namespace) -> int:
    """Print progress and the result.

    Returns:
        The exit status: 0 if the members are those of the file, otherwise the exit status of the failure.
    """
    from etcd_handoff.contract import TASK_QUEUE

    config = read_config(args)
    on_progress = environment_folder(args)
    given = read_members(args.file)
    request = membership_request(args, given, args.cluster or given.get("cluster") or cluster_name(args, config))
    return run_operation(args, request, config.task_queue if config else TASK_QUEUE, _ends(on_progress))


def read_members(path: Path) -> dict[str, Any]:
    """Read a member list.

    The file's name decides between TOML and JSON. `-` reads JSON from standard input.

    Raises:
        CommandError: It cannot be read, or has no list of members.
    """
    import json
    import tomllib

    try:
        text = sys.stdin.read() if path == STANDARD_INPUT else path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise CommandError(EXIT_USAGE, f"{path}: cannot be read: {why}; name a file, or - for standard input") from None
    kind = "TOML" if path.suffix == ".toml" else "JSON"
    try:
        given = tomllib.loads(text) if kind == "TOML" else json.loads(text)
    except (ValueError, RecursionError) as error:
        other = "" if kind == "TOML" else "; the name of a TOML file ends in .toml"
        raise CommandError(EXIT_USAGE, f"{path}: is no valid {kind}: {error}{other}") from None
    if not isinstance(given, dict) or not isinstance(given.get("members"), list):
        text = f"{path}: has no list members; give members with name and peer_urls, and a cluster if you like"
        raise CommandError(EXIT_USAGE, text)
    if others := ", ".join(str(key) for key in given if key not in FIELDS):
        text = f"{path}: {others}: a list has members, and a cluster if you like; give the rest as options of apply"
        raise CommandError(EXIT_USAGE, text)
    return given


def membership_request(args: argparse.Namespace, given: dict[str, Any], cluster: str) -> MembershipRequest:
    """Return the validated input.

    Raises:
        CommandError: A field is wrong; one line for each.
    """
    import json

    from pydantic import ValidationError

    from etcd_handoff.contract import MembershipRequest
    from etcd_handoff.wire import describe, in_words

    if args.cluster and given.get("cluster", args.cluster) != args.cluster:
        text = f"cluster: the file is of {given['cluster']!r}, and --cluster is {args.cluster!r}; correct one of them"
        raise CommandError(EXIT_USAGE, text)
    try:
        options = {**given, **change_fields(args, cluster)}
        return MembershipRequest.model_validate_json(json.dumps(options, default=str))
    except ValidationError as error:
        lines = describe(error, lambda item: WORDS.get(item["type"]) or in_words(item))
        raise CommandError(EXIT_USAGE, "\n".join(_by_source(line, args.file) for line in lines)) from None


def _by_source(line: str, file: Path) -> str:
    """Return an error about a field, prefixed with the option or the file that set the field."""
    field, _, text = line.partition(": ")
    return f"{OPTIONS[field]}: {text}" if field in OPTIONS else f"{file}: {line}"


def _ends(on_progress: EnvironmentFile | None) -> Ends:
    """Return the texts for each way a change can end, and the writer of the environment files."""
    from etcd_handoff.cli.render.change_results import change_exit, membership_lines
    from etcd_handoff.cli.shapes.operations import ApplyOutput
    from etcd_handoff.contract import MembershipResult

    there = "`etcd-handoff status` shows what is there, and the same command again goes on with what is left"
    return Ends(
        MembershipResult,
        ApplyOutput,
        membership_lines,
        change_exit,
        cancelled=f"the change was cancelled; {there}",
        terminated=f"the change was terminated; {there}",
        timed_out=f"the change timed out; {there}",
        on_progress=on_progress,
    )
