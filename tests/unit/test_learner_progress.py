"""When a learner that is waited for makes progress, and when it stalls."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from etcd_handoff.contract import StepOutcome
from etcd_handoff.operation import commands as to
from etcd_handoff.operation.learner import AwaitSync
from etcd_handoff.planning import CAUGHT_UP_ENTRIES
from tests.unit.builders import INDEX, D, cluster
from tests.unit.test_addition_loop import IN_SYNC, LAGS, OTHERS, UNSTARTED, added, gives_turn_up, looks_again, with_it
from tests.unit.test_removal_loop import report

if TYPE_CHECKING:
    from etcd_handoff.cluster_view import ClusterView


def test_learner_that_lags_is_waited_for() -> None:
    """It is never promoted before it has caught up; as long as it makes progress that blocks nothing."""
    addition = looks_again(added(), LAGS)
    assert addition.next(AwaitSync).ask.waits_for == "LearnerLags"
    assert (addition.shown(), addition.state.blocked_remaining_seconds) == ("Syncing", 3600 - 1.0)
    addition.result(report(StepOutcome.NOT_IN_SYNC, with_it(raft_index=INDEX // 2 + 1)), after=30.0)
    addition.next(AwaitSync)
    assert addition.shown() == "Syncing"
    assert addition.state.blocked_remaining_seconds > 3600 - 1.1


@pytest.mark.parametrize(("view", "says"), [(LAGS, "LearnerLags, learner"), (UNSTARTED, "has not started")])
def test_learner_without_progress_is_a_reason_of_its_own(view: ClusterView, says: str) -> None:
    """Also one that is not started; it counts as blocked, and ends as that when it lasts."""
    addition = looks_again(added(progress_timeout_seconds=60, blocked_timeout_seconds=100), view)
    assert addition.next(AwaitSync).ask.seconds <= 60
    addition.result(report(StepOutcome.NOT_IN_SYNC, view), after=61.0)
    addition.next(AwaitSync)
    assert addition.shown() == "Blocked"
    assert addition.state.doing.startswith("LearnerStalls: no progress for more than 60 s")
    assert says in addition.state.doing
    left = addition.state.blocked_remaining_seconds
    addition.result(report(StepOutcome.NOT_IN_SYNC, view), after=left)
    assert addition.next(to.Fail).failure.text.startswith("LearnerStalls: ")


def test_learner_that_falls_behind_while_its_index_grows_makes_no_progress() -> None:
    """It would be waited for without an end otherwise, and no other member could be added."""
    addition = looks_again(added(progress_timeout_seconds=60), LAGS)
    for number in (1, 2, 3):
        others = [m.model_copy(update={"raft_index": INDEX + 1000 * number}) for m in OTHERS]
        slow = with_it(raft_index=INDEX // 2 + number)
        view = cluster(*others, *(m for m in slow.members if m.id == D))
        addition.next(AwaitSync)
        addition.result(report(StepOutcome.NOT_IN_SYNC, view), after=25.0)
    addition.next(AwaitSync)
    assert addition.shown() == "Blocked"
    assert addition.state.doing.startswith("LearnerStalls: ")


def test_learner_whose_lag_only_goes_up_and_down_makes_no_progress() -> None:
    """Snapshots bring it nearer again and again, and never near enough."""
    addition = looks_again(added(progress_timeout_seconds=60), LAGS)
    for index in (INDEX // 2 - 20_000, INDEX // 2 - 10_000, INDEX // 2, INDEX // 2 - 20_000):
        addition.next(AwaitSync)
        addition.result(report(StepOutcome.NOT_IN_SYNC, with_it(raft_index=index)), after=25.0)
    addition.next(AwaitSync)
    assert addition.state.doing.startswith("LearnerStalls: ")


@pytest.mark.parametrize("between", ["in sync", "silent"])
def test_learner_that_catches_up_again_makes_progress(between: str) -> None:
    """It was near while its addition waited for something else; or only every second look reaches it."""
    addition = looks_again(added(progress_timeout_seconds=60), IN_SYNC if between == "in sync" else LAGS)
    if between == "in sync":
        addition.turn().do(AwaitSync, report(StepOutcome.NOT_IN_SYNC, with_it(raft_index=INDEX // 4)), after=700.0)
        gives_turn_up(addition)
    for number in (1, 2, 3, 4):
        looks_again(addition, with_it(raft_index=INDEX // 2 + number))
        addition.next(AwaitSync)
        assert addition.shown() == "Syncing"
        addition.result(report(StepOutcome.NOT_IN_SYNC, with_it(reachable=False)), after=25.0)


def test_learner_that_was_down_is_measured_from_where_it_comes_back() -> None:
    """It had nearly caught up before, and has far to go now."""
    addition = looks_again(added(progress_timeout_seconds=60), with_it(raft_index=INDEX - CAUGHT_UP_ENTRIES - 100))
    looks_again(addition, with_it(reachable=False))
    ahead = [m.model_copy(update={"raft_index": INDEX + 300_000}) for m in OTHERS]
    for number in (1, 2, 3, 4):
        slow = with_it(raft_index=INDEX + 20_000 * number)
        view = cluster(*ahead, *(m for m in slow.members if m.id == D))
        addition.next(AwaitSync)
        addition.result(report(StepOutcome.NOT_IN_SYNC, view), after=25.0)
        assert addition.next(AwaitSync)
        assert addition.shown() == "Syncing"


def test_progress_ends_the_stall() -> None:
    """One entry less that it lags is enough."""
    addition = looks_again(added(progress_timeout_seconds=60), LAGS)
    looks_again(addition, LAGS, after=61.0)
    assert addition.next(AwaitSync).ask.waits_for == "LearnerLags"
    assert addition.shown() == "Blocked"
    addition.result(report(StepOutcome.NOT_IN_SYNC, with_it(raft_index=INDEX // 2 + 1)), after=1.0)
    addition.next(AwaitSync)
    assert addition.shown() == "Syncing"
