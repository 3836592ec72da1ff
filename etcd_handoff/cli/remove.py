"""`remove`: start a removal, or attach to a running one, and follow it.

Its options are declared in `etcd_handoff.cli.change_options`.
"""
# ruff: noqa: PLC0415
# Commands import what they need when they run: `--help` answers at once, without gRPC and Temporal.

from __future__ import annotations

from typing import TYPE_CHECKING

from etcd_handoff.cli.configuration import cluster_name, gate_options, read_config, removal_request
from etcd_handoff.cli.operations import Ends, run_operation

if TYPE_CHECKING:
    import argparse


def remove_command(args: argparse.Namespace) -> int:
    """Print progress and the result.

    Returns:
        The exit status: 0 if the member has left, 130 on Ctrl-C, otherwise the exit status of the failure.
    """
    from etcd_handoff.contract import TASK_QUEUE

    config = read_config(args)
    request = removal_request(
        args,
        cluster_name(args, config),
        reason=args.reason,
        **gate_options(args),
        snapshot=args.snapshot,
        hash_check=args.hash_check,
        blocked_timeout_seconds=args.blocked_timeout,
        dry_run=args.dry_run,
    )
    return run_operation(args, request, config.task_queue if config else TASK_QUEUE, ends())


def ends() -> Ends:
    """Return the texts for each way a removal can end."""
    from etcd_handoff.cli.render.removal_result import removal_exit, removal_lines
    from etcd_handoff.cli.shapes.operations import RemoveOutput
    from etcd_handoff.contract import RemovalResult

    return Ends(
        RemovalResult,
        RemoveOutput,
        removal_lines,
        removal_exit,
        cancelled="the removal was cancelled before the member was removed",
        terminated="the removal was terminated; `etcd-handoff status` shows whether the member was removed",
        timed_out="the removal timed out; `etcd-handoff status` shows whether the member was removed",
    )
