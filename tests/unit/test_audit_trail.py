"""The audit trail: from recorded histories of real operations, and from events made by hand, to words."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import pytest
from temporalio.client import WorkflowHistory
from temporalio.service import RPCError, RPCStatusCode

from etcd_handoff.cli.audit import fetch
from etcd_handoff.cli.audit.history import trail_of
from etcd_handoff.cli.audit.trail import Entry, Trail, in_order
from etcd_handoff.cli.errors import CommandError
from etcd_handoff.cli.render.history import history_object, overview_lines, trail_lines
from etcd_handoff.cli.shapes.trails import HistoryOutput
from tests.unit.history_events import event, trail
from tests.unit.printed import as_printed

HISTORIES: Final = Path(__file__).parents[1] / "replay" / "histories"
LEADER_STEPS: Final = ["check_leader", "move_leader", "await_election", "remove_member", "update_status"]


def recorded(*names: str) -> Trail:
    """The trail of a recorded operation; several names are runs of one."""
    runs = [WorkflowHistory.from_json(name, (HISTORIES / f"{name}.json").read_text()).events for name in names]
    return trail_of("etcd-remove/demo/node0", runs)


def entries(trail: Trail, *events: str) -> list[tuple[str, str]]:
    """Kind and text of the entries of these kinds."""
    return [(entry.event, entry.text) for entry in trail.entries if entry.event in events]


# --- recorded operations --------------------------------------------------------------------------------------


def test_leaders_removal_shows_each_step_with_who_led() -> None:
    """What was seen at each decision, what was done by which node, with which result."""
    found = recorded("leader")
    steps = [entry for entry in found.entries if entry.step]
    assert [entry.step for entry in steps] == LEADER_STEPS
    assert [entry.event for entry in steps] == ["looked", "did", "looked", "did", "did"]
    assert [entry.outcome for entry in steps] == ["observed", "moved", "elected", "removed", "recorded"]
    leaders = [entry.leader for entry in steps[:4]]
    assert leaders[0] == found.member
    assert leaders[1] == leaders[2] == leaders[3] != found.member
    assert steps[1].term > steps[0].term
    assert all(entry.by.startswith("node") and entry.began < entry.at for entry in steps)
    assert (found.operation, found.outcome, found.dry_run, found.runs) == ("removal", "removed", False, 1)
    assert (found.reason, found.interface) == ("to be replayed", "Python client")
    assert found.member_id == (found.result or {})["member_id"]


def test_approval_is_told_with_who_gave_it() -> None:
    """The name that was given, and the identity that Temporal saw."""
    found = recorded("approved")
    assert entries(found, "state", "approved") == [("state", "AwaitingApproval"), ("approved", "no comment given")]
    (approval,) = (entry for entry in found.entries if entry.event == "approved")
    assert approval.by == "ann (as worker)"
    assert found.options == {"require_approval": True}


def test_wait_is_told_once_with_how_often() -> None:
    """A removal that is blocked for a day looks thousands of times."""
    found = recorded("continued", "continues")
    looks = [entry for entry in found.entries if entry.event == "looked"]
    assert looks[0].times > 1
    assert looks[0].until > looks[0].at
    assert ("waits", "blocked: QuorumAtRisk") in entries(found, "waits")
    assert "not healthy" in looks[0].text


def test_runs_that_were_continued_are_one_trail() -> None:
    """It was asked for once, and ends once."""
    found = recorded("continued", "continues")
    assert found.runs == 2
    assert [entry.event for entry in found.entries if entry.event in {"requested", "continued", "ended"}] == [
        "requested",
        "continued",
        "ended",
    ]
    assert found.outcome == "removed"


def test_recheck_is_told_with_its_reason() -> None:
    """Who was impatient, and why."""
    assert ("recheck", "it is back") in entries(recorded("blocked"), "recheck")


def test_turn_is_told_once() -> None:
    """The queue tells by a signal and in an answer."""
    turns = [text for _, text in entries(recorded("queued"), "turn")]
    assert turns[0].startswith("waits in the queue behind the removal of node")
    assert turns[1:] == ["first in the queue: it may change the cluster"]


def test_failure_is_told_with_its_type_and_remedy() -> None:
    """As the command line tells it."""
    found = recorded("failed")
    assert found.outcome == "BlockedTooLong"
    assert "tart the removal again" in found.outcome_text


def test_step_that_failed_in_all_attempts_is_told_with_its_cause() -> None:
    """And which workflow goes on with it, and that somebody cancelled."""
    found = recorded("handed_over")
    assert "NotRecorded" in entries(found, "failed")[0][1]
    assert entries(found, "continued")[0][1].startswith("etcd-record/demo/")
    assert entries(found, "cancel") == [("cancel", "cancellation requested: no reason given")]


def test_partial_looks_say_who_was_seen() -> None:
    """No worker reaches all members, so none can tell who is healthy."""
    looks = [text for _, text in entries(recorded("through_nodes"), "looked")]
    assert any(text.startswith("node") and "alone was seen, and says that" in text for text in looks)
    assert not any("no healthy voter" in text for text in looks)


@pytest.mark.parametrize("name", sorted(path.stem for path in HISTORIES.glob("*.json")))
def test_every_recorded_history_can_be_told(name: str) -> None:
    """Whatever kind of workflow it is, in the order of time, and the same each time."""
    found = recorded(name)
    assert [entry.at for entry in found.entries] == sorted(entry.at for entry in found.entries)
    assert found == recorded(name)
    assert found.entries[-1].event in {"ended", "continued"}
    printed = as_printed(HistoryOutput, history_object([found]))
    assert printed["operations"][0]["workflow_id"] == found.workflow_id
    assert trail_lines(found)


# --- in words -------------------------------------------------------------------------------------------------


def test_repeated_looks_are_folded_only_within_one_wait() -> None:
    """What people said in between stands in its place."""
    look, wait = ("looked", "n1 leads"), ("waits", "blocked: NoQuorum")
    recheck = ("recheck", "now?")
    kinds = [look, wait, look, wait, recheck, look, wait]
    entries = in_order(Entry(f"2026-01-01T00:00:0{i}.000Z", *kind) for i, kind in enumerate(kinds))
    assert [(entry.event, entry.times) for entry in entries] == [
        ("looked", 2),
        ("waits", 2),
        ("recheck", 1),
        ("looked", 1),
        ("waits", 1),
    ]


def test_trail_in_words() -> None:
    """The verdict, what is known of the whole, and each line."""
    found = Trail(
        workflow_id="etcd-remove/prod/node2",
        operation="removal",
        cluster="prod",
        member="node2",
        member_id="2691c70cb6e32949",
        asked_at="2026-01-01T23:59:58.000Z",
        asked_by="ann@laptop",
        interface="command line",
        reason="new disk",
        options={"require_approval": True},
        outcome="removed",
        outcome_text="the EtcdMember says so",
        ended_at="2026-01-02T00:00:03.000Z",
        entries=(
            Entry("2026-01-01T23:59:58.000Z", "requested", "removal of node2: new disk", "ann@laptop", "command line"),
            Entry("2026-01-01T23:59:59.000Z", "waits", "blocked: NoQuorum", times=3, until="2026-01-02T00:00:01.000Z"),
            Entry("2026-01-02T00:00:01.500Z", "approved", "go", "bob", "command line"),
            Entry("2026-01-02T00:00:02.000Z", "did", "remove node2: removed", "node1", milliseconds=12.4, attempts=2),
            Entry("2026-01-02T00:00:03.000Z", "ended", "removed: the EtcdMember says so"),
        ),
    )
    assert trail_lines(found) == [
        "removal of node2 (2691c70cb6e32949), cluster prod: removed",
        "  asked for    2026-01-01 23:59:58.000Z by ann@laptop, command line",
        "  reason       new disk",
        "  options      require_approval=true",
        "  approved by  bob at 2026-01-02 00:00:01.500Z",
        "  ended        2026-01-02 00:00:03.000Z: the EtcdMember says so",
        "  workflow     etcd-remove/prod/node2, 1 run",
        "  2026-01-01, UTC",
        "    23:59:58.000  requested  ann@laptop  removal of node2: new disk [command line]",
        "    23:59:59.000  waits                  blocked: NoQuorum [3 times until 00:00:01.000]",
        "  2026-01-02, UTC",
        "    00:00:01.500  approved   bob         go [command line]",
        "    00:00:02.000  did        node1       remove node2: removed [12 ms, 2 attempts]",
        "    00:00:03.000  ended                  removed: the EtcdMember says so",
    ]


def test_workflows_that_go_on_are_told_by_what_they_do() -> None:
    """One writes the EtcdMember, another one tells the webhook."""
    begun = [
        ("RecordStatus", "etcd-record/prod/8211f1d0f64f3269"),
        ("Notify", "etcd-notify/prod/run-ended-1"),
    ]
    events = [
        event(
            "child_workflow_execution_started", 1, workflow_type={"name": kind}, workflow_execution={"workflow_id": i}
        )
        for kind, i in begun
    ]
    assert entries(trail(*events), "continued", "notified") == [
        ("continued", "etcd-record/prod/8211f1d0f64f3269 goes on to write the EtcdMember"),
        ("notified", "the webhook; etcd-notify/prod/run-ended-1 delivers it"),
    ]


def test_nothing_to_tell_is_said() -> None:
    """An empty table would look like a fault."""
    assert overview_lines([], "Temporal has no record of x") == ["Temporal has no record of x"]


class Forgetful:
    """A client of a Temporal that has the history of one workflow alone, and which history that is."""

    def __init__(self, kept: str, history: str = "leader") -> None:
        self._kept, self._history = kept, history

    def get_workflow_handle(self, workflow_id: str, *, run_id: str) -> Any:  # noqa: ARG002
        """A handle of which the history can be fetched, or not."""

        async def fetch_history() -> WorkflowHistory:
            if workflow_id != self._kept:
                raise RPCError("workflow execution not found", RPCStatusCode.NOT_FOUND, b"")
            return WorkflowHistory.from_json(workflow_id, (HISTORIES / f"{self._history}.json").read_text())

        return SimpleNamespace(fetch_history=fetch_history)


async def test_operation_whose_retention_ends_while_it_is_read_takes_no_other_one_with_it() -> None:
    """It was listed a moment ago; alone, it is named."""
    names = ("etcd-remove/demo/n1", "etcd-remove/demo/n2")
    listed: Any = [SimpleNamespace(workflow_id=name, run_id="r", member="n2") for name in names]
    client: Any = Forgetful("etcd-remove/demo/n2")
    assert [trail.workflow_id for trail in await fetch.trails(client, listed)] == ["etcd-remove/demo/n2"]
    with pytest.raises(CommandError, match="no history of etcd-remove/demo/n1 any more: its retention is over"):
        await fetch.trail(client, listed[0])


async def test_member_is_named_as_it_is_listed_where_there_is_no_result() -> None:
    """What was started by ID is listed by name once that is known."""
    listed: Any = SimpleNamespace(workflow_id="etcd-remove/demo/n2", run_id="r", member="the listed name")
    for history, name in (("failed", "the listed name"), ("follower", "node2")):
        client: Any = Forgetful(listed.workflow_id, history)
        assert (await fetch.trail(client, listed)).member_name == name
