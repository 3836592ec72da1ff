"""Below an operation that has ended badly stands what says why, wherever operations are listed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

import pytest

from etcd_handoff.cli.audit.trail import Entry, Trail
from etcd_handoff.cli.render.bad_ends import bad_end, known
from etcd_handoff.cli.render.history import overview_lines
from etcd_handoff.cli.render.operations import OpenOperation, TemporalParts, temporal_lines, temporal_object
from etcd_handoff.cli.shapes.status import EndedOperation
from etcd_handoff.contract import FailureType, Outcome

REFUSED: Final = Trail(
    "etcd-remove/prod/node2",
    "removal",
    cluster="prod",
    member="node2",
    asked_at="2026-01-01T00:00:00.000Z",
    asked_by="ann@laptop",
    interface="command line",
    reason="new\ndisk",
    outcome="RemovalRefused",
    outcome_text="add another member first: it is the last voter",
    ended_at="2026-01-01T00:00:05.000Z",
    entries=(Entry("2026-01-01T00:00:02.000Z", "approved", "go", "bob"),),
)
REMOVED: Final = replace(REFUSED, outcome="removed", outcome_text="", result={}, asked_at="2026-01-01T00:01:00.000Z")
DESCRIBE: Final = "why and what to do: etcd-handoff describe node2 -c prod"
BY_ID: Final = "why and what to do: etcd-handoff describe etcd-remove/prod/node2"
HISTORY: Final = "why and what to do: etcd-handoff history node2 -c prod"


def running(workflow_id: str, operation: str, member: str) -> OpenOperation:
    """An operation that runs."""
    return OpenOperation(workflow_id, operation, member, "Blocked", "2026-01-01T00:02:00+00:00")


def ended(workflow_id: str, operation: str = "removal", **fields: Any) -> Trail:
    """An operation that has ended well, later than the one that was refused."""
    return replace(REMOVED, workflow_id=workflow_id, operation=operation, **fields)


APPLY: Final = ended("etcd-apply/prod", "membership change", member="")


def test_overview_says_why_each_was_asked_for_who_approved_and_what_to_type_after_a_bad_end() -> None:
    """One line for each operation, and one below the one that was refused."""
    trails = [ended("etcd-remove/prod/node1", member="node1", reason=""), REFUSED]
    assert [" ".join(line.split()) for line in overview_lines(trails, "")] == [
        "ASKED FOR (UTC) OPERATION MEMBER BY THROUGH APPROVED BY OUTCOME WORKFLOW REASON",
        "2026-01-01 00:01:00 removal node1 ann@laptop command line bob removed etcd-remove/prod/node1 -",
        "2026-01-01 00:00:00 removal node2 ann@laptop command line bob RemovalRefused etcd-remove/prod/node2 new disk",
        DESCRIBE,
    ]


def test_status_says_why_each_was_asked_for_and_what_to_type_after_a_bad_end() -> None:
    """In words and in JSON."""
    parts = TemporalParts(None, "etcd-handoff", (), (REFUSED, APPLY))
    lines = [" ".join(line.split()) for line in temporal_lines(parts)]
    assert lines[2:6] == [
        "LAST MEMBER OUTCOME ENDED (UTC) ASKED FOR BY APPROVED BY REASON",
        "removal node2 RemovalRefused 2026-01-01 00:00:05 ann@laptop bob new disk",
        BY_ID,
        "membership change - removed 2026-01-01 00:00:05 ann@laptop bob new disk",
    ]
    refused, well = (EndedOperation.model_validate(entry) for entry in temporal_object(parts)["last"])
    assert (refused.next, well.next) == ((BY_ID,), ())


@pytest.mark.parametrize(
    ("outcome", "result", "bad"),
    [
        *((outcome, {"outcome": outcome}, False) for outcome in Outcome),
        *(
            (failure, None, True)
            for failure in (*FailureType, "Cancelled", "Terminated", "TimedOut", "OfLaterVersions")
        ),
        ("removed", {"writes_acknowledged": False}, True),
        ("removed", {"writes_acknowledged": None}, False),
        ("", None, False),
    ],
)
def test_bad_end_is_one_without_a_result_or_with_a_cluster_that_needs_somebody(
    outcome: str,
    result: dict[str, Any] | None,
    bad: bool,  # noqa: FBT001
) -> None:
    """What runs has not ended at all."""
    trail = replace(REFUSED, outcome=outcome, result=result)
    assert trail.ended_badly is bad
    assert bool(bad_end(trail, known([trail]))) is bad


@pytest.mark.parametrize(
    ("trails", "open_ones", "line"),
    [
        ([], [], DESCRIBE),
        ([replace(REMOVED, asked_at="2025-12-31T00:00:00.000Z")], [], DESCRIBE),
        ([ended("etcd-remove/prod/node1", member="node1")], [], DESCRIBE),
        ([ended("etcd-plan/prod/node2")], [], DESCRIBE),
        ([], [running("etcd-remove/prod/node1", "removal", "node1")], DESCRIBE),
        ([ended("etcd-add/prod/node2", "addition")], [], BY_ID),
        ([ended("etcd-remove/prod/4", member="NODE2")], [], BY_ID),
        ([ended("etcd-replace/prod/node1", "replacement", member="node1")], [], BY_ID),
        ([], [running("etcd-plan/prod/node2", "removal", "node2")], BY_ID),
        ([], [running("etcd-apply/prod", "membership change", "node1, node2")], BY_ID),
        ([REMOVED], [], HISTORY),
        ([], [running("etcd-remove/prod/node2", "removal", "node2")], HISTORY),
    ],
)
def test_command_shows_the_operation_that_ended_badly_and_no_other(
    trails: list[Trail], open_ones: list[OpenOperation], line: str
) -> None:
    """`describe` of a member shows what runs, else the last change; of a workflow ID, its last operation."""
    assert bad_end(REFUSED, known([*trails, REFUSED], open_ones)) == line


def test_change_of_the_whole_membership_is_named_by_its_workflow() -> None:
    """It has no member; where a later one has its ID, no command shows it, so that the text itself stands there."""
    refused = replace(REFUSED, workflow_id=APPLY.workflow_id, operation=APPLY.operation, member="")
    assert bad_end(refused, known([refused])) == "why and what to do: etcd-handoff describe etcd-apply/prod"
    assert bad_end(refused, known([APPLY, refused])) == f"why and what to do: {refused.outcome_text}"
