"""An operation that somebody holds: no further change begins, others have their turn, and it goes on where it was."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from etcd_handoff.activity_io import UpdateStatusResult
from etcd_handoff.contract import HandoffState, Pause, StepOutcome
from etcd_handoff.operation import commands as to
from etcd_handoff.operation import pause_resume
from etcd_handoff.operation.commands import Until
from etcd_handoff.operation.queue_messages import QueuePosition, TakeTurnResult
from tests.unit.builders import A, B, C, cluster, member, step
from tests.unit.test_addition_loop import VOTER, ends_well, observed, promoted, works
from tests.unit.test_removal_loop import LED_BY_A, LED_BY_B, OBSERVED_B, REMOVED, RISKY, Drive, begin, removing, report

if TYPE_CHECKING:
    from etcd_handoff.cluster_view import ClusterView

ANN = Pause(by="ann", reason="on a call")
GIVEN_UP = TakeTurnResult(turn=QueuePosition(granted=False))


def paused(drive: Drive) -> Drive:
    """Somebody has paused it, which may end what it waits for."""
    assert pause_resume.refusal(drive.state) == ""
    drive.state = drive.state.changed(paused=ANN)
    return drive


def resumed(drive: Drive) -> Drive:
    """Somebody has let it go on."""
    drive.state = drive.state.changed(paused=None)
    assert drive.state.is_over(Until.RESUME)
    return drive.result()


def held(drive: Drive) -> Drive:
    """It waits until somebody lets it go on, and no longer wants the turn."""
    wait = drive.next(to.Wait)
    assert (wait.until, wait.seconds) == (Until.RESUME, None)
    assert drive.state.handoff_state is HandoffState.PAUSED
    assert (drive.state.doing, drive.state.waiting_for) == (
        "paused by ann: on a call",
        "`etcd-handoff resume node0 -c prod`",
    )
    assert (drive.state.holds_turn, drive.state.wants_turn) == (False, False)
    return drive


def test_cancellation_ends_the_pause_of_an_addition_that_has_its_vote() -> None:
    """It only goes forward, so the cancellation interrupts no wait; yet it is to end."""
    addition = promoted()
    assert addition.next(to.Wait).until is Until.TIME
    paused(addition).result(after=1.0)
    assert addition.do(to.AskQueue, GIVEN_UP).next(to.Wait).until is Until.RESUME
    assert not addition.state.is_over(Until.RESUME)
    addition.state = addition.state.changed(cancel_requested=True)
    assert addition.state.is_over(Until.RESUME)
    ends_well(works(addition.result().do(to.Observe, observed(VOTER))))


def test_removal_with_the_turn_gives_it_up_and_removes_nobody() -> None:
    """It was about to be proposed; after the pause it looks again and waits for its turn again."""
    removal = paused(removing())
    ask = removal.next(to.AskQueue)
    assert not ask.waits
    held(removal.result(GIVEN_UP))
    look = resumed(removal).next(to.Observe)
    assert look.patient
    removal.result(OBSERVED_B).turn().do(to.RemoveTarget, REMOVED)


@pytest.mark.parametrize(("until", "view"), [(Until.RECHECK, RISKY), (Until.APPROVAL, LED_BY_B)])
def test_pause_ends_a_wait(until: Until, view: ClusterView) -> None:
    """Blocked, or waiting for an approval: it is shown as paused at once."""
    removal = begin(require_approval=until is Until.APPROVAL).do(to.Observe, report(StepOutcome.OBSERVED, view))
    if until is Until.RECHECK:
        removal.do(to.AskQueue, GIVEN_UP)
    assert removal.next(to.Wait).until is until
    assert not removal.state.is_over(until)
    assert paused(removal).state.is_over(until)
    removal.result()
    held(removal)


def test_queued_removal_leaves_the_queue() -> None:
    """Whoever is behind it does not wait for somebody's call to end."""
    removal = begin().do(to.Observe, OBSERVED_B).do(to.AskQueue, TakeTurnResult(turn=QueuePosition(granted=False)))
    assert removal.next(to.Wait).until is Until.TURN
    assert paused(removal).state.is_over(Until.TURN)
    removal.result().do(to.AskQueue, GIVEN_UP)
    held(removal)


def test_election_after_a_transfer_is_awaited_before_it_is_held() -> None:
    """The leadership that has moved is made sure of; the removal is not begun."""
    removal = begin().do(to.Observe, report(StepOutcome.OBSERVED, LED_BY_A)).turn()
    removal.next(to.TransferLeadership)
    paused(removal).result(report(StepOutcome.MOVED, None))
    removal.do(to.AwaitNewLeader, report(StepOutcome.ELECTED, LED_BY_B)).do(to.AskQueue, GIVEN_UP)
    held(removal)


def test_pause_costs_none_of_the_time_for_waiting() -> None:
    """A weekend on hold is no reason to fail on Monday."""
    removal = paused(removing()).do(to.AskQueue, GIVEN_UP)
    held(removal)
    before = removal.state.blocked_remaining_seconds
    removal.now += 200_000
    assert resumed(removal).state.blocked_remaining_seconds == before


def test_pause_is_handed_on_to_the_next_run() -> None:
    """A pause may outlast a history."""
    removal = paused(removing())
    again = type(removal.state).model_validate_json(removal.state.model_dump_json())
    assert again.paused == ANN


def test_past_the_point_of_no_return_it_cannot_be_paused() -> None:
    """It has been proposed; and a pause that came before is no reason to stop in the middle."""
    removal = removing()
    removal.next(to.RemoveTarget)
    assert "can no longer be paused" in pause_resume.refusal(removal.state)
    removal.state = removal.state.changed(paused=ANN)
    assert not removal.state.is_paused


def test_what_cannot_be_paused_is_said() -> None:
    """Twice, or a dry run."""
    assert pause_resume.refusal(paused(begin()).state) == "the removal is paused already"
    assert "nothing to pause" in pause_resume.refusal(begin(dry_run=True).state)


def test_cancelled_while_it_is_held() -> None:
    """It is not held against its end."""
    removal = paused(removing())
    removal.state = removal.state.changed(cancel_requested=True)
    assert not removal.state.is_paused


def test_held_removal_of_a_member_that_left_meanwhile_ends_well() -> None:
    """Somebody else has removed it."""
    removal = held(paused(removing()).do(to.AskQueue, GIVEN_UP))
    without = cluster(member(B, B, term=8), member(C, B, term=8))
    resumed(removal).do(to.Observe, report(StepOutcome.OBSERVED, without))
    assert A not in {m.id for m in without.members}
    removal.next(to.WriteStatus)


def answer(command: object, drive: Drive, *, led_by_target: bool) -> object:
    """What each step of a removal comes to when nothing goes wrong; leadership moves when it is asked to."""
    moved = "AwaitNewLeader" in drive.taken
    granted = isinstance(command, to.AskQueue) and command.waits
    turn = QueuePosition(granted=granted, chain_id="chain", request=drive.state.turn_request)
    recorded = UpdateStatusResult(step=step("update_status", StepOutcome.RECORDED), recorded=True)
    answers: dict[type, object] = {
        to.Observe: report(StepOutcome.OBSERVED, LED_BY_A if led_by_target and not moved else LED_BY_B),
        to.AskQueue: TakeTurnResult(turn=turn),
        to.TransferLeadership: report(StepOutcome.MOVED, None),
        to.AwaitNewLeader: report(StepOutcome.ELECTED, LED_BY_B),
        to.RemoveTarget: REMOVED,
        to.WriteStatus: recorded,
    }
    return answers.get(type(command))


@pytest.mark.parametrize("led_by_target", [True, False], ids=["leader", "follower"])
@pytest.mark.parametrize("moment", range(6))
def test_paused_at_any_moment_it_proposes_nothing_until_it_is_resumed(moment: int, *, led_by_target: bool) -> None:
    """While any of its steps runs: it stops before the proposal, and ends well afterwards; or it was too late."""
    removal, resumed_at = begin(), 0
    for number in range(40):
        command = removal.next(object)
        if isinstance(command, to.Finish):
            break
        if number == moment and not pause_resume.refusal(removal.state):
            removal.state = removal.state.changed(paused=ANN)
        if isinstance(command, to.Wait):
            assert command.until is Until.RESUME
            assert "RemoveTarget" not in removal.taken
            removal.state, resumed_at = removal.state.changed(paused=None), number
        removal.result(answer(command, removal, led_by_target=led_by_target))
    assert isinstance(command, to.Finish)
    assert removal.taken.count("RemoveTarget") == 1
    too_late = "RemoveTarget" in removal.taken[: moment + 1]
    assert bool(resumed_at) != too_late
