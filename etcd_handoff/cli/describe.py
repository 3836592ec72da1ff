"""`describe`: the state of one operation, what it waits for, and what to type next."""
# ruff: noqa: PLC0415
# Commands import what they need when they run: `--help` answers at once, without gRPC and Temporal.

from __future__ import annotations

from typing import TYPE_CHECKING

from etcd_handoff.cli.errors import temporal_error
from etcd_handoff.cli.find_operation import progress_or_reason
from etcd_handoff.cli.past_operations import last_operation
from etcd_handoff.cli.queue_places import place_of, queue_of
from etcd_handoff.cli.terminal import print_json, print_lines
from etcd_handoff.exit_status import EXIT_DONE

if TYPE_CHECKING:
    import argparse

    from temporalio.client import WorkflowExecutionDescription

    from etcd_handoff.cli.render.describe import OperationReport, PendingStep


def describe_command(args: argparse.Namespace) -> int:
    """Print the operation, and return 0 whatever its state is."""
    import asyncio
    from datetime import UTC, datetime

    from etcd_handoff.cli.render.describe import report_lines, report_object

    report = asyncio.run(_read(args))
    if args.output == "json":
        from etcd_handoff.cli.shapes.trails import DescribeOutput

        print_json(DescribeOutput, report_object(report))
    else:
        print_lines(report_lines(report, datetime.now(UTC)))
    return EXIT_DONE


async def _read(args: argparse.Namespace) -> OperationReport:
    """Read the operation's description, progress, history and queue.

    Raises:
        CommandError: There is no such operation, or Temporal does not answer.
    """
    import asyncio
    from dataclasses import replace

    from temporalio.service import RPCError

    from etcd_handoff.cli.audit.current_status import current_status_of
    from etcd_handoff.cli.audit.fetch import runs_of
    from etcd_handoff.cli.audit.history import trail_of
    from etcd_handoff.cli.render.describe import OperationReport

    client, operation = await last_operation(args)
    handle = operation.handle(client)
    try:
        (runs, note), described, answer = await asyncio.gather(
            runs_of(client, operation), handle.describe(), progress_or_reason(handle) if operation.runs else _nothing()
        )
    except RPCError as error:
        raise temporal_error(error) from None
    progress, trouble = (None, answer) if isinstance(answer, str) else (answer, "")
    status = current_status_of([event for events in runs for event in events])
    queue = await queue_of(client, status.view.cluster_id) if status.view and operation.runs else None
    trail = trail_of(operation.workflow_id, runs, note, operation.member)
    if progress is not None and not trail.member_id and not operation.kind.of_parts:
        trail = replace(trail, member_id=progress.member_id)  # before the first change no record has it
    return OperationReport(
        trail=trail,
        status=status,
        state=str(progress.state) if progress else status.state or operation.state,
        progress=progress,
        trouble=trouble,
        pending=pending_steps(described),
        place=place_of(queue, operation.first_run_id) if queue is not None else "",
    )


async def _nothing() -> None:
    """Return no progress, for an operation that has ended."""


def pending_steps(described: WorkflowExecutionDescription) -> tuple[PendingStep, ...]:
    """Return the activities that run or are being retried."""
    from etcd_handoff.cli.render.describe import PendingStep

    return tuple(
        PendingStep(
            name=pending.activity_type.name,
            attempt=pending.attempt,
            worker=pending.last_worker_identity,
            failure=pending.last_failure.message,
            kind=pending.last_failure.application_failure_info.type,
        )
        for pending in described.raw_description.pending_activities
    )
