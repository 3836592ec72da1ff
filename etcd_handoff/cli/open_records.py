"""Workflows that still write an EtcdMember after its operation has ended."""
# ruff: noqa: PLC0415
# Commands import what they need when they run: `--help` answers at once, without gRPC and Temporal.

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from etcd_handoff import time_limits
from etcd_handoff.cli.operation_kinds import RECORD_STATUS
from etcd_handoff.command_lines import START_A_WORKER

if TYPE_CHECKING:
    from collections.abc import Sequence

    from temporalio.api.history.v1 import HistoryEvent
    from temporalio.client import Client, WorkflowExecution

    from etcd_handoff.cli.render.describe import PendingStep
    from etcd_handoff.cli.render.records import OpenRecord

QUERY: Final = f'WorkflowType = "{RECORD_STATUS}" AND ExecutionStatus = "Running"'


async def open_records(client: Client, cluster: str) -> list[OpenRecord]:
    """Return those of a cluster, the oldest first.

    They have no search attributes, but their workflow IDs name the cluster.

    Raises:
        RPCError: Temporal does not answer, or refuses.
    """
    import asyncio

    from etcd_handoff.contract import record_id

    prefix = record_id(cluster, "")
    runs = [run async for run in client.list_workflows(QUERY) if run.id.startswith(prefix)]
    records = await asyncio.gather(*(_record(client, run, cluster) for run in runs))
    return sorted((record for record in records if record is not None), key=lambda record: record.since)


async def _record(client: Client, run: WorkflowExecution, cluster: str) -> OpenRecord | None:
    """Read one of them; None if it ended after it was listed, since Temporal's lists are some moments late."""
    import asyncio
    from datetime import UTC

    from temporalio.client import WorkflowExecutionStatus
    from temporalio.service import RPCError

    from etcd_handoff.cli.audit.payloads import first, summary
    from etcd_handoff.cli.describe import pending_steps
    from etcd_handoff.cli.render.records import OpenRecord, next_steps
    from etcd_handoff.temporal.connection_failures import is_unknown_workflow

    handle = client.get_workflow_handle(run.id, run_id=run.run_id)
    try:
        described, history = await asyncio.gather(handle.describe(), handle.fetch_history())
    except RPCError as error:
        if is_unknown_workflow(error):
            return None
        raise
    if described.status is not WorkflowExecutionStatus.RUNNING:
        return None
    begun = history.events[0]
    given = first(begun.workflow_execution_started_event_attributes.input)
    member_id = str(given.get("member_id") or run.id.rpartition("/")[2])
    pending = next(iter(pending_steps(described)), None)
    start = run.start_time.astimezone(UTC)
    return OpenRecord(
        workflow_id=run.id,
        member=str(given.get("member_name") or member_id),
        member_id=member_id,
        summary=summary(begun) or "record what is true of it",
        since=start.isoformat(timespec="milliseconds"),
        until=(start + time_limits.WORKFLOWS.record_grace).isoformat(timespec="milliseconds"),
        attempt=pending.attempt if pending else 0,
        waiting_for=_waiting_for(pending, history.events),
        next=next_steps(cluster),
    )


def _waiting_for(pending: PendingStep | None, events: Sequence[HistoryEvent]) -> str:
    """Return what holds it up: its last failure, or that no worker has begun."""
    from etcd_handoff.cli.audit.steps import failure_text

    if pending is not None and pending.failure:
        return pending.failure
    if pending is not None and pending.worker:
        return "its first attempt, which runs"
    failed = [e for e in events if e.HasField("activity_task_failed_event_attributes")]
    if failed:  # it pauses before it begins anew, or has done so and waits for a worker
        return failure_text(failed[-1].activity_task_failed_event_attributes.failure)
    return f"a worker: none has begun to write it yet; {START_A_WORKER}"
