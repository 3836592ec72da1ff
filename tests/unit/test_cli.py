"""The command line without servers: what it takes, how it ends, and what it says about what was seen."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from temporalio import exceptions
from temporalio.client import WorkflowFailureError
from temporalio.service import RPCError, RPCStatusCode

from etcd_handoff import __version__, cli, client, errors
from etcd_handoff.cli import app, common, doctor, findings, removal
from etcd_handoff.cli import output as out
from etcd_handoff.model import (
    ClusterView,
    FailureType,
    HandoffState,
    MemberView,
    Outcome,
    Progress,
    RemovalResult,
    Step,
    StepOutcome,
)
from etcd_handoff.planner import Intent, plan

if TYPE_CHECKING:
    from pathlib import Path

ONE = '[clusters.prod.etcd]\nendpoints = ["http://127.0.0.1:2379"]\n'
TWO = ONE + '[clusters.dev.etcd]\nendpoints = ["http://127.0.0.1:2379"]\n'


@pytest.fixture(autouse=True)
def _nothing_configured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No configuration file but what a test writes."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ETCD_HANDOFF_CONFIG", raising=False)


def member(number: int, **fields: object) -> MemberView:
    """Member `n<number>` of a cluster that n1 leads."""
    answers = {"reachable": True, "leader_id": "1", "term": 7, "raft_index": 100, "version": "3.6.16"}
    return MemberView.model_validate({"id": f"{number:x}", "name": f"n{number}", **answers, **fields})


def silent(number: int) -> MemberView:
    """A member that does not answer."""
    return MemberView(id=f"{number:x}", name=f"n{number}", note="connection refused")


def cluster(*members: MemberView, foreign: tuple[str, ...] = ()) -> ClusterView:
    """A view of `members`, of three healthy ones when none are given."""
    return ClusterView(cluster_id="abc", members=members or (member(1), member(2), member(3)), foreign=foreign)


def resource(name: str, member_id: str, joined: str) -> dict[str, Any]:
    """An EtcdMember."""
    condition = {"type": "Joined", "status": joined}
    return {
        "metadata": {"name": name},
        "status": {"memberID": member_id, "message": "as k0s says", "conditions": [condition]},
    }


def step(name: str = "check_leader", **fields: object) -> Step:
    """A finished step."""
    usual = {"started": "2026-01-01T00:00:00.000Z", "milliseconds": 12.3, "attempts": 1, "node": "node1"}
    return Step.model_validate({"name": name, **usual, "outcome": StepOutcome.OBSERVED, **fields})


def result(**fields: object) -> RemovalResult:
    """A removal that went well."""
    usual = {"cluster": "prod", "cluster_id": "abc", "member_id": "1", "member_name": "n1"}
    return RemovalResult.model_validate({"outcome": Outcome.REMOVED, **usual, **fields})


# --- what it takes ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        ["-c", "prod", "--config", "f", "-o", "json", "plan", "n1"],
        ["plan", "n1", "-c", "prod", "--config", "f", "-o", "json"],
        ["-c", "prod", "plan", "--config", "f", "n1", "--output", "json"],
    ],
)
def test_common_options_count_before_and_after_the_command(arguments: list[str]) -> None:
    """Neither place wins over the other by its defaults."""
    given = cli.parser().parse_args(arguments)
    assert (given.cluster, given.config, given.output, given.member) == ("prod", "f", "json", "n1")


def test_without_options_output_is_a_table() -> None:
    """The defaults."""
    given = cli.parser().parse_args(["status"])
    assert (given.cluster, given.config, given.output) == (None, None, "table")


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["nonsense"],
        ["plan"],
        ["remove"],
        ["remove", "n1", "--blocked-timeout", "soon"],
        ["status", "-o", "yaml"],
        ["worker", "--log-level", "LOUD"],
    ],
)
def test_bad_usage_ends_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Argparse's own words reach the terminal."""
    assert cli.run(arguments) == 2
    assert "usage: etcd-handoff" in capsys.readouterr().err


def test_version_and_help_end_with_0(capsys: pytest.CaptureFixture[str]) -> None:
    """Asking is no failure, and the exit statuses are told."""
    assert cli.run(["--version"]) == 0
    assert __version__ in capsys.readouterr().out
    assert cli.run(["--help"]) == 0
    assert "3 refused or blocked" in " ".join(capsys.readouterr().out.split())


def test_help_imports_none_of_the_heavy_libraries() -> None:
    """`--help` answers at once because it loads neither gRPC nor Temporal nor pydantic."""
    code = (
        "import sys; from etcd_handoff import cli; status = cli.run(['remove', '--help']);"
        "heavy = {'asyncio', 'grpc', 'kubernetes', 'pydantic', 'temporalio'} & set(sys.modules);"
        "sys.exit(str(heavy) if heavy or status else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["-c", "b!d", "remove", "n1"], "cluster: "),
        (["-c", "prod", "remove", "a/b"], "member: "),
        (["-c", "prod", "remove", "n1", "--blocked-timeout", "-1"], "blocked_timeout_seconds: "),
        (["-c", "prod", "remove", "n1", "--blocked-timeout", "nan"], "blocked_timeout_seconds: "),
        (["-c", "prod", "remove", "n1", "--reason", "x" * 1001], "reason: "),
    ],
)
def test_bad_input_is_told_before_anything_is_asked(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One line for each wrong field, without a connection."""
    monkeypatch.setattr(removal, "connected", None)
    assert cli.run(arguments) == 2
    assert capsys.readouterr().err.startswith(said)


@pytest.mark.parametrize("command", [["plan", "n1"], ["remove", "n1"], ["status"]])
@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "etcd-handoff.toml"),
        (TWO, "give -c NAME: the configuration has dev, prod"),
        ("[clusters", "is no valid TOML"),
        (ONE + "typo = 1\n", "clusters.prod.etcd.typo"),
    ],
)
def test_unusable_configuration_ends_with_2(
    command: list[str], content: str | None, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The message names the file, the field or the choice, and there is no traceback."""
    if content is not None:
        (tmp_path / "etcd-handoff.toml").write_text(content)
    assert cli.run(command) == 2
    shown = capsys.readouterr()
    assert said in shown.err
    assert "Traceback" not in shown.err
    assert not shown.out


def test_only_profile_is_the_default(tmp_path: Path) -> None:
    """Nobody has to name the only cluster there is."""
    (tmp_path / "etcd-handoff.toml").write_text(ONE)
    assert common.profile_of(cli.parser().parse_args(["status"]))[0] == "prod"


def test_cluster_that_only_the_workers_know_is_not_refused_here(tmp_path: Path) -> None:
    """Their configuration decides what `remove` may name; `plan` reads etcd itself and needs the profile."""
    (tmp_path / "etcd-handoff.toml").write_text(ONE)
    given = cli.parser().parse_args(["-c", "elsewhere", "remove", "n1"])
    assert common.cluster_name(given, common.read_config(given)) == "elsewhere"
    with pytest.raises(common.Stop, match="no profile 'elsewhere'"):
        common.profile_of(given)


def test_named_configuration_that_is_missing_is_an_error() -> None:
    """A file that was named is never left out silently; one that was not may be missing."""
    assert common.read_config(cli.parser().parse_args(["remove", "n1"])) is None
    with pytest.raises(errors.ConfigError, match="no such file"):
        common.read_config(cli.parser().parse_args(["remove", "n1", "--config", "gone.toml"]))


# --- how it ends --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (common.Stop(3, "no"), 3, "no"),
        (errors.ConfigError("f: wrong"), 2, "f: wrong"),
        (errors.UnknownClusterError("which"), 2, "which"),
        (errors.UnreachableError("nobody"), 4, "etcd cannot be read: nobody"),
        (errors.ApiUnavailableError("nobody"), 4, "Kubernetes cannot be read: nobody"),
        (errors.EtcdPermissionError("root"), 1, "etcd does not allow it: root"),
        (errors.KubernetesPermissionError("403"), 1, "Kubernetes does not allow it: 403"),
        (errors.CorruptClusterError("corrupt"), 1, "corrupt"),
        (FileNotFoundError(2, "No such file", "ca.pem"), 2, "ca.pem: No such file"),
        (KeyError("surprise"), 1, "unexpected KeyError"),
    ],
)
def test_every_error_has_its_exit_status(error: Exception, status: int, said: str) -> None:
    """Also those that nobody thought of."""
    ended, text = common.explain(error)
    assert ended == status
    assert text.startswith(said)


@pytest.mark.parametrize(
    ("error", "status"), [(KeyboardInterrupt(), 130), (ValueError("x"), 1), (BrokenPipeError(), 1)]
)
def test_no_error_of_a_command_leaves_a_traceback(
    error: BaseException,
    status: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Whatever a command raises becomes an exit status."""

    def fail(_: object) -> int:
        raise error

    monkeypatch.setattr(app, "status_command", fail)
    assert cli.run(["status"]) == status
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("code", "status", "said"),
    [
        (RPCStatusCode.UNAVAILABLE, 4, "TEMPORAL_ADDRESS"),
        (RPCStatusCode.DEADLINE_EXCEEDED, 4, "TEMPORAL_ADDRESS"),
        (RPCStatusCode.NOT_FOUND, 1, "TEMPORAL_NAMESPACE"),
        (RPCStatusCode.PERMISSION_DENIED, 1, "PERMISSION_DENIED"),
    ],
)
def test_temporal_silent_is_4_and_its_refusal_1(code: RPCStatusCode, status: int, said: str) -> None:
    """A server that answers can be reached."""
    stop = common.rpc_stop(RPCError("it said so", code, b""))
    assert stop.status == status
    assert said in str(stop)
    assert "it said so" in str(stop)


@pytest.mark.parametrize(
    ("cause", "status", "kind"),
    [
        *(
            (exceptions.ApplicationError("why", type=kind), status, kind)
            for kind, status in [
                (FailureType.REMOVAL_REFUSED, 3),
                (FailureType.BLOCKED_TOO_LONG, 3),
                (FailureType.INVALID_INPUT, 2),
                (FailureType.UNKNOWN_CLUSTER, 2),
                (FailureType.UNKNOWN_MEMBER, 2),
                (FailureType.PERMISSION_DENIED, 1),
            ]
        ),
        (exceptions.ApplicationError("why"), 1, "Failed"),
        (exceptions.CancelledError(), 1, "Cancelled"),
        (exceptions.TerminatedError(""), 1, "Terminated"),
        (exceptions.TimeoutError("", type=None, last_heartbeat_details=[]), 1, "TimedOut"),
        (RuntimeError("odd"), 1, "Failed"),
    ],
)
@pytest.mark.parametrize("form", ["table", "json"])
def test_failure_of_the_removal_decides_the_exit_status(
    cause: BaseException, status: int, kind: str, form: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The text goes to standard error; with JSON the failure is an object on standard output too."""
    given = cli.parser().parse_args(["-o", form, "remove", "n1"])
    assert removal._failed(given, WorkflowFailureError(cause=cause)) == status
    shown = capsys.readouterr()
    assert shown.err.startswith(f"{kind}: ")
    assert (json.loads(shown.out)["failure"] == kind) if form == "json" else not shown.out


def test_every_failure_type_was_thought_of() -> None:
    """A new type needs a decision; PermissionDenied is 1 on purpose."""
    assert set(FailureType) - set(out.EXIT_BY_FAILURE) == {FailureType.PERMISSION_DENIED}


def test_connection_error_is_cut_to_its_words() -> None:
    """The SDK's nested debug text ends as what a person needs."""
    said = (
        "Failed client connect: Server connection error: tonic::transport::Error(Transport, ConnectError("
        'ConnectError("tcp connect error", 127.0.0.1:1, Os { code: 111, message: "Connection refused" })))'
    )
    assert client.connection_note(said) == "Connection refused"
    assert client.connection_note("Failed client connect: odd") == "odd"
    assert client.connection_note("") == "no answer in time"


# --- plan ---------------------------------------------------------------------------------------------------


def planned(view: ClusterView, name: str, *, records: bool = True) -> tuple[int, list[str], dict[str, Any]]:
    """Exit status, lines and JSON of `plan` for the member `name`."""
    target = out.find(view, name)
    assert isinstance(target, MemberView)
    decision = plan(view, Intent(view.cluster_id, target.id))
    lines = out.plan_lines(view, target, decision, records=records)
    return out.plan_exit(decision), lines, out.plan_object(view, target, decision, records=records)


def test_plan_of_the_leader_hands_over_first() -> None:
    """Transfer, election, removal, record: in this order and with names."""
    status, lines, planned_object = planned(cluster(), "n1")
    assert status == 0
    assert planned_object["decision"] == "transfer"
    assert [line.split()[1] for line in lines[1:]] == ["hand", "wait", "remove", "record"]
    assert "n2" in lines[1]
    assert "2 voters remain, 0 of them may fail" in lines[3]


def test_plan_of_a_follower_goes_through_the_leader() -> None:
    """Nothing is handed over; without Kubernetes nothing is recorded."""
    status, lines, planned_object = planned(cluster(), "n3", records=False)
    assert status == 0
    assert planned_object["decision"] == "remove"
    assert "through n1" in lines[1]
    assert "record nothing" in lines[2]


def test_plan_at_risk_of_quorum_is_3_with_what_unblocks_it() -> None:
    """Blocked, not refused: it may pass."""
    status, lines, planned_object = planned(cluster(member(1), member(2), silent(3)), "n2")
    assert status == 3
    assert planned_object["reason"] == "QuorumAtRisk"
    assert planned_object["steps"] == []
    assert "goes on when" in lines[2]
    assert "n3" in planned_object["unblocks"]


def test_plan_for_the_last_voter_is_3_with_a_remedy() -> None:
    """Refused for good."""
    status, lines, planned_object = planned(cluster(member(1)), "n1")
    assert status == 3
    assert planned_object["decision"] == "refused"
    assert "remedy" in lines[2]
    assert planned_object["remedy"]


def test_unknown_and_ambiguous_members_are_answered_with_those_there_are() -> None:
    """A name that is another member's ID fits two."""
    assert "n1 (1), n2 (2), n3 (3)" in str(out.find(cluster(), "n9"))
    assert "give the ID" in str(out.find(cluster(member(1), member(2), member(3, name="2")), "2"))


# --- members, EtcdMembers, removals -------------------------------------------------------------------------


def test_table_aligns_columns() -> None:
    """Cells under their headings, no blanks at the end of a line."""
    assert out.table(("A", "LONG"), [["wide cell", ""], ["x", "y"]]) == [
        "A          LONG",
        "wide cell",
        "x          y",
    ]


def test_member_rows_say_role_and_why_a_member_does_not_count() -> None:
    """Leader, voter, learner; healthy, silent, cut off, alarmed, not started."""
    view = cluster(
        member(1),
        member(2, alarms=("NOSPACE",), note="NOSPACE"),
        silent(3),
        member(4, leader_id="3"),
        member(5, is_learner=True),
        member(6),
        MemberView(id="7", name="", is_learner=True, note="not started"),
    )
    assert [(row[0], row[2], row[3]) for row in out.member_rows(view)] == [
        ("n1", "leader", "healthy"),
        ("n2", "voter", "healthy, NOSPACE"),
        ("n3", "voter", "connection refused"),
        ("n4", "voter", "does not follow the agreed leader"),
        ("n5", "learner", "healthy"),
        ("n6", "voter", "healthy"),
        ("(not started)", "learner", "not started"),
    ]
    assert [m["healthy"] for m in out.view_object("prod", view)["members"]] == [
        *(True, True, False, False, True, True, False)
    ]


def test_view_without_agreed_leader_says_so() -> None:
    """One member's word makes no leader."""
    view = cluster(member(1), member(2, leader_id="2"), silent(3))
    assert "no leader that a majority agrees on" in out.cluster_line("prod", view)
    assert out.view_object("prod", view)["leader_id"] is None
    assert {row[2] for row in out.member_rows(view)} == {"voter"}


@pytest.mark.parametrize(
    ("found", "wrong"),
    [
        (resource("n1", "1", "True"), ""),
        (resource("n1", "0x01", "True"), ""),
        (resource("n1", "1", "False"), "says Joined=False, but etcd has this member"),
        (resource("n1", "99", "False"), "member n1 has the ID 1"),
        (resource("gone", "99", "False"), ""),
        (resource("gone", "99", "True"), "says Joined=True, but etcd has no such member"),
        ({"metadata": {"name": "gone"}}, "says Joined=Unknown, but etcd has no such member"),
    ],
)
def test_disagreement_between_etcd_and_an_etcdmember_is_marked(found: dict[str, Any], wrong: str) -> None:
    """Exactly where they disagree."""
    others = [resource("n2", "2", "True"), resource("n3", "3", "True")]
    records = {r.name: r for r in out.compare(cluster(), [found, *others])}
    assert records[found["metadata"]["name"]].wrong == wrong
    assert not records["n2"].wrong


def test_member_without_etcdmember_is_marked() -> None:
    """Whoever waits for its condition would wait for ever; unread members are not judged."""
    records = out.compare(cluster(), [resource("n1", "1", "True")])
    assert [(r.name, bool(r.wrong)) for r in records] == [("n1", False), ("n2", True), ("n3", True)]
    assert not any(r.wrong for r in out.compare(None, [resource("n1", "1", "False")]))


def test_status_says_each_missing_part_in_its_place() -> None:
    """What could be read is shown whatever else could not."""
    seen = out.Status("prod", None, None, None, {part: f"no {part}" for part in ("etcd", "temporal")})
    text = out.status_lines(seen)
    assert text[0] == "cluster prod: no etcd"
    assert "EtcdMembers: the cluster profile has no kubernetes" in text
    assert "Removals: no temporal" in text
    shown = out.status_object(seen)
    assert (shown["members"], shown["etcdmembers"], shown["removals"]) == (None, None, None)


def test_status_shows_members_records_and_removals() -> None:
    """All three parts, in the table and in JSON."""
    removal = out.OpenRemoval("etcd-remove/prod/n1", "n1", "Blocked", "2026-01-01T00:00:00+00:00")
    found = [resource("n1", "1", "True"), resource("n2", "2", "False"), resource("n3", "3", "True")]
    seen = out.Status("prod", cluster(foreign=("endpoint 3 is foreign",)), found, [removal], {})
    text = "\n".join(out.status_lines(seen))
    assert "! endpoint 3 is foreign" in text
    assert "! says Joined=False, but etcd has this member" in text
    assert "Blocked" in text
    shown = json.loads(json.dumps(out.status_object(seen)))
    assert [m["role"] for m in shown["members"]] == ["leader", "voter", "voter"]
    assert shown["etcdmembers"][1]["wrong"]
    assert shown["removals"][0]["state"] == "Blocked"


# --- following ----------------------------------------------------------------------------------------------


def test_story_tells_each_step_and_each_state_once() -> None:
    """Polling ten times a second repeats nothing."""
    story = out.Story("etcd-remove/prod/n1")
    first = Progress(state=HandoffState.CHECKING, cluster="prod", member="n1", steps=(step(),))
    assert story.lines(first) == ["  check_leader       12 ms on node1  observed"]
    assert story.lines(first) == []
    waits = first.model_copy(update={"state": HandoffState.BLOCKED, "doing": "NoQuorum: x", "waiting_for": "y"})
    assert story.lines(waits) == ["  Blocked: NoQuorum: x", "    goes on when: y"]
    assert story.lines(waits) == []
    again = waits.model_copy(update={"steps": (step(milliseconds=99.0),)})
    assert story.lines(again) == [], "a repeated look replaces the last one"
    removed = step("remove_member", attempts=3, outcome=StepOutcome.REMOVED, note="through n2")
    assert story.steps((step(), removed)) == [
        "  remove_member      12 ms on node1  removed after 3 attempts: through n2"
    ]
    assert story.steps((step(), removed)) == []


def test_story_says_how_to_approve() -> None:
    """The command is ready to be copied."""
    waits = Progress(state=HandoffState.AWAITING_APPROVAL, cluster="prod", member="n1", waiting_for="approve")
    assert "-w etcd-remove/prod/n1" in out.Story("etcd-remove/prod/n1").lines(waits)[-1]


def test_story_makes_a_remark_once() -> None:
    """Such as that no worker answers."""
    story = out.Story("id")
    assert (story.once("no worker"), story.once("no worker")) == (["  no worker"], [])


def test_joined_removal_says_that_its_own_options_count() -> None:
    """Somebody who asked for a dry run must not take a real removal for one."""
    assert out.start_line("id", joined=False) == "Started id"
    assert "options that it was started with" in out.start_line("id", joined=True)


@pytest.mark.parametrize(
    ("ended", "status", "said"),
    [
        (result(status_recorded=True), 0, "Its EtcdMember says so."),
        (result(status_note="no API"), 0, "Its EtcdMember was not written: no API."),
        (result(outcome=Outcome.ALREADY_ABSENT), 0, "n1 (1) was no member already, cluster prod."),
        (
            result(was_leader=True, leader_after="2", term_before=1, term_after=2),
            0,
            "It led; 2 took over, term 1 to 2.",
        ),
        (result(snapshot="node1:/x"), 0, "Snapshot: node1:/x"),
        (result(outcome=Outcome.PLANNED, plan=("remove n1",)), 0, "  1. remove n1"),
        (
            result(outcome=Outcome.PLANNED, blocked_by="NoQuorum: x"),
            3,
            "Dry run, nothing was changed. A removal of n1 (1) would wait now: NoQuorum: x",
        ),
    ],
)
def test_result_is_told_in_words(ended: RemovalResult, status: int, said: str) -> None:
    """Outcome, hand-over, snapshot, record; a dry run that is blocked ends with 3, as `plan` does."""
    assert said in out.result_lines(ended)
    assert out.result_exit(ended) == status


# --- doctor -------------------------------------------------------------------------------------------------


def failed(view: ClusterView) -> dict[str, str]:
    """Failed checks of `view`, with their remedies."""
    return {found.check: found.remedy for found in findings.judge_cluster(view) if found.status}


def test_healthy_cluster_has_no_findings() -> None:
    """All checks are named all the same."""
    assert failed(cluster()) == {}
    assert len(findings.judge_cluster(cluster())) == 5


@pytest.mark.parametrize(
    ("view", "checks"),
    [
        (cluster(foreign=("endpoint 2 is foreign",)), {"one cluster"}),
        (cluster(member(1), member(2), silent(3)), {"quorum"}),
        (cluster(member(1, leader_id=None), member(2, leader_id=None), member(3)), {"leader", "quorum"}),
        (cluster(member(1), member(2), member(3, alarms=("NOSPACE",))), {"alarms"}),
        (cluster(member(1), member(2), member(3, alarms=("CORRUPT",))), {"alarms", "quorum"}),
        (cluster(member(1), member(2), member(3, version="3.5.1")), {"version"}),
    ],
)
def test_each_trouble_is_found_with_a_remedy(view: ClusterView, checks: set[str]) -> None:
    """And nothing else is."""
    assert set(failed(view)) == checks
    assert all(failed(view).values())


def test_workers_attributes_and_records_are_judged() -> None:
    """Each says ok, or what is missing and what to do."""
    assert findings.judge_pollers("queue", []).status == 1
    assert findings.judge_pollers("queue", ["a"]).status == 0
    assert "--name HandoffState" in findings.judge_attributes({"EtcdCluster", "EtcdMember"}).remedy
    assert findings.judge_attributes(out.SEARCH_ATTRIBUTES).status == 0
    assert findings.judge_records("kubernetes a", out.compare(cluster(), [])).status == 1
    assert findings.judge_records("kubernetes a", []).status == 0


@pytest.mark.parametrize(("statuses", "ended"), [([], 0), ([0, 0], 0), ([0, 1], 1), ([1, 4, 0], 4), ([4, 2, 1], 2)])
def test_worst_finding_decides_the_exit_status(statuses: list[int], ended: int) -> None:
    """Configuration before servers before everything else."""
    assert findings.findings_exit([findings.Finding("check", "", status=status) for status in statuses]) == ended


def test_findings_are_lines_with_the_remedy_below() -> None:
    """A detail of several lines stays in its column."""
    lines = findings.finding_lines([findings.Finding("leader", "n1"), findings.Finding("files", "a\nb", "mend", 2)])
    assert lines[0] == f"ok      leader{'':<16}n1"
    assert lines[1] == f"FAILED  files{'':<17}a"
    assert lines[2:] == [f"{'':<30}b", f"{'':<30}remedy: mend"]


def test_doctor_checks_temporal_although_the_configuration_is_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One broken part does not hide the others."""

    async def unreachable() -> None:
        raise common.Stop(4, "Temporal cannot be reached")

    monkeypatch.setattr(doctor, "connected", unreachable)
    assert cli.run(["doctor", "-o", "json"]) == 2
    shown = json.loads(capsys.readouterr().out)
    assert [(found["check"], found["ok"]) for found in shown] == [
        ("configuration", False),
        ("temporal", False),
    ]
