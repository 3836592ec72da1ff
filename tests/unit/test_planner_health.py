"""Whom the planner counts as a voter that works, and which alarms it heeds."""

from __future__ import annotations

import pytest

from etcd_handoff.cluster_view import Alarm
from etcd_handoff.planning import (
    CAUGHT_UP_ENTRIES,
    MemberAbsent,
    Reason,
    Remove,
    Transfer,
    plan,
    warnings,
)
from tests.unit.builders import CLUSTER, INDEX, A, B, C, D, E, blocked, cluster, down, hangs, leave, member

# --- who works --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", [A, C])
def test_member_stays_while_another_answers_and_commits_nothing(target: str) -> None:
    """A voter whose disk hangs names the right leader from memory; it is told with how far it stands behind."""
    behind = hangs(B, raft_index=INDEX - 460)
    decision = blocked(leave(target, member(A), behind, member(C)), Reason.VOTER_HANGS)
    assert "node1: it answers, but no linearizable read, and stands 460 log entries behind" in decision.seen
    assert "only 1 of 2 voters would be healthy" in decision.seen
    assert decision.unblocks.startswith("look at disk and load of node1 (etcd logs ")
    assert "until it answers linearizable reads again; if it is down for good" in decision.unblocks
    one = blocked(leave(target, member(A), hangs(B, raft_index=INDEX - 1), member(C)), Reason.VOTER_HANGS)
    assert "stands 1 log entry behind" in one.seen


def test_nobody_is_told_to_remove_a_voter_that_only_we_cannot_use() -> None:
    """It answers, and may well count for the quorum. Who answers at another URL says nothing: k0s has one for all."""
    note = "TLS handshake failed (the certificate is for another name)"
    decision = blocked(leave(A, member(A), down(B, note=note), member(C)), Reason.QUORUM_AT_RISK)
    assert decision.unblocks == "bring node1 back and make sure that workers reach it"
    decision = blocked(leave(A, member(A), down(B, note=note), down(C), member(D), member(E)), Reason.QUORUM_AT_RISK)
    assert decision.unblocks.endswith(
        "if one of them is down for good, remove that one first: `etcd-handoff remove node2`"
    )
    elsewhere = down(B, note="its advertised URL leads to node0")
    decision = blocked(leave(A, member(A), elsewhere, member(C)), Reason.QUORUM_AT_RISK)
    assert decision.unblocks.endswith("`etcd-handoff remove node1`")


def test_one_that_hangs_and_one_that_is_down_need_different_things() -> None:
    """The remedy names each."""
    decision = blocked(leave(A, member(A), hangs(B), down(C), member(D), member(E)), Reason.VOTER_HANGS)
    assert decision.unblocks.startswith(
        "bring node2 back and make sure that workers reach it; look at disk and load of"
    )


def test_member_that_hangs_is_the_one_to_remove() -> None:
    """The voters that remain all work."""
    assert leave(B, member(A), hangs(B), member(C)) == Remove(via_id=A)


def test_leader_that_hangs_is_never_removed_while_others_name_it() -> None:
    """It is asked to hand over, and until it has, or the others have elected another, it stays."""
    assert leave(A, hangs(A), member(B), member(C)) == Transfer(B, 7)
    assert leave(A, hangs(A, leader=A), *(member(m, leader=B, term=8) for m in (B, C))) == Remove(via_id=B)


def test_majority_that_hangs_is_no_quorum_though_all_answer() -> None:
    """Nothing can be committed there; the note of the look says why."""
    decision = blocked(leave(C, member(A), hangs(B, note="no answer to a read"), hangs(C)), Reason.NO_QUORUM)
    assert decision.seen == (
        "only 1 of 3 voters are healthy (node1: no answer to a read; node2: it answers, but no linearizable read)"
    )


def test_voter_that_is_down_is_not_said_to_hang() -> None:
    """The word fits what is seen."""
    blocked(leave(C, member(A), down(B), member(C)), Reason.QUORUM_AT_RISK)


@pytest.mark.parametrize("target", [A, C])
def test_member_stays_while_the_quorum_that_remains_has_not_caught_up(target: str) -> None:
    """Two voters would remain and one of them lags: no write is acknowledged until it has caught up."""
    behind = member(B, raft_index=INDEX - CAUGHT_UP_ENTRIES - 1)
    decision = blocked(leave(target, member(A), behind, member(C)), Reason.VOTER_LAGS)
    assert f"node1 lags by {CAUGHT_UP_ENTRIES + 1}" in decision.seen
    assert decision.unblocks == "wait until node1 has caught up"


def test_voter_that_lags_does_not_hinder_where_a_quorum_has_caught_up() -> None:
    """Three of the four voters that remain are at the front."""
    assert leave(D, member(A), member(B, raft_index=1), member(C), member(D), member(E)) == Remove(via_id=A)
    assert leave(B, member(A), member(B, raft_index=1), member(C)) == Remove(via_id=A)


def test_two_laggards_are_waited_for_by_name() -> None:
    """Each lag is told."""
    decision = leave(E, member(A), member(B, raft_index=1), member(C, raft_index=2), member(D), member(E))
    lags = blocked(decision, Reason.VOTER_LAGS)
    assert f"node1 lags by {INDEX - 1}, node2 lags by {INDEX - 2}" in lags.seen
    assert lags.unblocks == "wait until node1, node2 have caught up"


# --- alarms -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("whose", ["", B, "dead"], ids=["the-whole-cluster", "another-member", "one-that-has-left"])
def test_corrupt_data_block(whose: str) -> None:
    """The member that would leave may have the good copy."""
    alarms = (Alarm(kind="CORRUPT", member_id=whose),)
    decision = blocked(leave(C, member(A), member(B), member(C), alarms=alarms), Reason.CLUSTER_CORRUPT)
    assert {"": "the whole cluster", B: "node1", "dead": "dead"}[whose] in decision.seen


def test_corrupt_member_that_only_its_own_entry_tells_of_blocks() -> None:
    """Whichever place a look puts the alarm in, it counts."""
    blocked(leave(C, member(A), member(B, alarms=("CORRUPT",)), member(C), member(D)), Reason.CLUSTER_CORRUPT)


def test_corrupt_member_itself_may_leave() -> None:
    """That is the remedy; it hands over first when it leads."""
    alarms = (Alarm(kind="CORRUPT", member_id=A),)
    sick = member(A, alarms=("CORRUPT",))
    assert leave(A, sick, member(B), member(C), alarms=alarms) == Transfer(B, 7)
    led = [member(m, leader=B) for m in (B, C)]
    assert leave(A, member(A, leader=B, alarms=("CORRUPT",)), *led, alarms=alarms) == Remove(via_id=B)


def test_member_out_of_space_leaves_and_the_operator_is_warned() -> None:
    """Nothing can be recorded while etcd takes no writes; a member that left may be the full one."""
    alarms = (Alarm(kind="NOSPACE", member_id=B), Alarm(kind="NOSPACE", member_id=B), Alarm(kind="NOSPACE"))
    view = cluster(member(A), member(B, alarms=("NOSPACE",)), member(C), alarms=alarms)
    assert plan(view, MemberAbsent(CLUSTER, C)) == Remove(via_id=A)
    (warning,) = warnings(view)
    assert warning.startswith("etcd has raised the alarm NOSPACE for node1, the cluster: ")


def test_alarm_of_an_unknown_kind_is_told() -> None:
    """CORRUPT blocks and needs no warning, and a cluster without an alarm none at all."""
    assert warnings(cluster(member(A), alarms=(Alarm(kind="FIRE"), Alarm(kind="CORRUPT")))) == (
        "etcd has raised an alarm: FIRE",
    )
    assert warnings(cluster(member(A))) == ()
