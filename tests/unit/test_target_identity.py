"""Whom a name means where its member leaves and its node joins again while an operation begins."""

from __future__ import annotations

from typing import Any

import pytest

from etcd_handoff.activity_io import FindResourceResult, UpdateStatusResult
from etcd_handoff.contract import Outcome, StepOutcome
from etcd_handoff.doubts import Binding, ResourceClaim
from etcd_handoff.operation import commands as to
from etcd_handoff.planning import Reason
from tests.unit.builders import CLUSTER, A, B, cluster, doubt, member, step
from tests.unit.test_removal_loop import LED_BY_B, WITHOUT_A, Drive, begin, report

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
    """It describes the new member by the time it is read alone; beside the look it described the former one."""
    removal = looks_without_it(OF_FORMER).do(to.FindResource, OF_NEW)
    removal.do(to.Observe, report(StepOutcome.OBSERVED, JOINED_AGAIN))
    assert removal.state.target.member_id == A
    recorded = UpdateStatusResult(step=step("update_status", StepOutcome.RECORDED), recorded=True)
    assert removal.next(to.WriteStatus).ask.member_id == A
    result = removal.result(recorded).next(to.Finish).result
    assert result.outcome == Outcome.ALREADY_ABSENT
    assert [f"`etcd-handoff remove {NEW} -c prod`" in text for text in result.next_steps] == [True]


def test_member_that_only_another_clusters_list_lacked_is_the_one_that_is_meant() -> None:
    """Its EtcdMember describes it before and after."""
    now = ResourceClaim(name="node0", member_id=NEW, joined="True")
    removal = looks_without_it(now, doubts=doubt("MixedClusters")).do(to.FindResource, OF_NEW).do(to.Wait)
    removal.do(to.Observe, report(StepOutcome.OBSERVED, JOINED_AGAIN))
    removal.next(to.AskQueue)
    assert removal.state.target.member_id == NEW


def test_etcdmember_that_was_not_read_with_the_list_is_of_nobody_in_it() -> None:
    """A node that has become its own cluster lists itself, and its EtcdMembers agree; ours is of another worker."""
    ours = step("find_resource", StepOutcome.OBSERVED)
    found = FindResourceResult(step=ours, name="node0", member_id=A, peer_address="10.0.0.1", joined="True")
    foreign = ResourceClaim(name="node1", member_id=B, joined="True")
    removal = looks_without_it(foreign, cluster_id="beef").do(to.FindResource, found).do(to.Wait)
    assert removal.state.pinned is None
    assert "ResourcesDisagree: EtcdMember node0 exists" in removal.state.doing
    removal.do(to.Observe, report(StepOutcome.OBSERVED, LED_BY_B, claims=(foreign,)))
    removal.next(to.AskQueue)
    assert removal.state.target.present


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


ONE_ENDPOINT = LED_BY_B.model_copy(update={"endpoints": 3, "answering": 1})
"""What a worker sees that is cut off from all endpoints but one."""


def lone_look(**fields: object) -> Any:
    """A look without a majority of the endpoints; EtcdMembers could not be read, but for `fields`."""
    return report(StepOutcome.OBSERVED, ONE_ENDPOINT, **fields)


@pytest.mark.parametrize("dry_run", [False, True])
def test_nothing_is_pinned_where_only_unread_etcdmembers_could_show_which_cluster_it_is(*, dry_run: bool) -> None:
    """One look more gives them longer; then it is blocked, as `node0` may be another cluster's."""
    removal = begin(dry_run=dry_run).do(to.Observe, lone_look())
    second = removal.next(to.Observe)
    assert second.ask.patient_claims
    removal.result(lone_look())
    if dry_run:
        assert "WrongCluster" in str(removal.next(to.Finish).result)
    else:
        removal.next(to.Wait)
        assert removal.state.blocked is not None
        assert removal.state.blocked.reason == Reason.WRONG_CLUSTER
    assert removal.state.pinned is None


def test_slow_api_server_holds_nothing_up_for_longer_than_a_look() -> None:
    """The second look has the EtcdMembers."""
    claims = (ResourceClaim(name="node0", member_id=A, joined="True"),)
    removal = begin().do(to.Observe, lone_look()).do(to.Observe, lone_look(claims=claims))
    removal.next(to.AskQueue)
    assert removal.state.target.member_id == A


@pytest.mark.parametrize("known", ["endpoints", "profile", "binding", "no kubernetes"])
def test_unread_etcdmembers_hold_nothing_up_where_the_cluster_is_known_otherwise(known: str) -> None:
    """Most endpoints answer, the profile or who started it says which cluster, or there are no EtcdMembers."""
    view = LED_BY_B.model_copy(update={"endpoints": 3, "answering": 2}) if known == "endpoints" else ONE_ENDPOINT
    worker_info = {"profile": {"cluster_id": CLUSTER}, "no kubernetes": {"kubernetes": False}}.get(known, {})
    removal = begin()
    if known == "binding":
        removal.state = removal.state.changed(binding=Binding(cluster_id=CLUSTER))
    removal.do(to.Observe, report(StepOutcome.OBSERVED, view, worker_info=worker_info)).next(to.AskQueue)
    assert removal.state.target.member_id == A
