"""`demo`: remove the leader of a real cluster on this machine."""
# ruff: noqa: PLC0415
# Commands import what they need when they run: `--help` answers at once, without gRPC and Temporal.

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse


def demo_command(args: argparse.Namespace) -> int:
    """Print each step of the demo.

    Returns:
        The exit status: 0 if all steps worked, otherwise 1.

    Raises:
        CommandError: The demo does not support these options.
    """
    from etcd_handoff.cli.errors import CommandError
    from etcd_handoff.exit_status import EXIT_USAGE
    from etcd_handoff.lab.demo import run_demo

    if args.preset not in (None, "k0s"):
        raise CommandError(EXIT_USAGE, f"--{args.preset}: the demo shows k0s's topology alone; give --k0s or nothing")
    if args.by_hand and args.preset:
        raise CommandError(EXIT_USAGE, "--by-hand: its nodes reach each other; leave --k0s out")
    return run_demo(keep=args.keep, k0s=args.preset == "k0s", by_hand=args.by_hand)
