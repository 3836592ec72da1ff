"""All commands and their options."""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from etcd_handoff.annotations import LEAVE_ANNOTATION
from etcd_handoff.cli.change_options import add_change_commands
from etcd_handoff.cli.demo import demo_command
from etcd_handoff.cli.doctor import doctor_command
from etcd_handoff.cli.exit_texts import EXIT_TEXTS
from etcd_handoff.cli.operator_options import add_operator_commands
from etcd_handoff.cli.plan import plan_command
from etcd_handoff.cli.service import install_service_command
from etcd_handoff.cli.status import status_command
from etcd_handoff.cli.terminal import print_lines
from etcd_handoff.cli.watch import watch_command
from etcd_handoff.cli.worker import worker_command
from etcd_handoff.config.presets import PRESETS
from etcd_handoff.time_limits import WATCHER
from etcd_handoff.worker_options import CONFIG_HELP, DATA_DIR_HELP, add_worker_options, preset_help

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

FORMATS: Final = ("table", "json")
FORMATS_OF: Final = {
    "report": ("md", "html", "json"),
    **dict.fromkeys(("demo", "worker", "install-service", "completion", "man"), ()),
}
"""The formats of the commands that do not have both; none where the option means nothing."""
WATCH_VERBS: Final = ("start", "stop", "status", "resync")


def parser() -> argparse.ArgumentParser:
    """Return the parser of all commands.

    The common options are accepted before and after the command.
    """
    options = argparse.ArgumentParser(
        prog="etcd-handoff",
        description="Removes, adds and replaces members of a live etcd cluster safely, even the leader.",
        epilog=f"Exit status: {'; '.join(f'{status} {text}' for status, text in EXIT_TEXTS.items())}.",
    )
    options.add_argument("--version", action=_Version)
    _add_common(options, unset=None, output="table")
    commands = options.add_subparsers(title="commands", required=True, metavar="COMMAND")
    _add_demo(commands)
    _add_worker(commands)
    _add_install_service(commands)
    _add_plan(commands)
    add_change_commands(partial(_add, commands))
    _add_status(commands)
    add_operator_commands(partial(_add, commands))
    _add_watch(commands)
    _add_doctor(commands)
    return options


Commands = argparse._SubParsersAction  # noqa: SLF001  # argparse has no public name for it


def _add(
    commands: Commands[argparse.ArgumentParser],
    name: str,
    function: Callable[[argparse.Namespace], int],
    description: str,
    example: str,
) -> argparse.ArgumentParser:
    """Add a command; the list of commands shows the first sentence of its description."""
    command = commands.add_parser(
        name,
        help=description.partition(".")[0],
        description=description,
        epilog=f"Example: {example}",
    )
    _add_common(command, unset=argparse.SUPPRESS, output=argparse.SUPPRESS, formats=FORMATS_OF.get(name, FORMATS))
    command.set_defaults(run=function)
    return command


def _add_common(
    options: argparse.ArgumentParser, *, unset: str | None, output: str, formats: Sequence[str] = FORMATS
) -> None:
    text = "cluster profile (default: the only one of the configuration)"
    options.add_argument("-c", "--cluster", default=unset, metavar="NAME", help=text)
    options.add_argument("--config", default=unset, metavar="FILE", help=CONFIG_HELP)
    if formats:
        text = f"format of the output (default: {formats[0]})"
        options.add_argument("-o", "--output", default=output, choices=formats, help=text)
    presets = options.add_argument_group("on a controller, instead of a configuration file")
    one = presets.add_mutually_exclusive_group()
    for name in PRESETS:
        text = preset_help(name, "-c")
        one.add_argument(f"--{name}", dest="preset", action="store_const", const=name, default=unset, help=text)
    presets.add_argument("--data-dir", type=Path, default=unset, metavar="FOLDER", help=DATA_DIR_HELP)


def _add_demo(commands: Commands[argparse.ArgumentParser]) -> None:
    demo = _add(
        commands,
        "demo",
        demo_command,
        "Remove the leader of a real three-member cluster on this machine."
        " Starts etcd, API servers, Temporal and workers, kills a worker on the way, and shows that no write is lost."
        " With --k0s no worker reaches another node's etcd, as on k0s's controllers; that needs Linux, and"
        " root or a kernel that lets every user have namespaces.",
        "etcd-handoff demo --keep",
    )
    how = demo.add_mutually_exclusive_group()
    how.add_argument("--keep", action="store_true", help="leave the cluster running until Ctrl-C")
    text = "start the cluster alone, for docs/tutorial.md: what commands need is in ./demo.env; runs until Ctrl-C"
    how.add_argument("--by-hand", action="store_true", help=text)


def _add_worker(commands: Commands[argparse.ArgumentParser]) -> None:
    worker = _add(
        commands,
        "worker",
        worker_command,
        "Run a worker until SIGTERM or Ctrl-C. Run one on every node, so that a removal goes on when a node fails.",
        "etcd-handoff worker --k0s",
    )
    add_worker_options(worker)


def _add_install_service(commands: Commands[argparse.ArgumentParser]) -> None:
    service = _add(
        commands,
        "install-service",
        install_service_command,
        "Let systemd run the worker on this machine."
        " Writes a unit for it and a file for Temporal's address, and starts nothing.",
        "etcd-handoff install-service --k0s --print",
    )
    service.add_argument("--print", action="store_true", help="print the unit, and write nothing")
    service.add_argument("--node", metavar="NAME", help="node that the worker runs on (default: as for `worker`)")


def _add_plan(commands: Commands[argparse.ArgumentParser]) -> None:
    plan = _add(
        commands,
        "plan",
        plan_command,
        "Show what a removal would do now, and change nothing."
        " Reads etcd and the EtcdMembers from here; needs neither Temporal nor a worker."
        " For an addition, a replacement or a membership, use `add`, `replace` or `apply` with --dry-run.",
        "etcd-handoff plan node2 -c prod",
    )
    plan.add_argument("member", metavar="MEMBER", help="member name, or member ID in hex")


def _add_status(commands: Commands[argparse.ArgumentParser]) -> None:
    _add(
        commands,
        "status",
        status_command,
        "Show members, EtcdMembers and open operations."
        " Marks with `!` what needs attention, such as an EtcdMember that disagrees with etcd.",
        "etcd-handoff status -c prod",
    )


def _add_watch(commands: Commands[argparse.ArgumentParser]) -> None:
    watch = _add(
        commands,
        "watch",
        watch_command,
        "Let EtcdMembers start removals, and correct what they say."
        " `start` runs a workflow that removes each member whose EtcdMember has spec.leave set to true."
        f" On k0s, set the annotation {LEAVE_ANNOTATION}=true instead.",
        "etcd-handoff watch start -c prod",
    )
    text = "start it, stop it, show what it sees, or compare everything now"
    watch.add_argument("what", choices=WATCH_VERBS, metavar="|".join(WATCH_VERBS), help=text)
    text = (
        f"with start: how often to compare all EtcdMembers with the member list (default: {WATCHER.resync_seconds:g})"
    )
    watch.add_argument("--resync", type=float, metavar="SECONDS", help=text)
    text = (
        "with resync: trust etcd's list and write it, although it contradicts many EtcdMembers. DIGEST stands beside"
        " the contradiction that you have seen; without it, the present one is shown and nothing is confirmed"
    )
    watch.add_argument("--confirm", type=_digest, nargs="?", const="", metavar="DIGEST", help=text)


def _digest(text: str) -> str:
    """Return the digest, unless the option has swallowed a verb, as its value is optional."""
    if text in WATCH_VERBS:
        msg = f"{text!r} is no digest; give the verb first: etcd-handoff watch {text} --confirm DIGEST"
        raise argparse.ArgumentTypeError(msg)
    return text


def _add_doctor(commands: Commands[argparse.ArgumentParser]) -> None:
    _add(
        commands,
        "doctor",
        doctor_command,
        "Check all that an operation needs."
        " Checks configuration, etcd, Kubernetes and Temporal one by one, and names the remedy for what is wrong.",
        "etcd-handoff doctor -c prod",
    )


class _Version(argparse.Action):
    """`--version`, which imports the version only when it is needed."""

    def __init__(self, option_strings: Sequence[str], dest: str) -> None:
        super().__init__(option_strings, dest, nargs=0, default=argparse.SUPPRESS, help="print the version")

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from etcd_handoff import __version__  # noqa: PLC0415

        print_lines([f"etcd-handoff {__version__}"])
        parser.exit()
