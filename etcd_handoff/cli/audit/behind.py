"""Who started and approved a running operation.

This takes two short reads. The whole trail would take all events of all runs.
"""
# ruff: noqa: PLC0415
# Commands import what they need when they run: `--help` answers at once, without gRPC and Temporal.

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from temporalio.api.history.v1 import HistoryEvent
    from temporalio.client import Client

    from etcd_handoff.cli.find_operation import FoundOperation


class Behind(NamedTuple):
    """The people behind an operation.

    Attributes:
        asked_by: Who started it; empty if no record says.
        reason: Why.
        approved_by: Who approved it last; empty if it has no approval.
        dry_run: The operation changes nothing, whatever its workflow ID is.
        began: When it was started: UTC, ISO 8601; empty if no record says.
        cluster_id: ID of the etcd cluster that it saw last; empty if it saw none.
    """

    asked_by: str = ""
    reason: str = ""
    approved_by: str = ""
    dry_run: bool = False
    began: str = ""
    cluster_id: str = ""


async def people_of(client: Client, run: FoundOperation) -> Behind:
    """Read who started an operation, and who approved it.

    The first run's start names the requester. The last run's events name the approver.

    Raises:
        RPCError: Temporal does not answer.
    """
    last = await _events(client, run.workflow_id, run.run_id)
    first = await _events(client, run.workflow_id, run.first_run_id, 1) if run.first_run_id != run.run_id else []
    return behind((first or last)[0], last) if last else Behind()


async def _events(client: Client, workflow_id: str, run_id: str, most: int | None = None) -> list[HistoryEvent]:
    """Read the first `most` events of a run, or all of them; none once its retention is over."""
    from temporalio.service import RPCError

    from etcd_handoff.temporal.connection_failures import is_unknown_workflow

    events: list[HistoryEvent] = []
    if not run_id:
        return events
    try:
        handle = client.get_workflow_handle(workflow_id, run_id=run_id)
        async for event in handle.fetch_history_events(page_size=most):
            events.append(event)
            if len(events) == most:
                break
    except RPCError as error:
        if not is_unknown_workflow(error):
            raise
    return events


def behind(start: HistoryEvent, last: Sequence[HistoryEvent]) -> Behind:
    """Return the people behind an operation.

    Args:
        start: The first event of its first run, or of the first one that Temporal still has.
        last: The events of its last run.
    """
    from etcd_handoff.cli.audit.history import trail_of
    from etcd_handoff.cli.audit.payloads import carried_in
    from etcd_handoff.cli.audit.trail import approver

    first, now = trail_of("", [[start]]), trail_of("", [last])
    carried = carried_in(last[0])
    return Behind(
        asked_by=first.asked_by,
        reason=first.reason,
        approved_by=approver(now.entries, _approved_before(carried)),
        dry_run=first.dry_run,
        began=first.asked_at.replace("Z", "+00:00"),  # as Temporal's lists have it
        cluster_id=_seen_cluster(last) or str((carried.get("pinned") or {}).get("cluster_id", "")),
    )


def _seen_cluster(events: Sequence[HistoryEvent]) -> str:
    """Return the ID of the cluster that the last look in these events saw; empty if there was no look."""
    from etcd_handoff.cli.audit.payloads import first

    answers = (first(event.activity_task_completed_event_attributes.result) for event in reversed(events))
    views = (answer["view"] for answer in answers if isinstance(answer.get("view"), dict))
    return next((str(view["cluster_id"]) for view in views if view.get("cluster_id")), "")


def _approved_before(carried: dict[str, Any]) -> str:
    """Return who approved the operation in an earlier run; empty if there was no approval."""
    from etcd_handoff.operation.people import PROGRAMS, named

    if not carried.get("approval"):
        return ""
    identity = str((carried.get("approved") or {}).get("identity", ""))
    for program in PROGRAMS:
        identity = identity.removeprefix(program)
    return named(str(carried["approval"].get("by", "")), identity)
