"""What the planner answers about a member that is to be added, one named situation after the other."""

from __future__ import annotations

import pytest

from etcd_handoff.cluster_view import Alarm, MemberView
from etcd_handoff.planning import (
    CAUGHT_UP_ENTRIES,
    AddLearner,
    Decision,
    Done,
    MemberPresent,
    PromoteLearner,
    Reason,
    Remove,
    plan,
)
from tests.unit.builders import (
    CLUSTER,
    INDEX,
    A,
    B,
    C,
    D,
    E,
    blocked,
    cluster,
    doubt,
    down,
    hangs,
    leave,
    member,
    refused,
)

URL = "https://10.0.0.9:2380"
GOAL = MemberPresent(CLUSTER, "node9", (URL,))
NINE = "9"


def join(*members: MemberView, goal: MemberPresent = GOAL, **changes: object) -> Decision:
    """What is planned for the new member in the cluster of `members`."""
    return plan(cluster(*members, **changes), goal)


def joiner(leader: str | None = A, **changes: object) -> MemberView:
    """The new member as a learner that runs and has caught up, but for `changes`."""
    own = {"name": "node9", "peer_urls": (URL,), "is_learner": True, "serves_reads": False}
    return member(NINE, leader, **{**own, **changes})


def unstarted(**changes: object) -> MemberView:
    """The new member as it is listed after the addition."""
    return down(NINE, name="", peer_urls=(URL,), is_learner=True, note="not started", **changes)


THREE = (member(A), member(B), member(C))

# --- steps ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 2, 3])
def test_unlisted_member_is_added_as_a_learner_through_the_leader(size: int) -> None:
    """Even or odd, one voter or more: an operator knows why."""
    assert join(*THREE[:size]) == AddLearner(via_id=A)


def test_member_is_added_through_another_voter_when_the_leader_does_not_answer() -> None:
    """Four of five voters are healthy, and quorum of six is four."""
    assert join(down(A), *(member(m) for m in (B, C, D, E))) == AddLearner(via_id=B)


@pytest.mark.parametrize("size", [1, 2, 3])
def test_learner_that_runs_and_has_caught_up_is_promoted_through_the_leader(size: int) -> None:
    """A single voter can only grow by one that will be half of the cluster."""
    assert join(*THREE[:size], joiner()) == PromoteLearner(NINE, via_id=A)


def test_voter_that_has_started_is_done() -> None:
    """Whatever the health of the cluster, the list says that it is there."""
    voter = joiner(is_learner=False, serves_reads=True)
    assert join(*THREE, voter) == Done()
    assert join(member(A, leader=None), down(B), voter) == Done()


def test_addition_whose_answer_was_lost_is_found_by_its_peer_urls() -> None:
    """In whatever order they are listed: nothing is added twice."""
    goal = MemberPresent(CLUSTER, "node9", (URL, "https://[fd00::9]:2380"))
    listed = unstarted().model_copy(update={"peer_urls": goal.peer_urls[::-1]})
    blocked(join(*THREE, listed, goal=goal), Reason.LEARNER_NOT_STARTED)


def test_learner_that_was_added_may_leave_again() -> None:
    """The two goals see the same member."""
    assert leave(NINE, *THREE, unstarted()) == Remove(via_id=A)


@pytest.mark.parametrize(("name", "urls"), [("", (URL,)), ("node9", ())])
def test_goal_without_a_name_or_peer_url_is_an_error(name: str, urls: tuple[str, ...]) -> None:
    """It would fit any member that has not started."""
    with pytest.raises(ValueError, match="needs a name and at least one peer URL"):
        MemberPresent(CLUSTER, name, urls)


# --- the learner is not ready -----------------------------------------------------------------------------------------


def test_learner_that_has_not_started_is_waited_for() -> None:
    """It says where etcd is to be started."""
    assert URL in blocked(join(*THREE, unstarted()), Reason.LEARNER_NOT_STARTED).unblocks


def test_learner_that_is_down_is_not_promoted() -> None:
    """Etcd would do so: the index that the leader remembers does not fall."""
    silent = joiner(reachable=False, leader_id=None, term=0, raft_index=0, note="connection refused")
    decision = blocked(join(*THREE, silent), Reason.LEARNER_UNREACHABLE)
    assert decision.seen == "learner node9 does not answer (connection refused)"


@pytest.mark.parametrize("changes", [{"leader": B}, {"term": 6}, {"leader": None}])
def test_learner_that_follows_another_leader_is_not_promoted(changes: dict[str, object]) -> None:
    """It is cut off from the voters, however well it answers us."""
    leader = changes.get("leader", A)
    assert leader is None or isinstance(leader, str)
    own = joiner(leader, **{key: value for key, value in changes.items() if key != "leader"})
    assert "does not follow the agreed leader" in blocked(join(*THREE, own), Reason.LEARNER_UNREACHABLE).seen


def test_learner_at_the_edge_of_both_rules_is_promoted() -> None:
    """Our limit counts entries, etcd's a part of the leader's index; the stricter one counts."""
    assert join(*THREE, joiner(raft_index=INDEX - CAUGHT_UP_ENTRIES)) == PromoteLearner(NINE, A)
    young = [member(m, raft_index=1_000) for m in (A, B, C)]
    assert join(*young, joiner(raft_index=900)) == PromoteLearner(NINE, A)


def test_learner_that_lags_is_not_promoted() -> None:
    """A step over either edge blocks, and the lag is told."""
    decision = blocked(join(*THREE, joiner(raft_index=INDEX - CAUGHT_UP_ENTRIES - 1)), Reason.LEARNER_LAGS)
    assert f"{CAUGHT_UP_ENTRIES + 1} entries behind" in decision.seen
    young = [member(m, raft_index=1_000) for m in (A, B, C)]
    assert "has 90% of" in blocked(join(*young, joiner(raft_index=899)), Reason.LEARNER_LAGS).unblocks


# --- another change is going on ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["other", ""], ids=["started", "not-started"])
def test_learner_of_somebody_else_is_in_the_way(name: str) -> None:
    """Etcd takes one learner at a time; it is named with ID and peer URL, and so is what can be done about it."""
    other = member(D, is_learner=True, name=name, peer_urls=("https://10.0.0.4:2380",))
    decision = blocked(join(*THREE, other), Reason.LEARNER_IN_THE_WAY)
    who = f"{name} ({D}, https://10.0.0.4:2380)" if name else f"{D} (https://10.0.0.4:2380)"
    assert f": {who}" in decision.seen
    assert f"`etcd-handoff remove {D}`" in decision.unblocks


def test_nobody_is_added_beside_a_voter_that_has_not_started() -> None:
    """It makes the quorum larger and helps nobody."""
    four = [member(m) for m in (A, B, C, D)]
    decision = blocked(join(*four, down(E, name="", note="not started")), Reason.CHANGE_PENDING)
    assert decision.seen == f"{E} has a vote and has not started"
    assert f"`etcd-handoff remove {E}`" in decision.unblocks


# --- known faults of etcd ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["3.5.0", "3.5.23", "3.6.0", "3.6.3"])
@pytest.mark.parametrize("learner", [(), (joiner(),)], ids=["to-add", "to-promote"])
def test_etcd_that_may_forget_a_promotion_comes_first(version: str, learner: tuple[MemberView, ...]) -> None:
    """Any member with it would; after its upgrade the new voter would be a learner again."""
    decision = blocked(join(member(A), member(B, version=version), member(C), *learner), Reason.ETCD_BUG)
    assert f"node1 runs {version}" in decision.seen


@pytest.mark.parametrize("version", ["3.5.24", "3.6.4", "3.6.4-rc.1", "3.7.0-alpha.0", "3.10.1", "unknown", ""])
def test_other_versions_are_taken(version: str) -> None:
    """What cannot be read is not held against anybody."""
    assert join(*(member(m, version=version) for m in (A, B, C))) == AddLearner(A)


@pytest.mark.parametrize(("old", "new"), [("3.5.29", "3.5.30"), ("3.6.10", "3.6.11")])
def test_older_etcd_adds_nobody_while_a_voter_is_down(old: str, new: str) -> None:
    """It would refuse; what asks is the leader's version, and a promotion is not concerned."""
    four = [member(A, version=old), member(B), member(C)]
    decision = blocked(join(*four, down(D)), Reason.ADD_WOULD_BE_REFUSED)
    assert "node0 runs etcd" in decision.seen
    assert "node3 does not answer" in decision.seen
    assert new in decision.unblocks
    assert join(*four, down(D), joiner()) == PromoteLearner(NINE, A)
    assert join(*four, member(D)) == AddLearner(A)
    assert join(member(A, version=new), member(B, version=old), member(C), down(D)) == AddLearner(A)


def test_other_learner_does_not_hinder_a_promotion() -> None:
    """Nothing gets worse by it."""
    assert join(*THREE, joiner(), member(D, is_learner=True)) == PromoteLearner(NINE, A)


def test_member_that_somebody_added_with_a_vote_is_waited_for() -> None:
    """It is no learner any more, and it is not there yet either."""
    listed = unstarted().model_copy(update={"is_learner": False})
    assert "has not started" in blocked(join(*THREE, listed), Reason.CHANGE_PENDING).seen


# --- quorum -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("learner", [(), (joiner(),)], ids=["to-add", "to-promote"])
def test_three_voters_of_which_one_is_down_do_not_grow(learner: tuple[MemberView, ...]) -> None:
    """Quorum of four is three: with the new one down as well, two would be left. The dead one has to leave first."""
    decision = blocked(join(member(A), member(B), down(C), *learner), Reason.QUORUM_AT_RISK)
    assert "only 2 of 4 voters would be healthy (node2: connection refused), and 3 are needed" in decision.seen
    assert "if it is down for good, remove that one first: `etcd-handoff remove node2`" in decision.unblocks


@pytest.mark.parametrize("learner", [(), (joiner(),)], ids=["to-add", "to-promote"])
def test_four_voters_of_which_one_is_down_grow(learner: tuple[MemberView, ...]) -> None:
    """Quorum of five is three, and three work."""
    decision = join(member(A), member(B), member(C), down(D), *learner)
    assert decision == (PromoteLearner(NINE, A) if learner else AddLearner(A))


def test_voter_that_hangs_or_lags_does_not_count() -> None:
    """Both answer, and none would acknowledge a write in time."""
    blocked(join(member(A), member(B), hangs(C)), Reason.VOTER_HANGS)
    lagging = member(C, raft_index=INDEX - CAUGHT_UP_ENTRIES - 1)
    decision = blocked(join(member(A), member(B), lagging, joiner()), Reason.VOTER_LAGS)
    assert "if a voter were added" in decision.seen


def test_cluster_without_quorum_or_leader_does_not_grow() -> None:
    """Nothing could commit the change."""
    blocked(join(member(A, leader=None), down(B), down(C)), Reason.NO_QUORUM)
    blocked(join(*(member(m, leader=None) for m in (A, B, C))), Reason.NO_LEADER)
    blocked(join(hangs(A)), Reason.NO_QUORUM)


def test_learner_that_was_started_under_another_name_waits_for_a_restart() -> None:
    """It may be this addition's own: the name is the only thing wrong. A voter under it is somebody else's."""
    decision = blocked(join(*THREE, joiner(name="default")), Reason.LEARNER_MISNAMED)
    assert "ETCD_NAME=node9" in decision.unblocks
    voter = joiner(name="default", is_learner=False, serves_reads=True)
    assert "default" in refused(join(*THREE, voter), Reason.PEER_URL_TAKEN).seen


# --- alarms, doubts, identity -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("learner", [(), (joiner(),)], ids=["to-add", "to-promote"])
@pytest.mark.parametrize("whose", ["", B, "dead"], ids=["the-whole-cluster", "a-member", "one-that-has-left"])
@pytest.mark.parametrize(
    ("kind", "reason"), [("NOSPACE", Reason.NO_SPACE), ("CORRUPT", Reason.CLUSTER_CORRUPT)], ids=["full", "corrupt"]
)
def test_alarm_blocks(kind: str, reason: Reason, whose: str, learner: tuple[MemberView, ...]) -> None:
    """A new member copies the database of the others."""
    alarms = (Alarm(kind=kind, member_id=whose),)
    decision = blocked(join(*THREE, *learner, alarms=alarms), reason)
    assert {"": "the whole cluster", B: "node1", "dead": "dead"}[whose] in decision.seen


@pytest.mark.parametrize(
    ("whose", "way"),
    [
        ("", "alarm disarm`, then remove or replace that one at once"),
        (B, "remove that one, then run `etcdctl alarm disarm`"),
        ("dead", "its member has left: compare the others"),
    ],
)
def test_alarm_of_corrupt_data_says_in_which_order_to_act(whose: str, way: str) -> None:
    """Of a member that has left nobody else is to be removed."""
    decision = blocked(join(*THREE, alarms=(Alarm(kind="CORRUPT", member_id=whose),)), Reason.CLUSTER_CORRUPT)
    assert way in decision.unblocks


@pytest.mark.parametrize(("kind", "reason"), [("NOSPACE", Reason.NO_SPACE), ("CORRUPT", Reason.CLUSTER_CORRUPT)])
def test_alarm_of_the_learner_itself_blocks(kind: str, reason: Reason) -> None:
    """It is not asked to vote on data that it does not have."""
    blocked(join(*THREE, joiner(alarms=(kind,))), reason)


def test_contradiction_blocks_before_anything_is_concluded() -> None:
    """Not even that the member is there; one that runs unlisted hinders too, but for a replacement's old one."""
    voter = joiner(is_learner=False, serves_reads=True)
    for members in (THREE, (*THREE, joiner()), (*THREE, voter)):
        blocked(join(*members, doubts=doubt(Reason.LISTS_DIFFER)), Reason.LISTS_DIFFER)
    runs_on = doubt(Reason.UNLISTED_MEMBER, D, by_status_alone=True)
    blocked(join(*THREE, doubts=runs_on), Reason.UNLISTED_MEMBER)
    replaces = MemberPresent(CLUSTER, "node9", (URL,), departing=(D,))
    assert isinstance(join(*THREE, doubts=runs_on, goal=replaces), AddLearner)


def test_other_or_restored_cluster_is_refused() -> None:
    """What was ordered for one cluster is not done to another."""
    refused(join(*THREE, cluster_id="1"), Reason.CLUSTER_CHANGED)
    later = MemberPresent(CLUSTER, "node9", (URL,), seen_term=8, seen_index=INDEX)
    refused(join(*THREE, goal=later), Reason.CLUSTER_RESTORED)


@pytest.mark.parametrize("urls", [(URL,), (URL, "https://10.0.0.8:2380")], ids=["the-same-one", "one-of-two"])
def test_peer_url_of_another_member_is_refused(urls: tuple[str, ...]) -> None:
    """Both are named; a member that runs does not turn into another one."""
    taken = member(B, peer_urls=urls)
    for members in ((member(A), taken, member(C)), (member(A), down(B, peer_urls=urls), down(C))):
        decision = refused(join(*members), Reason.PEER_URL_TAKEN)
        assert decision.seen == f"{URL} is a peer URL of node1 ({B}) already"


def test_member_with_the_wanted_name_and_other_peer_urls_is_another_one() -> None:
    """Etcd allows equal names, and they say nothing of who is meant."""
    assert join(member(A), member(B, name="node9", peer_urls=("https://10.0.0.1:2380",))) == AddLearner(A)
