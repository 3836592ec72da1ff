"""The loop of a membership that is applied: additions and removals, one at a time, decided anew after each look."""

from __future__ import annotations

import pytest

from etcd_handoff.activity_io import WorkerInfo
from etcd_handoff.contract import DesiredMember, FailureType, MembershipRequest, MembershipResult, Outcome, StepOutcome
from etcd_handoff.doubts import ResourceClaim
from etcd_handoff.operation import commands as to
from etcd_handoff.operation import ending, observation
from etcd_handoff.operation.commands import AddTarget, PromoteTarget
from etcd_handoff.operation.learner import AwaitSync
from tests.unit.builders import A, B, C, D, E, cluster, doubt, down, member
from tests.unit.changes import (
    IDS,
    adds,
    begin,
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


def ends(change: Drive) -> MembershipResult:
    """The result."""
    result = change.next(to.Finish).result
    assert isinstance(result, MembershipResult)
    return result


def test_one_member_becomes_three_and_one_again() -> None:
    """Each part ends before the next begins; the leader leaves last, through one that stays."""
    one, two, three = nodes(0), nodes(0, 1), nodes(0, 1, 2)
    change = looks(membership(0, 1, 2), one).turn()
    records(adds(change, one, 1), 1, joined=True)
    looks(change, two)
    records(adds(change, two, 2), 2, joined=True)
    looks(change, three)
    result = ends(change)
    assert (result.outcome, [m.name for m in result.members]) == (Outcome.APPLIED, ["node0", "node1", "node2"])
    assert [(p.kind, p.member_name) for p in result.parts] == [("add", "node1"), ("add", "node2")]
    change = looks(membership(1), three).turn()
    records(removes(change, nodes(0, 1), 2), 2, joined=False)
    looks(change, nodes(0, 1))
    ask = change.next(to.TransferLeadership).ask
    assert ask.target_id == A
    change.result(report(StepOutcome.MOVED, None, transferee_id=B))
    change.do(to.AwaitNewLeader, report(StepOutcome.ELECTED, nodes(0, 1, leader=B, term=8)))
    records(removes(change, nodes(1, leader=B, term=8), 0), 0, joined=False)
    looks(change, nodes(1, leader=B, term=8))
    assert [(p.kind, p.member_name) for p in ends(change).parts] == [("remove", "node2"), ("remove", "node0")]


def test_leadership_goes_to_no_member_that_leaves_later() -> None:
    """The activities of the removal are told who does."""
    silent_follower = nodes(0, 1, 2, 3, 4)
    change = looks(membership(3, 4), silent_follower).turn()
    command = change.next(to.RemoveTarget)
    assert command.ask.target_id == B
    assert set(command.ask.leaving_later) == {A, C}


def test_snapshot_is_stored_by_a_node_that_stays_for_good() -> None:
    """It is taken before the first part, whose target alone would not say who leaves."""
    change = looks(membership(2, 3, snapshot=True), nodes(0, 1, 2)).turn()
    assert change.next(to.TakeSnapshot).ask.leaving_later == (A, B)
    each = cluster(*(node(number, through_node=f"worker{number}") for number in (0, 1, 2)))
    assert observation.staying_node(change.state.changed(view=each)) == "worker2"


def test_membership_that_is_there_already_changes_nothing() -> None:
    """No turn is taken."""
    change = looks(membership(0, 1, 2), nodes(0, 1, 2))
    result = ends(change)
    assert (result.outcome, result.parts, result.status_recorded) == (Outcome.ALREADY_APPLIED, (), False)
    assert "nothing was written" in result.status_note


def claims(*numbers: int) -> tuple[ResourceClaim, ...]:
    """EtcdMembers that say Joined=True."""
    return tuple(ResourceClaim(name=f"node{number}", member_id=IDS[number], joined="True") for number in numbers)


def test_second_start_records_what_the_first_one_could_not() -> None:
    """The first one was terminated between the removal of node2 and its record."""
    change = membership(0, 1).do(to.Observe, observed(nodes(0, 1), claims=claims(0, 1, 2)))
    result = ends(looks(records(looks(change, nodes(0, 1)), 2, joined=False), nodes(0, 1)))
    assert (result.outcome, result.status_recorded) == (Outcome.ALREADY_APPLIED, True)
    assert [(p.kind, p.member_name, p.outcome) for p in result.parts] == [("remove", "node2", Outcome.ALREADY_ABSENT)]


def test_apply_that_is_cancelled_before_it_records_begins_no_record() -> None:
    """Nothing was changed, and that is what it says."""
    change = membership(0, 1).do(to.Observe, observed(nodes(0, 1), claims=claims(0, 1, 2)))
    change.next(to.Observe)
    change.state = ending.cancelled(change.state.changed(cancel_requested=True))
    change.next(to.Cancel)
    assert change.state.doing.startswith("cancelled before anything was changed")
    assert "stopped at part" not in change.state.doing


def test_member_that_joins_between_the_list_and_its_etcdmember_is_left_alone() -> None:
    """Its EtcdMember describes it before any list was read that has it."""
    change = membership(0, 1).do(to.Observe, observed(nodes(0, 1), claims=claims(0, 1, 2)))
    gives_turn_up(looks(change, nodes(0, 1, 2)))
    assert change.state.blocked is not None
    assert looks_again(change, nodes(0, 1, 2)).state.whole == change.state.whole


def test_dry_run_tells_what_would_be_recorded_and_writes_nothing() -> None:
    """As any dry run."""
    change = membership(0, dry_run=True).do(to.Observe, observed(nodes(0), claims=claims(0, 1)))
    assert ends(looks(change, nodes(0))).plan == (f"record on its EtcdMember that node1 ({B}) has left",)


def test_records_that_the_reconciler_would_hold_back_are_not_written() -> None:
    """An operation that is asked for something else does not settle whether so many members have left."""
    change = membership(0, 1)
    change.do(to.Observe, observed(nodes(0, 1), claims=claims(0, 1, 2, 3)))
    assert ends(change).parts == ()


def test_member_that_joins_meanwhile_is_left_alone() -> None:
    """It was not there when the plan was made."""
    change = looks(membership(0, 1), nodes(0, 1, 2)).turn()
    records(removes(change, nodes(0, 1), 2), 2, joined=False)
    looks(change, nodes(0, 1, 3))
    change.next(to.AskQueue)
    assert change.state.blocked is not None
    assert change.state.blocked.reason == "UnplannedMember"
    assert "node3" in change.state.blocked.seen


def test_member_with_another_name_counts_by_its_peer_urls_and_keeps_its_name() -> None:
    """No name can be changed from outside."""
    view = cluster(node(0), node(1), node(2, name="old-name"))
    result = looks(membership(0, 1, 2, dry_run=True), view).next(to.Finish).result
    assert (result.outcome, len(result.warnings)) == (Outcome.PLANNED, 1)
    assert "is called old-name" in result.warnings[0]
    assert [line.split(":")[0] for line in result.plan] == ["WARNING"]


def test_plan_tells_quorum_and_failures_after_each_step_and_warns_of_an_even_number() -> None:
    """In the order in which the parts would run."""
    result = looks(membership(2, 3, dry_run=True), nodes(0, 1, 2)).next(to.Finish).result
    warning, *lines = result.plan
    assert "2 voters survive no more failures than 1" in warning
    assert [line.split()[:2] for line in lines] == [["add", "node3"], ["remove", "node1"], ["remove", "node0"]]
    assert [line.rpartition(": ")[2] for line in lines] == [
        "4 voters then, quorum 3, 1 may fail",
        "3 voters then, quorum 2, 1 may fail",
        "2 voters then, quorum 2, 0 may fail",
    ]


@pytest.mark.parametrize("dead", [False, True])
def test_plan_says_which_member_a_new_one_of_the_same_name_replaces(*, dead: bool) -> None:
    """Also where the old one leaves first; a member that is added under a name of its own replaces nobody."""
    moved = "http://elsewhere:2380"
    view = cluster(node(0), down(B, peer_urls=(url(1),)) if dead else node(1), node(2))
    members = [(0, url(0)), (1, moved), (2, url(2)), (3, url(3))]
    change = begin(
        MembershipRequest(
            cluster="prod",
            members=tuple(DesiredMember(name=f"node{number}", peer_urls=(at,)) for number, at in members),
            dry_run=True,
        )
    )
    lines = looks(change, view).next(to.Finish).result.plan
    (replaces,) = (line for line in lines if line.startswith("add node1 "))
    assert replaces.startswith(
        f"add node1 ({moved}) as a learner, in place of node1 ({B}) at {url(1)}, and promote it when it is in sync: "
    )
    assert [line.split(":")[0] for line in lines if line.startswith("remove ")] == [f"remove node1 ({B})"]
    (added,) = (line for line in lines if line.startswith("add node3 "))
    assert "in place of" not in added


def test_fewer_voters_than_the_profile_allows_are_refused() -> None:
    """The number comes from the workers' configuration."""
    worker_info = WorkerInfo(search_attributes=True, min_voters=3)
    change = membership(0, 1)
    change.do(to.Observe, observed(nodes(0, 1, 2)).model_copy(update={"worker_info": worker_info}))
    failure = change.next(to.Fail).failure
    assert (failure.kind, failure.text.partition(":")[0]) == (FailureType.CHANGE_REFUSED, "TooFewVoters")


def test_replacement_by_a_member_that_is_there_is_a_removal_by_another_name() -> None:
    """So the profile's rule holds for it too; one that keeps the number of voters goes on."""
    worker_info = WorkerInfo(search_attributes=True, min_voters=3)

    def replaced(new: int, *there: int) -> Drive:
        view = nodes(*there, leader=B, term=8)
        return replacement("node0", new).do(to.Observe, observed(view).model_copy(update={"worker_info": worker_info}))

    failure = replaced(2, 0, 1, 2).next(to.Fail).failure
    assert (failure.kind, failure.text.partition(":")[0]) == (FailureType.CHANGE_REFUSED, "TooFewVoters")
    replaced(3, 0, 1, 2).turn().next(AddTarget)
    replaced(3, 0, 1, 2, 3).turn().next(to.RemoveTarget)
    replaced(2, 0, 1).turn().next(AddTarget)


def test_dead_and_learning_members_leave_first() -> None:
    """They cost or block, and nobody misses them."""
    view = cluster(node(0), node(1), down(C, peer_urls=(url(2),)), learner(3))
    change = looks(membership(0, 1), view).turn()
    assert change.next(to.RemoveTarget).ask.target_id == C
    left = view.only({A, B, D})
    change.result(report(StepOutcome.REMOVED, left, proposed=True))
    records(change, 2, joined=False)
    looks(change, left)
    assert change.next(to.RemoveTarget).ask.target_id == D


def test_never_more_than_one_voter_is_out_by_our_doing() -> None:
    """A voter that stays is down: the working one that is to leave is waited with."""
    view = cluster(node(0), node(1), down(C, peer_urls=(url(2),)))
    change = gives_turn_up(looks(membership(0, 2), view))
    assert change.next(to.Wait).summary.startswith("blocked: QuorumAtRisk, until ")


def test_member_that_moved_to_another_address_is_replaced() -> None:
    """The same name at other peer URLs is another member."""
    view = cluster(node(0), node(1), node(2, peer_urls=("http://before:2380",)))
    change = looks(membership(0, 1, 2), view).turn()
    assert change.next(AddTarget).ask.peer_urls == (url(2),)
    assert [t.member_id for t in change.state.whole.leaves] == [C] if change.state.whole else False


@pytest.mark.parametrize("members", [(), (("a", "http://a:1"), ("a", "http://b:1")), (("a", "http://a:1"),) * 2])
def test_list_without_members_or_with_one_twice_is_no_input(members: tuple[tuple[str, str], ...]) -> None:
    """It never reaches a cluster."""
    given = tuple({"name": name, "peer_urls": (url,)} for name, url in members)
    with pytest.raises(ValueError, match="members"):
        MembershipRequest.model_validate({"cluster": "prod", "members": given})


def test_unstarted_foreign_voter_that_is_not_wanted_leaves_first() -> None:
    """It counts and does not work."""
    ghost = member(E, name="", reachable=False, serves_reads=False, leader_id=None, term=0, raft_index=0)
    change = looks(membership(0, 1, 2), cluster(*nodes(0, 1, 2).members, ghost)).turn()
    assert change.next(to.RemoveTarget).ask.target_id == E


def test_member_that_got_its_vote_is_recorded_before_another_part_begins() -> None:
    """Left then, its part would never be gone on with: it blocks for a removed member that gives a list of its own."""
    before = cluster(down(A, peer_urls=(url(0),)), node(1, B), node(2, B), node(4, B))
    left = nodes(1, 2, 4, leader=B)
    change = records(removes(looks(membership(1, 2, 3), before).turn(), left, 0), 0, joined=False)
    waiting = cluster(*left.members, unstarted(3))
    looks(change, left).do(AddTarget, report(StepOutcome.ADDED, waiting, added_id=D, proposed=True))
    in_sync = cluster(*left.members, learner(3, B))
    gives_turn_up(change).do(AwaitSync, report(StepOutcome.IN_SYNC, in_sync), after=1.0).turn()
    after = nodes(1, 2, 3, 4, leader=B)
    change.do(PromoteTarget, report(StepOutcome.PROMOTED, after, added_id=D, proposed=True))
    runs = doubt("UnlistedMember", A)
    gives_turn_up(looks(change.result(after=change.next(to.Wait).seconds), after.model_copy(update={"doubts": runs})))
    looks_again(change, after)
    looks(change.result(after=change.next(to.Wait).seconds), after)
    records(change, 3, joined=True)
