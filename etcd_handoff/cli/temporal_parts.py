"""Read what `status` shows from Temporal: operations, workers, the watcher."""
# ruff: noqa: PLC0415
# Commands import what they need when they run: `--help` answers at once, without gRPC and Temporal.

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from etcd_handoff.cli.connections import connect_temporal
from etcd_handoff.cli.errors import temporal_error
from etcd_handoff.cli.find_operation import listed_operations, progress_or_reason
from etcd_handoff.cli.live_workers import live_workers
from etcd_handoff.cli.open_records import open_records
from etcd_handoff.cli.past_operations import newest_first
from etcd_handoff.cli.queue_places import place_of, queue_of
from etcd_handoff.cli.watcher_status import health_of

if TYPE_CHECKING:
    from etcd_handoff.cli.audit.behind import Behind
    from etcd_handoff.cli.find_operation import FoundOperation
    from etcd_handoff.cli.render.operations import OpenOperation, TemporalParts
    from etcd_handoff.contract import Progress
    from etcd_handoff.operation.queue_messages import ChangeQueueState

LAST: Final = 5
"""Number of ended operations that are shown."""


async def read_temporal(cluster: str, task_queue: str) -> TemporalParts:
    """Read all parts, without the places in the queue.

    Raises:
        CommandError: Temporal does not answer, or refuses.
    """
    import asyncio

    from temporalio.service import RPCError

    from etcd_handoff.cli.audit.behind import people_of
    from etcd_handoff.cli.audit.fetch import trails
    from etcd_handoff.cli.render.operations import TemporalParts

    client = await connect_temporal()
    try:
        running, ended, records, workers, watcher = await asyncio.gather(
            listed_operations(client, cluster, running=True),
            listed_operations(client, cluster, running=False, limit=LAST),
            open_records(client, cluster),
            live_workers(client, task_queue),
            health_of(client, cluster),
        )
        shown = [run for run in newest_first(running) if not run.dry_run]
        answers, people = await asyncio.gather(
            asyncio.gather(*(progress_or_reason(run.handle(client)) for run in shown)),
            asyncio.gather(*(people_of(client, run) for run in shown)),
        )
        last = await trails(client, sorted(ended, key=lambda run: (run.ended, run.started), reverse=True))
    except RPCError as error:
        raise temporal_error(error) from None
    operations = tuple(map(_open, shown, answers, people))
    cluster_id = next((behind.cluster_id for behind in people if behind.cluster_id), "")
    return TemporalParts(
        client,
        task_queue,
        operations,
        last=tuple(last),
        records=tuple(records),
        workers=tuple(workers),
        watcher=watcher,
        cluster_id=cluster_id,
    )


def _open(run: FoundOperation, answer: Progress | str, people: Behind) -> OpenOperation:
    """Return a running operation with its progress, or why it has none, and the people behind it."""
    from etcd_handoff.cli.render.operations import OpenOperation
    from etcd_handoff.cli.render.progress import remedy_lines
    from etcd_handoff.contract import HandoffState

    progress, trouble = (None, answer) if isinstance(answer, str) else (answer, "")
    state = str(progress.state) if progress else run.state or "Running"
    return OpenOperation(
        workflow_id=run.workflow_id,
        operation=run.kind.noun,
        member=run.member,
        state=state,
        started=people.began or run.started,
        doing=progress.doing if progress else "",
        trouble=trouble,
        waiting_for=progress.waiting_for if progress else "",
        next=tuple(remedy_lines(progress, run.workflow_id)) if progress else (),
        chain_id=run.first_run_id,
        asked_by=people.asked_by,
        reason=people.reason,
        approved_by="" if state == HandoffState.AWAITING_APPROVAL else people.approved_by,
        dry_run=people.dry_run,
    )


async def with_places(parts: TemporalParts, cluster_id: str) -> TemporalParts:
    """Add each operation's place in the queue of this etcd cluster; empty if the cluster's ID is unknown."""
    from dataclasses import replace

    if not parts.operations or parts.client is None:
        return parts
    queue: ChangeQueueState | None = await queue_of(parts.client, cluster_id) if cluster_id else None
    placed = (replace(operation, queue=place_of(queue, operation.chain_id)) for operation in parts.operations)
    return replace(parts, operations=tuple(placed))
