"""Who is behind an operation that runs: two short reads, where its trail would be all events of all its runs."""
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
    """Who is behind an operation.

    Attributes:
        asked_by: Who asked for it; empty when no record tells.
        reason: Why.
        approved_by: Who has approved it last; empty when nobody has.
        dry_run: It is to change nothing, whatever its workflow ID.
        began: When it was asked for, UTC, ISO 8601; empty when no record tells.
        cluster_id: The etcd cluster that it has seen last; empty when it has seen none.
    """

    asked_by: str = ""
    reason: str = ""
    approved_by: str = ""
    dry_run: bool = False
    began: str = ""
    cluster_id: str = ""


async def people_of(client: Client, run: FoundOperation) -> Behind:
    """Who asked for it, by the start of its first run, and who has approved it, by the events of the last one.

    Raises:
        RPCError: Temporal does not answer.
    """
    last = await _events(client, run.workflow_id, run.run_id)
    first = await _events(client, run.workflow_id, run.first_run_id, 1) if run.first_run_id != run.run_id else []
    return behind((first or last)[0], last) if last else Behind()


async def _events(client: Client, workflow_id: str, run_id: str, most: int | None = None) -> list[HistoryEvent]:
    """The events of a run, or the first ones of it; none if its retention is over."""
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
    """Who is behind an operation.

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
    """The cluster that the last look among these events has seen; empty when there is none."""
    from etcd_handoff.cli.audit.payloads import first

    answers = (first(event.activity_task_completed_event_attributes.result) for event in reversed(events))
    views = (answer["view"] for answer in answers if isinstance(answer.get("view"), dict))
    return next((str(view["cluster_id"]) for view in views if view.get("cluster_id")), "")


def _approved_before(carried: dict[str, Any]) -> str:
    """Who had approved it before this run; empty when nobody had."""
    from etcd_handoff.operation.people import PROGRAMS, named

    if not carried.get("approval"):
        return ""
    identity = str((carried.get("approved") or {}).get("identity", ""))
    for program in PROGRAMS:
        identity = identity.removeprefix(program)
    return named(str(carried["approval"].get("by", "")), identity)
