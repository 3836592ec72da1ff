"""What the planner answers, one named situation after the other."""

from __future__ import annotations

import pytest

from etcd_handoff.planning import (
    CAUGHT_UP_ENTRIES,
    Done,
    MemberAbsent,
    Reason,
    Remove,
    Transfer,
    lag,
    plan,
)
from tests.unit.builders import CLUSTER, INDEX, A, B, C, D, E, blocked, cluster, down, hangs, leave, member, refused

# --- steps ------------------------------------------------------------------------------------------------------------


def test_follower_of_a_healthy_cluster_is_removed_through_the_leader() -> None:
    """No transfer is needed, and the leader saves a hop."""
    assert leave(C, member(A), member(B), member(C)) == Remove(via_id=A)


def test_leader_of_a_healthy_cluster_hands_over_first() -> None:
    """The target leads: leadership moves before anything else, from the term at which it leads."""
    assert leave(A, member(A), member(B), member(C)) == Transfer(transferee_id=B, term=7)


def test_after_the_hand_over_the_old_leader_is_removed_through_the_new_one() -> None:
    """The same question on the view after the transfer gives the removal."""
    after = [member(m, leader=B, term=8) for m in (A, B, C)]
    assert leave(A, *after) == Remove(via_id=B)


def test_leader_of_two_voters_hands_over_to_the_other() -> None:
    """Two voters may become one: one healthy voter is the quorum of one."""
    assert leave(A, member(A), member(B)) == Transfer(transferee_id=B, term=7)


def test_follower_of_two_voters_is_removed() -> None:
    """Two voters may become one."""
    assert leave(B, member(A), member(B)) == Remove(via_id=A)


def test_unreachable_follower_of_three_is_removed() -> None:
    """The dead member is the one to remove: two healthy voters of two remain."""
    assert leave(C, member(A), member(B), down(C)) == Remove(via_id=A)


def test_healthy_follower_of_four_with_another_down_is_removed() -> None:
    """Two healthy voters of three remain, which is their quorum."""
    assert leave(C, member(A), member(B), member(C), down(D)) == Remove(via_id=A)


def test_learner_is_removed_though_a_voter_is_down() -> None:
    """A learner's removal leaves the voters as they are; two healthy of three are their quorum."""
    assert leave(D, member(A), member(B), down(C), member(D, is_learner=True)) == Remove(via_id=A)


def test_learner_beside_a_single_voter_is_removed() -> None:
    """The last voter stays, so the learner may go."""
    assert leave(B, member(A), member(B, is_learner=True)) == Remove(via_id=A)


def test_unreachable_learner_is_removed() -> None:
    """A learner that never came up is in nobody's quorum."""
    assert leave(B, member(A), down(B, is_learner=True, name="")) == Remove(via_id=A)


def test_absent_member_is_done() -> None:
    """What the linearizable list lacks needs no step, whatever the health of the others."""
    assert leave(C, member(A), member(B)) == Done()
    assert leave(C, member(A, leader=None), down(B)) == Done()
    assert leave(C, member(A), hangs(B, alarms=("CORRUPT",))) == Done()


def test_other_member_with_the_targets_name_is_left_alone() -> None:
    """Identity is the ID: a new member of the same name does not bring the removal back."""
    assert leave(C, member(A), member(B), member(D, name="node2")) == Done()


# --- via --------------------------------------------------------------------------------------------------------------


def test_removal_goes_through_another_voter_when_the_leader_does_not_answer() -> None:
    """A leader that the majority follows but that does not answer us can't be asked: the smallest ID is."""
    assert leave(E, down(A), *(member(m) for m in (B, C, D, E))) == Remove(via_id=B)


def test_removal_never_goes_through_a_learner_a_sick_voter_or_the_target() -> None:
    """Of seven members five can't be asked, each for its own reason."""
    decision = leave(
        E,
        member(A, leader=D, is_learner=True),
        hangs(B, leader=D),
        member(C, leader=D),
        down(D),
        member(E, leader=D),
        member("1", leader=D),
        member("2", leader=D),
    )
    assert decision == Remove(via_id="1")


@pytest.mark.parametrize("target", [A, B, C])
@pytest.mark.parametrize("leader", [A, B, C])
def test_neither_via_nor_transferee_is_the_target(leader: str, target: str) -> None:
    """Asking the departing member for its own removal is how the answer gets lost."""
    decision = leave(target, *(member(m, leader=leader) for m in (A, B, C)))
    if leader == target:
        assert isinstance(decision, Transfer)
        assert decision.transferee_id != target
    else:
        assert decision == Remove(via_id=leader)


# --- transferee -------------------------------------------------------------------------------------------------------


def test_transferee_is_the_one_with_the_smallest_lag() -> None:
    """Fewest entries behind wins over the smaller ID, and over a clean record."""
    assert leave(A, member(A), member(B, raft_index=INDEX - 2), member(C, raft_index=INDEX - 1)) == Transfer(C, 7)
    near = member(C, raft_index=INDEX - 1, alarms=("NOSPACE",))
    assert leave(A, member(A), member(B, raft_index=INDEX - 2), near) == Transfer(C, 7)


def test_transferee_without_an_alarm_wins_a_tie() -> None:
    """At equal lag a member that is out of space comes second."""
    assert leave(A, member(A), member(B, alarms=("NOSPACE",)), member(C)) == Transfer(C, 7)


def test_tie_is_broken_by_the_smallest_id_as_a_number() -> None:
    """IDs compare as numbers: `f` is smaller than `10`, whatever the order of the list."""
    members = [member(m, leader=A) for m in (A, "10", "f")]
    assert leave(A, *members) == leave(A, *members[::-1]) == Transfer("f", 7)


def test_transferee_is_never_a_learner() -> None:
    """A learner that is further than every voter is still no candidate."""
    ahead = member(B, is_learner=True, raft_index=INDEX + 5)
    assert leave(A, member(A), ahead, member(C, raft_index=INDEX - 9), member(D, raft_index=INDEX - 10)) == Transfer(
        C, 7
    )


def test_transferee_is_never_one_that_is_down_hangs_or_follows_another_leader() -> None:
    """Each of three voters with the smaller ID has its own reason; the fourth is asked."""
    decision = leave(
        "ffffffffffffffff",
        member("ffffffffffffffff", leader="ffffffffffffffff"),
        down(A),
        hangs(B, leader="ffffffffffffffff"),
        member(C, leader=D, term=6),
        *(member(m, leader="ffffffffffffffff") for m in (D, E, "fffffffffffffffd", "fffffffffffffffe")),
    )
    assert decision == Transfer(D, 7)


def test_tried_transferee_is_avoided() -> None:
    """One that did not take over is not asked again before the others."""
    assert leave(A, member(A), member(B), member(C), avoid=(B,)) == Transfer(C, 7)


def test_transferee_at_the_edge_of_caught_up_is_taken() -> None:
    """Exactly the allowed lag is still caught up."""
    edge = member(B, raft_index=INDEX - CAUGHT_UP_ENTRIES)
    assert leave(A, member(A), edge) == Transfer(B, 7)


def test_lag_is_counted_from_the_furthest_healthy_voter() -> None:
    """A sick member's index, or a learner's, sets no pace."""
    view = cluster(
        member(A),
        member(B, raft_index=INDEX - 3),
        member(C, raft_index=INDEX + 50, alarms=("CORRUPT",)),
        member(D, raft_index=INDEX + 60, is_learner=True),
    )
    assert [lag(view, m) for m in view.members] == [0, 3, -50, -60]


# --- blocked ----------------------------------------------------------------------------------------------------------


def test_no_quorum_blocks_and_says_who_is_missing() -> None:
    """With a minority that answers no change can be committed."""
    decision = blocked(leave(C, member(A, leader=None), down(B), down(C)), Reason.NO_QUORUM)
    assert decision.seen == "only 1 of 3 voters answer (node1: connection refused; node2: connection refused)"
    assert "2" in decision.unblocks


def test_dead_follower_of_two_is_no_quorum() -> None:
    """One of two is no quorum, though etcd's own check would accept the removal."""
    blocked(leave(B, member(A), down(B)), Reason.NO_QUORUM)


def test_answering_but_corrupt_majority_is_no_quorum() -> None:
    """Voters whose data is known to be corrupt answer, but don't count."""
    sick = [member(m, alarms=("CORRUPT",), note="CORRUPT") for m in (B, C)]
    decision = blocked(leave(C, member(A), *sick), Reason.NO_QUORUM)
    assert decision.seen == "only 1 of 3 voters are healthy (node1: CORRUPT; node2: CORRUPT)"


def test_learners_do_not_make_a_quorum() -> None:
    """Any number of healthy learners leaves one voter of two a minority."""
    learners = [member(m, is_learner=True) for m in (C, D, E)]
    blocked(leave(B, member(A), down(B), *learners), Reason.NO_QUORUM)


@pytest.mark.parametrize(
    "leaders",
    [
        pytest.param([(None, 8), (None, 8), (None, 8)], id="nobody-names-one"),
        pytest.param([(A, 7), (B, 8), (None, 8)], id="each-says-something-else"),
        pytest.param([(A, 7), (A, 8), (B, 8)], id="same-leader-at-different-terms"),
        pytest.param([(D, 7), (D, 7), (D, 7)], id="a-member-that-is-not-listed"),
    ],
)
def test_voters_without_an_agreed_leader_block(leaders: list[tuple[str | None, int]]) -> None:
    """A leader counts when a majority of the voters names the same listed one at the same term."""
    members = [member(m, leader=leader, term=term) for m, (leader, term) in zip((A, B, C), leaders, strict=True)]
    for target in (A, B, C):
        blocked(leave(target, *members), Reason.NO_LEADER)


def test_named_leader_that_is_a_learner_is_none() -> None:
    """A learner can't lead, so a majority that names one is mistaken."""
    members = [member(m, leader=D) for m in (A, B, C)]
    blocked(leave(A, *members, member(D, leader=D, is_learner=True)), Reason.NO_LEADER)


def test_minority_that_still_names_the_old_leader_does_not_hinder() -> None:
    """The agreed leader is the majority's; the one behind counts as sick."""
    members = [member(A, leader=B, term=8), member(B, leader=B, term=8), member(C, leader=A)]
    assert leave(C, *members) == Remove(via_id=B)
    decision = blocked(leave(A, *members), Reason.QUORUM_AT_RISK)
    assert "node2: does not follow the agreed leader" in decision.seen


@pytest.mark.parametrize("target", [A, B])
def test_healthy_member_of_three_stays_while_another_is_down(target: str) -> None:
    """One healthy voter of two would remain; leader or follower, the sick one has to be seen to first."""
    decision = blocked(leave(target, member(A), member(B), down(C)), Reason.QUORUM_AT_RISK)
    assert "only 1 of 2 voters would be healthy (node2: connection refused), and 2 are needed" in decision.seen
    back = (
        "bring node2 back and make sure that workers reach it; if it is down for good, remove that one first:"
        " `etcd-handoff remove node2`"
    )
    assert decision.unblocks == back


def test_healthy_member_of_five_stays_while_two_are_down() -> None:
    """Two healthy voters of four would remain; both sick ones are named."""
    decision = blocked(leave(C, member(A), member(B), member(C), down(D), down(E)), Reason.QUORUM_AT_RISK)
    assert decision.unblocks.startswith("bring node3, node4 back and make sure that workers reach them; ")


def test_unreachable_leader_blocks() -> None:
    """Who can't be asked can't hand over; the note says why it does not answer."""
    decision = blocked(leave(A, down(A), member(B), member(C)), Reason.LEADER_UNREACHABLE)
    assert "node0 leads but does not answer (connection refused)" in decision.seen


def test_leader_without_a_caught_up_voter_blocks() -> None:
    """A hand-over to a voter far behind would stop the writes; each lag is told."""
    behind = member(B, raft_index=INDEX - CAUGHT_UP_ENTRIES - 1)
    decision = blocked(leave(A, member(A), behind), Reason.NO_TRANSFEREE)
    assert f"node1 lags by {CAUGHT_UP_ENTRIES + 1}" in decision.seen


def test_leader_whose_transferees_all_failed_blocks() -> None:
    """When each caught-up voter was tried in vain there is a pause, and they are named."""
    decision = blocked(leave(A, member(A), member(B), member(C), avoid=(B, C)), Reason.TRANSFER_FAILED)
    assert "node1, node2 did not take over" in decision.seen


def test_avoided_members_do_not_stop_a_followers_removal() -> None:
    """`avoid` names transferees alone: one of them may lead by now, and the removal goes through it."""
    assert leave(A, *(member(m, leader=B, term=8) for m in (A, B, C)), avoid=(B, C)) == Remove(via_id=B)


# --- refused ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("others", [(), (B,), (B, C)])
def test_last_voter_is_refused(others: tuple[str, ...]) -> None:
    """Without it there is no cluster; learners don't change that."""
    decision = leave(A, member(A), *(member(m, is_learner=True) for m in others))
    assert "`etcd-handoff add NAME --peer-url URL`" in refused(decision, Reason.LAST_VOTER).remedy


def test_last_voter_is_refused_even_while_it_does_not_answer() -> None:
    """What can never be done is not waited for."""
    refused(leave(A, down(A)), Reason.LAST_VOTER)


def test_changed_cluster_is_refused() -> None:
    """The pinned ID means nothing in another cluster, even when it is not listed there; both are named."""
    for members in ((member(A), member(B), member(C)), (member(A), member(B))):
        decision = refused(leave(C, *members, cluster_id="1"), Reason.CLUSTER_CHANGED)
        assert "cluster 1" in decision.seen
        assert CLUSTER in decision.seen


@pytest.mark.parametrize("target", [C, E], ids=["present", "absent"])
@pytest.mark.parametrize("version", ["3.4.23", "3.3.0", "2.3.8"])
def test_old_etcd_is_refused_before_anything_is_concluded(target: str, version: str) -> None:
    """Below 3.5 a member list is one member's memory, so nobody is known to be absent either."""
    decision = leave(target, member(A), member(B), member(C, version=version))
    assert f"node2 runs {version}" in refused(decision, Reason.OLD_ETCD).seen


@pytest.mark.parametrize("version", ["3.5.0", "3.10.2", "4.0.0", "3.6.0-rc.3", "", "main"])
def test_newer_etcd_and_one_whose_version_is_not_known_is_taken(version: str) -> None:
    """Versions are compared as numbers; what cannot be read refuses nobody."""
    assert leave(C, member(A), member(B), member(C, version=version)) == Remove(via_id=A)


def test_restored_cluster_is_refused() -> None:
    """An order from before a restore counts no more: not for `Done` either."""
    for members in ((member(A), member(B), member(C)), (member(A), member(B))):
        decision = plan(cluster(*members), MemberAbsent(CLUSTER, C, seen_term=8, seen_index=INDEX))
        assert (
            "stood at term 8, index 100000, and now stands at term 7" in refused(decision, Reason.CLUSTER_RESTORED).seen
        )
