"""Whom a name means where its member leaves and its node joins again while an operation begins."""

from __future__ import annotations

from etcd_handoff.activity_io import FindResourceResult, UpdateStatusResult
from etcd_handoff.contract import Outcome, StepOutcome
from etcd_handoff.doubts import ResourceClaim
from etcd_handoff.operation import commands as to
from tests.unit.builders import A, B, cluster, doubt, member
from tests.unit.test_removal_loop import WITHOUT_A, Drive, begin, report, step

NEW = "e1"
JOINED_AGAIN = cluster(member(NEW, B, term=8, name="node0"), *WITHOUT_A.members)
OF_FORMER = ResourceClaim(name="node0", member_id=A, joined="False")
OF_NEW = FindResourceResult(
    step=step("find_resource", StepOutcome.OBSERVED), name="node0", member_id=NEW, peer_address="10.0.0.9"
)


def looks_without_it(*claims: ResourceClaim, **changes: object) -> Drive:
    """A removal of node0 whose first look shows no node0, with what EtcdMembers said then."""
    view = WITHOUT_A.model_copy(update=changes)
    return begin().do(to.Observe, report(StepOutcome.OBSERVED, view, claims=claims))


def test_etcdmember_that_changes_after_the_look_does_not_change_who_is_meant() -> None:
    """It speaks of the new member by the time it is read alone; beside the look it spoke of the former one."""
    removal = looks_without_it(OF_FORMER).do(to.FindResource, OF_NEW)
    removal.do(to.Observe, report(StepOutcome.OBSERVED, JOINED_AGAIN))
    assert removal.state.target.member_id == A
    recorded = UpdateStatusResult(step=step("update_status", StepOutcome.RECORDED), recorded=True)
    assert removal.next(to.WriteStatus).ask.member_id == A
    result = removal.result(recorded).next(to.Finish).result
    assert result.outcome == Outcome.ALREADY_ABSENT
    assert [f"`etcd-handoff remove {NEW}`" in text for text in result.next_steps] == [True]


def test_member_that_only_another_clusters_list_lacked_is_the_one_that_is_meant() -> None:
    """Its EtcdMember speaks of it before and after."""
    now = ResourceClaim(name="node0", member_id=NEW, joined="True")
    removal = looks_without_it(now, doubts=doubt("MixedClusters")).do(to.FindResource, OF_NEW).do(to.Wait)
    removal.do(to.Observe, report(StepOutcome.OBSERVED, JOINED_AGAIN))
    removal.next(to.AskQueue)
    assert removal.state.target.member_id == NEW


def test_etcdmember_that_is_deleted_after_the_look_is_remembered() -> None:
    """What it said beside the look says who has left."""
    nobody = FindResourceResult(step=step("find_resource", StepOutcome.OBSERVED, "there is no such EtcdMember"))
    removal = looks_without_it(OF_FORMER).do(to.FindResource, nobody)
    removal.do(to.Observe, report(StepOutcome.OBSERVED, WITHOUT_A))
    assert removal.next(to.WriteStatus).ask.member_id == A


def test_member_that_joins_while_the_former_one_still_runs_is_not_meant() -> None:
    """No EtcdMember remembers the former one, and its process holds up the first decision until it ends."""
    runs_on = doubt("UnlistedMember", A, by_status_alone=True)
    nobody = FindResourceResult(step=step("find_resource", StepOutcome.OBSERVED, "there is no such EtcdMember"))
    for found in (nobody, OF_NEW):
        removal = looks_without_it(doubts=runs_on).do(to.FindResource, found)
        removal.do(to.Wait)
        removal.do(to.Observe, report(StepOutcome.OBSERVED, JOINED_AGAIN))
        failure = removal.next(to.Fail).failure
        assert failure.kind == "UnknownMember"
        assert f"member {NEW} has joined under that name since" in failure.text
