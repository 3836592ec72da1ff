"""The pure parts of a removal: what it keeps of its steps, how long it waits, what may be pending, what it says."""

from __future__ import annotations

import pytest
from etcd_handoff.planning import Blocked, NotFound, Reason, Remove
from temporalio.exceptions import ActivityError, ApplicationError, TimeoutError, TimeoutType  # noqa: A004  # Temporal's

from etcd_handoff.model import (
    Approval,
    Carried,
    FailureType,
    Pinned,
    RemovalRequest,
    Step,
    StepOutcome,
    WorkerTraits,
    record_id,
)
from etcd_handoff.view import Alarm, ClusterView, MemberView
from workflows import outcome
from workflows.proposal import SETTLE_SECONDS, Proposal
from workflows.step_log import FIRST, LAST, LONGEST_NOTE, MEMO_BYTES, StepLog, bounded, within
from workflows.waiting import LONGEST_PAUSE_SECONDS, WaitBudget

MONTH_SECONDS = 30 * 24 * 3600.0


def step(number: int, name: str = "check_leader", note: str = "") -> Step:
    """A step whose node tells which one it is."""
    return Step(
        name=name,
        started="2026-01-01T00:00:00.000Z",
        milliseconds=1.0,
        attempts=1,
        node=str(number),
        outcome=StepOutcome.OBSERVED,
        note=note,
    )


def numbers(steps: tuple[Step, ...]) -> list[int]:
    """Which steps these are."""
    return [int(s.node) for s in steps]


# --- steps --------------------------------------------------------------------------------------------------------


def test_short_log_keeps_everything() -> None:
    """A removal without surprises shows every step."""
    log = StepLog()
    for number in range(FIRST + LAST):
        log.append(step(number))
    assert numbers(log.steps) == list(range(FIRST + LAST))
    assert log.left_out == 0


def test_long_log_keeps_the_first_and_the_last_and_counts_the_rest() -> None:
    """Thousands of steps stay within a bound, and it is told how many are not shown."""
    log = StepLog()
    for number in range(5_000):
        log.append(step(number))
    assert numbers(log.steps) == [*range(FIRST), *range(5_000 - LAST, 5_000)]
    assert log.left_out == 5_000 - FIRST - LAST


def test_bounding_twice_counts_each_step_once() -> None:
    """What was left out before is not counted again."""
    steps, left_out = bounded([step(n) for n in range(100)], 7)
    assert (len(steps), left_out) == (FIRST + LAST, 7 + 30)
    assert bounded(steps, left_out) == (steps, left_out)


def test_repeated_look_takes_the_place_of_the_last_one_of_its_name_alone() -> None:
    """Looks of one wait are one step; another step between them stays."""
    log = StepLog((step(1),))
    log.append(step(2), instead_of_last=True)
    log.append(step(3, "find_resource"))
    log.append(step(4), instead_of_last=True)
    assert numbers(log.steps) == [2, 3, 4]


def test_note_of_a_step_has_a_bound() -> None:
    """A webhook's page of text does not fill the result."""
    log = StepLog()
    log.append(step(1, note="x" * 10_000))
    log.append(step(2, note="y" * LONGEST_NOTE))
    assert len(log.steps[0].note) == LONGEST_NOTE
    assert log.steps[0].note.endswith("...")
    assert log.steps[1].note == "y" * LONGEST_NOTE


def carried(steps: int) -> Carried:
    """What a removal hands on whose every field is as long as it can be."""
    return Carried(
        run_id="0192f0c1-0000-7000-8000-000000000000",
        traits=WorkerTraits(search_attributes=True, cluster_id="cdf818194e3a8c32"),
        pinned=Pinned(cluster_id="cdf818194e3a8c32", member_id="1f", member_name="n" * 253, peer_urls=("u" * 200,) * 3),
        steps=tuple(step(n, note="ö" * LONGEST_NOTE) for n in range(steps)),
        steps_left_out=3,
        blocked_seconds_left=MONTH_SECONDS,
        approval=Approval(by="b" * 200, comment="c" * 1000),
        snapshot="s" * 300,
    )


def test_what_is_handed_on_fits_a_small_memo() -> None:
    """Steps give way, newest last; the count tells how many; everything else is carried as it is."""
    whole = carried(70)
    fits = within(whole)
    assert len(fits.model_dump_json().encode()) <= MEMO_BYTES < len(whole.model_dump_json().encode())
    assert fits.steps
    assert numbers(fits.steps)[-1] == 69
    assert fits.steps_left_out == 3 + 70 - len(fits.steps)
    assert fits.model_copy(update={"steps": (), "steps_left_out": 0}) == whole.model_copy(
        update={"steps": (), "steps_left_out": 0}
    )
    assert within(carried(0)) == carried(0)


# --- waiting ------------------------------------------------------------------------------------------------------


def test_pauses_grow_to_a_bound_and_never_past_the_time_that_is_left() -> None:
    """0.25 s at first, at least one look in 30 s, and no pause beyond the end."""
    budget, pauses = WaitBudget(MONTH_SECONDS), list[float]()
    for _ in range(5_000):
        pauses.append(budget.pause_seconds())
        budget.waited(pauses[-1], rechecked=False)
    assert pauses[0] == 0.25
    assert sorted(pauses) == pauses
    assert pauses[-1] == LONGEST_PAUSE_SECONDS
    assert WaitBudget(0.1).pause_seconds() == 0.1


def test_recheck_makes_pauses_short_again() -> None:
    """Whoever says that something has changed gets quick looks afterwards."""
    budget = WaitBudget(100, pauses=9)
    budget.waited(3, rechecked=True)
    assert (budget.pause_seconds(), budget.seconds_left) == (0.25, 97)


def test_waiting_always_uses_something_up() -> None:
    """A clock that stands still does not make a removal wait for ever."""
    budget = WaitBudget(0.01)
    for _ in range(11):
        budget.waited(0, rechecked=True)
    assert budget.seconds_left <= 0


# --- the point of no return -----------------------------------------------------------------------------------------


def test_attempt_that_proposed_nothing_leaves_no_trace() -> None:
    """In flight it cannot be called off; once it is known that nothing was sent, it can."""
    proposal = Proposal(in_flight=True)
    assert proposal.point_of_no_return
    proposal.ended(100, may_be_pending=False)
    assert not proposal.point_of_no_return


def test_ambiguous_attempt_stays_pending_until_both_proofs_are_there() -> None:
    """Time alone, a write alone or a list alone do not show that etcd has given the proposal up."""
    proposal = Proposal(in_flight=True)
    proposal.ended(100, may_be_pending=True)
    assert not proposal.wants_probe(100 + SETTLE_SECONDS - 0.1)
    assert proposal.seconds_to_settle(103) == SETTLE_SECONDS - 3
    assert proposal.wants_probe(100 + SETTLE_SECONDS)
    for acknowledged, listed in ((None, True), (False, True), (True, False)):
        assert not proposal.settle(acknowledged=acknowledged, still_listed=listed)
        assert proposal.point_of_no_return
    assert proposal.settle(acknowledged=True, still_listed=True)
    assert not proposal.point_of_no_return


def test_later_attempt_that_proposed_nothing_does_not_clear_an_earlier_one() -> None:
    """What may be pending is pending, whatever was tried since; another ambiguous attempt starts the time anew."""
    proposal = Proposal(pending_since=100)
    proposal.ended(105, may_be_pending=False)
    assert proposal.pending_since == 100
    proposal.ended(106, may_be_pending=True)
    assert proposal.pending_since == 106


def test_nothing_pending_wants_no_probe() -> None:
    """A probe is a write, and a removal that has proposed nothing writes nothing."""
    assert not Proposal(in_flight=True).wants_probe(1e12)
    assert Proposal().seconds_to_settle(5) == 0


# --- steps that fail --------------------------------------------------------------------------------------------------


def failed(cause: BaseException) -> ActivityError:
    """An activity that ended with `cause`."""
    error = ActivityError(
        "activity failed",
        scheduled_event_id=1,
        started_event_id=2,
        identity="w",
        activity_type="check_leader",
        activity_id="1",
        retry_state=None,
    )
    error.__cause__ = cause
    return error


def timed_out(kind: TimeoutType, cause: BaseException | None = None) -> TimeoutError:
    """A time-out, with what the attempt before said."""
    error = TimeoutError("activity timed out", type=kind, last_heartbeat_details=())
    error.__cause__ = cause
    return error


def test_failure_is_told_in_its_own_words() -> None:
    """The type decides, the text is for people."""
    found = outcome.why_it_failed(failed(ApplicationError("no such file: password", type="StepFails")))
    assert found == ("StepFails", "no such file: password")


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (TimeoutType.START_TO_CLOSE, "took too long"),
        (TimeoutType.HEARTBEAT, "fell silent"),
        (TimeoutType.SCHEDULE_TO_CLOSE, "its time is over"),
    ],
)
def test_time_out_is_told_with_what_was_said_before_it(kind: TimeoutType, words: str) -> None:
    """A step whose last attempt hangs still names the cause that the attempt before has named."""
    assert outcome.why_it_failed(failed(timed_out(kind))) == ("", outcome.TIME_OUTS[kind])
    before = ApplicationError("the API server answers 503", type="NotRecorded")
    found, text = outcome.why_it_failed(failed(timed_out(kind, before)))
    assert found == "NotRecorded"
    assert words in text
    assert text.endswith("the API server answers 503")


@pytest.mark.parametrize(
    ("kind", "pinned", "final"),
    [
        (FailureType.PERMISSION_DENIED, False, True),
        (FailureType.PERMISSION_DENIED, True, True),
        (FailureType.UNKNOWN_CLUSTER, False, True),
        (FailureType.UNKNOWN_CLUSTER, True, False),
        (FailureType.INVALID_INPUT, False, True),
        (FailureType.INVALID_INPUT, True, False),
        ("StepFails", False, False),
        ("", True, False),
    ],
)
def test_only_what_no_wait_can_mend_ends_a_removal(kind: str, pinned: bool, final: bool) -> None:  # noqa: FBT001
    """A profile that one worker lacks is final only as long as no worker has known it."""
    failure = outcome.failed_step(kind, "why", pinned=pinned)
    assert (failure is not None) == final
    if failure is not None:
        assert (failure.type, failure.message, failure.non_retryable) == (kind, "why", True)


def test_step_that_keeps_failing_is_a_reason_with_its_cause() -> None:
    """Step, cause, and that it is tried again."""
    blocked = outcome.step_fails("check_leader", "no such file: password")
    assert blocked.reason is Reason.STEP_FAILS
    assert blocked.seen == "check_leader keeps failing: no such file: password"
    assert "tried again" in blocked.unblocks


# --- what it says -----------------------------------------------------------------------------------------------------

VIEW = ClusterView(cluster_id="c", members=(MemberView(id="a", name="node0"), MemberView(id="b", name="node1")))
FULL = VIEW.model_copy(update={"alarms": (Alarm(kind="NOSPACE", member_id="b"),)})
REQUEST = RemovalRequest(cluster="prod", member="node2")


def test_plan_begins_with_what_to_know_before() -> None:
    """A full disk stands in the plan and at the end of what is being done; without one there is nothing more."""
    plain = outcome.plan_lines(Remove(via_id="a"), "node1", VIEW.label, VIEW)
    warned = outcome.plan_lines(Remove(via_id="a"), "node1", FULL.label, FULL)
    assert warned[1:] == plain
    assert warned[0].startswith("WARNING: ")
    assert "NOSPACE" in warned[0]
    assert "NOSPACE" in outcome.alarmed(FULL)
    assert outcome.alarmed(VIEW) == outcome.alarmed(None) == ""
    assert outcome.plan_lines(Blocked(Reason.NO_LEADER, "", ""), "node1", FULL.label, FULL) == ()


def test_unknown_member_is_told_with_the_hint() -> None:
    """An ID in decimal is named in hex; without a hint the text has no empty place."""
    error = outcome.unknown(REQUEST, NotFound(("node0 (a)",), "that is decimal"), "no such EtcdMember")
    assert "no such EtcdMember; that is decimal; members are node0 (a)" in error.message
    assert (
        "no such EtcdMember; members"
        in outcome.unknown(REQUEST, NotFound(("node0 (a)",)), "no such EtcdMember").message
    )


def test_member_of_another_name_is_not_taken_for_the_one_that_was_typed() -> None:
    """The text names both, and the ID to give when that one is meant."""
    error = outcome.another_name("node2", "node2", MemberView(id="b", name="node1"))
    assert error.type == FailureType.UNKNOWN_MEMBER
    assert "EtcdMember node2 speaks of node1 (ID b); give the ID" in error.message


def test_failure_after_a_proposal_says_that_it_may_have_taken_place() -> None:
    """Type and first words stay, and it is final."""
    plain = outcome.blocked_too_long(Blocked(Reason.NO_QUORUM, "seen", "unblocks"), 5)
    error = outcome.ended(plain, pending=True, unwritten="nobody takes the status")
    assert (error.type, error.non_retryable) == (plain.type, True)
    assert error.message.startswith(f"{plain.message}; nobody takes the status. ")
    assert error.message.endswith("may have taken place")
    assert outcome.ended(plain, pending=False, unwritten="").message == plain.message


def test_lost_writes_are_said_only_when_they_are_known_to_be_lost() -> None:
    """None means that nobody has tried."""
    assert "WARNING" in outcome.no_writes(False)  # noqa: FBT003
    assert outcome.no_writes(None) == outcome.no_writes(True) == ""  # noqa: FBT003


def test_record_of_a_member_has_one_workflow() -> None:
    """The ID names cluster profile and member ID, as neither a name nor a cluster is unique alone."""
    assert record_id("prod", "1f") == "etcd-record/prod/1f"
