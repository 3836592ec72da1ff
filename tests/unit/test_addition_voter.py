"""The end of an addition: a member that has its vote counts as added only once it works with it."""

from __future__ import annotations

from etcd_handoff import time_limits
from etcd_handoff.contract import FailureType, Outcome, Pause
from etcd_handoff.operation import commands as to
from tests.unit.builders import D
from tests.unit.test_addition_loop import VOTER, begin, cancelled, ends_well, gives_turn_up, observed, promoted, with_it


def test_voter_that_does_not_work_is_not_present_already() -> None:
    """A first start may have promoted it and failed then: the second one ends no better before it works."""
    dead = with_it(is_learner=False, reachable=False)
    addition = gives_turn_up(begin().do(to.Observe, observed(dead)))
    assert "NotVerified" in addition.next(to.Wait).summary
    addition.result(after=1.0).do(to.Observe, observed(VOTER))
    assert ends_well(addition).outcome == Outcome.ALREADY_PRESENT


def test_voter_that_never_works_is_no_success_of_a_second_start() -> None:
    """It fails, and says nothing of a learner: nothing was changed. Nor does a cancellation."""
    dead = with_it(is_learner=False, reachable=False)
    addition = gives_turn_up(begin().do(to.Observe, observed(dead)))
    addition.next(to.Wait)
    addition.result(after=3600.0).do(to.Observe, observed(dead))
    failure = addition.next(to.Fail).failure
    assert failure.kind == FailureType.BLOCKED_TOO_LONG
    assert "learner" not in failure.text
    other = gives_turn_up(begin().do(to.Observe, observed(dead)))
    other.next(to.Wait)
    cancelled(other).next(to.Cancel)
    assert other.state.doing == "cancelled: node3 was a voter already, and nothing was changed"


def test_new_voter_that_does_not_work_is_told_before_anything_is_recorded() -> None:
    """It counts for the quorum; its time begins anew once it works."""
    addition = promoted()
    addition.next(to.Wait)
    silent = with_it(is_learner=False, serves_reads=False, note="connection refused", reachable=False)
    addition.result(after=2.0).do(to.Observe, observed(silent))
    gives_turn_up(addition)
    assert addition.next(to.Wait).summary.startswith("blocked: NotVerified, until ")
    assert f"`etcd-handoff remove {D} -c prod`" in addition.state.waiting_for
    addition.result(after=1.0).do(to.Observe, observed(VOTER))
    assert addition.next(to.Wait).seconds == time_limits.OPERATION.connected_seconds
    addition.result(after=time_limits.OPERATION.connected_seconds).do(to.Observe, observed(VOTER))
    assert ends_well(addition).outcome == Outcome.ADDED


def test_new_voter_that_never_works_ends_the_addition_unrecorded() -> None:
    """The failure says what it is and how to remove it."""
    addition = promoted()
    addition.next(to.Wait)
    silent = with_it(is_learner=False, serves_reads=False, reachable=False)
    addition.result(after=2.0).do(to.Observe, observed(silent))
    gives_turn_up(addition).next(to.Wait)
    addition.result(after=3600.0).do(to.Observe, observed(silent))
    failure = addition.next(to.Fail).failure
    assert failure.kind == FailureType.BLOCKED_TOO_LONG
    assert "has a vote, and was not seen to work with it" in failure.text


def test_new_voter_works_without_a_break_before_the_addition_ends() -> None:
    """A look that shows nothing is one: it may have been down all the time since the look before."""
    addition = promoted()
    wait = addition.next(to.Wait)
    gives_turn_up(addition.result(after=wait.seconds).do(to.Observe, observed(None)))
    addition.next(to.Wait)
    addition.result(after=wait.seconds).do(to.Observe, observed(VOTER))
    assert addition.next(to.Wait).seconds == wait.seconds


def test_new_voter_is_watched_anew_after_a_pause() -> None:
    """Nobody has looked at it meanwhile."""
    addition = promoted()
    wait = addition.next(to.Wait)
    addition.state = addition.state.changed(paused=Pause(by="ann"))
    addition.result(after=wait.seconds)
    gives_turn_up(addition).next(to.Wait)
    addition.state = addition.state.changed(paused=None)
    addition.result(after=1.0).do(to.Observe, observed(VOTER))
    assert addition.next(to.Wait).seconds == wait.seconds


def test_cancelled_after_the_promotion_it_rolls_forward() -> None:
    """What has a vote is not removed by a cancellation; one that does not work ends it at once."""
    addition = promoted()
    addition.next(to.Wait)
    addition.state = addition.state.changed(cancel_requested=True)
    addition.result(after=time_limits.OPERATION.connected_seconds).do(to.Observe, observed(VOTER))
    assert ends_well(addition).outcome == Outcome.ADDED
    addition = promoted()
    addition.next(to.Wait)
    addition.state = addition.state.changed(cancel_requested=True)
    addition.result(after=1.0).do(to.Observe, observed(with_it(is_learner=False, serves_reads=False)))
    assert "has a vote" in addition.next(to.Fail).failure.text
