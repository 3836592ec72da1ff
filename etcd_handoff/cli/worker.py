"""`worker`: run a worker in this process."""
# ruff: noqa: PLC0415
# Commands import what they need when they run: `--help` answers at once, without gRPC and Temporal.

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse


def worker_command(args: argparse.Namespace) -> int:
    """Run until SIGTERM or Ctrl-C, and log to standard error.

    Returns:
        The exit status: 0, 2 for a wrong configuration, or 4 if Temporal cannot be reached.
    """
    import worker

    return worker.run(args)
