"""Commands for running and ended operations, and their options."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from etcd_handoff.cli.describe import describe_command
from etcd_handoff.cli.history import history_command
from etcd_handoff.cli.interventions import approve_command, cancel_command, pause_command, recheck_command
from etcd_handoff.cli.report import report_command
from etcd_handoff.cli.shell_help import completion_command, man_command

if TYPE_CHECKING:
    from collections.abc import Callable

    Add = Callable[..., argparse.ArgumentParser]
    """Adds a command: takes its name, its function, its description and an example."""


def add_operator_commands(add: Add) -> None:
    """Add these commands to the parser."""
    _add_describe(add)
    _add_approve(add)
    _add_cancel(add)
    _add_recheck(add)
    _add_pause(add)
    _add_history(add)
    _add_report(add)
    _add_shell_help(add)


def _add_operation(command: argparse.ArgumentParser) -> None:
    text = "member name or ID, or workflow ID"
    command.add_argument("operation", type=_utf8, metavar="MEMBER|WORKFLOW", help=text)


def _utf8(text: str) -> str:
    """Return the argument if it is valid UTF-8, as Temporal needs."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise argparse.ArgumentTypeError("is no UTF-8; copy it from `etcd-handoff status`") from None
    return text


def _add_why(command: argparse.ArgumentParser, option: str) -> None:
    command.add_argument(option, default="", metavar="TEXT", help="why; stays in the history")


def _add_describe(add: Add) -> None:
    describe = add(
        "describe",
        describe_command,
        "Show one operation: where it stands, since when, what it waits for, and what to type next."
        " For a member it shows the operation that runs, or else the last one.",
        "etcd-handoff describe node2 -c prod",
    )
    _add_operation(describe)


def _add_approve(add: Add) -> None:
    approve = add(
        "approve",
        approve_command,
        "Approve an operation that waits for an approval. It changes nothing until then.",
        'etcd-handoff approve node2 -c prod --comment "change 4711"',
    )
    _add_operation(approve)
    approve.add_argument("--by", default="", metavar="NAME", help="who approves (default: the shell's user)")
    _add_why(approve, "--comment")


def _add_cancel(add: Add) -> None:
    cancel = add(
        "cancel",
        cancel_command,
        "Cancel an operation that has not proposed its change yet."
        " Leadership that has moved stays where it is."
        " While a change that was proposed may still take effect, its operation cannot be cancelled.",
        'etcd-handoff cancel node2 -c prod --reason "wrong rack"',
    )
    _add_operation(cancel)
    _add_why(cancel, "--reason")


def _add_recheck(add: Add) -> None:
    recheck = add(
        "recheck",
        recheck_command,
        "Make an operation that is blocked, queued or waits for a change window look at the cluster now."
        " By itself a blocked one looks at least every 30 s, and a queued one at least every 10 min.",
        'etcd-handoff recheck node2 -c prod --reason "node1 is up"',
    )
    _add_operation(recheck)
    _add_why(recheck, "--reason")


def _add_pause(add: Add) -> None:
    pause = add(
        "pause",
        pause_command,
        "Hold an operation before its change is proposed. The step that runs now is finished."
        " Other operations may run meanwhile.",
        'etcd-handoff pause node2 -c prod --reason "on a call"',
    )
    resume = add(
        "resume",
        pause_command,
        "Let a paused operation go on. It looks at the cluster again first.",
        "etcd-handoff resume node2 -c prod",
    )
    for name, command in (("pause", pause), ("resume", resume)):
        _add_operation(command)
        command.add_argument("--by", default="", metavar="NAME", help="who says so (default: the shell's user)")
        _add_why(command, "--reason")
        command.set_defaults(update=name)


def _positive(text: str) -> int:
    """Return the number if it is at least 1."""
    if not text.isdecimal() or int(text) < 1:
        msg = f"{text!r} is no number of operations; give 1 or more"
        raise argparse.ArgumentTypeError(msg)
    return int(text)


def _add_history(add: Add) -> None:
    history = add(
        "history",
        history_command,
        "Show who asked for which operation, why, and what was seen and done."
        " Without a member one line for each; with one the whole trail, from Temporal's own records.",
        "etcd-handoff history node2 -c prod",
    )
    text = "member name or ID, or workflow ID (default: all of the cluster, one line each)"
    history.add_argument("operation", nargs="?", type=_utf8, metavar="MEMBER|WORKFLOW", help=text)
    text = "show the last N operations (default: 20)"
    history.add_argument("--limit", type=_positive, default=20, metavar="N", help=text)


def _add_report(add: Add) -> None:
    report = add(
        "report",
        report_command,
        "Print one page on an operation, to attach to a change ticket."
        " It has a summary, a picture of the steps against time, leader and term, and the audit trail.",
        "etcd-handoff report node2 -c prod -o html",
    )
    _add_operation(report)


def _add_shell_help(add: Add) -> None:
    completion = add(
        "completion",
        completion_command,
        "Print a script that completes commands and options in a shell."
        " bash: `source <(etcd-handoff completion bash)`; fish: `etcd-handoff completion fish | source`;"
        " zsh: write it to `_etcd-handoff` in a folder of fpath.",
        "etcd-handoff completion bash",
    )
    completion.add_argument("shell", choices=["bash", "zsh", "fish"], help="the shell")
    add("man", man_command, "Print the manual page. Read it with `etcd-handoff man | man -l -`.", "etcd-handoff man")
