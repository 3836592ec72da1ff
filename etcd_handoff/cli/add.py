"""`add`: start the addition of a member, or attach to the one that runs, and follow it."""
# ruff: noqa: PLC0415
# Commands import what they need when they run: `--help` answers at once, without gRPC and Temporal.

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from etcd_handoff.cli.configuration import cluster_name, read_config
from etcd_handoff.cli.connections import connect_temporal
from etcd_handoff.cli.errors import CommandError, temporal_error
from etcd_handoff.cli.terminal import print_error, print_json, print_lines
from etcd_handoff.exit_status import (
    EXIT_DONE,
    EXIT_FAILED,
    EXIT_INTERRUPTED,
    EXIT_REFUSED,
    EXIT_UNREACHABLE,
    EXIT_USAGE,
    exit_of_failure,
)

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable

    from temporalio.client import Client, WorkflowFailureError, WorkflowHandle

    from etcd_handoff.contract import AdditionRequest, AdditionResult


def add_command(args: argparse.Namespace) -> int:
    """Print progress and the result. Exit 0 if the member has a vote, otherwise as the failure says; 130 on Ctrl-C."""
    import asyncio

    from etcd_handoff.contract import TASK_QUEUE

    config = read_config(args)
    request = _request(args, cluster_name(args, config))
    try:
        return asyncio.run(_add(args, request, config.task_queue if config else TASK_QUEUE))
    except KeyboardInterrupt:
        print_error("\nThis command has stopped following. An addition that was started goes on; to cancel it, run:")
        print_error(f"  temporal workflow cancel -w {request.start_id}")
        return EXIT_INTERRUPTED


def _request(args: argparse.Namespace, cluster: str) -> AdditionRequest:
    """The checked input."""
    from pydantic import ValidationError

    from etcd_handoff.contract import AdditionRequest
    from etcd_handoff.wire import describe

    options = {
        "cluster": cluster,
        "name": args.name,
        "peer_urls": tuple(args.peer_url),
        "reason": args.reason,
        "require_approval": args.require_approval,
        "blocked_timeout_seconds": args.blocked_timeout,
        "dry_run": args.dry_run,
    }
    try:
        return AdditionRequest.model_validate(options)
    except ValidationError as error:
        raise CommandError(EXIT_USAGE, "\n".join(describe(error))) from None


async def _add(args: argparse.Namespace, request: AdditionRequest, task_queue: str) -> int:
    from temporalio.client import WorkflowFailureError
    from temporalio.service import RPCError

    from etcd_handoff.cli.follow import follow
    from etcd_handoff.cli.render.progress import ProgressLines, start_line

    print_progress = _print_to_stderr if args.output == "json" else print_lines
    client = await connect_temporal()
    try:
        addition, joined = await _start(client, request, task_queue)
        print_progress([start_line(addition.id, joined=joined)])
        if args.detach:
            if args.output == "json":
                print_json({"workflow_id": addition.id, "run_id": addition.first_execution_run_id, "joined": joined})
            return EXIT_DONE
        result = await follow(addition, ProgressLines(addition.id), print_progress)
    except WorkflowFailureError as failure:
        return _print_failure(args, failure)
    except RPCError as error:
        stopped = temporal_error(error)
        text = f"{stopped}\nAn addition that was started goes on; run the same command again to follow it."
        raise CommandError(stopped.status, text if stopped.status == EXIT_UNREACHABLE else str(stopped)) from None
    status = result_exit(result, dry_run=request.dry_run)
    if args.output == "json":
        print_json(result.model_dump(mode="json"))
    if args.output != "json" or status:
        print_progress(result_lines(result, dry_run=request.dry_run))
    return status


async def _start(
    client: Client, request: AdditionRequest, task_queue: str
) -> tuple[WorkflowHandle[Any, AdditionResult], bool]:
    """The addition, and whether it was already running."""
    from temporalio.service import RPCError

    from etcd_handoff.contract import AdditionResult
    from etcd_handoff.temporal.client import start_operation

    try:
        before = (await client.get_workflow_handle(request.start_id).describe()).run_id
    except RPCError:
        before = ""  # not found, most of the time; the start reports any other error
    addition = await start_operation(client, request, AdditionResult, task_queue)
    return addition, addition.first_execution_run_id == before


def result_lines(result: AdditionResult, *, dry_run: bool) -> list[str]:
    """How an addition ended.

    Args:
        result: Its result.
        dry_run: Whether no more than a dry run was asked for.
    """
    from etcd_handoff.contract import Outcome

    who = f"{result.member_name} ({result.member_id})" if result.member_id else result.member_name
    if result.outcome == Outcome.PLANNED:
        if not dry_run:
            return [f"WARNING: {who} was NOT added: the workflow that was joined is a dry run. Run the command again."]
        if result.blocked_by:
            return [f"Dry run, nothing was changed. An addition of {who} would wait now: {result.blocked_by}"]
        steps = (f"  {i}. {step}" for i, step in enumerate(result.plan, 1))
        return [f"Dry run, nothing was changed. An addition of {who} would:", *steps]
    if result.outcome not in (Outcome.ADDED, Outcome.ALREADY_PRESENT):
        return [f"WARNING: the addition of {who} ended as {result.outcome!r}, which this version does not know."]
    was = "was a voter already" if result.outcome == Outcome.ALREADY_PRESENT else "is a voter now"
    recorded = "says so" if result.status_recorded else f"was not written: {result.status_note}"
    return [f"{who} {was}, cluster {result.cluster}.", f"Its EtcdMember {recorded}."]


def result_exit(result: AdditionResult, *, dry_run: bool) -> int:
    """3 for a dry run that found the addition blocked; 1 where a member was only planned for."""
    from etcd_handoff.contract import Outcome

    if result.outcome == Outcome.PLANNED and dry_run:
        return EXIT_REFUSED if result.blocked_by else EXIT_DONE
    return EXIT_DONE if result.outcome in (Outcome.ADDED, Outcome.ALREADY_PRESENT) else EXIT_FAILED


def _print_failure(args: argparse.Namespace, failure: WorkflowFailureError) -> int:
    """Print how the addition failed; its exit status."""
    from temporalio import exceptions

    cause, seen = failure.cause, "`etcd-handoff status` shows what is there: a learner has no vote and can be removed"
    if isinstance(cause, exceptions.ApplicationError):
        kind, text = cause.type or "Failed", cause.message
    elif isinstance(cause, exceptions.CancelledError):
        kind, text = "Cancelled", f"the addition was cancelled before the member had a vote; {seen}"
    elif isinstance(cause, exceptions.TerminatedError):
        kind, text = "Terminated", f"the addition was terminated; {seen}"
    elif isinstance(cause, exceptions.TimeoutError):
        kind, text = "TimedOut", f"the addition timed out; {seen}"
    else:
        kind, text = "Failed", str(cause)
    if args.output == "json":
        print_json({"failure": kind, "message": text})
    print_error(f"{kind}: {text}")
    return exit_of_failure(kind)


def _print_to_stderr(lines: Iterable[str]) -> None:
    for line in lines:
        print_error(line)
