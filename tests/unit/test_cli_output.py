"""What the command line says about what was seen: plans, tables, progress, results and findings."""

from __future__ import annotations

import json
from typing import Any

import pytest

from etcd_handoff.cli import findings
from etcd_handoff.cli import output as out
from etcd_handoff.model import HandoffState, Outcome, Progress, RemovalResult, Step, StepOutcome
from etcd_handoff.planner import Intent, plan
from etcd_handoff.view import ClusterView, MemberView


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
    assert "remove --name HandoffState" in findings.judge_attributes(out.SEARCH_ATTRIBUTES, ["HandoffState"]).remedy
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
