"""The loop of a replacement: two operations, one after the other, with one turn, one approval and one result."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from etcd_handoff import time_limits
from etcd_handoff.contract import Approval, FailureType, HandoffState, Outcome, ReplacementResult, StepOutcome
from etcd_handoff.doubts import ResourceClaim
from etcd_handoff.operation import commands as to
from etcd_handoff.operation import current_details
from etcd_handoff.operation.commands import AddTarget, PromoteTarget, StepFailure
from etcd_handoff.operation.learner import AwaitSync
from etcd_handoff.operation.queue_messages import QueuePosition, TakeTurnResult
from etcd_handoff.operation.state import OperationState
from tests.unit.builders import INDEX, A, B, C, D, cluster, doubt, down
from tests.unit.changes import (
    RECORDED,
    adds,
    gives_turn_up,
    learner,
    looks,
    looks_again,
    membership,
    node,
    nodes,
    observed,
    records,
    removes,
    replacement,
    unstarted,
    url,
)
from tests.unit.test_removal_loop import Drive, report

if TYPE_CHECKING:
    from collections.abc import Callable

    from etcd_handoff.activity_io import StepResult
    from etcd_handoff.cluster_view import ClusterView

THREE = nodes(0, 1, 2)
FOUR = nodes(0, 1, 2, 3)
DEAD = cluster(down(A, peer_urls=(url(0),)), node(1, B), node(2, B))
F = "fd422379fda50e4f"
"""ID of a sixth member."""
WITHOUT_IT = nodes(1, 2, leader=B)


def ends(change: Drive) -> ReplacementResult:
    """The result."""
    result = change.next(to.Finish).result
    assert isinstance(result, ReplacementResult)
    return result


def removes_leader(change: Drive) -> Drive:
    """The old member hands leadership over and leaves."""
    transfer = change.next(to.TransferLeadership)
    change.result(report(StepOutcome.MOVED, None, transferee_id=B))
    led_by_b = nodes(0, 1, 2, 3, leader=B, term=8)
    change.do(to.AwaitNewLeader, report(StepOutcome.ELECTED, led_by_b))
    assert transfer.ask.target_id == A
    return removes(change, nodes(1, 2, 3, leader=B, term=8), 0)


def test_leader_that_works_is_replaced_by_one_more_member_first() -> None:
    """Look, turn, learner, start, vote, record; look, transfer, removal, record; one result with all steps."""
    change = looks(replacement(), THREE).turn()
    adds(change, THREE, 3)
    assert current_details.progress(change.state).part == "part 1 of 2: adding node3"
    records(change, 3, joined=True)
    turn = change.state.turn_request
    looks(change, FOUR)
    removes_leader(change)
    assert current_details.progress(change.state).part == "part 2 of 2: removing node0"
    assert "- **Part 2 of 2:** removing node0" in current_details.details(change.state)
    assert change.state.turn_request == turn, "the turn is handed from part to part"
    records(change, 0, joined=False)
    looks(change, nodes(1, 2, 3, leader=B, term=8))
    result = ends(change)
    assert (result.outcome, result.status_recorded, result.was_leader) == (Outcome.REPLACED, True, True)
    assert (result.member_id, result.member_name, result.peer_urls) == (A, "node0", (url(0),))
    assert (result.new_member_id, result.new_member_name, result.new_peer_urls) == (D, "node3", (url(3),))
    assert [(p.kind, p.member_id, p.outcome) for p in result.parts] == [("add", D, "added"), ("remove", A, "removed")]
    assert len(result.steps) == 10
    assert (result.leader_before, result.leader_after) == (A, B)


@pytest.mark.parametrize("dies", ["before the part", "in the part"])
def test_old_member_stays_while_the_new_one_does_not_work(dies: str) -> None:
    """Two of three would be a quorum; but the old one works, and the one that was asked for may come back."""
    change = looks(replacement(old="node2"), THREE).turn()
    records(adds(change, THREE, 3), 3, joined=True)
    dead = cluster(*THREE.members, down(D, peer_urls=(url(3),)))
    if dies == "before the part":
        looks(change, dead)
    else:
        looks(change, FOUR)
        ask = change.next(to.RemoveTarget).ask
        assert ask.successors == (D,)
        change.result(report(StepOutcome.REPLAN, dead))
    gives_turn_up(change)
    assert "NotVerified" in change.next(to.Wait).summary
    assert f"`etcd-handoff remove {D} -c prod`" in change.state.waiting_for
    looks(change.result(after=1.0), FOUR).turn()
    removes(change, nodes(0, 1, 3), 2)


def test_dead_old_member_leaves_although_the_new_one_is_down() -> None:
    """It helps nobody, and without it the quorum is smaller."""
    view = cluster(
        node(0), node(1), node(2), node(4), down(D, peer_urls=(url(3),)), down(F, peer_urls=("http://node5:2380",))
    )
    change = looks(replacement(old=F), view).turn()
    assert change.next(to.RemoveTarget).ask.target_id == F


def test_dead_member_of_three_leaves_before_the_new_one_joins() -> None:
    """Etcd refuses a fourth member while one of three is down."""
    change = looks(replacement(), DEAD).turn()
    removes(change, WITHOUT_IT, 0)
    records(change, 0, joined=False)
    looks(change, WITHOUT_IT)
    records(adds(change, WITHOUT_IT, 3), 3, joined=True)
    looks(change, nodes(1, 2, 3, leader=B))
    assert [p.kind for p in ends(change).parts] == ["remove", "add"]


def test_member_that_dies_while_the_new_one_is_awaited_leaves_first() -> None:
    """The learner gets its vote afterwards: its promotion would be unsafe before."""
    change = looks(replacement(), THREE).turn()
    waiting = cluster(*THREE.members, unstarted(3))
    change.do(AddTarget, report(StepOutcome.ADDED, waiting, added_id=D, proposed=True))
    gives_turn_up(change)
    dead = cluster(*DEAD.members, learner(3, B))
    looks_again(change, dead).turn()
    after = cluster(*WITHOUT_IT.members, learner(3, B))
    removes(change, after, 0)
    records(change, 0, joined=False)
    looks(change, after)
    five = nodes(1, 2, 3, leader=B)
    change.do(AwaitSync, report(StepOutcome.IN_SYNC, after))
    change.do(PromoteTarget, report(StepOutcome.PROMOTED, five, added_id=D, proposed=True))
    looks(change.do(to.Wait, after=time_limits.OPERATION.connected_seconds), five)
    records(change, 3, joined=True)
    looks(change, five)
    result = ends(change)
    assert [(p.kind, p.outcome) for p in result.parts] == [("remove", "removed"), ("add", "added")]


def test_change_that_has_begun_waits_for_a_quorum_that_is_lost() -> None:
    """It was refused at the first look only: a learner of ours is there."""
    change = looks(replacement(), THREE).turn()
    waiting = cluster(*THREE.members, unstarted(3))
    change.do(AddTarget, report(StepOutcome.ADDED, waiting, added_id=D, proposed=True))
    gives_turn_up(change)
    lost = cluster(down(A, peer_urls=(url(0),)), node(1, B), down(C, peer_urls=(url(2),)), unstarted(3))
    looks_again(change, lost)
    assert "NoQuorum" in change.next(to.Wait).summary
    whole = change.state.whole
    assert whole is not None
    change.state = change.state.changed(whole=whole.changed(part=None), request=whole.request, pinned=whole.pinned)
    looks(change.result(after=1.0), lost)
    assert "NoQuorum" in change.next(to.Wait).summary


def test_second_start_shows_what_to_start_while_somebody_else_has_the_turn() -> None:
    """A part that waits for its member needs no turn."""
    change = looks(replacement(), cluster(*THREE.members, unstarted(3)))
    gives_turn_up(change).next(AwaitSync)
    assert current_details.progress(change.state).join_configuration["ETCD_NAME"] == "node3"


@pytest.mark.parametrize("change", [replacement, lambda **options: membership(1, 2, 3, **options)])
def test_learner_of_a_part_may_stand_still_for_as_long_as_the_whole_allows(change: Callable[..., Drive]) -> None:
    """The copy of a large database is no stall where somebody has given it two hours."""
    for seconds, state in ((600, "Blocked"), (7200, "Syncing")):
        copying = cluster(*THREE.members, learner(3, raft_index=1))
        waits = looks(change(progress_timeout_seconds=seconds), copying)
        gives_turn_up(waits).next(AwaitSync)
        waits.result(report(StepOutcome.NOT_IN_SYNC, copying), after=1800.0).next(AwaitSync)
        assert waits.shown() == state


def test_new_member_that_is_there_already_leaves_only_the_removal() -> None:
    """A second start goes on where the first one stopped; what it did not record is recorded."""
    change = looks(replacement(old="node2"), FOUR).turn()
    removes(change, nodes(0, 1, 3), 2)
    records(change, 2, joined=False)
    looks(change, nodes(0, 1, 3))
    records(change, 3, joined=True)
    looks(change, nodes(0, 1, 3))
    result = ends(change)
    assert [(p.kind, p.outcome) for p in result.parts] == [("remove", "removed"), ("add", "already-present")]
    assert result.outcome == Outcome.REPLACED


@pytest.mark.parametrize(
    ("view", "reason"),
    [
        (cluster(*THREE.members, node(3, peer_urls=("http://elsewhere:2380",))), "NameTaken"),
        (cluster(*THREE.members, node(4, peer_urls=(url(3),))), "PeerUrlTaken"),
        (cluster(node(0), down(B), down(C)), "NoQuorum"),
    ],
)
def test_replacement_that_can_never_be_safe_is_refused_before_anything_is_changed(view: object, reason: str) -> None:
    """With the type that these operations have."""
    failure = looks(replacement(), view).next(to.Fail).failure  # type: ignore[arg-type]
    assert (failure.kind, failure.text.partition(":")[0]) == (FailureType.CHANGE_REFUSED, reason)


def test_new_member_that_nobody_starts_ends_with_what_is_half_done() -> None:
    """The message says what to type to go on."""
    change = looks(replacement(blocked_timeout_seconds=0), THREE).turn()
    waiting = cluster(*THREE.members, unstarted(3))
    change.do(AddTarget, report(StepOutcome.ADDED, waiting, added_id=D, proposed=True))
    failure = change.next(to.Fail).failure
    assert failure.kind == FailureType.BLOCKED_TOO_LONG
    assert "start the replacement again" in failure.text
    assert "So far: stopped at part 1 of 2: adding node3" in failure.text
    assert f"To go on: `etcd-handoff replace {A} --with node3 --peer-url {url(3)} -c prod`" in failure.text


def test_removal_that_cannot_go_on_ends_with_what_is_half_done() -> None:
    """The new member has joined; a refusal has the type of the whole."""
    change = looks(replacement(old="node2", blocked_timeout_seconds=0), FOUR).turn()
    change.do(to.RemoveTarget, report(StepOutcome.REFUSED_BY_ETCD, FOUR))
    ask = change.next(to.WriteStatus).ask
    assert (ask.joined, ask.failed) == (True, True)
    change.result(RECORDED)
    failure = change.next(to.Fail).failure
    assert "stopped at part 1 of 1: removing node2" in failure.text


@pytest.mark.parametrize("first", ["the removal", "the addition"])
def test_status_that_nobody_takes_does_not_hold_up_the_next_part(first: str) -> None:
    """The API servers are all away, perhaps for hours; the cluster is not to be short of a voter for so long."""
    removal = first == "the removal"
    change = looks(replacement(), DEAD if removal else THREE).turn()
    removes(change, WITHOUT_IT, 0) if removal else adds(change, THREE, 3)
    gone = WITHOUT_IT if removal else FOUR
    waited = 0.0
    while waited < time_limits.OPERATION.record_at_least_seconds:
        most = change.next(to.WriteStatus).most_seconds
        waited += most
        change.result(StepFailure("", "", "503", taken=True), after=most)
        if change.state.holds_turn:
            gives_turn_up(change)
    assert waited == time_limits.OPERATION.record_at_least_seconds
    change.do(to.HandRecordOver, result=True)
    if removal:
        looks(change, gone)
    looks(change, gone).turn()
    change.next(AddTarget if removal else to.TransferLeadership)
    assert not change.state.whole.ended[0].status_recorded  # type: ignore[union-attr]


def test_only_etcdmember_may_speak_of_the_member_that_this_change_has_taken_out() -> None:
    """Its record could not be written yet, so it tells of no other cluster."""
    claim = ResourceClaim(name="node0", member_id=A, joined="True")
    change = replacement().do(to.Observe, observed(DEAD, claims=(claim,)))
    looks(change, DEAD).turn()
    removes(change, WITHOUT_IT, 0)
    while change.now < 1_000.0 + time_limits.OPERATION.record_at_least_seconds:
        most = change.next(to.WriteStatus).most_seconds
        change.result(StepFailure("", "", "403", taken=True), after=most)
        if change.state.holds_turn:
            gives_turn_up(change)
    looks(change.do(to.HandRecordOver, result=True), WITHOUT_IT)
    change.do(to.Observe, observed(WITHOUT_IT, claims=(claim,))).turn().next(AddTarget)


def test_old_member_that_hangs_and_answers_does_not_hold_up_its_successor() -> None:
    """Its process may not know that it has left, and nobody can end it while its disk hangs."""
    change = looks(replacement(), DEAD).turn()
    removes(change, WITHOUT_IT, 0)
    records(change, 0, joined=False)
    looks(change, WITHOUT_IT.model_copy(update={"doubts": doubt("UnlistedMember", A, by_status_alone=True)}))
    assert change.next(AddTarget).ask.departing == (A,)


def test_member_that_one_look_alone_found_sick_is_replaced_by_one_more_first() -> None:
    """It may have been slow for a second: without it no voter more may fail until the new one works."""
    change = looks(replacement(), DEAD, once=True)
    assert change.next(to.Observe).patient
    change.result(observed(nodes(0, 1, 2, leader=B))).turn()
    assert change.next(AddTarget).ask.name == "node3"


def test_member_that_comes_back_before_it_is_removed_is_replaced_by_one_more_first() -> None:
    """It was dead when its removal was to come first, and had to wait for its turn."""
    change = looks(replacement(), DEAD)
    change.do(to.AskQueue, TakeTurnResult(turn=QueuePosition(granted=False, behind=("another",))))
    change.next(to.Wait)
    change.state = change.state.changed(holds_turn=True, turn_news=True)
    looks(change.result(after=60.0), nodes(0, 1, 2, leader=B))
    assert change.next(AddTarget).ask.name == "node3"


def test_removal_that_somebody_else_has_done_meanwhile_is_recorded_first() -> None:
    """Its part ends before the next one begins."""
    change = looks(replacement(), DEAD)
    change.do(to.AskQueue, TakeTurnResult(turn=QueuePosition(granted=False, behind=("another",))))
    change.next(to.Wait)
    change.state = change.state.changed(holds_turn=True, turn_news=True)
    records(looks(change.result(after=60.0), WITHOUT_IT), 0, joined=False)


def test_cluster_that_was_restored_between_the_parts_is_refused() -> None:
    """What was ordered before a restore counts no more, and the parts know how far the cluster had come."""
    change = looks(replacement(), THREE).turn()
    records(adds(change, THREE, 3), 3, joined=True)
    young = cluster(*(m.model_copy(update={"raft_index": 10}) for m in FOUR.members))
    failure = looks(change, young).next(to.Fail).failure
    assert (failure.kind, failure.text.partition(":")[0]) == (FailureType.CHANGE_REFUSED, "ClusterRestored")
    assert f"node3 ({D}) has joined" in failure.text


def test_next_run_goes_on_with_the_part_that_runs() -> None:
    """What is carried is enough: which part, the pinned IDs, and what has ended."""
    change = looks(replacement(), THREE).turn()
    records(adds(change, THREE, 3), 3, joined=True)
    looks(change, FOUR)
    change.next(to.TransferLeadership)
    carried = OperationState.model_validate_json(change.state.model_dump_json())
    request = change.state.original_request
    after = Drive(carried.changed(chain_id="chain").with_request(request))
    assert after.state.request == change.state.request
    looks(after, FOUR)
    removes_leader(after)
    records(after, 0, joined=False)
    looks(after, nodes(1, 2, 3, leader=B, term=8))
    assert [p.kind for p in ends(after).parts] == ["add", "remove"]


def test_dry_run_says_both_parts_with_what_may_fail_after_each() -> None:
    """Nothing is changed."""
    result = looks(replacement(dry_run=True), THREE).next(to.Finish).result
    assert (result.outcome, result.blocked_by) == (Outcome.PLANNED, "")
    assert [line.split()[0] for line in result.plan] == ["add", "remove"]
    assert "4 voters then, quorum 3, 1 may fail" in result.plan[0]
    assert "3 voters then, quorum 2, 1 may fail" in result.plan[1]
    blocked = cluster(node(0), node(1), down(C))
    result = looks(replacement(dry_run=True), blocked).next(to.Finish).result
    assert result.blocked_by.startswith("QuorumAtRisk: ")


def test_leadership_goes_to_no_member_that_leaves_later() -> None:
    """The activity is told who leaves."""
    change = looks(replacement(), FOUR).turn()
    assert change.next(to.TransferLeadership).ask.leaving_later == ()
    assert change.state.handoff_state is HandoffState.TRANSFERRING


def demands_three(view: ClusterView) -> StepResult:
    """A look by a worker whose profile wants three voters."""
    return report(StepOutcome.OBSERVED, view, worker_info={"min_voters": 3})


@pytest.mark.parametrize("when", ["between the parts", "in the removal"])
def test_replacement_leaves_no_fewer_voters_than_the_profile_wants(when: str) -> None:
    """Somebody takes out another member while it runs: the old one stays, and what is half done is named."""
    change = replacement(old="node2").do(to.Observe, demands_three(THREE)).turn()
    records(adds(change, THREE, 3), 3, joined=True)
    if when == "in the removal":
        looks(change, FOUR)
        assert change.next(to.RemoveTarget).ask.min_voters == 3
        change.result(report(StepOutcome.REPLAN, nodes(0, 2, 3)))
    else:
        looks(change, nodes(0, 2, 3))
    failure = change.next(to.Fail).failure
    assert failure.text.startswith("TooFewVoters: add ")
    assert f"node3 ({D}) has joined" in failure.text


def test_voters_that_one_look_lacks_refuse_nothing() -> None:
    """A look that has more time shows them; without a quorum in that one too it is refused."""
    few = cluster(node(0), down(B, peer_urls=(url(1),)), down(C, peer_urls=(url(2),)))
    change = looks(replacement(), few, once=True)
    assert change.next(to.Observe).patient
    change.result(observed(THREE)).turn().next(AddTarget)


def test_quorum_that_is_lost_while_an_approval_is_awaited_is_waited_for() -> None:
    """The change was found possible before, and the approval is not to be lost."""
    change = looks(replacement(require_approval=True), THREE)
    change.next(to.Wait)
    change.state = change.state.changed(approval=Approval(by="ann"))
    change.result()
    few = cluster(node(0), down(B, peer_urls=(url(1),)), down(C, peer_urls=(url(2),)))
    looks(change, few)
    assert "NoQuorum" in change.next(to.Wait).summary
    looks(change.result(after=1.0), few)
    assert "NoQuorum" in change.next(to.Wait).summary
    carried = OperationState.model_validate_json(change.state.model_dump_json())
    assert carried.whole is not None
    assert carried.whole.possible


@pytest.mark.parametrize("old_works", [True, False])
def test_member_that_is_listed_again_after_it_left_was_restored(*, old_works: bool) -> None:
    """Its data are those from before, at a later term and nearly the same index: nothing is done with it.

    It may be the old member that was forced into a cluster of its own, too; once others answer, the change goes on.
    """
    change = looks(replacement(), DEAD).turn()
    removes(change, WITHOUT_IT, 0)
    records(change, 0, joined=False)
    old = node(0, B, term=8) if old_works else down(A, peer_urls=(url(0),))
    looks(change, cluster(old, node(1, B, term=8, raft_index=INDEX - 1), node(2, B, term=8, raft_index=INDEX - 1)))
    gives_turn_up(change)
    assert "ClusterRestored" in change.next(to.Wait).summary
    looks(change.result(after=1.0), WITHOUT_IT).turn()
    change.next(AddTarget)


def test_list_that_contradicts_others_tells_of_no_restore() -> None:
    """The worker on the old member's node has looked first, and its own cluster lists that member alone."""
    change = looks(replacement(), DEAD).turn()
    removes(change, WITHOUT_IT, 0)
    records(change, 0, joined=False)
    looks(change, nodes(0).model_copy(update={"doubts": doubt("ListsDiffer")}))
    gives_turn_up(change)
    assert "ListsDiffer" in change.next(to.Wait).summary


def test_lock_that_an_addition_has_left_is_given_back_after_its_part_was_put_off() -> None:
    """Nobody else would do that for an operation that has ended."""
    change = looks(replacement(), THREE).turn()
    change.do(AddTarget, report(StepOutcome.REPLAN, cluster(*THREE.members, unstarted(3)), proposed=True))
    gives_turn_up(change)
    looks_again(change, cluster(*DEAD.members, unstarted(3)))
    assert change.state.whole is not None
    part = change.state.whole.part
    assert part is None or part.kind == "remove"
    assert change.state.lock_abandoned
