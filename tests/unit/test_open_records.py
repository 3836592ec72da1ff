"""EtcdMembers that are still to be written, though their operation has ended: what `status` says of them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final, cast

import pytest
from temporalio.api.history.v1 import HistoryEvent
from temporalio.api.workflowservice.v1 import DescribeWorkflowExecutionResponse
from temporalio.client import WorkflowExecutionStatus, WorkflowHistory
from temporalio.service import RPCError, RPCStatusCode

from etcd_handoff.cli import find_operation
from etcd_handoff.cli.errors import CommandError
from etcd_handoff.cli.open_records import QUERY, open_records
from etcd_handoff.cli.render.operations import TemporalParts, temporal_lines
from etcd_handoff.cli.render.status import StatusReport, status_lines, status_object
from etcd_handoff.cli.shapes.status import StatusOutput
from etcd_handoff.command_lines import START_A_WORKER
from tests.unit.printed import as_printed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from temporalio.client import Client

HISTORY: Final = Path(__file__).parents[1] / "replay" / "histories" / "record.json"
BEGUN: Final = 5
"""So many of its events are there while its first activity is tried."""
SUMMARY: Final = "Record that node1 is not a member of demo any more"
NO_ANSWER: Final = "no API server answered: node0: connection refused"
SINCE: Final = "2026-11-27T11:49:51.000+00:00"
ID: Final = "etcd-record/demo/d61c4effa182ed25"


class FakeTemporal:
    """A Temporal with workflows that write records.

    Args:
        attempt: The attempt of the pending activity; 0 for none.
        failure: Why the one before has failed.
        worker: Who took it last.
        failed: The activity has failed for good, and a pause follows.

    Attributes:
        query: What was listed.
        gone: It has ended since it was listed, and its retention is over.
        status: Whether it still runs.
    """

    def __init__(self, attempt: int = 0, failure: str = "", worker: str = "", *, failed: str = "") -> None:
        self._described, self.query, self.gone = DescribeWorkflowExecutionResponse(), "", False
        self.status = WorkflowExecutionStatus.RUNNING
        self._events = list(WorkflowHistory.from_json("record", HISTORY.read_text()).events)[:BEGUN]
        if failed:
            event = HistoryEvent()
            event.activity_task_failed_event_attributes.failure.message = failed
            self._events.append(event)
        if attempt:
            pending = self._described.pending_activities.add()
            pending.activity_type.name, pending.attempt = "update_status", attempt
            pending.last_failure.message, pending.last_worker_identity = failure, worker

    async def list_workflows(self, query: str) -> AsyncIterator[SimpleNamespace]:
        """One of this cluster, and one of another whose name begins alike."""
        self.query = query
        for workflow_id in (ID, "etcd-record/demo-2/1"):
            yield SimpleNamespace(id=workflow_id, run_id="r", start_time=datetime.fromisoformat(SINCE).astimezone(UTC))

    def get_workflow_handle(self, _: str, **__: object) -> FakeTemporal:
        """Any of them."""
        return self

    async def describe(self) -> SimpleNamespace:
        """What is pending."""
        if self.gone:
            raise RPCError("workflow not found", RPCStatusCode.NOT_FOUND, b"")
        return SimpleNamespace(raw_description=self._described, status=self.status)

    async def fetch_history(self) -> SimpleNamespace:
        """What has happened."""
        return SimpleNamespace(events=self._events)


async def parts(temporal: FakeTemporal) -> TemporalParts:
    """What `status` reads."""
    records = await open_records(cast("Client", temporal), "demo")
    return TemporalParts(None, "etcd-handoff", records=tuple(records))


async def test_record_is_told_with_whose_it_is_since_when_and_what_it_waits_for() -> None:
    """Nothing else shows for days that an EtcdMember is wrong; other clusters have their own."""
    temporal = FakeTemporal(7, NO_ANSWER, "9@node1")
    shown = await parts(temporal)
    assert temporal.query == QUERY
    assert temporal_lines(shown)[1:5] == [
        f"! EtcdMember of node1: not written since 2026-11-27 11:49:51 UTC: {SUMMARY}",
        f"  what it waits for (attempt 7): {NO_ANSWER}",
        f"  is tried again until 2026-12-04 11:49:51 UTC by workflow {ID}",
        "  to find what keeps it: etcd-handoff doctor -c demo",
    ]
    report = StatusReport("demo", None, None, shown, {"etcd": "no answer"})
    assert f"  what it waits for (attempt 7): {NO_ANSWER}" in status_lines(report)
    (record,) = json.loads(json.dumps(as_printed(StatusOutput, status_object(report))["records"]))
    assert (record["member"], record["member_id"], record["waiting_for"]) == ("node1", "d61c4effa182ed25", NO_ANSWER)
    assert record["next"] == ["to find what keeps it: etcd-handoff doctor -c demo"]


@pytest.mark.parametrize(
    ("temporal", "waits"),
    [
        (FakeTemporal(1, worker="9@node1"), "its first attempt, which runs"),
        (FakeTemporal(1), f"a worker: none has begun to write it yet; {START_A_WORKER}"),
        (FakeTemporal(), f"a worker: none has begun to write it yet; {START_A_WORKER}"),
        (FakeTemporal(failed="no such profile"), "no such profile"),
    ],
)
async def test_record_that_has_not_failed_yet_waits_for_a_worker(temporal: FakeTemporal, waits: str) -> None:
    """After a failure for good it pauses, and that is what it waits for."""
    assert [record.waiting_for for record in (await parts(temporal)).records] == [waits]


async def test_record_that_has_ended_meanwhile_is_left_out() -> None:
    """And no line stands where there is none."""
    gone, ended = FakeTemporal(), FakeTemporal()
    gone.gone, ended.status = True, WorkflowExecutionStatus.COMPLETED
    for temporal in (gone, ended):
        shown = await parts(temporal)
        assert shown.records == ()
        assert not [line for line in temporal_lines(shown) if "EtcdMember of" in line]


async def test_describe_of_a_record_points_to_what_shows_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is no operation; its ID names the cluster."""

    async def described(*_: object) -> str:
        return "RecordStatus"

    monkeypatch.setattr(find_operation, "_described", described)
    nobody: Any = None
    with pytest.raises(CommandError, match=r"`etcd-handoff status -c demo` shows what it waits for"):
        await find_operation.by_workflow_id(nobody, ID)
