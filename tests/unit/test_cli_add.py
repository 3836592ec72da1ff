"""The command `add` without servers: what it takes, and how it ends."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from temporalio.client import WorkflowFailureError
from temporalio.exceptions import CancelledError

from etcd_handoff import cli
from etcd_handoff.cli.add import _ends
from etcd_handoff.cli.environment_file import EnvironmentFile
from etcd_handoff.cli.operations import print_failure
from etcd_handoff.cli.render.addition_result import addition_exit, addition_lines
from etcd_handoff.client.errors import operation_error
from etcd_handoff.contract import AdditionResult, Outcome, Progress

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
        (["n4", "--peer-url", "10.0.0.4:2380"], "--peer-url: give http:// or https://"),
        (["n4", "--peer-url", URL, "--peer-url", "x"], "--peer-url number 2: give http:// or https://"),
        (["n=4", "--peer-url", URL], "name: give letters, digits"),
        (["n4", "--peer-url", URL, "--env-file", "missing/member.env"], "--env-file: missing is no folder"),
        (["n4", "--peer-url", URL, "--env-file", "m.env", "--detach"], "--env-file: with --detach nobody is there"),
        (["n4", "--peer-url", URL, "--env-file", "m.env", "--dry-run"], "--env-file: a dry run adds no member"),
        (["n4", "--peer-url", URL, "--progress-timeout", "0"], "--progress-timeout: "),
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
        (ended("replaced"), 1, "node4 (4) ended with the outcome 'replaced', which"),
    ],
)
def test_result_is_told_in_words(result: AdditionResult, status: int, says: str) -> None:
    """Exit status and first line; an outcome that only a newer version knows is no success."""
    assert addition_exit(result, dry_run=False) == status
    assert says in addition_lines(result, dry_run=False)[0]


def test_what_to_start_etcd_with_is_written_to_a_file_whenever_it_changes(tmp_path: Path) -> None:
    """As systemd's EnvironmentFile takes it; nothing is written twice, and a folder that is not there is an error."""
    file = tmp_path / "member.env"
    write = EnvironmentFile(file, "--env-file")
    waits = Progress(state="Blocked", cluster="prod", member="node4")
    assert write(waits) == []
    assert not file.exists()
    first = waits.model_copy(update={"join_configuration": {"ETCD_NAME": "node4", "ETCD_INITIAL_CLUSTER": "a=b,c=d"}})
    assert write(first) == [f"  wrote {file} (what to start etcd with)"]
    assert file.read_text(encoding="utf-8") == "ETCD_NAME=node4\nETCD_INITIAL_CLUSTER=a=b,c=d\n"
    assert write(first) == []
    changed = waits.model_copy(update={"join_configuration": {"ETCD_NAME": "node4"}})
    assert "members have changed" in next(iter(write(changed)))
    assert file.read_text(encoding="utf-8") == "ETCD_NAME=node4\n"
    assert [one.name for one in tmp_path.iterdir()] == [file.name]
    unwritable = EnvironmentFile(tmp_path / "missing" / "member.env", "--env-file")
    assert "cannot be written" in next(iter(unwritable(first)))


def test_each_new_member_has_a_file_of_its_own_in_a_folder(tmp_path: Path) -> None:
    """Named after the member; one that is written again says why, and the others stay."""
    write = EnvironmentFile(tmp_path, "--env-dir")

    def settings(**given: str) -> list[str]:
        progress = Progress(state="Blocked", cluster="prod", member="members", join_configuration=given)
        return list(write(progress))

    assert settings(ETCD_NAME="node4") == [f"  wrote {tmp_path / 'node4.env'} (what to start etcd with)"]
    assert settings(ETCD_NAME="node5") == [f"  wrote {tmp_path / 'node5.env'} (what to start etcd with)"]
    assert settings(ETCD_NAME="node5") == []
    assert "node5.env (again: the members" in settings(ETCD_NAME="node5", ETCD_INITIAL_CLUSTER="a=b")[0]
    files = {file.name: file.read_text(encoding="utf-8") for file in tmp_path.iterdir()}
    assert files == {
        "node4.env": "ETCD_NAME=node4\n",
        "node5.env": "ETCD_NAME=node5\nETCD_INITIAL_CLUSTER=a=b\n",
    }


@pytest.mark.parametrize(("state", "says"), [("Failed", "learner 4 has been removed"), ("Blocked", "can be removed")])
def test_cancelled_addition_says_what_has_become_of_its_learner(
    state: str, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """By its own last word, and in general words without one; JSON has what etcd was to be started with."""
    last = Progress(
        state=state, cluster="prod", member="node4", doing="learner 4 has been removed", join_configuration={"A": "b"}
    )
    failure = WorkflowFailureError(cause=CancelledError("cancelled"))
    arguments = cli.parser().parse_args(["-o", "json", "add", "n4", "--peer-url", URL])
    assert print_failure(arguments, operation_error(failure, "w"), _ends(None), last) == 1
    printed = json.loads(capsys.readouterr().out)
    assert says in printed["message"]
    assert printed["join_configuration"] == {"A": "b"}


def test_dry_run_tells_its_steps_or_what_it_would_wait_for() -> None:
    """3 where it would wait; a dry run that a real addition has joined is a warning."""
    plan = ended(Outcome.PLANNED, plan=("add node4 as a learner",), status_recorded=False)
    assert addition_lines(plan, dry_run=True)[1] == "  1. add node4 as a learner"
    assert addition_exit(plan, dry_run=True) == 0
    assert "NOT added" in addition_lines(plan, dry_run=False)[0]
    assert addition_exit(plan, dry_run=False) == 1
    waits = plan.model_copy(update={"plan": (), "blocked_by": "QuorumAtRisk: one is down"})
    assert "would wait now: QuorumAtRisk" in addition_lines(waits, dry_run=True)[0]
    assert addition_exit(waits, dry_run=True) == 3
