"""What the command `plan` says of a removal."""

from __future__ import annotations

from typing import Any

import pytest

from etcd_handoff.cli.etcdmembers import claims_of
from etcd_handoff.cli.options import parser
from etcd_handoff.cli.plan import dry_run_command
from etcd_handoff.cli.removal_plan import PlanFacts, plan_removal
from etcd_handoff.cli.render.members import cluster_line, cluster_object, member_rows
from etcd_handoff.cli.render.plan import plan_lines, plan_object
from etcd_handoff.cli.render.status import StatusReport, status_lines
from etcd_handoff.cli.shapes.cluster import PlanOutput
from etcd_handoff.cluster_view import Alarm, ClusterView
from etcd_handoff.contract import RemovalRequest
from tests.unit.builders import CLUSTER, cluster, down, etcdmember, member
from tests.unit.printed import as_printed
from tests.unit.test_cli_output import FOREIGN


def shown(view: ClusterView, name: str, **more: Any) -> tuple[int, list[str], dict[str, Any]]:
    """Exit status, lines and JSON of `plan` for the member `name`."""
    plan = plan_removal(PlanFacts(view, **more), RemovalRequest(cluster="prod", member=name))
    printed = as_printed(PlanOutput, cluster_object("prod", view) | plan_object(plan, view))
    return plan.status, plan_lines(plan), printed


def test_plan_of_the_leader_hands_over_first() -> None:
    """Transfer, election, removal, record: in this order and with names."""
    status, lines, planned_object = shown(cluster(), "n1")
    assert status == 0
    assert planned_object["decision"] == "transfer"
    first, _, *rest = (line.split()[1] for line in lines[1:])
    assert (first, "majority" in lines[2], rest) == ("hand", True, ["remove", "record"])
    assert "n2" in lines[1]
    assert "2 voters remain, quorum 2, 0 of them may fail" in lines[3]


def test_plan_says_when_the_next_window_opens() -> None:
    """Before all steps; nothing is wrong, so the exit status is 0."""
    status, lines, planned_object = shown(cluster(), "n3", opens="Sat 2026-11-28T01:00:00+01:00 (Europe/Berlin)")
    assert (status, planned_object["decision"]) == (0, "remove")
    assert "1. wait until Sat 2026-11-28T01:00:00+01:00 (Europe/Berlin): no change window is open" in lines[1]


def test_plan_of_a_follower_goes_through_the_leader() -> None:
    """Nothing is handed over; without Kubernetes nothing is recorded."""
    status, lines, planned_object = shown(cluster(), "n3", has_kubernetes=False)
    assert status == 0
    assert planned_object["decision"] == "remove"
    assert "through n1" in lines[1]
    assert "record nothing" in lines[2]


def test_plan_at_risk_of_quorum_is_3_with_what_unblocks_it() -> None:
    """Blocked, not refused: it may pass."""
    status, lines, planned_object = shown(cluster(member(1), member(2), down(3)), "n2")
    assert status == 3
    assert planned_object["reason"] == "QuorumAtRisk"
    assert planned_object["steps"] == []
    assert "what unblocks it" in lines[2]
    assert "n3" in planned_object["unblocks"]


def test_plan_from_one_member_alone_is_4_with_the_command_that_asks_the_others() -> None:
    """What others would say is not known; what this member alone says for certain stands."""
    command = "etcd-handoff remove n2 --k0s --dry-run"
    status, lines, planned_object = shown(cluster(member(1), down(2), down(3)), "n2", dry_run=command)
    assert (status, planned_object["decision"]) == (4, "unseen")
    assert "only n1 answers on this node; not reached from here: n2 (" in planned_object["seen"]
    assert f"`{command}`" in planned_object["remedy"]
    assert [line.split(":")[0].strip() for line in lines[-2:]] == ["seen", "remedy"]
    assert shown(cluster(member(1)), "n1", dry_run=command)[2]["decision"] == "refused"
    assert shown(cluster(member(1), member(2), down(3)), "n3", dry_run=command)[2]["decision"] == "remove"
    mixed = cluster(member(1), down(2), down(3)).model_copy(update={"doubts": (FOREIGN,)})
    assert shown(mixed, "n2", dry_run=command)[2]["decision"] == "blocked"


def test_leader_is_told_by_the_word_of_those_that_are_reached() -> None:
    """One member that answers a read that needs a quorum knows its leader; two that disagree, or no read, tell none."""
    assert cluster_line("prod", cluster(member(1), down(2), down(3))).endswith(
        "n1 leads at term 7 according to n1 alone"
    )
    assert member_rows(cluster(member(1), down(2), down(3)))[0][3] == "answers linearizable reads"
    for view in (
        cluster(member(1, serves_reads=False), down(2), down(3)),
        cluster(member(1, leader_id=None), down(2), down(3)),
        cluster(member(1), member(2, leader_id="2"), down(3)),
    ):
        assert cluster_line("prod", view).endswith("no leader that a majority agrees on")


def test_plan_names_the_command_with_the_options_it_was_given() -> None:
    """It is to be copied as it stands."""
    args = parser().parse_args(["plan", "node 2", "--k0s", "--data-dir", "/srv/k0s", "-c", "prod"])
    assert dry_run_command(args) == "etcd-handoff remove 'node 2' --k0s -c prod --data-dir /srv/k0s --dry-run"
    args = parser().parse_args(["plan", "n1", "--config", "a.toml"])
    assert dry_run_command(args) == "etcd-handoff remove n1 --config a.toml --dry-run"


def test_plan_for_the_last_voter_is_3_with_a_remedy() -> None:
    """Refused for good."""
    status, lines, planned_object = shown(cluster(member(1)), "n1")
    assert status == 3
    assert planned_object["decision"] == "refused"
    assert "remedy" in lines[2]
    assert planned_object["remedy"]


def test_unknown_and_ambiguous_members_are_answered_with_those_there_are() -> None:
    """A name that is another member's ID fits two, and giving the ID again would not help."""
    status, lines, _ = shown(cluster(), "n9")
    assert (status, "n1 (1), n2 (2), n3 (3)" in lines[0]) == (2, True)
    assert "EtcdMembers could not be read" in lines[0]
    assert "no EtcdMember describes it" in shown(cluster(), "n9", claims=())[1][0]
    assert "no kubernetes" in shown(cluster(), "n9", has_kubernetes=False, claims=())[1][0]
    status, lines, _ = shown(cluster(member(1), member(2), member(3, name="2", peer_urls=("http://h3:2380",))), "2")
    assert (status, "h3:2380" in lines[0], "host and port of its peer URL" in lines[0]) == (2, True, True)
    same = [member(n, name="default", peer_urls=(f"http://h{n}:2380",)) for n in (1, 2)]
    status, lines, _ = shown(cluster(*same, down(3)), "default")
    assert (status, "give the ID of one, or the host" in lines[0]) == (2, True)
    assert "h1:2380" in lines[0]


@pytest.mark.parametrize("name", ["N2", "n2 ", "0x2", "2"])
def test_member_is_found_as_a_removal_finds_it(name: str) -> None:
    """Letter case, spaces and prefixes are one rule for both."""
    status, _, found = shown(cluster(), name)
    assert (status, found["member_name"]) == (0, "n2")


def test_decimal_id_is_answered_with_its_hex() -> None:
    """What etcd's logs and JSON print is decimal."""
    view = cluster(member(1), member(2), member(3).model_copy(update={"id": "8e9e05c52164694d"}))
    status, lines, _ = shown(view, str(0x8E9E05C52164694D))
    assert status == 2
    assert "in hex it is 8e9e05c52164694d" in lines[0]


@pytest.mark.parametrize("name", ["n2", "n9"])
def test_plan_concludes_nothing_from_a_view_that_contradicts_itself(name: str) -> None:
    """Neither what a removal would do nor that there is no such member."""
    status, lines, found = shown(cluster(doubts=(FOREIGN,)), name)
    assert status == 3
    assert found["reason"] == "MixedClusters"
    assert lines[0] == f"A removal of {name} would wait now: MixedClusters"
    assert "no member" not in "".join(lines)


def test_plan_of_another_cluster_than_the_profile_names_is_refused() -> None:
    """The profile's word counts, and EtcdMembers then need not agree."""
    status, _, found = shown(cluster(), "n2", cluster_id="def")
    assert (status, found["reason"]) == (3, "ClusterChanged")
    other = claims_of([etcdmember("n2", "22")])
    assert shown(cluster(), "n2", cluster_id=CLUSTER, claims=other)[0] == 0


def test_plan_against_all_etcdmembers_waits() -> None:
    """When all that say Joined=True describe others, etcd and Kubernetes do not belong together."""
    claims = claims_of([etcdmember("n1", "11"), etcdmember("n2", "22")])
    status, lines, found = shown(cluster(), "n2", claims=claims)
    assert (status, found["reason"]) == (3, "ResourcesDisagree")
    assert "n1 of 11" in "".join(lines)


def test_plan_says_whom_the_etcdmember_of_that_name_speaks_of() -> None:
    """Nothing of this removal will be recorded on it."""
    claims = claims_of([etcdmember("n1", "1"), etcdmember("n2", "99", "False")])
    status, lines, found = shown(cluster(), "n2", claims=claims)
    assert status == 0
    assert lines[0].startswith("! EtcdMember n2 describes member 99 (Joined=False), not n2 (2)")
    assert found["warnings"] == [lines[0].removeprefix("! ")]


@pytest.mark.parametrize(
    ("etcdmembers", "last"),
    [
        ([("n2", "2")], "record Joined=False on the EtcdMember of n2"),
        ([("other", "2")], "record Joined=False on the EtcdMember of n2"),
        ([("n2", "", "Unknown")], "record Joined=False on the EtcdMember of n2"),
        ([], "record nothing: no EtcdMember describes n2"),
        ([("n1", "1"), ("n2", "99", "False")], "record nothing: no EtcdMember describes n2"),
        (None, "record Joined=False on the EtcdMember of n2"),
    ],
)
def test_plan_promises_no_record_without_an_etcdmember(
    etcdmembers: list[tuple[str, str, str]] | None, last: str
) -> None:
    """A resource of another member is not changed; where none could be read, the usual is said."""
    claims = None if etcdmembers is None else claims_of(etcdmember(*fields) for fields in etcdmembers)
    _, lines, _ = shown(cluster(), "n2", claims=claims)
    assert lines[-1].endswith(last)


def test_plan_of_a_member_that_has_left_says_how_a_removal_would_end() -> None:
    """As `already-absent`, by the ID that its EtcdMember remembers; a member that stays is not meant by it."""
    claims = claims_of([etcdmember("n1", "1"), etcdmember("n9", "99")])
    for name in ("n9", "N9", "99"):
        status, lines, found = shown(cluster(), name, claims=claims)
        assert (status, found["decision"], found["member_id"]) == (0, "done", "99")
        assert "would end as already-absent" in lines[0]
    others = claims_of([etcdmember("n1", "1"), etcdmember("n9", "2")])
    assert shown(cluster(), "n9", claims=others)[0] == 2


def test_plan_does_not_believe_a_member_alone_that_others_have_left() -> None:
    """It may have been forced into a cluster of its own; on k0s each node sees its own member alone."""
    claims = claims_of([etcdmember(f"n{number}", str(number)) for number in (1, 2, 3)])
    alone = cluster(member(1))
    few = alone.model_copy(update={"endpoints": 3, "answering": 1})
    status, lines, found = shown(few, "n2", claims=claims)
    assert (status, found["decision"], found["reason"]) == (3, "blocked", "ListsDiffer"), lines
    own = alone.model_copy(update={"endpoints": 1, "answering": 1})
    status, lines, found = shown(own, "n2", claims=claims, dry_run="etcd-handoff remove n2 --dry-run")
    assert (status, found["decision"]) == (4, "unseen"), lines
    assert found["remedy"].startswith("`etcd-handoff remove n2 --dry-run` asks the workers on all nodes")
    assert shown(alone, "n2", claims=claims)[0] == 0


@pytest.mark.parametrize(
    ("denied", "remedy"),
    [
        ("etcdserver: permission denied", "etcdctl user grant-role"),
        ("etcdserver: user name not found", "common name"),
        ("etcdserver: user name is empty", "username and password_file of a user"),
        ("etcdserver: authentication is not enabled", "remove username and password_file"),
    ],
)
def test_plan_says_before_a_removal_that_it_is_not_allowed(denied: str, remedy: str) -> None:
    """As the removal's own failure, PermissionDenied: exit status 1; what blocks in any case comes first."""
    status, lines, found = shown(cluster(), "n2", denied=denied)
    assert (status, found["reason"], found["decision"]) == (1, "PermissionDenied", "denied")
    assert lines[0] == "A removal of n2 would fail: etcd does not allow it"
    assert remedy in lines[2]
    assert shown(cluster(member(1)), "n1", denied=denied)[0] == 3


def test_plan_and_status_say_what_an_alarm_means() -> None:
    """NOSPACE lets a removal pass and its record not; an alarm of member 0 is the whole cluster's."""
    full = cluster(member(1), member(2), member(3, alarms=("NOSPACE",)), alarms=(Alarm(kind="NOSPACE", member_id="3"),))
    status, lines, _ = shown(full, "n2")
    assert status == 0
    assert "NOSPACE for n3" in lines[0]
    assert "nothing can be recorded" in lines[0]
    corrupt = cluster(alarms=(Alarm(kind="CORRUPT"),))
    assert shown(corrupt, "n2")[2]["reason"] == "ClusterCorrupt"
    text = status_lines(StatusReport("prod", corrupt, [], None, {}))
    assert "! etcd has raised an alarm: the whole cluster: CORRUPT" in text
    assert cluster_object("prod", corrupt)["alarms"] == ["the whole cluster: CORRUPT"]


def test_plan_says_when_etcdmembers_could_not_be_read() -> None:
    """It goes by etcd alone then, and says so."""
    status, lines, _ = shown(cluster(), "n2", claims=None, claims_error="no answer within 2 s")
    assert status == 0
    assert lines[0] == "! EtcdMembers could not be read: no answer within 2 s"
    few = cluster(endpoints=3, answering=1)
    status, lines, _ = shown(few, "n2", claims=None, claims_error="no answer within 2 s")
    assert status == 3
    assert any(f"cluster {CLUSTER}" in line and "1 of 3 endpoints" in line for line in lines)
    status, lines, _ = shown(few, "n2", claims=())
    assert status == 3
    assert any("no EtcdMember describes a present member" in line for line in lines)
    assert shown(few, "n2", claims=(), has_kubernetes=False)[0] == 0
    assert shown(few, "n2", cluster_id=CLUSTER, claims=None)[0] == 0
