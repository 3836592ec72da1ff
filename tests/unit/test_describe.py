"""What `describe` says of one operation, so that the next thing to type is on the screen."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

import pytest
from temporalio.client import WorkflowHistory

from etcd_handoff.cli.audit.current_status import CurrentStatus, current_status_of
from etcd_handoff.cli.audit.trail import Trail
from etcd_handoff.cli.queue_places import place_of
from etcd_handoff.cli.render.describe import OperationReport, PendingStep, report_lines, report_object
from etcd_handoff.cli.shapes.trails import DescribeOutput
from etcd_handoff.contract import HandoffState, Progress
from etcd_handoff.operation.queue_messages import ChangeQueueState, QueueEntry
from etcd_handoff.temporal.client import NO_WORKER
from tests.unit.builders import cluster, down, member
from tests.unit.printed import as_printed
from tests.unit.test_audit_trail import HISTORIES

NOW: Final = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
TRAIL: Final = Trail(
    workflow_id="etcd-remove/prod/node2",
    operation="removal",
    cluster="prod",
    member="node2",
    member_id="2",
    asked_at="2026-01-01T11:55:00.000Z",
    asked_by="ann@laptop",
    interface="command line",
    reason="new disk",
)
PROGRESS: Final = Progress(
    state=HandoffState.BLOCKED, cluster="prod", member="node2", doing="QuorumAtRisk: n3 is down", waiting_for="n3 is up"
)
VIEW: Final = cluster(member(1), member(2), down(3))
STATUS: Final = CurrentStatus("Blocked", "2026-01-01T11:55:48.000Z", VIEW, "2026-01-01T11:59:50.000Z", "node1")
BLOCKED: Final = OperationReport(TRAIL, STATUS, "Blocked", PROGRESS)


def shown(report: OperationReport) -> list[str]:
    """The lines, with one space between name and text."""
    return [" ".join(line.split()) for line in report_lines(report, NOW)]


def test_blocked_operation_has_the_verdict_first_and_what_to_type() -> None:
    """State and since when, why, until when, and the commands."""
    lines = shown(BLOCKED)
    assert lines[:6] == [
        "removal of node2 (2), cluster prod: Blocked for 4 min 12 s",
        "doing QuorumAtRisk: n3 is down",
        "what unblocks it n3 is up",
        "asked for 2026-01-01 11:55:00.000Z by ann@laptop, command line",
        "reason new disk",
        "workflow etcd-remove/prod/node2, 1 run",
    ]
    assert lines[6:8] == [
        "to look again now: etcd-handoff recheck node2 -c prod",
        "to cancel: etcd-handoff cancel node2 -c prod",
    ]


def test_time_is_what_the_operation_says_of_itself() -> None:
    """A namespace without search attributes has no other, and those know nothing of a reason that has changed."""
    known = PROGRESS.model_copy(update={"since": "2026-01-01T10:00:00+00:00"})
    for status in (STATUS, CurrentStatus(view=VIEW, view_at=STATUS.view_at)):
        report = replace(BLOCKED, progress=known, status=status)
        assert shown(report)[0] == "removal of node2 (2), cluster prod: Blocked for 2 h 00 min"
        assert as_printed(DescribeOutput, report_object(report))["state_since"] == "2026-01-01T10:00:00.000Z"
    looks = replace(BLOCKED, progress=known.model_copy(update={"state": HandoffState.CHECKING}), state="Checking")
    assert shown(looks)[0].endswith("cluster prod: Checking"), "the time is that of the state before the look"


def test_members_are_those_of_the_last_look() -> None:
    """With who saw them, and when."""
    lines = shown(BLOCKED)
    assert lines[9].endswith("n1 leads at term 7, seen 10.0 s ago by the worker on node1")
    assert [line.split()[0] for line in lines[10:]] == ["NAME", "n1", "n2", "n3"]


def test_without_a_worker_it_is_said_how_to_start_one() -> None:
    """Temporal's records tell where it stood."""
    lines = shown(replace(BLOCKED, progress=None, trouble=NO_WORKER))
    assert lines[1].startswith("doing no worker answers: start one on a node of the cluster, with `systemctl start ")
    assert report_object(replace(BLOCKED, progress=None, trouble=NO_WORKER))["trouble"] == NO_WORKER
    assert "Blocked" in lines[0]


def test_step_that_fails_is_told_with_its_attempt_and_cause() -> None:
    """The page in the Web UI has that on another tab."""
    lines = shown(replace(BLOCKED, pending=(PendingStep("update_status", 7, "9@node1", "no API server answered"),)))
    assert "step update_status, attempt 7; before that: no API server answered" in lines
    lines = shown(replace(BLOCKED, pending=(PendingStep("check_leader", 1, "", ""),)))
    assert "step check_leader" in lines


def test_member_that_has_to_be_started_is_told_with_what_to_start_it() -> None:
    """As the page has it."""
    progress = PROGRESS.model_copy(update={"join_configuration": {"ETCD_NAME": "node2"}})
    assert "start etcd with ETCD_NAME=node2" in shown(replace(BLOCKED, progress=progress))


def test_operation_that_has_ended_says_how_and_where_to_read_on() -> None:
    """Its outcome, and the command that shows each step."""
    ended = replace(
        TRAIL, outcome="removed", outcome_text="the EtcdMember says so", ended_at="2026-01-01T10:00:00.000Z"
    )
    lines = shown(replace(BLOCKED, trail=ended, progress=None, status=CurrentStatus()))
    assert lines[0] == "removal of node2 (2), cluster prod: removed, 2 h 00 min ago"
    assert lines[-1] == "to see each step: etcd-handoff history node2 -c prod"
    assert not any("recheck" in line or "worker answers" in line for line in lines)


@pytest.mark.parametrize(
    ("changed", "command"),
    [
        ({}, "etcd-handoff remove node2 --reason 'new disk' -c prod"),
        (
            {"operation": "replacement", "options": {"name": "node4", "peer_urls": ["http://a:1"], "snapshot": True}},
            "etcd-handoff replace node2 --with node4 --peer-url http://a:1 --snapshot --reason 'new disk' -c prod",
        ),
        (
            {"operation": "addition", "options": {"peer_urls": ["http://a:1"], "blocked_timeout_seconds": 4.0}},
            "etcd-handoff add node2 --peer-url http://a:1 --blocked-timeout 4 --reason 'new disk' -c prod",
        ),
        (
            {"options": {"blocked_timeout_seconds": 0.0, "not_before": "2026-01-01T00:00:00Z"}, "reason": ""},
            "etcd-handoff remove node2 --not-before 2026-01-01T00:00:00Z --blocked-timeout 0 -c prod",
        ),
        (
            {"options": {"blocked_timeout_seconds": 100000.5}, "reason": ""},
            "etcd-handoff remove node2 --blocked-timeout 100000.5 -c prod",
        ),
        (
            {"options": {"blocked_timeout_seconds": 1234567.0}, "reason": ""},
            "etcd-handoff remove node2 --blocked-timeout 1234567 -c prod",
        ),
        ({"reason": "", "dry_run": True}, "etcd-handoff remove node2 --dry-run -c prod"),
        ({"operation": "membership change", "member": ""}, ""),
        ({"operation": "replacement", "outcome_text": "So far: x. To go on: `etcd-handoff replace 2`"}, ""),
    ],
)
def test_operation_that_has_failed_is_told_with_the_command_that_starts_it_again(
    changed: dict[str, Any], command: str
) -> None:
    """As it was asked for, with its gates; a file is not known here."""
    failed = replace(TRAIL, outcome="BlockedTooLong", ended_at="2026-01-01T10:00:00.000Z", **changed)
    lines = shown(replace(BLOCKED, trail=failed, progress=None, status=CurrentStatus()))
    assert [line for line in lines if line.startswith("to start")] == [f"to start it again: {command}"] * bool(command)


def test_json_has_what_the_lines_have() -> None:
    """In one document that can be read by a program."""
    printed = as_printed(DescribeOutput, report_object(BLOCKED))
    assert (printed["state"], printed["waiting_for"], printed["format"]) == ("Blocked", "n3 is up", 1)
    assert printed["next"][0] == "to look again now: etcd-handoff recheck node2 -c prod"
    assert [m["name"] for m in printed["seen"]["members"]] == ["n1", "n2", "n3"]


@pytest.mark.parametrize(("name", "state"), [("leader", "Done"), ("blocked", "Done"), ("continued", "Blocked")])
def test_standing_is_read_from_the_last_events(name: str, state: str) -> None:
    """The state that lists show, since when, and the last view."""
    events = WorkflowHistory.from_json(name, (HISTORIES / f"{name}.json").read_text()).events
    status = current_status_of(events)
    assert status.state == state
    assert status.since
    assert status.view is not None
    assert status.view_by.startswith("node")


def test_state_that_a_new_run_takes_over_is_told_since_it_began() -> None:
    """A run that goes on in the same state publishes it no second time."""
    first, second = (
        list(WorkflowHistory.from_json(name, (HISTORIES / f"{name}.json").read_text()).events)
        for name in ("continued", "continues")
    )
    assert current_status_of([*first, *second[:12]]).since == current_status_of(first).since


def queue(holder: str, *waiting: str) -> ChangeQueueState:
    """A queue with a holder, which waits for nothing, and others that wait."""
    entries = tuple(
        QueueEntry(
            workflow_id=f"etcd-remove/prod/{name}", chain_id=name, cluster="prod", member_name=name, member_id="1"
        )
        for name in (holder, *waiting)
    )
    return ChangeQueueState(cluster_id="1", entries=entries, holder=holder)


@pytest.mark.parametrize(
    ("chain_id", "place"),
    [
        ("a", "first in the queue: it may change the cluster"),
        ("b", "1 of 2 in the queue; the removal of a is first"),
        ("c", "2 of 2 in the queue; the removal of a is first"),
        ("d", ""),
    ],
)
def test_place_in_the_queue_is_told(chain_id: str, place: str) -> None:
    """How many wait before it, and who has the turn."""
    assert place_of(queue("a", "b", "c"), chain_id) == place


def test_blocked_operation_in_the_queue_wants_no_turn() -> None:
    """Others pass it."""
    entries = [entry.model_copy(update={"waits": entry.chain_id != "b"}) for entry in queue("a", "b").entries]
    blocked = queue("a", "b").model_copy(update={"entries": tuple(entries)})
    assert place_of(blocked, "b") == "gave up its place while it waits for something else"
    assert place_of(None, "b") == "?"
