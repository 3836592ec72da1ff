"""What the command line says about what was seen: tables, progress and results."""

from __future__ import annotations

import io
import sys
from typing import Any

import pytest

from etcd_handoff.cli.etcdmembers import claims_of, compare_resources, doubt_of
from etcd_handoff.cli.render.members import NO_LEADER, cluster_line, cluster_object, health, member_lines, member_rows
from etcd_handoff.cli.render.operations import OpenOperation, TemporalParts
from etcd_handoff.cli.render.progress import ProgressLines, start_line
from etcd_handoff.cli.render.removal_result import removal_exit, removal_lines
from etcd_handoff.cli.render.status import StatusReport, status_lines, status_object
from etcd_handoff.cli.render.table import table
from etcd_handoff.cli.render.troubles import (
    NO_LEADER_REMEDY,
    REMEDY_OF_ALARM,
    START_LEARNER,
    hangs,
)
from etcd_handoff.cli.shapes.status import StatusOutput
from etcd_handoff.cli.status import status_exit
from etcd_handoff.cluster_view import ClusterView, Doubt, MemberView
from etcd_handoff.contract import HandoffState, Outcome, Progress, RemovalResult, StepOutcome
from tests.unit.builders import CLUSTER, cluster, down, etcdmember, member, step
from tests.unit.printed import as_printed

START_N2 = (
    "start n2, or make it reachable from here; if it is lost for good, see what its removal does:"
    " `etcd-handoff plan n2 --k0s`"
)
START_BOTH = (
    "start n2, n3, or make them reachable from here; if one is lost for good, see what its removal does:"
    " `etcd-handoff plan n2 --k0s`, `etcd-handoff plan n3 --k0s`"
)
APART = "n2 does not follow the leader: let it reach the other voters at their peer URLs"
FOREIGN = Doubt(kind="MixedClusters", text="endpoint 3 answers for cluster def", remedy="take it out")


def result(**fields: object) -> RemovalResult:
    """A removal that went well."""
    usual = {"cluster": "prod", "cluster_id": CLUSTER, "member_id": "1", "member_name": "n1"}
    return RemovalResult.model_validate({"outcome": Outcome.REMOVED, **usual, **fields})


# --- members, EtcdMembers, removals -------------------------------------------------------------------------


def test_table_aligns_columns() -> None:
    """Cells under their headings, no blanks at the end of a line."""
    assert table(("A", "LONG"), [["wide cell", ""], ["x", "y"]]) == [
        "A          LONG",
        "wide cell",
        "x          y",
    ]


class Terminal(io.StringIO):
    """A stream that says that it is a terminal."""

    def isatty(self) -> bool:
        """It is one."""
        return True


def on_terminal(monkeypatch: pytest.MonkeyPatch, columns: int, rows: list[list[str]]) -> list[str]:
    """A table on a terminal of this width."""
    with monkeypatch.context() as patched:
        patched.setenv("TERM", "xterm")
        patched.setenv("COLUMNS", str(columns))
        patched.setattr(sys, "stdout", Terminal())
        return table(("NAME", "MESSAGE", "ID"), rows)


def test_long_text_is_folded_within_its_column_on_a_terminal_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short columns stay where they are; a pipe gets each row in one line, for programs that split it."""
    rows = [["n1", "k0s has removed the member, and its node may be reset", "1"], ["n2", "", "2"]]
    assert on_terminal(monkeypatch, 40, rows) == [
        "NAME  MESSAGE                         ID",
        "n1    k0s has removed the member,     1",
        "      and its node may be reset",
        "n2                                    2",
    ]
    width = len(rows[0][1])
    in_pipe = [f"NAME  {'MESSAGE':{width}}  ID", f"n1    {rows[0][1]}  1", f"n2    {'':{width}}  2"]
    assert table(("NAME", "MESSAGE", "ID"), rows) == in_pipe
    assert on_terminal(monkeypatch, 200, rows) == in_pipe, "there is room"
    assert on_terminal(monkeypatch, 20, rows) == in_pipe, "folded to a few letters nobody could read it"


def test_ids_and_times_are_not_folded(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are copied; a terminal that is too narrow breaks the line without taking anything apart."""
    rows = [["2026-01-01 10:00:00", "etcd-remove/a-cluster-with-a-long-name/n1", "8211f1d0f64f3269"]]
    assert on_terminal(monkeypatch, 60, rows)[1] == "  ".join(rows[0])


def test_word_that_is_longer_than_the_terminal_is_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    """The columns beside it stay on the screen."""
    lines = on_terminal(monkeypatch, 40, [["n1", "x" * 300, "1"]])
    assert lines[1].startswith("n1    xxx")
    assert lines[1].endswith("x  1")
    assert max(map(len, lines)) == 40


def test_wide_letters_and_signs_that_move_the_cursor_break_no_column() -> None:
    """Somebody else wrote the message; what it holds does not become a code for the terminal."""
    lines = table(("A", "B"), [["\u65e5\u672c", "x"], ["\x1b[2Jab\ncd", "y"]])
    assert lines == ["A          B", "\u65e5\u672c       x", " [2Jab cd  y"]


def test_status_shows_what_is_wrong_with_an_etcdmember_however_long_its_message_is() -> None:
    """Below the table, where nothing pushes it off the screen."""
    found = [etcdmember("n1", "1"), etcdmember("n2", "2", "False"), etcdmember("n3", "3")]
    found[0]["status"]["message"] = "word " * 60
    lines = status_lines(StatusReport("prod", cluster(), found, None, {}))
    assert "! n2: says Joined=False, but etcd has this member" in lines
    assert not any("! says" in line for line in lines)


def test_member_rows_say_role_and_why_a_member_does_not_count() -> None:
    """Leader, voter, learner; healthy, silent, cut off, alarmed, not started."""
    view = cluster(
        member(1),
        member(2, alarms=("NOSPACE",), note="NOSPACE"),
        down(3),
        member(4, leader_id="3"),
        member(5, is_learner=True),
        member(6),
        MemberView(id="7", name="", is_learner=True, note="not started"),
    )
    assert [(row[0], row[2], row[3]) for row in member_rows(view)] == [
        ("n1", "leader", "healthy"),
        ("n2", "voter", "healthy, NOSPACE"),
        ("n3", "voter", "connection refused"),
        ("n4", "voter", "does not follow the agreed leader"),
        ("n5", "learner", "healthy"),
        ("n6", "voter", "healthy"),
        ("(not started)", "learner", "not started"),
    ]
    assert [m["healthy"] for m in cluster_object("prod", view)["members"]] == [
        *(True, True, False, False, True, True, False)
    ]


def test_view_without_agreed_leader_says_so() -> None:
    """One member's word makes no leader."""
    view = cluster(member(1), member(2, leader_id="2"), down(3))
    assert "no leader that a majority agrees on" in cluster_line("prod", view)
    assert cluster_object("prod", view)["leader_id"] is None
    assert {row[2] for row in member_rows(view)} == {"voter"}


@pytest.mark.parametrize(
    ("found", "wrong"),
    [
        (etcdmember("n1", "1"), ""),
        (etcdmember("n1", "0x01"), ""),
        (etcdmember("n1", "1", "False"), "says Joined=False, but etcd has this member"),
        (etcdmember("n1", "99", "False"), "member n1 has the ID 1"),
        (etcdmember("gone", "99", "False"), ""),
        (etcdmember("gone", "99"), "says Joined=True, but etcd has no such member"),
        ({"metadata": {"name": "gone"}}, "says Joined=Unknown, but etcd has no such member"),
    ],
)
def test_disagreement_between_etcd_and_an_etcdmember_is_marked(found: dict[str, Any], wrong: str) -> None:
    """Exactly where they disagree."""
    others = [etcdmember("n2", "2"), etcdmember("n3", "3")]
    records = {r.name: r for r in compare_resources(cluster(), [found, *others])}
    assert records[found["metadata"]["name"]].wrong == wrong
    assert not records["n2"].wrong


def test_member_without_etcdmember_is_marked() -> None:
    """Whoever waits for its condition would wait for ever; unread members are not judged."""
    records = compare_resources(cluster(), [etcdmember("n1", "1")])
    assert [(r.name, bool(r.wrong)) for r in records] == [("n1", False), ("n2", True), ("n3", True)]
    assert not any(r.wrong for r in compare_resources(None, [etcdmember("n1", "1", "False")]))


def test_status_says_each_missing_part_in_its_place() -> None:
    """What could be read is shown whatever else could not."""
    seen = StatusReport("prod", None, None, None, {part: f"no {part}" for part in ("etcd", "temporal")})
    text = status_lines(seen)
    assert text[0] == "cluster prod: no etcd"
    assert "EtcdMembers: the cluster profile has no kubernetes" in text
    assert "Operations: no temporal" in text
    printed = as_printed(StatusOutput, status_object(seen))
    assert (printed["members"], printed["etcdmembers"], printed["operations"]) == (None, None, None)


def test_status_shows_members_records_and_operations() -> None:
    """All three parts, in the table and in JSON."""
    removal = OpenOperation("etcd-remove/prod/n1", "removal", "n1", "Blocked", "2026-01-01T00:00:00+00:00")
    parts = TemporalParts(None, "etcd-handoff", operations=(removal,))
    found = [etcdmember("n1", "1"), etcdmember("n2", "2", "False"), etcdmember("n3", "3")]
    seen = StatusReport("prod", cluster(), found, parts, {})
    text = "\n".join(status_lines(seen))
    assert "! n2: says Joined=False, but etcd has this member" in text
    assert "Blocked" in text
    printed = as_printed(StatusOutput, status_object(seen))
    assert [m["role"] for m in printed["members"]] == ["leader", "voter", "voter"]
    assert printed["etcdmembers"][1]["wrong"]
    assert printed["operations"][0]["state"] == "Blocked"
    assert status_exit(seen) == 0


def test_status_judges_no_etcdmember_by_a_view_in_doubt() -> None:
    """It names the contradiction with its remedy, and ends with 1."""
    found = [etcdmember("n1", "99")]
    seen = StatusReport("prod", cluster(), found, TemporalParts(None, "q"), {}, FOREIGN)
    text = status_lines(seen)
    assert "! MixedClusters: endpoint 3 answers for cluster def" in text
    assert "  remedy: take it out" in text
    printed = as_printed(StatusOutput, status_object(seen))
    assert printed["doubt"]["kind"] == "MixedClusters"
    assert not printed["etcdmembers"][0]["wrong"]
    assert status_exit(seen) == 1


def marked(view: ClusterView, doubt: Doubt | None = None) -> list[str]:
    """What `status` says is wrong with the members, and what follows it."""
    lines = status_lines(StatusReport("prod", view, [], TemporalParts(None, "q"), {}, doubt, options="--k0s"))
    lines = lines[len(member_lines(view)) + 1 :]
    return lines[: lines.index("")]


def test_status_says_what_to_do_about_a_member_that_is_down() -> None:
    """And what to type; `doctor` says the same. Where all is well, nothing."""
    assert marked(cluster()) == []
    assert marked(cluster(member(1), down(2), member(3))) == [
        "! n2: connection refused",
        f"  remedy: {START_N2}",
        "  to check everything: etcd-handoff doctor --k0s",
    ]
    learner = [member(1), member(2), member(3), down(4, is_learner=True)]
    assert f"  remedy: {START_LEARNER}" in marked(cluster(*learner))
    stalled = cluster(member(1), member(2, serves_reads=False), member(3))
    assert marked(stalled)[:2] == ["! n2: answers, but no linearizable read", f"  remedy: {hangs('n2')}"]
    assert f"  remedy: {APART}" in marked(cluster(member(1), member(2, "3"), member(3)))
    assert marked(cluster(member(1), down(2), member(3)), FOREIGN)[0].startswith("! MixedClusters")


def test_status_says_what_to_do_about_an_alarm() -> None:
    """Whoever is on call has no other page open."""
    view = cluster(member(1), member(2, alarms=("CORRUPT",)), member(3))
    assert health(view, view.members[1]) == "answers, and has raised the alarm CORRUPT"
    assert marked(view) == [
        "! etcd has raised an alarm: n2: CORRUPT",
        f"  remedy: {REMEDY_OF_ALARM['CORRUPT']}",
        "  to check everything: etcd-handoff doctor --k0s",
    ]


def test_status_takes_members_of_other_nodes_for_no_trouble() -> None:
    """On a controller of k0s only its own member is in reach; where none answers a read, there is trouble."""
    assert marked(cluster(member(1), down(2), down(3))) == []
    away = marked(cluster(member(1, serves_reads=False), down(2), down(3)))
    assert away[0] == f"! {NO_LEADER}"
    assert away[-2:] == [
        f"  remedy: {NO_LEADER_REMEDY}; {START_BOTH}",
        "  to check everything: etcd-handoff doctor --k0s",
    ]


@pytest.mark.parametrize(("statuses", "ended"), [((4,), 4), ((1, 4), 4), ((2, 4), 2), ((1,), 1), ((), 0)])
def test_status_ends_with_4_when_any_server_is_away(statuses: tuple[int, ...], ended: int) -> None:
    """Whichever it is: a script must not take half of the answer for the whole."""
    assert status_exit(StatusReport("prod", cluster(), [], None, {"temporal": "away"}, statuses=statuses)) == ended


def test_member_that_has_left_and_still_runs_is_no_contradiction() -> None:
    """Its EtcdMember says Joined=False; one of a member that nobody has heard of is."""
    left = Doubt(kind="UnlistedMember", text="", remedy="", member_id="99", by_status_alone=True)
    view = cluster(doubts=(left,))
    assert doubt_of(view, "", claims_of([etcdmember("n1", "1"), etcdmember("n9", "99", "False")])) is None
    assert doubt_of(view, "", claims_of([etcdmember("n1", "1")])) is left


def test_member_that_is_only_just_joining_is_not_wrong() -> None:
    """It has no name yet that an EtcdMember could have."""
    view = cluster(member(1), MemberView(id="7", name="", is_learner=True, note="not started"))
    assert not any(r.wrong for r in compare_resources(view, [etcdmember("n1", "1")]))


# --- following ----------------------------------------------------------------------------------------------


def test_progress_tells_each_step_and_each_state_once() -> None:
    """Polling ten times a second repeats nothing."""
    lines = ProgressLines("etcd-remove/prod/n1")
    first = Progress(state=HandoffState.CHECKING, cluster="prod", member="n1", steps=(step(),))
    assert lines.progress(first) == ["  check_leader       12 ms on node0  observed"]
    assert lines.progress(first) == []
    waits = first.model_copy(update={"state": HandoffState.BLOCKED, "doing": "NoQuorum: x", "waiting_for": "y"})
    assert lines.progress(waits) == [
        "  Blocked: NoQuorum: x",
        "    what unblocks it: y",
        "    to look again now: etcd-handoff recheck n1 -c prod",
        "    to cancel: etcd-handoff cancel n1 -c prod",
    ]
    assert lines.progress(waits) == []
    again = waits.model_copy(update={"steps": (step(milliseconds=99.0),)})
    assert lines.progress(again) == [], "a repeated look replaces the last one"
    removed = step("remove_member", StepOutcome.REMOVED, attempts=3, note="through n2")
    assert lines.steps((step(), removed)) == [
        "  remove_member      12 ms on node0  removed after 3 attempts: through n2"
    ]
    assert lines.steps((step(), removed)) == []


def test_progress_says_how_to_approve() -> None:
    """The command is ready to be copied."""
    waits = Progress(state=HandoffState.AWAITING_APPROVAL, cluster="prod", member="n1", waiting_for="approve")
    assert ProgressLines("etcd-remove/prod/n1").progress(waits)[-2:] == [
        "    to approve: etcd-handoff approve n1 -c prod",
        "    to cancel: etcd-handoff cancel n1 -c prod",
    ]


def test_progress_past_the_point_of_no_return_offers_no_cancellation() -> None:
    """It would be refused."""
    waits = Progress(state=HandoffState.BLOCKED, cluster="prod", member="my disk", point_of_no_return=True)
    assert ProgressLines("id").progress(waits)[1:] == ["    to look again now: etcd-handoff recheck 'my disk' -c prod"]


def test_progress_makes_a_remark_once() -> None:
    """Such as that no worker answers."""
    lines = ProgressLines("id")
    assert (lines.remark("no worker"), lines.remark("no worker")) == (["  no worker"], [])


def test_joined_removal_says_that_its_own_options_count() -> None:
    """Somebody who asked for a dry run must not take a real removal for one."""
    assert start_line("id", attached=False) == "Started id"
    assert "options of this command are not used" in start_line("id", attached=True)


@pytest.mark.parametrize(
    ("ended", "status", "words"),
    [
        (result(status_recorded=True), 0, "Its EtcdMember is up to date."),
        (result(status_note="no API"), 0, "Its EtcdMember could not be updated: no API."),
        (result(next_steps=("on n1 run `k0s stop`",)), 0, "Left to do: on n1 run `k0s stop`."),
        (result(outcome=Outcome.ALREADY_ABSENT), 0, "n1 (1) had already left cluster prod."),
        (
            result(was_leader=True, leader_after="2", term_before=1, term_after=2),
            0,
            "It was the leader; 2 took over, term 1 to 2.",
        ),
        (
            result(
                was_leader=True,
                leader_after="2",
                term_before=1,
                term_after=2,
                steps=(
                    step(note="n1 leads at term 1"),
                    step("await_election", note="n 2 leads at term 2; also seen from node2"),
                    step("remove_member", note="through n 2"),
                ),
            ),
            0,
            "It was the leader; n 2 (2) took over, term 1 to 2.",
        ),
        (result(asked_by="ann@laptop", reason="new disk."), 0, "Asked for by ann@laptop: new disk."),
        (result(asked_by="ann@laptop"), 0, "Asked for by ann@laptop."),
        (result(reason="new disk"), 0, "Asked for: new disk."),
        (result(approved_by="bob"), 0, "Approved by bob."),
        (result(snapshot="node1:/x"), 0, "Snapshot: node1:/x"),
        (result(outcome=Outcome.PLANNED, plan=("remove n1",)), 0, "  1. remove n1"),
        (
            result(outcome=Outcome.PLANNED, blocked_by="NoQuorum: x"),
            3,
            "Dry run, nothing was changed. A removal of n1 (1) would wait now: NoQuorum: x",
        ),
    ],
)
def test_result_is_told_in_words(ended: RemovalResult, status: int, words: str) -> None:
    """Outcome, hand-over, people, snapshot, record; a dry run that is blocked ends with 3, as `plan` does."""
    dry_run = ended.outcome == Outcome.PLANNED
    assert words in removal_lines(ended, dry_run=dry_run)
    assert removal_exit(ended, dry_run=dry_run) == status


def test_removal_that_turns_out_to_be_a_dry_run_is_a_failure() -> None:
    """A script that goes on to wipe the node must stop, also where somebody's dry run found nothing in the way."""
    for ended in (
        result(outcome=Outcome.PLANNED, plan=("remove n1",)),
        result(outcome=Outcome.PLANNED, blocked_by="x"),
    ):
        assert "NOT removed" in removal_lines(ended, dry_run=False)[0]
        assert removal_exit(ended, dry_run=False) == 1


def test_removal_after_which_no_write_is_acknowledged_is_a_failure() -> None:
    """The member has left, and the cluster needs somebody now; not tried is not failed."""
    ended = result(status_recorded=True, writes_acknowledged=False)
    lines = removal_lines(ended, dry_run=False)
    assert lines[0] == "n1 (1) has left cluster prod."
    assert lines[-1].startswith("WARNING: the remaining members acknowledge no write")
    assert removal_exit(ended, dry_run=False) == 1
    for well in (True, None):
        ended = result(status_recorded=True, writes_acknowledged=well)
        assert "WARNING" not in "".join(removal_lines(ended, dry_run=False))
        assert removal_exit(ended, dry_run=False) == 0


def test_outcome_of_a_newer_worker_is_no_success() -> None:
    """Nobody knows what it means."""
    ended = result(outcome="replaced")
    assert "'replaced'" in removal_lines(ended, dry_run=False)[0]
    assert removal_exit(ended, dry_run=False) == 1
    assert ProgressLines("id").progress(Progress(state="Defragmenting", cluster="c", member="m", doing="x")) == [
        "  Defragmenting: x"
    ]


def test_progress_counts_steps_that_are_left_out() -> None:
    """First and last ones are told, and how many lie between; none is told twice."""
    steps = tuple(step(f"step{n}") for n in range(4))
    lines = ProgressLines("id")
    assert len(lines.steps(steps[:2])) == 2
    assert [line.split()[0] for line in lines.steps(steps, omitted=7)] == ["(5", "step0", "step1", "step2", "step3"]
    assert lines.steps(steps, omitted=7) == []
    assert [line.split()[0] for line in lines.steps(steps, omitted=8)] == ["step3"]
