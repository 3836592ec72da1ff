"""Start an operation on a cluster, or attach to a running one, and follow it."""
# ruff: noqa: PLC0415
# Commands import what they need when they run: `--help` answers at once, without gRPC and Temporal.

from __future__ import annotations

import shlex
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

from etcd_handoff.cli.connections import connect_temporal
from etcd_handoff.cli.errors import CommandError, client_error, temporal_error
from etcd_handoff.cli.live_line import LiveLine
from etcd_handoff.cli.terminal import print_error, print_json
from etcd_handoff.command_lines import with_cluster
from etcd_handoff.exit_status import EXIT_DONE, EXIT_INTERRUPTED, EXIT_REFUSED, EXIT_UNREACHABLE, exit_of_failure

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterable, Sequence

    from pydantic import BaseModel
    from temporalio.client import Client, WorkflowHandle

    from etcd_handoff.client import OperationError
    from etcd_handoff.contract import OperationRequest, OperationResult, Progress


class Ends(NamedTuple):
    """The texts and exit statuses for each way an operation can end.

    Attributes:
        result_type: Type of its result.
        shape: Model of the JSON output.
        lines: Returns the result in words. Takes `dry_run`, whether only a dry run was asked for.
        exit_status: Returns the command's exit status for a result. Takes `dry_run` too.
        cancelled: Text for a cancelled operation.
        terminated: Text for a terminated workflow.
        timed_out: Text for a workflow that timed out.
        on_progress: Called with each answer of the query `progress`; returns lines to print.
    """

    result_type: type[OperationResult]
    shape: type[BaseModel]
    lines: Callable[..., list[str]]
    exit_status: Callable[..., int]
    cancelled: str
    terminated: str
    timed_out: str
    on_progress: Callable[[Progress], Iterable[str]] | None = None


def run_operation(args: argparse.Namespace, request: OperationRequest, task_queue: str, ends: Ends) -> int:
    """Start the operation, and print its progress and result.

    Returns:
        The exit status: 130 on Ctrl-C.
    """
    import asyncio

    started: list[str] = []
    try:
        return asyncio.run(_run(args, request, task_queue, ends, started))
    except KeyboardInterrupt:
        print_error(f"\nThis command has stopped following. {_goes_on(request, started)} To cancel it, run:")
        print_error(f"  etcd-handoff cancel {shlex.quote(request.start_id)}")
        return EXIT_INTERRUPTED


def _goes_on(request: OperationRequest, started: Sequence[str]) -> str:
    """Return what happens to the operation after this command; `started` has its ID once that is known."""
    what = _with_article(request)
    if started:
        return f"{what} that was started goes on; run the same command again to follow it."
    return f"{what} may have been started; run the same command again to follow or start it."


async def _run(
    args: argparse.Namespace, request: OperationRequest, task_queue: str, ends: Ends, started: list[str]
) -> int:
    from temporalio.service import RPCError

    from etcd_handoff.cli.follow import follow
    from etcd_handoff.cli.render.progress import ProgressLines, start_line
    from etcd_handoff.client import ClientError, Operation, OperationError
    from etcd_handoff.errors import RunsAlreadyError

    output = LiveLine(sys.stderr if args.output == "json" else sys.stdout)
    print_progress = output.print
    client, last = await connect_temporal(), list["Progress"]()

    def on_progress(progress: Progress) -> None:
        last[:] = [progress]
        print_progress(ends.on_progress(progress) if ends.on_progress else ())

    try:
        operation, attached = await _start(client, request, task_queue, ends)
        started.append(operation.id)
        print_progress([start_line(operation.id, attached=attached)])
        if args.detach:
            if args.output == "json":
                from etcd_handoff.cli.shapes.operations import StartedOutput

                run_id = operation.first_execution_run_id
                print_json(StartedOutput, {"workflow_id": operation.id, "run_id": run_id, "joined": attached})
            # A person who does not follow it would not see that no worker carries it out.
            if isinstance(silence := await Operation(operation).now_or_reason(), str):
                print_progress([f"  ! {silence}"])
            print_progress([f"  to see where it stands: etcd-handoff describe {shlex.quote(operation.id)}"])
            return EXIT_DONE
        try:
            result = await follow(operation, ProgressLines(operation.id), print_progress, on_progress, show=output.show)
        finally:
            output.close()  # before anything goes to standard error, which knows nothing of this line
    except OperationError as failure:
        return print_failure(args, failure, ends, last[0] if last else None, request.cluster)
    except RunsAlreadyError as error:
        raise CommandError(EXIT_REFUSED, str(error)) from None
    except (ClientError, RPCError) as error:
        stopped = temporal_error(error) if isinstance(error, RPCError) else client_error(error)
        text = f"{stopped}\n{_goes_on(request, started)}"
        raise CommandError(stopped.status, text if stopped.status == EXIT_UNREACHABLE else str(stopped)) from None
    status = ends.exit_status(result, dry_run=request.dry_run)
    if args.output == "json":
        print_json(ends.shape, result.model_dump(mode="json"))
    if args.output != "json" or status:
        lines = ends.lines(result, dry_run=request.dry_run)
        print_progress(with_cluster(line, request.cluster) for line in lines)
    return status


async def _start(
    client: Client, request: OperationRequest, task_queue: str, ends: Ends
) -> tuple[WorkflowHandle[Any, OperationResult], bool]:
    """Start the operation or attach to it; also return whether it already ran."""
    from temporalio.service import RPCError

    from etcd_handoff.temporal.client import start_operation

    try:
        before = (await client.get_workflow_handle(request.start_id).describe()).raw_info
    except RPCError:
        before = None  # not found, most of the time; the start reports any other error
    operation = await start_operation(client, request, ends.result_type, task_queue)
    # Older servers name the run that they have attached to, newer ones the first of its chain.
    known = (before.execution.run_id, before.first_run_id) if before else ()
    return operation, operation.first_execution_run_id in known


def print_failure(
    args: argparse.Namespace, failure: OperationError, ends: Ends, last: Progress | None = None, cluster: str = ""
) -> int:
    """Print how the operation failed, and return the exit status."""
    from etcd_handoff.client import OperationCancelledError, OperationTerminatedError, OperationTimedOutError
    from etcd_handoff.contract import HandoffState

    kind, text = failure.failure_type, str(failure)
    if isinstance(failure, OperationCancelledError):
        ended = last is not None and last.state == HandoffState.FAILED  # then it says itself what is true
        text = last.doing if last is not None and ended else ends.cancelled
    elif isinstance(failure, OperationTerminatedError):
        text = ends.terminated
    elif isinstance(failure, OperationTimedOutError):
        text = ends.timed_out
    text = with_cluster(text, cluster)
    if args.output == "json":
        settings = last.join_configuration if last is not None else {}
        from etcd_handoff.cli.shapes.operations import FailureOutput

        output = {"failure": kind, "message": text} | ({"join_configuration": settings} if settings else {})
        print_json(FailureOutput, output)
    print_error(f"{kind}: {text}")
    return exit_of_failure(kind)


def _with_article(request: OperationRequest) -> str:
    return f"{'An' if request.noun[0] in 'aeiou' else 'A'} {request.noun}"
