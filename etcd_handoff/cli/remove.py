"""`remove`: start a removal, or attach to the one that runs, and follow it."""
# ruff: noqa: PLC0415
# Commands import what they need when they run: `--help` answers at once, without gRPC and Temporal.

from __future__ import annotations

from typing import TYPE_CHECKING

from etcd_handoff.cli.configuration import cluster_name, read_config, removal_request
from etcd_handoff.cli.connections import connect_temporal
from etcd_handoff.cli.errors import CommandError, temporal_error
from etcd_handoff.cli.terminal import print_error, print_json, print_lines
from etcd_handoff.exit_status import EXIT_DONE, EXIT_INTERRUPTED, EXIT_UNREACHABLE, exit_of_failure

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable

    from temporalio.client import Client, WorkflowFailureError

    from etcd_handoff.contract import RemovalRequest
    from etcd_handoff.temporal.client import Removal


def remove_command(args: argparse.Namespace) -> int:
    """Print progress and the result. Exit 0 if the member has left, otherwise as the failure says; 130 on Ctrl-C."""
    import asyncio

    from etcd_handoff.contract import TASK_QUEUE
    from etcd_handoff.temporal.client import removal_id

    config = read_config(args)
    request = removal_request(
        args,
        cluster_name(args, config),
        reason=args.reason,
        require_approval=args.require_approval,
        snapshot=args.snapshot,
        hash_check=args.hash_check,
        blocked_timeout_seconds=args.blocked_timeout,
        dry_run=args.dry_run,
    )
    try:
        return asyncio.run(_remove(args, request, config.task_queue if config else TASK_QUEUE))
    except KeyboardInterrupt:
        print_error("\nThis command has stopped following. A removal that was started goes on; to cancel it, run:")
        print_error(f"  temporal workflow cancel -w {removal_id(request)}")
        return EXIT_INTERRUPTED


async def _remove(args: argparse.Namespace, request: RemovalRequest, task_queue: str) -> int:
    from temporalio.client import WorkflowFailureError
    from temporalio.service import RPCError

    from etcd_handoff.cli.follow import follow
    from etcd_handoff.cli.render.progress import ProgressLines, start_line
    from etcd_handoff.cli.render.result import result_exit, result_lines

    print_progress = _print_to_stderr if args.output == "json" else print_lines
    client = await connect_temporal()
    try:
        removal, joined = await _start(client, request, task_queue)
        print_progress([start_line(removal.id, joined=joined)])
        if args.detach:
            if args.output == "json":
                print_json({"workflow_id": removal.id, "run_id": removal.first_execution_run_id, "joined": joined})
            return EXIT_DONE
        result = await follow(removal, ProgressLines(removal.id), print_progress)
    except WorkflowFailureError as failure:
        return _print_failure(args, failure)
    except RPCError as error:
        stopped = temporal_error(error)
        text = f"{stopped}\nA removal that was started goes on; run the same command again to follow it."
        raise CommandError(stopped.status, text if stopped.status == EXIT_UNREACHABLE else str(stopped)) from None
    status = result_exit(result, dry_run=request.dry_run)
    if args.output == "json":
        print_json(result.model_dump(mode="json"))
    if args.output != "json" or status:
        print_progress(result_lines(result, dry_run=request.dry_run))
    return status


async def _start(client: Client, request: RemovalRequest, task_queue: str) -> tuple[Removal, bool]:
    """Return the removal, and whether it was already running."""
    from temporalio.service import RPCError

    from etcd_handoff.temporal.client import removal_id, start_removal

    try:
        before = (await client.get_workflow_handle(removal_id(request)).describe()).run_id
    except RPCError:
        before = ""  # not found, most of the time; the start reports any other error
    removal = await start_removal(client, request, task_queue)
    return removal, removal.first_execution_run_id == before


def _print_failure(args: argparse.Namespace, failure: WorkflowFailureError) -> int:
    """Print how the removal failed; return its exit status."""
    from temporalio import exceptions

    cause = failure.cause
    if isinstance(cause, exceptions.ApplicationError):
        kind, text = cause.type or "Failed", cause.message
    elif isinstance(cause, exceptions.CancelledError):
        kind, text = "Cancelled", "the removal was cancelled before the member was removed"
    elif isinstance(cause, exceptions.TerminatedError):
        kind, text = "Terminated", "the removal was terminated; `etcd-handoff status` shows whether the member is out"
    elif isinstance(cause, exceptions.TimeoutError):
        kind, text = "TimedOut", "the removal timed out; `etcd-handoff status` shows whether the member is out"
    else:
        kind, text = "Failed", str(cause)
    if args.output == "json":
        print_json({"failure": kind, "message": text})
    print_error(f"{kind}: {text}")
    return exit_of_failure(kind)


def _print_to_stderr(lines: Iterable[str]) -> None:
    for line in lines:
        print_error(line)
