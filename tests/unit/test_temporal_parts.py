"""What `status` asks Temporal for: which operations have ended last, when each began, where it stands in its queue."""

from __future__ import annotations

import argparse
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final, cast

import pytest
from temporalio.client import WorkflowQueryFailedError
from temporalio.service import RPCError, RPCStatusCode

from etcd_handoff.cli import status, temporal_parts
from etcd_handoff.cli.audit import behind, fetch
from etcd_handoff.cli.audit.behind import Behind
from etcd_handoff.cli.audit.trail import Trail
from etcd_handoff.cli.find_operation import listed_operations
from etcd_handoff.cli.render.operations import OpenOperation, TemporalParts, WatcherHealth, temporal_lines
from etcd_handoff.cli.render.records import OpenRecord
from etcd_handoff.cli.temporal_parts import LAST, read_temporal, with_places
from etcd_handoff.config import ClusterProfile
from etcd_handoff.errors import UnreachableError
from etcd_handoff.operation.queue_messages import ChangeQueueState, QueueEntry, change_queue_id
from tests.unit.builders import CLUSTER, cluster, member
from tests.unit.test_operator_commands import operation

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from temporalio.client import Client

    from etcd_handoff.cli.find_operation import FoundOperation

SEEN: Final = "c0ffee"
RECORD: Final = OpenRecord("etcd-record/prod/2", "node2", "2", "Record it", "2026-01-01", "2026-01-08", 3, "no answer")
PROFILED: Final = "decaf"


@pytest.mark.parametrize(
    ("running", "only"),
    [
        (True, ' AND ExecutionStatus = "Running"'),
        (False, ' AND ExecutionStatus != "ContinuedAsNew" AND ExecutionStatus != "Running"'),
        (None, ' AND ExecutionStatus != "ContinuedAsNew"'),
    ],
)
async def test_temporal_is_asked_for_no_more_than_what_is_shown(running: bool | None, only: str) -> None:  # noqa: FBT001
    """Whoever asks for the last five that have ended gets five, however many run."""
    queries: list[str] = []

    async def list_workflows(query: str) -> AsyncIterator[None]:
        queries.append(query)
        for nothing in list[None]():
            yield nothing

    client = cast("Client", SimpleNamespace(list_workflows=list_workflows))
    assert await listed_operations(client, "prod", running=running, limit=LAST) == []
    assert [query.partition(")")[2] for query in queries] == [only]


async def test_last_results_are_those_that_ended_last_and_an_operation_begins_with_its_first_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One that took a day and has just ended stands before one that came and went meanwhile."""
    runs = {
        True: [operation(started="2026-01-09T00:00:00+00:00")],
        False: [
            operation("etcd-add/prod/node4", run_id="a", started="2026-01-02", ended="2026-01-03", status="COMPLETED"),
            operation("etcd-add/prod/node5", run_id="b", started="2026-01-01", ended="2026-01-04", status="FAILED"),
        ],
    }

    async def listed(_: Client, __: str, *, running: bool, limit: int | None = None) -> list[FoundOperation]:
        assert running or limit == LAST
        return runs[running]

    async def trails(_: Client, operations: Iterable[FoundOperation]) -> list[Trail]:
        return [Trail(run.workflow_id, "addition") for run in operations]

    client = SimpleNamespace(get_workflow_handle=lambda *_, **__: None)
    monkeypatch.setattr(temporal_parts, "connect_temporal", answers(client))
    monkeypatch.setattr(temporal_parts, "listed_operations", listed)
    monkeypatch.setattr(temporal_parts, "live_workers", answers([]))
    monkeypatch.setattr(temporal_parts, "health_of", answers(WatcherHealth()))
    monkeypatch.setattr(temporal_parts, "progress_or_reason", answers("no worker answers: start one"))
    monkeypatch.setattr(temporal_parts, "open_records", answers([RECORD]))
    monkeypatch.setattr(fetch, "trails", trails)
    for began in ("2026-01-05T00:00:00.000+00:00", ""):
        monkeypatch.setattr(behind, "people_of", answers(Behind("ann", began=began, cluster_id=SEEN)))
        parts = await read_temporal("prod", "etcd-handoff")
        assert [trail.workflow_id for trail in parts.last] == ["etcd-add/prod/node5", "etcd-add/prod/node4"]
        started = began or runs[True][0].started  # Temporal may have forgotten the first run
        assert ([run.started for run in parts.operations], parts.cluster_id) == ([started], SEEN)
        assert [run.trouble for run in parts.operations] == ["no worker answers: start one"]
        assert parts.records == (RECORD,)


# --- places in the queue --------------------------------------------------------------------------------------


class FakeQueues:
    """A Temporal with queues, each of which answers so or raises that.

    Attributes:
        asked_for: The workflow IDs that were asked for.
    """

    def __init__(self, **queues: ChangeQueueState | Exception) -> None:
        self._queues = queues
        self.asked_for: list[str] = []

    def get_workflow_handle(self, workflow_id: str) -> Any:
        """A queue."""

        async def query(*_: object, **__: object) -> ChangeQueueState:
            self.asked_for.append(workflow_id)
            answer = self._queues[workflow_id.partition("/")[2]]
            if isinstance(answer, Exception):
                raise answer
            return answer

        return SimpleNamespace(query=query)


ENTRY: Final = QueueEntry(
    workflow_id="etcd-remove/prod/node2", chain_id="r1", cluster="prod", member_name="node2", member_id="1"
)
QUEUE: Final = ChangeQueueState(cluster_id=SEEN, entries=(ENTRY,), holder="r1")
FIRST: Final = "first in the queue: it may change the cluster"
OPEN: Final = OpenOperation("etcd-remove/prod/node2", "removal", "node2", "Queued", "2026-01-01", chain_id="r1")


def parts(client: FakeQueues, cluster_id: str = "") -> TemporalParts:
    """What Temporal has told, with one operation that runs."""
    return TemporalParts(cast("Client", client), "etcd-handoff", (OPEN,), cluster_id=cluster_id)


@pytest.mark.parametrize(
    ("cluster_id", "answer", "place", "cell"),
    [
        (SEEN, QUEUE, FIRST, FIRST),
        (SEEN, RPCError("workflow not found", RPCStatusCode.NOT_FOUND, b""), "", "-"),
        (SEEN, RPCError("late", RPCStatusCode.DEADLINE_EXCEEDED, b""), "?", "?"),
        (SEEN, WorkflowQueryFailedError("of another version"), "?", "?"),
        ("", QUEUE, "?", "?"),
    ],
)
async def test_place_that_is_not_known_is_told_from_none(
    cluster_id: str, answer: ChangeQueueState | Exception, place: str, cell: str
) -> None:
    """Who reads that it stands in no queue looks for the fault elsewhere."""
    client = FakeQueues(**{SEEN: answer})
    placed = await with_places(parts(client), cluster_id)
    assert [run.queue for run in placed.operations] == [place]
    assert temporal_lines(placed)[1].endswith(f"  {cell}")
    assert client.asked_for == [change_queue_id(SEEN)] * bool(cluster_id)


@pytest.mark.parametrize(
    ("readable", "seen", "profiled", "queue"),
    [
        (True, SEEN, PROFILED, CLUSTER),
        (False, SEEN, PROFILED, SEEN),
        (False, "", PROFILED, PROFILED),
        (False, "", None, ""),
    ],
)
async def test_queue_is_found_without_etcd_by_what_operations_have_seen(
    monkeypatch: pytest.MonkeyPatch, seen: str, profiled: str | None, queue: str, *, readable: bool
) -> None:
    """Else by the profile; etcd's own word counts first."""

    async def read_view(_: ClusterProfile) -> Any:
        if not readable:
            raise UnreachableError("nobody answers")
        return cluster(member(1))

    client = FakeQueues(**dict.fromkeys((CLUSTER, SEEN, PROFILED), QUEUE))
    monkeypatch.setattr(status, "read_view", read_view)
    monkeypatch.setattr(status, "read_temporal", answers(parts(client, seen)))
    profile = ClusterProfile.model_validate({"etcd": {"endpoints": ["https://10.0.0.1:2379"]}, "cluster_id": profiled})
    args = argparse.Namespace(cluster="prod", config=None, preset=None, data_dir=None)
    report = await status._read_report(args, "prod", profile, "etcd-handoff")
    assert report.temporal is not None
    assert client.asked_for == [change_queue_id(queue)] * bool(queue)
    assert [run.queue for run in report.temporal.operations] == [FIRST if queue else "?"]


def answers(value: object) -> Any:
    """A function that answers so, whatever it is asked."""

    async def answer(*_: object, **__: object) -> object:
        return value

    return answer
