"""An operation and the clock: it waits for its window before the first change, and finishes what is half done."""

from __future__ import annotations

from typing import Any

import pytest

from etcd_handoff.activity_io import Target, WorkerInfo
from etcd_handoff.change_windows import ChangeWindow, seconds_of
from etcd_handoff.contract import (
    AdditionRequest,
    FailureType,
    HandoffState,
    Outcome,
    PartResult,
    Pause,
    RemovalRequest,
    ReplacementRequest,
    StepOutcome,
)
from etcd_handoff.operation import commands as to
from etcd_handoff.operation import membership, schedule
from etcd_handoff.operation.commands import Until
from etcd_handoff.operation.phases import LookDue
from etcd_handoff.operation.queue_messages import QueuePosition, TakeTurnResult
from etcd_handoff.operation.state import OperationState
from etcd_handoff.operation.whole_change import Part, WholeChange
from tests.unit.builders import A, B, C, D, cluster, down, member
from tests.unit.test_removal_loop import LED_BY_A, LED_BY_B, REMOVED, RISKY, Drive, begin, report

NIGHTS = ChangeWindow(days=(5, 6), begins=60, ends=300)
"""Saturday and Sunday, 01:00 to 05:00."""
WORKER_INFO: dict[str, Any] = {"change_windows": (NIGHTS,), "time_zone": "Europe/Berlin"}
THURSDAY = seconds_of("2026-11-26T12:00:00+01:00")
SATURDAY = seconds_of("2026-11-28T01:00:00+01:00")
SATURDAYS_END = seconds_of("2026-11-28T05:00:00+01:00")
OPENS = "Sat 2026-11-28T01:00:00+01:00 (Europe/Berlin)"
FOLLOWER = report(StepOutcome.OBSERVED, LED_BY_B, worker_info=WORKER_INFO)
LEADER = report(StepOutcome.OBSERVED, LED_BY_A, worker_info=WORKER_INFO)


def at(now: float, **options: Any) -> Drive:
    """A removal that begins now."""
    drive = begin(**options)
    drive.now = now
    return drive


def given_up(drive: Drive) -> Drive:
    """It tells the queue that it wants no turn."""
    command = drive.next(to.AskQueue)
    assert not command.waits
    position = QueuePosition(granted=False, chain_id="chain", request=drive.state.turn_request)
    return drive.result(TakeTurnResult(turn=position))


def test_waits_for_the_window_by_one_timer_and_then_goes_on() -> None:
    """It says when, exactly; the wait costs none of its time, and it looks again before the change."""
    drive = given_up(at(THURSDAY).do(to.Observe, FOLLOWER))
    wait = drive.next(to.Wait)
    assert (wait.until, drive.now + wait.seconds) == (Until.WINDOW, SATURDAY)
    assert drive.shown() == HandoffState.AWAITING_WINDOW
    assert (drive.state.doing, drive.state.waiting_for) == (
        f"no change window is open: it goes on at {OPENS}",
        f"it is {OPENS}",
    )
    left = drive.state.blocked_remaining_seconds
    drive.result(after=SATURDAY - THURSDAY).do(to.Observe, FOLLOWER).turn()
    assert drive.state.blocked_remaining_seconds == left
    drive.next(to.RemoveTarget)


def test_within_a_window_nothing_is_waited_for() -> None:
    """Saturday, half past one."""
    at(SATURDAY + 1800).do(to.Observe, FOLLOWER).turn().next(to.RemoveTarget)


def test_recheck_looks_and_waits_on() -> None:
    """The window is as closed as before."""
    drive = given_up(at(THURSDAY).do(to.Observe, FOLLOWER))
    drive.next(to.Wait)
    drive.state = drive.state.changed(recheck=True)
    assert drive.state.is_over(Until.WINDOW)
    drive.result(after=60).do(to.Observe, FOLLOWER)
    assert drive.now + drive.next(to.Wait).seconds == SATURDAY
    assert not drive.state.recheck


def test_pause_holds_it_beyond_the_opening() -> None:
    """Who pauses it decides when it goes on."""
    drive = given_up(at(THURSDAY).do(to.Observe, FOLLOWER))
    drive.next(to.Wait)
    drive.state = drive.state.changed(paused=Pause(by="ann"))
    drive.result(after=1)
    assert drive.next(to.Wait).until is Until.RESUME


def test_window_that_closes_in_the_queue_gives_the_place_up() -> None:
    """It got its turn a minute too late."""
    drive = at(SATURDAYS_END - 60).do(to.Observe, FOLLOWER)
    drive.next(to.AskQueue)
    request = drive.state.turn_request
    drive.result(TakeTurnResult(turn=QueuePosition(granted=False, chain_id="chain", request=request, behind=("x",))))
    drive.next(to.Wait)
    drive.state = drive.state.changed(holds_turn=True, turn_news=True)
    drive = given_up(drive.result(after=120).do(to.Observe, FOLLOWER))
    assert drive.next(to.Wait).until is Until.WINDOW
    assert not drive.state.holds_turn


def test_hashes_from_before_the_window_closed_count_no_more() -> None:
    """The snapshot was still to come, and members have written for days since."""
    drive = at(SATURDAYS_END - 10, hash_check=True, snapshot=True).do(to.Observe, FOLLOWER).turn()
    drive.do(to.CheckHash, report(StepOutcome.CONSISTENT, None), after=20.0)
    wait = given_up(drive).next(to.Wait)
    drive.result(after=wait.seconds).do(to.Observe, FOLLOWER).turn().next(to.CheckHash)


def test_window_that_closes_after_the_transfer_stops_nothing() -> None:
    """Leadership has just moved: the removal follows at once, whatever the clock shows."""
    drive = at(SATURDAYS_END - 1).do(to.Observe, LEADER).turn()
    drive.do(to.TransferLeadership, report(StepOutcome.MOVED, None), after=2)
    drive.do(to.AwaitNewLeader, report(StepOutcome.ELECTED, LED_BY_B)).next(to.RemoveTarget)


def test_removal_that_is_blocked_after_the_transfer_waits_for_the_next_window() -> None:
    """A voter went down meanwhile: the cluster is well with another leader, and nothing is half done."""
    drive = at(SATURDAYS_END - 1).do(to.Observe, LEADER).turn()
    drive.do(to.TransferLeadership, report(StepOutcome.MOVED, None))
    drive.do(to.AwaitNewLeader, report(StepOutcome.ELECTED, RISKY))
    drive = given_up(drive)
    drive.do(to.Wait, after=5).do(to.Observe, FOLLOWER)
    assert drive.next(to.Wait).until is Until.WINDOW


@pytest.mark.parametrize("outcome", [StepOutcome.REPLAN, StepOutcome.TRANSFER_FAILED])
def test_step_that_changed_nothing_does_not_outlast_the_window(outcome: StepOutcome) -> None:
    """Only leadership that has moved calls for the removal; a worker that found something else did nothing."""
    drive = at(SATURDAYS_END - 1).do(to.Observe, LEADER).turn()
    drive.do(to.TransferLeadership, report(outcome, LED_BY_A), after=2)
    assert given_up(drive).next(to.Wait).until is Until.WINDOW


def test_look_before_a_change_is_no_change() -> None:
    """Where nodes are asked, an entry and a look come before the removal: the window may close meanwhile."""
    drive = at(SATURDAYS_END - 1).do(to.Observe, FOLLOWER).turn()
    drive.state = drive.state.changed(steps_since_pause=1, look_due=LookDue.PATIENT)
    drive.now += 2
    assert given_up(drive.do(to.Observe, FOLLOWER)).next(to.Wait).until is Until.WINDOW


def test_learner_of_an_earlier_start_is_promoted_outside_the_window() -> None:
    """An addition that finds its learner there goes on with what is half done."""
    state = OperationState(
        run_id="run",
        blocked_remaining_seconds=60,
        request=AdditionRequest(cluster="demo", name="d", peer_urls=("http://d:2380",)),
        chain_id="chain",
        pinned=Target(cluster_id="c", member_id="d", member_name="d", present=False),
    )
    assert not schedule.may_wait(state)
    assert schedule.may_wait(state.changed(pinned=state.target.model_copy(update={"member_id": ""})))


def test_change_says_until_when_it_may_begin() -> None:
    """An order may wait for hours for a worker: it is void when the window has closed, or not_after is over."""
    command = at(SATURDAY).do(to.Observe, FOLLOWER).turn().next(to.RemoveTarget)
    assert command.ask.begin_before == SATURDAYS_END
    command = at(SATURDAY, not_after="2026-11-28T02:00:00+01:00").do(to.Observe, FOLLOWER).turn().next(to.RemoveTarget)
    assert command.ask.begin_before == SATURDAY + 3600
    drive = at(SATURDAY).do(to.Observe, LEADER).turn()
    assert drive.next(to.TransferLeadership).ask.begin_before == SATURDAYS_END
    drive.result(report(StepOutcome.MOVED, None)).do(to.AwaitNewLeader, report(StepOutcome.ELECTED, LED_BY_B))
    assert drive.next(to.RemoveTarget).ask.begin_before == 0, "leadership has moved: the removal follows"


def test_proposed_removal_is_finished_outside_the_window() -> None:
    """What may take place at any moment is followed to its end."""
    drive = at(SATURDAYS_END - 1).do(to.Observe, FOLLOWER).turn()
    drive.do(to.RemoveTarget, report(StepOutcome.REPLAN, LED_BY_B, proposed=True), after=10)
    assert drive.cannot_be_undone()
    assert not schedule.may_wait(drive.state)
    drive.next(to.RemoveTarget)


def test_not_before_waits_and_not_after_fails() -> None:
    """Both are of the request; the failure says what to do, and nothing was changed."""
    options = {"not_before": "2026-11-26T13:00:00+01:00", "not_after": "2026-11-26T14:00:00+01:00"}
    plain = report(StepOutcome.OBSERVED, LED_BY_B)
    drive = given_up(at(THURSDAY, **options).do(to.Observe, plain))
    assert drive.next(to.Wait).seconds == 3600
    assert drive.state.doing == "not_before has not come: it goes on at Thu 2026-11-26T12:00:00+00:00 (UTC)"
    drive.result(after=7200)
    failure = drive.next(to.Fail).failure
    assert failure.kind == FailureType.TOO_LATE
    text = "not_after, 2026-11-26T14:00:00+01:00, has passed; start the removal again with a later not_after"
    assert failure.text == text


@pytest.mark.parametrize("trouble", ["approval", "queue", "blocked", "paused"])
def test_not_after_ends_every_other_wait(trouble: str) -> None:
    """Waiting for somebody or something else does not outlast it."""
    drive = at(THURSDAY, not_after="2026-11-26T12:05:00+01:00", require_approval=trouble == "approval")
    drive.do(to.Observe, report(StepOutcome.OBSERVED, RISKY if trouble == "blocked" else LED_BY_B))
    if trouble == "paused":
        drive.state = drive.state.changed(paused=Pause())
    if trouble == "blocked":
        given_up(drive)
    if trouble == "queue":
        drive.next(to.AskQueue)
        place = QueuePosition(granted=False, chain_id="chain", request=drive.state.turn_request, behind=("x",))
        drive.result(TakeTurnResult(turn=place))
    wait = drive.next(to.Wait)
    assert wait.seconds <= 300
    drive.result(after=301)
    drive.state, command = to_its_end(drive)
    assert isinstance(command, to.Fail)
    assert command.failure.kind == FailureType.TOO_LATE


def to_its_end(drive: Drive) -> tuple[OperationState, Any]:
    """The state and the last command, whatever it looks at before."""
    for _ in range(5):
        command = drive.next((to.Observe, to.AskQueue, to.Fail))  # type: ignore[arg-type]
        if isinstance(command, to.Fail):
            return drive.state, command
        drive.result(report(StepOutcome.OBSERVED, LED_BY_B))
    return drive.state, None


def test_window_that_never_opens_in_time_fails_at_once() -> None:
    """Nobody waits for days for a failure that is certain now."""
    drive = at(THURSDAY, not_after="2026-11-27T12:00:00+01:00").do(to.Observe, FOLLOWER)
    failure = drive.next(to.Fail).failure
    assert failure.kind == FailureType.TOO_LATE
    assert f"the next change window opens at {OPENS}" in failure.text


def test_dry_run_says_when_it_would_go_on() -> None:
    """The first line of the plan; it is nothing that blocks."""
    result = at(THURSDAY, dry_run=True).do(to.Observe, FOLLOWER).next(to.Finish).result
    assert (result.outcome, result.blocked_by) == (Outcome.PLANNED, "")
    assert result.plan[0] == f"wait until {OPENS}: no change window is open"
    assert result.plan[1].startswith("remove node0 through ")


def test_removal_of_nobody_does_not_wait() -> None:
    """Done needs no window."""
    drive = at(SATURDAY).do(to.Observe, FOLLOWER).turn().do(to.RemoveTarget, REMOVED, after=86_400)
    drive.next(to.WriteStatus)


# --- larger changes -----------------------------------------------------------------------------------------------

ADDED = PartResult(kind="add", member_id=D, member_name="node3", outcome=Outcome.ADDED)
THERE = PartResult(kind="add", member_id=D, member_name="node3", outcome=Outcome.ALREADY_PRESENT)
LEFT = PartResult(kind="remove", member_id=A, member_name="node0", outcome=Outcome.REMOVED)


def between(view: Any, *ended: PartResult, own: tuple[str, ...] = ()) -> OperationState:
    """A replacement between two of its parts."""
    request = ReplacementRequest(cluster="prod", member="node0", name="node3", peer_urls=("http://node3:2380",))
    whole = WholeChange(request=request, begun=True, ended=ended, own=own)
    worker_info = WorkerInfo(search_attributes=True, **WORKER_INFO)
    state = OperationState(run_id="run", chain_id="chain", request=request, blocked_remaining_seconds=1)
    return state.changed(whole=whole, view=view, worker_info=worker_info)


@pytest.mark.parametrize(
    ("state", "waits"),
    [
        (between(LED_BY_B), True),
        (between(cluster(member(A), member(B), member(C), member(D)), ADDED), False),
        (between(cluster(member(A), member(B), member(C), member(D)), THERE), True),
        (between(cluster(member(B, B), member(C, B)), LEFT), False),
        (between(cluster(member(B, B), member(C, B), member(D, B)), ADDED, LEFT), True),
        (between(cluster(member(B, B), member(C, B), down(D)), ADDED, LEFT), False),
        (between(cluster(member(A), member(B), member(C), member(D, is_learner=True)), own=(D,)), False),
    ],
)
def test_larger_change_waits_only_where_the_cluster_is_well_as_it_is(state: OperationState, waits: bool) -> None:  # noqa: FBT001
    """Before anything was changed, and with an odd number of healthy voters; never with an even one or a learner."""
    assert schedule.may_wait(state) == waits


def test_larger_change_that_is_complete_is_recorded_after_its_time() -> None:
    """`not_after` ends no change of which only the record is left, or an EtcdMember would stay wrong."""
    view = cluster(member(B, B), member(C, B), member(D, B, peer_urls=("http://node3:2380",)))
    state = between(view, ADDED, LEFT)
    assert state.whole is not None
    late = state.whole.request.model_copy(update={"not_after": "2026-11-26T12:00:00+01:00"})
    part = Part(kind="add", name="node3", peer_urls=("http://node3:2380",), number=3, of=3)
    pinned = Target(cluster_id=view.cluster_id, member_id=A, member_name="node0", present=True)
    whole = state.whole.model_copy(update={"request": late, "leaves": (pinned,), "part": part})
    state = state.changed(whole=whole, request=late, pinned=pinned)
    assert schedule.too_late(state, THURSDAY + 1) is not None
    assert membership.is_goal_reached(state)


def test_request_of_a_part_takes_the_moments_of_the_whole() -> None:
    """They stand in the whole's request alone."""
    state = between(LED_BY_B)
    assert state.whole
    late = state.whole.request.model_copy(update={"not_before": "2026-11-29T12:00:00+01:00"})
    part = RemovalRequest(cluster="prod", member="node0")
    state = state.changed(whole=state.whole.changed(request=late), request=part)
    assert schedule.moment_text(state, schedule.opens_at(state, THURSDAY)).startswith("Sat 2026-12-05T01:00:00+01:00")
