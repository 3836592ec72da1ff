"""What becomes of an addition that is cancelled: its own learner leaves again, and nobody else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from etcd_handoff import time_limits
from etcd_handoff.activity_io import ReleaseLockResult
from etcd_handoff.contract import Outcome, StepOutcome
from etcd_handoff.operation import commands as to
from etcd_handoff.operation.commands import AddTarget, StepFailure
from etcd_handoff.operation.learner import AwaitSync
from etcd_handoff.operation.learner_removal import RemoveLearner
from tests.unit.builders import D, step
from tests.unit.test_addition_loop import (
    THREE,
    UNSTARTED,
    VOTER,
    added,
    adding,
    begin,
    cancelled,
    ends_well,
    gives_turn_up,
    observed,
    promoted,
    works,
)
from tests.unit.test_removal_loop import Drive, report

if TYPE_CHECKING:
    from etcd_handoff.activity_io import StepResult


def test_cancelled_addition_takes_its_own_learner_out() -> None:
    """By its ID, after a fresh look, and only as a learner; the text says so."""
    addition = added()
    addition.next(AwaitSync)
    cancelled(addition).do(to.Observe, observed(UNSTARTED))
    ask = addition.next(RemoveLearner).ask
    assert (ask.target_id, ask.learner_only) == (D, True)
    addition.result(report(StepOutcome.REMOVED, THREE, proposed=True)).next(to.Cancel)
    assert addition.state.doing == f"cancelled before node3 had a vote; its learner {D} has been removed"


def test_own_learner_that_cannot_be_taken_out_is_named() -> None:
    """After some tries, each after a fresh look; an attempt whose worker sent no heartbeat in time is one too."""
    addition = added()
    addition.next(AwaitSync)
    cancelled(addition)
    for number in range(time_limits.OPERATION.learner_removal_attempts):
        addition.do(to.Observe, observed(UNSTARTED if number else None)).next(RemoveLearner if number else to.Wait)
        if number:
            failure = StepFailure("remove_member", "", "the worker sent no heartbeat in time")
            addition.result(failure if number % 2 else report(StepOutcome.LOCKED, UNSTARTED))
        if number and number < time_limits.OPERATION.learner_removal_attempts - 1:
            addition.next(to.Wait)
        if number < time_limits.OPERATION.learner_removal_attempts - 1:
            addition.result(after=time_limits.OPERATION.learner_removal_pause_seconds)
    addition.do(to.ReleaseLock, ReleaseLockResult(released=True)).next(to.Cancel)
    assert f"to remove it: `etcd-handoff remove {D} -c prod`" in addition.state.doing


@pytest.mark.parametrize(
    "lost",
    [
        report(StepOutcome.REPLAN, None, proposed=True),
        report(StepOutcome.REPLAN, UNSTARTED).model_copy(
            update={"step": step("remove_member", StepOutcome.REPLAN).model_copy(update={"attempts": 2})}
        ),
        StepFailure("remove_member", "", "the worker sent no heartbeat in time"),
    ],
)
def test_lock_of_an_attempt_whose_answer_was_lost_is_given_back(lost: StepResult | StepFailure) -> None:
    """The next look shows that the learner has left; nobody else would give the lock back."""
    addition = added()
    addition.next(AwaitSync)
    cancelled(addition).do(to.Observe, observed(UNSTARTED)).do(RemoveLearner, lost).next(to.Wait)
    addition.result(after=time_limits.OPERATION.learner_removal_pause_seconds).do(to.Observe, observed(THREE))
    addition.do(to.ReleaseLock, ReleaseLockResult(released=True)).next(to.Cancel)


@pytest.mark.parametrize(("acknowledged", "left"), [(True, False), (False, True)])
def test_lock_that_no_member_took_back_is_given_back_at_the_end(*, acknowledged: bool, left: bool) -> None:
    """The write after the removal is the one that gives the lock back."""
    addition = added()
    addition.next(AwaitSync)
    out = report(StepOutcome.REMOVED, THREE, proposed=True, writes_acknowledged=acknowledged)
    cancelled(addition).do(to.Observe, observed(UNSTARTED)).do(RemoveLearner, out)
    addition.next(to.ReleaseLock if left else to.Cancel)


def test_learner_that_got_its_vote_while_it_was_to_leave_stays() -> None:
    """The addition goes on as if nobody had cancelled it."""
    addition = added()
    addition.next(AwaitSync)
    cancelled(addition).do(to.Observe, observed(VOTER))
    assert ends_well(works(addition)).outcome == Outcome.ADDED
    addition = added()
    addition.next(AwaitSync)
    cancelled(addition).do(to.Observe, observed(UNSTARTED)).do(RemoveLearner, report(StepOutcome.REPLAN, VOTER))
    addition.next(to.Wait)
    addition.result(after=time_limits.OPERATION.learner_removal_pause_seconds).do(to.Observe, observed(VOTER))
    assert ends_well(works(addition)).outcome == Outcome.ADDED


def test_addition_that_is_cancelled_after_its_promotion_ends_soon_where_nobody_answers() -> None:
    """It says what is true; one that nobody has cancelled waits on."""
    for is_cancelled in (True, False):
        addition = promoted()
        addition.next(to.Wait)
        addition.state = addition.state.changed(cancel_requested=is_cancelled)
        gives_turn_up(addition.result(after=1.0).do(to.Observe, observed(None)))
        ends, kinds = addition.now + 2 * time_limits.OPERATION.cancelled_seconds, (to.Wait, to.Observe, to.Fail)
        command = addition.next(kinds)  # type: ignore[arg-type]  # one of these
        while not isinstance(command, to.Fail) and addition.now < ends:
            looked = isinstance(command, to.Observe)
            addition.result(observed(None) if looked else None, after=0.0 if looked else command.seconds)
            command = addition.next(kinds)  # type: ignore[arg-type]  # one of these
        assert isinstance(command, to.Fail) is is_cancelled
        if isinstance(command, to.Fail):
            assert f"waited {time_limits.OPERATION.cancelled_seconds:g} s" in command.failure.text
            assert f"node3 ({D}) has a vote, and was not seen to work with it" in command.failure.text


def refused_as_taken() -> Drive:
    """An addition that etcd has refused since somebody else has just added a learner with its peer URL."""
    addition = adding().do(AddTarget, report(StepOutcome.REFUSED_BY_ETCD, UNSTARTED))
    return gives_turn_up(addition)


SECOND_ATTEMPT = report(StepOutcome.REPLAN, UNSTARTED).model_copy(
    update={"step": step("add_learner", StepOutcome.REPLAN).model_copy(update={"attempts": 2})}
)


@pytest.mark.parametrize(
    "lost", [SECOND_ATTEMPT, StepFailure("add_learner", "", "the worker sent no heartbeat in time")]
)
def test_learner_that_somebody_else_may_have_added_stays(lost: StepResult | StepFailure) -> None:
    """An attempt died unheard, perhaps before it proposed anything, and a learner with the same peer URL is there."""
    addition = adding().do(AddTarget, lost)
    if isinstance(lost, StepFailure):
        addition.next(to.Wait)
        addition.result(after=1.0).do(to.Observe, observed(UNSTARTED))
    assert addition.state.target.member_id == D
    cancelled(addition).do(to.ReleaseLock, ReleaseLockResult(released=True)).next(to.Cancel)
    assert f"learner {D} stays in the cluster without a vote" in addition.state.doing


@pytest.mark.parametrize("whose", ["nobody's", "an earlier one's", "somebody else's"])
def test_cancelled_addition_leaves_what_it_has_not_added(whose: str) -> None:
    """The learner of an earlier addition, or of somebody who was faster, stays, and is named."""
    if whose == "nobody's":
        addition = begin(require_approval=True).do(to.Observe, observed(THREE))
        addition.next(to.Wait)
    elif whose == "an earlier one's":
        addition = gives_turn_up(begin().do(to.Observe, observed(UNSTARTED)))
        addition.next(AwaitSync)
    else:
        addition = refused_as_taken()
        addition.next(to.Wait)
    cancelled(addition).next(to.Cancel)
    assert addition.state.doing.startswith("cancelled before node3 had a vote")
    assert (f"`etcd-handoff remove {D} -c prod`" in addition.state.doing) is (whose != "nobody's")
