"""What a watcher is asked, what it tells, and what it takes along."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from etcd_handoff import time_limits
from etcd_handoff.cluster_view import Doubt
from etcd_handoff.doubts import Binding
from etcd_handoff.reconciler.member_resources import WatchMembersResult
from etcd_handoff.reconciler.pauses import back_off, retry_after
from etcd_handoff.reconciler.state import (
    LeaveOrder,
    ReconcileEtcdMembersRequest,
    ReconcilerState,
    RemovalRetry,
    ResyncRequest,
    RunningRemoval,
    watcher_id,
)
from tests.unit.builders import resource


def test_workflow_id_of_the_watcher_is_the_contract() -> None:
    """Scripts find it by this."""
    assert watcher_id("prod") == "etcd-watch/prod"


def test_pause_grows_and_has_a_cap() -> None:
    """From 15 s it doubles up to 10 minutes, and never fails, however often it has failed."""
    pauses = [retry_after(failures) for failures in range(1, 5_000)]
    assert pauses[:7] == [15, 30, 60, 120, 240, 480, 600]
    assert pauses[0] == time_limits.WATCHER.first_retry_seconds
    assert set(pauses[6:]) == {time_limits.WATCHER.longest_retry_seconds}


def test_rounds_that_could_not_be_done_are_repeated_less_and_less_often() -> None:
    """After 1 s, 2 s, ... at most a minute, however long it lasts."""
    pauses = [back_off(setbacks) for setbacks in range(1, 5_000)]
    assert pauses[:7] == [1, 2, 4, 8, 16, 32, 60]
    assert set(pauses[6:]) == {60}


def test_message_alone_is_no_news() -> None:
    """Orders, identity and Joined are; whether the API serves EtcdMembers is too."""
    seen = WatchMembersResult(resources=(resource("node1", "1"),))
    assert seen.digest == WatchMembersResult(resources=(resource("node1", "1"),)).digest
    assert seen.digest != WatchMembersResult(installed=False, resources=seen.resources).digest
    assert seen.digest != WatchMembersResult(resources=(*seen.resources, resource("node2", "2"))).digest
    changes: list[dict[str, object]] = [
        {"uid": "x"},
        {"generation": 2},
        {"leave": False},
        {"member_id": "2"},
        {"joined": "False"},
    ]
    for change in changes:
        assert seen.digest != WatchMembersResult(resources=(resource("node1", "1").model_copy(update=change),)).digest


def test_word_about_the_member_is_who_it_is_and_whether_it_is_in() -> None:
    """A change of the order leaves it the same; another resource, member, condition or transition does not."""
    one = resource("node1", "1")
    same: list[dict[str, object]] = [{"generation": 2}, {"leave": False}, {"leave_since": "2026"}]
    others: list[dict[str, object]] = [{"uid": "x"}, {"member_id": "2"}, {"joined": "False"}, {"joined_since": "2026"}]
    assert {one.model_copy(update=change).status_digest for change in same} == {one.status_digest}
    assert len({one.status_digest, *(one.model_copy(update=change).status_digest for change in others)}) == 5


def test_misspelt_field_of_the_input_is_an_error() -> None:
    """What people write is checked; what an older run carries is not."""
    with pytest.raises(ValidationError):
        ReconcileEtcdMembersRequest.model_validate({"cluster": "prod", "resync_second": 60})
    with pytest.raises(ValidationError):
        ResyncRequest.model_validate({"confirmed": True})
    assert (
        ReconcileEtcdMembersRequest.model_validate_json('{"cluster": "prod", "state": {"newer": 1}}').state
        == ReconcilerState()
    )


def test_everything_that_a_watcher_knows_survives_its_next_run() -> None:
    """Binding, doubt, orders, retries, removals under way, and what is told."""
    lasting = Doubt(kind="ClusterRestored", text="t", remedy="r", lasting=True)
    removal = RunningRemoval(
        uid="u", resource="node1", generation=2, member_id="a1", label="node1", workflow_id="w", joined=True
    )
    state = ReconcilerState(
        binding=Binding(cluster_id="cafe", term=7, raft_index=99),
        doubt=lasting,
        restored=lasting,
        confirmed=lasting,
        orders={"u": LeaveOrder(uid="u", generation=2, member_id="a1", status_digest="d")},
        annotated={"u": LeaveOrder(uid="u", generation=2, member_id="a1", annotation="true")},
        retries={"u": RemovalRetry(uid="u", generation=2, failures=3, at_seconds=17.5)},
        running={"u": removal},
        removed={"a0": 3},
        listed=("a1",),
        left=("a0",),
        looks=4,
        far_nodes=("node1",),
        repairs=("node0: created",),
        trouble="t",
        failed_rounds=4,
    )
    blank = ReconcilerState()
    assert all(getattr(state, name) != getattr(blank, name) for name in ReconcilerState.model_fields), (
        "a field is not tested"
    )
    request = ReconcileEtcdMembersRequest(cluster="prod", state=state)
    assert ReconcileEtcdMembersRequest.model_validate_json(request.model_dump_json()) == request
