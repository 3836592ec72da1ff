"""The process that runs one command."""

from __future__ import annotations

import io
import os
import sys
from typing import TYPE_CHECKING, NoReturn

from etcd_handoff.cli.errors import status_and_advice
from etcd_handoff.cli.options import parser
from etcd_handoff.cli.terminal import print_error
from etcd_handoff.exit_status import EXIT_FAILED, EXIT_INTERRUPTED, EXIT_USAGE
from etcd_handoff.temporal.process_exit import end_process

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run one command and end the process.

    The process ends at once, because the interpreter's own exit can abort after Temporal was used (temporalio
    sdk-python#300).
    """
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # its log lines repeat what our texts say
    if isinstance(sys.stdout, io.TextIOWrapper):
        # What the terminal cannot show is escaped, as on standard error, and ends no command.
        sys.stdout.reconfigure(errors="backslashreplace")
    status = run(argv)
    end_process(status)


def run(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    try:
        args = parser().parse_args(argv)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else EXIT_USAGE
    try:
        status: int = args.run(args)
    except KeyboardInterrupt:
        print_error("interrupted")
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        return EXIT_FAILED
    except Exception as error:  # noqa: BLE001  # no traceback on a terminal, whatever went wrong
        status, text = status_and_advice(error, args)
        print_error(text)
    return status
