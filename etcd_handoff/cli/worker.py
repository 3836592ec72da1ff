"""`worker`: run a worker in this process."""
# ruff: noqa: PLC0415
# Commands import what they need when they run: `--help` answers at once, without gRPC and Temporal.

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse


def worker_command(args: argparse.Namespace) -> int:
    """Log to standard error until SIGTERM or Ctrl-C. Exit 0; 2 for a wrong configuration, 4 without a Temporal."""
    import worker

    return worker.run(args)
