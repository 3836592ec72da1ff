"""What the planner answers, one named situation after the other."""

from __future__ import annotations

import pytest

from etcd_handoff.planner import (
    CAUGHT_UP_ENTRIES,
    Ambiguous,
    Blocked,
    Decision,
    Done,
    Intent,
    NotFound,
    Reason,
    Refused,
    Remove,
    Transfer,
    canonical_id,
    is_member_id,
    lag,
    plan,
    resolve,
)
from etcd_handoff.view import ClusterView, MemberView

CLUSTER = "cdf818194e3a8c32"
A, B, C, D, E = (
    "8211f1d0f64f3269",
    "91bc3c398fb3c146",
    "fd422379fda50e48",
    "fd422379fda50e49",
    "fd422379fda50e4a",
)
INDEX = 100_000


def member(member_id: str, leader: str | None = A, **changes: object) -> MemberView:
    """A healthy, caught-up voter at term 7 that follows `leader`, but for `changes`."""
    name = f"node{(A, B, C, D, E).index(member_id)}" if member_id in (A, B, C, D, E) else ""
    healthy = {"name": name, "reachable": True, "leader_id": leader, "term": 7, "raft_index": INDEX}
    return MemberView.model_validate({"id": member_id, **healthy, **changes})


def down(member_id: str, **changes: object) -> MemberView:
    """A voter that does not answer, but for `changes`."""
    silent = {"reachable": False, "leader_id": None, "term": 0, "raft_index": 0, "note": "connection refused"}
    return member(member_id).model_copy(update={**silent, **changes})


def cluster(*members: MemberView, **changes: object) -> ClusterView:
    """The cluster of these members."""
    return ClusterView.model_validate({"cluster_id": CLUSTER, "members": members, **changes})


def leave(target: str, *members: MemberView, avoid: tuple[str, ...] = (), **changes: object) -> Decision:
    """What is planned for `target` in the cluster of `members`."""
    return plan(cluster(*members, **changes), Intent(CLUSTER, target, frozenset(avoid)))


def blocked(decision: Decision, reason: Reason) -> Blocked:
    """`decision`, which blocks for `reason` and says what would unblock it."""
    assert isinstance(decision, Blocked)
    assert decision.reason is reason
    assert decision.seen
    assert decision.unblocks
    return decision


def refused(decision: Decision, reason: Reason) -> Refused:
    """`decision`, which refuses for `reason` and says what to do instead."""
    assert isinstance(decision, Refused)
    assert decision.reason is reason
    assert decision.seen
    assert decision.remedy
    return decision


# --- steps --------------------------------------------------------------------------------------------------


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
    """What the linearizable list lacks needs no step, whatever else is wrong with the cluster or the profile."""
    assert leave(C, member(A), member(B)) == Done()
    assert leave(C, member(A, leader=None), down(B)) == Done()
    assert leave(C, member(A), member(B), foreign=("endpoint 2 of the profile",)) == Done()


def test_other_member_with_the_targets_name_is_left_alone() -> None:
    """Identity is the ID: a new member of the same name does not bring the removal back."""
    assert leave(C, member(A), member(B), member(D, name="node2")) == Done()


# --- via ----------------------------------------------------------------------------------------------------


def test_removal_goes_through_another_voter_when_the_leader_does_not_answer() -> None:
    """A leader that the majority follows but that does not answer us can't be asked: the smallest ID is."""
    assert leave(E, down(A), *(member(m) for m in (B, C, D, E))) == Remove(via_id=B)


def test_removal_never_goes_through_a_learner_a_sick_voter_or_the_target() -> None:
    """Of five members four can't be asked, each for its own reason."""
    decision = leave(
        E,
        member(A, leader=D, is_learner=True),
        member(B, leader=D, alarms=("CORRUPT",)),
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


# --- transferee ---------------------------------------------------------------------------------------------


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


def test_transferee_is_never_unreachable_corrupt_or_of_another_opinion() -> None:
    """Each of three voters with the smaller ID has its own reason; the fourth is asked."""
    decision = leave(
        "ffffffffffffffff",
        member("ffffffffffffffff", leader="ffffffffffffffff"),
        down(A),
        member(B, leader="ffffffffffffffff", alarms=("CORRUPT",)),
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


# --- blocked ------------------------------------------------------------------------------------------------


def test_endpoint_of_another_cluster_blocks() -> None:
    """A profile that mixes clusters is not acted on, and the foreign endpoint is named."""
    decision = leave(C, member(A), member(B), member(C), foreign=("endpoint 2 of the profile",))
    assert "endpoint 2 of the profile" in blocked(decision, Reason.MIXED_CLUSTERS).seen


def test_endpoint_of_another_cluster_blocks_whichever_cluster_gave_the_list() -> None:
    """Of two clusters in one profile either may answer first, so the wrong list refuses nothing for good."""
    decision = leave(C, member(A), member(B), foreign=("endpoint 1 of the profile",), cluster_id="1")
    blocked(decision, Reason.MIXED_CLUSTERS)


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
    "said",
    [
        pytest.param([(None, 8), (None, 8), (None, 8)], id="nobody-names-one"),
        pytest.param([(A, 7), (B, 8), (None, 8)], id="each-says-something-else"),
        pytest.param([(A, 7), (A, 8), (B, 8)], id="same-leader-at-different-terms"),
        pytest.param([(D, 7), (D, 7), (D, 7)], id="a-member-that-is-not-listed"),
    ],
)
def test_voters_without_an_agreed_leader_block(said: list[tuple[str | None, int]]) -> None:
    """A leader counts when a majority of the voters names the same listed one at the same term."""
    members = [member(m, leader=leader, term=term) for m, (leader, term) in zip((A, B, C), said, strict=True)]
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
    assert decision.unblocks == "bring node2 back, or remove it first"


def test_healthy_member_of_five_stays_while_two_are_down() -> None:
    """Two healthy voters of four would remain; both sick ones are named."""
    decision = blocked(leave(C, member(A), member(B), member(C), down(D), down(E)), Reason.QUORUM_AT_RISK)
    assert decision.unblocks == "bring node3, node4 back, or remove them first"


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
    """`avoid` speaks of transferees alone: one of them may lead by now, and the removal goes through it."""
    assert leave(A, *(member(m, leader=B, term=8) for m in (A, B, C)), avoid=(B, C)) == Remove(via_id=B)


# --- refused ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("others", [(), (B,), (B, C)])
def test_last_voter_is_refused(others: tuple[str, ...]) -> None:
    """Without it there is no cluster; learners don't change that."""
    decision = leave(A, member(A), *(member(m, is_learner=True) for m in others))
    assert "promote another member" in refused(decision, Reason.LAST_VOTER).remedy


def test_last_voter_is_refused_even_while_it_does_not_answer() -> None:
    """What can never be done is not waited for."""
    refused(leave(A, down(A)), Reason.LAST_VOTER)


def test_changed_cluster_is_refused() -> None:
    """The pinned ID means nothing in another cluster, even when it is not listed there; both are named."""
    for members in ((member(A), member(B), member(C)), (member(A), member(B))):
        decision = refused(leave(C, *members, cluster_id="1"), Reason.CLUSTER_CHANGED)
        assert "cluster 1" in decision.seen
        assert CLUSTER in decision.seen


# --- resolve ------------------------------------------------------------------------------------------------

NAMED = cluster(member(A), member(B), member("a0b", name="a b"), member("c0ffee"))


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("node0", A),
        (A, A),
        (f"0x{A}", A),
        (A.upper(), A),
        (f"0X{A.upper()}", A),
        ("c0ffee", "c0ffee"),
        ("0000000000c0ffee", "c0ffee"),
        ("0x0000000000c0ffee", "c0ffee"),
        ("a b", "a0b"),
        ("a0b", "a0b"),
    ],
)
def test_member_is_found_by_name_or_id(wanted: str, found: str) -> None:
    """A name as it is written; an ID in either case, with or without 0x and leading zeros."""
    answer = resolve(NAMED, wanted)
    assert isinstance(answer, MemberView)
    assert answer.id == found


@pytest.mark.parametrize("wanted", ["node9", "NODE0", "node", "1234", "0x", "0", "c0ffee0", f"0{A}0", "-c0ffee"])
def test_unknown_member_is_not_found(wanted: str) -> None:
    """Nothing is guessed, and the members that there are get named, the nameless by ID alone."""
    answer = resolve(cluster(member(A), member("c0ffee")), wanted)
    assert answer == NotFound((f"node0 ({A})", "c0ffee (c0ffee)"))


def test_two_members_of_one_name_are_ambiguous() -> None:
    """Etcd allows equal names; the IDs to choose from are told."""
    view = cluster(member(A, name="twin"), member(B, name="twin"), member(C))
    assert resolve(view, "twin") == Ambiguous((f"{A} (twin)", f"{B} (twin)"))


def test_name_that_is_another_members_id_is_ambiguous() -> None:
    """Whether the name or the ID is meant is not guessed."""
    view = cluster(member(A), member(B, name=A))
    assert resolve(view, A) == Ambiguous((f"{A} (node0)", f"{B} ({A})"))


def test_name_that_is_its_own_id_is_not_ambiguous() -> None:
    """Name and ID of one member fit once."""
    answer = resolve(cluster(member(A, name=A), member(B)), A)
    assert isinstance(answer, MemberView)
    assert answer.id == A


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("0x1F", "1f"),
        ("00001f", "1f"),
        ("0", "0"),
        ("0000", "0"),
        ("f" * 16, "f" * 16),
        ("0x" + "0" * 8 + "f" * 16, "f" * 16),
        ("f" * 17, "f" * 17),
        ("0x", "0x"),
        ("node0", "node0"),
        ("Node0", "Node0"),
        ("", ""),
    ],
)
def test_id_has_one_form(text: str, canonical: str) -> None:
    """Lower case, no prefix, no padding; what is no uint64 in hex comes back as it is."""
    assert canonical_id(text) == canonical
    assert canonical_id(canonical) == canonical


@pytest.mark.parametrize(
    ("text", "is_id"),
    [
        ("1f", True),
        ("f" * 16, True),
        ("", False),
        ("f" * 17, False),
        ("1F", False),
        ("0", True),
        ("00ff", False),
        ("00", False),
        ("0x1", False),
        ("g", False),
    ],
)
def test_member_id_is_told_from_other_text(text: str, is_id: bool) -> None:  # noqa: FBT001  # a table's column
    """Up to 16 lowercase hex digits without padding, which `canonical_id` takes away, and nothing else."""
    if is_id:
        assert canonical_id(text) == text
    assert is_member_id(text) is is_id
