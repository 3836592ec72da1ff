"""What a watcher is asked, what it tells, and what it takes along."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from etcd_handoff.belief import Binding
from etcd_handoff.leave_requests import (
    FIRST_RETRY_SECONDS,
    LONGEST_RETRY_SECONDS,
    Asked,
    LeaveOrder,
    ResyncRequest,
    Retry,
    RunningRemoval,
    Seen,
    WatchRequest,
    WatchState,
    back_off,
    retry_after,
    watch_id,
)
from etcd_handoff.view import Doubt


def asked(name: str, member_id: str = "", **fields: object) -> Asked:
    """An EtcdMember as an order."""
    usual = {"uid": f"uid-{name}", "generation": 1, "leave": True}
    return Asked.model_validate({"name": name, "member_id": member_id, **usual, **fields})


def test_workflow_id_of_the_watcher_is_the_contract() -> None:
    """Scripts find it by this."""
    assert watch_id("prod") == "etcd-watch/prod"


def test_pause_grows_and_has_a_cap() -> None:
    """From 15 s it doubles up to 10 minutes, and never fails, however often it has failed."""
    pauses = [retry_after(failures) for failures in range(1, 5_000)]
    assert pauses[:7] == [15, 30, 60, 120, 240, 480, 600]
    assert pauses[0] == FIRST_RETRY_SECONDS
    assert set(pauses[6:]) == {LONGEST_RETRY_SECONDS}


def test_rounds_that_could_not_be_done_are_repeated_less_and_less_often() -> None:
    """After 1 s, 2 s, ... at most a minute, however long it lasts."""
    pauses = [back_off(setbacks) for setbacks in range(1, 5_000)]
    assert pauses[:7] == [1, 2, 4, 8, 16, 32, 60]
    assert set(pauses[6:]) == {60}


def test_message_alone_is_no_news() -> None:
    """Orders, identity and Joined are; whether the API serves EtcdMembers is too."""
    seen = Seen(members=(asked("node1", "1"),))
    assert seen.digest == Seen(members=(asked("node1", "1"),)).digest
    assert seen.digest != Seen(installed=False, members=seen.members).digest
    assert seen.digest != Seen(members=(*seen.members, asked("node2", "2"))).digest
    changes: list[dict[str, object]] = [
        {"uid": "x"},
        {"generation": 2},
        {"leave": False},
        {"member_id": "2"},
        {"joined": "False"},
    ]
    for change in changes:
        assert seen.digest != Seen(members=(asked("node1", "1").model_copy(update=change),)).digest


def test_word_about_the_member_is_who_it_is_and_whether_it_is_in() -> None:
    """A change of the order leaves it the same; another resource, member, condition or transition does not."""
    one = asked("node1", "1")
    same: list[dict[str, object]] = [{"generation": 2}, {"leave": False}, {"leave_since": "2026"}]
    others: list[dict[str, object]] = [{"uid": "x"}, {"member_id": "2"}, {"joined": "False"}, {"since": "2026"}]
    assert {one.model_copy(update=change).digest for change in same} == {one.digest}
    assert len({one.digest, *(one.model_copy(update=change).digest for change in others)}) == 5


def test_misspelt_field_of_the_input_is_an_error() -> None:
    """What people write is checked; what an older run carries is not."""
    with pytest.raises(ValidationError):
        WatchRequest.model_validate({"cluster": "prod", "resync_second": 60})
    with pytest.raises(ValidationError):
        ResyncRequest.model_validate({"confirmed": True})
    assert WatchRequest.model_validate_json('{"cluster": "prod", "state": {"newer": 1}}').state == WatchState()


def test_everything_that_a_watcher_knows_survives_its_next_run() -> None:
    """Binding, doubt, orders, retries, removals under way, and what is told."""
    state = WatchState(
        binding=Binding(cluster_id="cafe", term=7, raft_index=99),
        lasting=Doubt(kind="ClusterRestored", text="t", remedy="r", lasting=True),
        orders=(LeaveOrder(uid="u", generation=2, member_id="a1", said="d"),),
        retries=(Retry(uid="u", generation=2, failures=3, at_seconds=17.5),),
        running=(
            RunningRemoval(
                uid="u", resource="node1", generation=2, member_id="a1", label="node1", workflow_id="w", joined=True
            ),
        ),
        removed=("a0",),
        repaired=("node0: created",),
        trouble="t",
        setbacks=4,
    )
    blank = WatchState()
    assert all(getattr(state, name) != getattr(blank, name) for name in WatchState.model_fields), (
        "a field is not tested"
    )
    request = WatchRequest(cluster="prod", state=state)
    assert WatchRequest.model_validate_json(request.model_dump_json()) == request
