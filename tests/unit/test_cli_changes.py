"""The commands `replace` and `apply` without servers: what they take, and how they end."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from etcd_handoff import cli
from etcd_handoff.cli.apply import membership_request, read_members
from etcd_handoff.cli.errors import CommandError
from etcd_handoff.cli.render.change_results import change_exit, membership_lines, replacement_lines
from etcd_handoff.cli.replace import replacement_request
from etcd_handoff.contract import DesiredMember, MembershipResult, Outcome, ReplacementResult

URL = "https://10.0.0.4:2380"
EXAMPLE = Path(__file__).resolve().parents[2] / "docs" / "examples" / "membership" / "members.toml"
PART = {"kind": "add", "member_id": "4", "member_name": "node4", "outcome": "added", "status_recorded": True}


def replaced(outcome: Outcome | str, **changes: object) -> ReplacementResult:
    """The result of a replacement of node2 by node4."""
    given = {
        "cluster": "prod",
        "cluster_id": "c",
        "member_id": "2",
        "member_name": "node2",
        "new_member_id": "4",
        "new_member_name": "node4",
        "parts": (PART, {**PART, "kind": "remove", "member_id": "2", "member_name": "node2", "outcome": "removed"}),
    }
    return ReplacementResult.model_validate({**given, "outcome": outcome, "status_recorded": True, **changes})


def applied(outcome: Outcome | str, **changes: object) -> MembershipResult:
    """The result of a membership that was applied."""
    members = ({"id": "1", "name": "node1"}, {"id": "4", "name": "node4"})
    given = {"cluster": "prod", "cluster_id": "c", "member_id": "", "member_name": "node1, node4", "members": members}
    return MembershipResult.model_validate({**given, "outcome": outcome, "parts": (PART,), **changes})


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["replace", "n2", "--with", "n4"], "--peer-url"),
        (["replace", "n2", "--peer-url", URL], "--with"),
        (["replace", "n2", "--with", "n4", "--peer-url", "10.0.0.4:2380"], "--peer-url: give http:// or https://"),
        (["replace", "n2", "--with", "n/4", "--peer-url", URL], "--with: give letters, digits"),
        (["replace", "n2", "--with", "n4", "--peer-url", URL, "--env-file", "gone/n4.env"], "--env-file: gone is no"),
        (["replace", "n2", "--with", "n4", "--peer-url", URL, "--env-file", "."], "--env-file: . is a folder; name a"),
        (["replace", "n2", "--with", "n4", "--peer-url", URL, "--env-file", "/"], "--env-file: / is a folder; name a"),
        (["replace", "n2", "--with", "n4", "--peer-url", URL, "--progress-timeout", "0"], "--progress-timeout: "),
        (["apply", "fine.json", "--progress-timeout", "0"], "--progress-timeout: "),
        (["apply", "fine.json", "--blocked-timeout", "-1"], "--blocked-timeout: "),
        (["replace", "n/2", "--with", "n4", "--peer-url", URL], "member: give a member name"),
        (["apply", "nobody.json", "--env-dir", "gone"], "--env-dir: gone is no folder"),
        (["apply", "nobody.json", "--env-dir", "nobody.json"], "--env-dir: nobody.json is no folder"),
        (["apply", "nobody.json", "--env-dir", ".", "--detach"], "--env-dir: with --detach nobody is there"),
        (["apply", "missing.toml"], "missing.toml: cannot be read: No such file or directory; name a file"),
        (["apply", "broken.toml"], "broken.toml: is no valid TOML"),
        (["apply", "broken.json"], "broken.json: is no valid JSON: Expecting"),
        (["apply", "broken.json"], "the name of a TOML file ends in .toml"),
        (["apply", "empty.json"], "empty.json: has no list members"),
        (["apply", "nobody.json"], "nobody.json: members: is empty; give at least one"),
        (["apply", "twice.json"], "twice.json: members: n1 is given twice"),
        (["apply", "short.json"], "short.json: members.0.peer_urls: is missing; add it\n"),
        (["apply", "odd.json"], "odd.json: members.0.port: is not known; correct its name"),
        (["apply", "option.json"], "option.json: dry_run, snapshot: a list has members"),
        (["apply", "other.json"], "cluster: the file is of 'test', and --cluster is 'prod'"),
    ],
)
def test_input_that_does_not_fit_ends_with_2_before_anybody_is_asked(
    arguments: list[str], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The field is named, and what it should be."""
    one = {"name": "n1", "peer_urls": ["http://a:1"]}
    files = {
        "broken.toml": "members = [",
        "broken.json": "members = []",
        "empty.json": "{}",
        "fine.json": json.dumps({"members": [one]}),
        "nobody.json": json.dumps({"members": []}),
        "twice.json": json.dumps({"members": [one, {**one, "peer_urls": ["http://b:1"]}]}),
        "odd.json": json.dumps({"members": [{**one, "port": 1}]}),
        "short.json": json.dumps({"members": [{"name": "n1"}]}),
        "option.json": json.dumps({"dry_run": True, "members": [one], "snapshot": True}),
        "other.json": json.dumps({"cluster": "test", "members": [one]}),
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ETCD_HANDOFF_CONFIG", raising=False)
    assert cli.run(["-c", "prod", *arguments]) == 2
    errors = capsys.readouterr().err
    assert says in errors
    assert errors.count("\n") == 1 or "usage:" in errors


def test_example_is_a_list_that_the_command_takes() -> None:
    """TOML and JSON say the same."""
    args = cli.parser().parse_args(["apply", str(EXAMPLE), "--dry-run", "--snapshot"])
    request = membership_request(args, read_members(EXAMPLE), "prod")
    assert (request.cluster, request.dry_run, request.snapshot, request.hash_check) == ("prod", True, True, False)
    assert request.members[2] == DesiredMember(name="node4", peer_urls=(URL,))
    assert request.start_id == "etcd-plan-apply/prod"


def test_learner_of_a_change_gets_the_time_that_the_command_line_gives_it() -> None:
    """By the option that `add` has; the default is that of an addition, too."""
    replace = ["replace", "n2", "--with", "n4", "--peer-url", URL]
    for arguments, seconds in (([], 600), (["--progress-timeout", "7200"], 7200)):
        args = cli.parser().parse_args([*replace, *arguments])
        assert replacement_request(args, "prod").progress_timeout_seconds == seconds
        args = cli.parser().parse_args(["apply", str(EXAMPLE), *arguments])
        assert membership_request(args, read_members(EXAMPLE), "prod").progress_timeout_seconds == seconds


def test_list_comes_from_standard_input_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """In JSON."""
    monkeypatch.setattr("sys.stdin.read", lambda: json.dumps({"members": []}), raising=False)
    assert read_members(Path("-")) == {"members": []}
    monkeypatch.setattr("sys.stdin.read", lambda: "[]", raising=False)
    with pytest.raises(CommandError, match="has no list members"):
        read_members(Path("-"))


@pytest.mark.parametrize(
    ("result", "status", "says"),
    [
        (replaced(Outcome.REPLACED), 0, "node2 (2) is replaced by node4 (4), cluster prod."),
        (replaced(Outcome.ALREADY_REPLACED), 0, "node2 (2) had already been replaced by node4 (4), cluster prod."),
        (replaced("swapped"), 1, "ended with the outcome 'swapped', which"),
        (replaced(Outcome.REMOVED), 1, "ended with"),
        (replaced(Outcome.REPLACED, writes_acknowledged=False), 1, "is replaced"),
    ],
)
def test_replacement_is_told_in_words(result: ReplacementResult, status: int, says: str) -> None:
    """Exit status and first line; an outcome that only a newer version knows is no success."""
    assert change_exit(result, dry_run=False) == status
    assert says in replacement_lines(result, dry_run=False)[0]


def test_each_part_and_each_warning_has_its_line() -> None:
    """With what its EtcdMember says."""
    lines = replacement_lines(replaced(Outcome.REPLACED, writes_acknowledged=False, snapshot="n1: f"), dry_run=False)
    assert lines[1:3] == [
        "  node4 (4) is a voter now; its EtcdMember says so.",
        "  node2 (2) has left; its EtcdMember says so.",
    ]
    assert lines[3] == "Snapshot: n1: f"
    assert "acknowledge no write" in lines[4]
    lines = membership_lines(applied(Outcome.APPLIED, warnings=("2 voters survive no more",)), dry_run=False)
    assert lines[0] == "Cluster prod has these members: node1 (1), node4 (4)."
    assert lines[-1] == "WARNING: 2 voters survive no more."
    assert "had these members already" in membership_lines(applied(Outcome.ALREADY_APPLIED), dry_run=False)[0]


def test_dry_run_tells_its_steps_or_what_it_would_wait_for() -> None:
    """3 where it would wait; a dry run that a real change has joined is a warning."""
    plan = applied(Outcome.PLANNED, plan=("WARNING: even", "add node4", "remove node2"))
    assert membership_lines(plan, dry_run=True)[1:] == ["WARNING: even", "  add node4", "  remove node2"]
    assert change_exit(plan, dry_run=True) == 0
    assert "NOT changed" in membership_lines(plan, dry_run=False)[0]
    assert change_exit(plan, dry_run=False) == 1
    waits = plan.model_copy(update={"plan": (), "blocked_by": "QuorumAtRisk: one is down"})
    assert "would wait now: QuorumAtRisk" in membership_lines(waits, dry_run=True)[0]
    assert change_exit(waits, dry_run=True) == 3
    nothing = plan.model_copy(update={"plan": ()})
    assert "would change nothing" in membership_lines(nothing, dry_run=True)[0]
