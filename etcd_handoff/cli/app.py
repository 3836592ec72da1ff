"""The commands, their options, and the process that runs one of them."""
# ruff: noqa: PLC0415
# Commands import what they need when they run: `--help` answers at once, without gRPC and Temporal.

from __future__ import annotations

import argparse
import io
import os
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn

from etcd_handoff.cli.add import add_command
from etcd_handoff.cli.common import explain, tell, tell_error
from etcd_handoff.cli.doctor import doctor_command
from etcd_handoff.cli.removal import plan_command, remove_command
from etcd_handoff.cli.status import status_command
from etcd_handoff.cli.watch import watch_command
from etcd_handoff.exit_status import EXIT_FAILED, EXIT_INTERRUPTED, EXIT_USAGE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run one command and end the process.

    At once: the interpreter's own exit can abort after Temporal was used (temporalio sdk-python#300).
    """
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # its log lines say again what our texts say
    if isinstance(sys.stdout, io.TextIOWrapper):
        # What the terminal cannot show is shown escaped, as on standard error, and ends no command.
        sys.stdout.reconfigure(errors="backslashreplace")
    status = run(argv)
    if "etcd_handoff.temporal.client" in sys.modules or "etcd_handoff.kubernetes.kubeconfig" in sys.modules:
        from etcd_handoff.temporal.process_exit import remove_temporary_files

        remove_temporary_files()
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except BrokenPipeError:
        pass
    os._exit(status)


def run(argv: Sequence[str] | None = None) -> int:
    """Run one command; its exit status."""
    try:
        given = parser().parse_args(argv)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else EXIT_USAGE
    try:
        status: int = given.run(given)
    except KeyboardInterrupt:
        tell_error("interrupted")
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        return EXIT_FAILED
    except Exception as error:  # noqa: BLE001  # no traceback on a terminal, whatever went wrong
        status, text = explain(error)
        tell_error(text)
    return status


def parser() -> argparse.ArgumentParser:
    """All commands; the common options are accepted before and after the command."""
    options = argparse.ArgumentParser(
        prog="etcd-handoff",
        description="Takes an etcd member, the leader too, out of a live cluster safely.",
        epilog="Exit status: 0 done, 1 failed, 2 bad usage or input, 3 refused or blocked by safety,"
        " 4 a server cannot be reached.",
    )
    options.add_argument("--version", action=_Version)
    _add_common(options, cluster=None, config=None, output="table")
    common = argparse.ArgumentParser(add_help=False)
    quiet = argparse.SUPPRESS
    _add_common(common, cluster=quiet, config=quiet, output=quiet)
    commands = options.add_subparsers(title="commands", required=True, metavar="COMMAND")

    def add(name: str, function: Callable[[argparse.Namespace], int], text: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, parents=[common], help=text, description=f"{text}.")
        command.set_defaults(run=function)
        return command

    demo = add("demo", demo_command, "Take the leader out of a real three-member cluster on this machine")
    demo.add_argument("--keep", action="store_true", help="leave the cluster running until Ctrl-C")
    worker = add("worker", worker_command, "Run a worker until SIGTERM or Ctrl-C")
    worker.add_argument("--node", default=socket.gethostname(), help="node it runs on (default: host name)")
    text = "file that is fresh while it takes work, beside FILE.alive, fresh while it runs; for probes"
    worker.add_argument("--ready-file", type=Path, metavar="FILE", help=text)
    worker.add_argument("--log-level", default="INFO", choices=["DEBUG", "INFO", "WARNING", "ERROR"])
    plan = add("plan", plan_command, "Say what a removal would do now; reads etcd, changes nothing")
    plan.add_argument("member", metavar="MEMBER", help="member name, or member ID in hex")
    _add_addition(add("add", add_command, "Add a member as a learner and promote it, or follow its addition"))
    _add_removal(add("remove", remove_command, "Remove a member, or follow its removal that runs already"))
    add("status", status_command, "Show members, what their EtcdMembers say, and open removals")
    watch = add("watch", watch_command, "Let EtcdMembers start removals (spec.leave), and keep what they say true")
    text = "start it, stop it, say what it sees, or compare everything now"
    watch.add_argument("what", choices=["start", "stop", "status", "resync"], help=text)
    text = "how often to compare all EtcdMembers with the member list though nothing changed (default: 300)"
    watch.add_argument("--resync", type=float, default=300.0, metavar="SECONDS", help=text)
    text = "with resync: etcd's list is right, write it though it contradicts many EtcdMembers"
    watch.add_argument("--confirm", action="store_true", help=text)
    add("doctor", doctor_command, "Check configuration, etcd, Kubernetes and Temporal one by one")
    return options


def _add_common(options: argparse.ArgumentParser, *, cluster: str | None, config: str | None, output: str) -> None:
    text = "cluster profile (default: the only one of the configuration)"
    options.add_argument("-c", "--cluster", default=cluster, metavar="NAME", help=text)
    text = "configuration file (default: $ETCD_HANDOFF_CONFIG or ./etcd-handoff.toml)"
    options.add_argument("--config", default=config, metavar="FILE", help=text)
    text = "what is written to standard output (default: table)"
    options.add_argument("-o", "--output", default=output, choices=["table", "json"], help=text)


def _add_removal(remove: argparse.ArgumentParser) -> None:
    flag: Final = "store_true"
    remove.add_argument("member", metavar="MEMBER", help="member name, or member ID in hex")
    remove.add_argument("--reason", default="", metavar="TEXT", help="for the people who read the history")
    text = "wait for the update `approve` before anything is changed"
    remove.add_argument("--require-approval", action=flag, help=text)
    remove.add_argument("--snapshot", action=flag, help="store a snapshot on the worker's node first")
    remove.add_argument("--hash-check", action=flag, help="compare the data of all voters first")
    text = "how long, in all, to wait for what may pass by itself (default: 3600)"
    remove.add_argument("--blocked-timeout", type=float, default=3600.0, metavar="SECONDS", help=text)
    text = "look, plan and end; like `plan`, as a worker sees it"
    remove.add_argument("--dry-run", action=flag, help=text)
    remove.add_argument("--detach", action=flag, help="start the removal and do not follow it")


def _add_addition(addition: argparse.ArgumentParser) -> None:
    flag: Final = "store_true"
    addition.add_argument("name", metavar="NAME", help="name that the member will have")
    text = "peer URL that the member will have; give the option once for each"
    addition.add_argument("--peer-url", action="append", default=[], metavar="URL", required=True, help=text)
    addition.add_argument("--reason", default="", metavar="TEXT", help="for the people who read the history")
    text = "wait for the update `approve` before anything is changed"
    addition.add_argument("--require-approval", action=flag, help=text)
    text = "how long, in all, to wait for what may pass by itself, the member's start included (default: 3600)"
    addition.add_argument("--blocked-timeout", type=float, default=3600.0, metavar="SECONDS", help=text)
    addition.add_argument("--dry-run", action=flag, help="look, plan and end")
    addition.add_argument("--detach", action=flag, help="start the addition and do not follow it")


class _Version(argparse.Action):
    """`--version`, which reads the version only when it is asked for."""

    def __init__(self, option_strings: Sequence[str], dest: str) -> None:
        super().__init__(option_strings, dest, nargs=0, default=argparse.SUPPRESS, help="print the version")

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from etcd_handoff import __version__

        tell([f"etcd-handoff {__version__}"])
        parser.exit()


def demo_command(given: argparse.Namespace) -> int:
    """`demo`."""
    from etcd_handoff.lab.demo import run_demo

    return run_demo(keep=given.keep)


def worker_command(given: argparse.Namespace) -> int:
    """`worker`."""
    import worker

    return worker.run(given.config, given.node, given.log_level, given.ready_file)
