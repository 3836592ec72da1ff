"""The command `add` without servers: what it takes, and how it ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from etcd_handoff import cli
from etcd_handoff.cli.add import result_exit, result_lines
from etcd_handoff.contract import AdditionResult, Outcome

if TYPE_CHECKING:
    from pathlib import Path

URL = "https://10.0.0.4:2380"


def ended(outcome: Outcome | str, **changes: object) -> AdditionResult:
    """The result of an addition of node4."""
    given = {"cluster": "prod", "cluster_id": "c", "member_id": "4", "member_name": "node4", "peer_urls": (URL,)}
    return AdditionResult.model_validate({**given, "outcome": outcome, "status_recorded": True, **changes})


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["n4"], "--peer-url"),
        (["n4", "--peer-url", "10.0.0.4:2380"], "peer_urls.0: give http:// or https://"),
        (["n=4", "--peer-url", URL], "name: give letters, digits"),
    ],
)
def test_input_that_does_not_fit_ends_with_2_before_anybody_is_asked(
    arguments: list[str], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The field is named, and what it should be."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ETCD_HANDOFF_CONFIG", raising=False)
    assert cli.run(["-c", "prod", "add", *arguments]) == 2
    assert says in capsys.readouterr().err


def test_several_peer_urls_are_given_one_by_one() -> None:
    """As etcd takes them."""
    given = cli.parser().parse_args(["add", "n4", "--peer-url", URL, "--peer-url", "https://10.1.0.4:2380"])
    assert given.peer_url == [URL, "https://10.1.0.4:2380"]


@pytest.mark.parametrize(
    ("result", "status", "says"),
    [
        (ended(Outcome.ADDED), 0, "node4 (4) is a voter now, cluster prod."),
        (ended(Outcome.ALREADY_PRESENT), 0, "node4 (4) was a voter already, cluster prod."),
        (ended("replaced"), 1, "node4 (4) ended as 'replaced', which"),
    ],
)
def test_result_is_told_in_words(result: AdditionResult, status: int, says: str) -> None:
    """Exit status and first line; an outcome that only a newer version knows is no success."""
    assert result_exit(result, dry_run=False) == status
    assert says in result_lines(result, dry_run=False)[0]


def test_dry_run_tells_its_steps_or_what_it_would_wait_for() -> None:
    """3 where it would wait; a dry run that a real addition has joined is a warning."""
    plan = ended(Outcome.PLANNED, plan=("add node4 as a learner",), status_recorded=False)
    assert result_lines(plan, dry_run=True)[1] == "  1. add node4 as a learner"
    assert result_exit(plan, dry_run=True) == 0
    assert "NOT added" in result_lines(plan, dry_run=False)[0]
    assert result_exit(plan, dry_run=False) == 1
    waits = plan.model_copy(update={"plan": (), "blocked_by": "QuorumAtRisk: one is down"})
    assert "would wait now: QuorumAtRisk" in result_lines(waits, dry_run=True)[0]
    assert result_exit(waits, dry_run=True) == 3
