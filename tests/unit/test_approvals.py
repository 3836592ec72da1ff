"""Approvals: who may give one, what it is about, and when it counts no more."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from etcd_handoff import time_limits
from etcd_handoff.activity_io import StepResult, UpdateStatusResult, WorkerInfo
from etcd_handoff.contract import Approval, HandoffState, StepOutcome
from etcd_handoff.operation import approvals, current_details, people, recording
from etcd_handoff.operation import commands as to
from etcd_handoff.operation.commands import Until
from etcd_handoff.operation.phases import ApprovedChange, LookDue
from etcd_handoff.operation.queue_messages import QueuePosition, TakeTurnResult
from tests.unit.builders import A, B, C, D, cluster, down, member, step
from tests.unit.test_change_gates import SATURDAY, SATURDAYS_END, THURSDAY, given_up
from tests.unit.test_change_gates import WORKER_INFO as WINDOWS
from tests.unit.test_removal_loop import LED_BY_A, LED_BY_B, REMOVED, Drive, begin, report

ANN, BOB = "etcd-handoff:ann@laptop", "etcd-handoff:bob@node1"
LED_BY_C = cluster(member(A, C, term=9), member(B, C, term=9), member(C, C, term=9))
NEWER_TERM = cluster(member(A, B, term=9), member(B, B, term=9, raft_index=100_900), member(C, B, term=9))
OF_FOUR = cluster(*(member(who, B, term=8) for who in (A, B, C, D)))
RISKY = cluster(member(A, B, term=8), member(B, B, term=8), down(C))
DAY = 86_400.0


def seen(view: Any, **worker_info: Any) -> Any:
    """What a look answers."""
    return report(StepOutcome.OBSERVED, view, worker_info=worker_info)


def awaiting_approval(view: Any = LED_BY_B, **worker_info: Any) -> Drive:
    """A removal that waits for an approval."""
    drive = begin(require_approval=True).do(to.Observe, seen(view, **worker_info))
    assert drive.next(to.Wait).until is Until.APPROVAL
    return drive


def approve(drive: Drive, *, by: str = "", identity: str = BOB, after: float = 1.0) -> Drive:
    """Somebody approves it after so many seconds."""
    approval = Approval(by=by)
    assert not approvals.refusal(drive.state, approval, identity)
    drive.state = approvals.approved(drive.state, approval, identity, drive.now + after)
    return drive.result(after=after)


def awaits_again(drive: Drive) -> str:
    """Why it waits for another approval, without the turn."""
    assert drive.next(to.Wait).until is Until.APPROVAL
    assert (drive.shown(), drive.state.holds_turn) == (HandoffState.AWAITING_APPROVAL, False)
    doing = drive.state.doing
    assert doing.startswith(f"everything is ready again, and the approval by {BOB} has lapsed: ")
    return doing.partition("has lapsed: ")[2]


def test_queue_hears_once_of_a_wait_for_an_approval() -> None:
    """It has no turn to give up: the queue tells its EtcdMember what it waits for."""
    drive = begin(require_approval=True).do(to.Observe, seen(LED_BY_B))
    ask = drive.next(to.AskQueue)
    assert (ask.waits, ask.news) == (False, True)
    drive.result(TakeTurnResult(turn=QueuePosition(granted=False))).next(to.Wait)
    approve(drive).do(to.Observe, seen(LED_BY_B)).turn().next(to.RemoveTarget)


# --- what it is about ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "after", "why"),
    [
        (LED_BY_B, LED_BY_C, "leader: node1 when it was given, node2 now"),
        (
            LED_BY_A,
            LED_BY_B,
            "leader: node0 when it was given, node1 now; plan: Transfer when it was given, Remove now",
        ),
        (LED_BY_B, OF_FOUR, f"members: node3 ({D}) as well now"),
    ],
)
def test_approval_lapses_when_what_it_approved_has_changed(before: Any, after: Any, why: str) -> None:
    """Another leader, another plan, other members: it is asked for again, with the reason, and can be given again."""
    drive = approve(awaiting_approval(before)).do(to.Observe, seen(after))
    assert awaits_again(drive).startswith(why)
    approve(drive).do(to.Observe, seen(after)).turn()
    assert not drive.state.approval_lapsed


def test_what_follows_from_lags_does_not_count() -> None:
    """Another term and other indices under the same leader are the same cluster to people."""
    approve(awaiting_approval()).do(to.Observe, seen(NEWER_TERM)).turn().next(to.RemoveTarget)


def test_another_target_is_another_change() -> None:
    """The ID counts, not the name alone."""
    one = ApprovedChange(target="node0 (a)", members=("node0 (a)",), leader="node0", plan=("Remove",))
    assert one.differs(one) == ""
    other = one.model_copy(update={"target": "node0 (b)"})
    assert one.differs(other) == "target: node0 (a) when it was given, node0 (b) now"


def test_only_what_differs_is_told() -> None:
    """And not all members twice."""
    one = ApprovedChange(members=("node0 (a)", "node1 (b)", "node2 (c)"), plan=("remove node0", "add node3"))
    assert one.differs(one.model_copy(update={"members": one.members[:2]})) == "members: node2 (c) no more"
    other = one.model_copy(update={"members": ("node0 (a)", "node1 (f)", "node2 (c)"), "plan": one.plan[::-1]})
    assert one.differs(other) == "members: node1 (b) when it was given, node1 (f) now; plan: in another order now"


def test_reason_why_an_approval_has_lapsed_is_bounded() -> None:
    """It is handed on from run to run."""
    drive = approve(awaiting_approval(), by="n" * 200)
    given = drive.state.approved
    assert given is not None
    long = ApprovedChange(members=tuple(f"{'m' * 200} ({n})" for n in range(15)))
    drive.state = drive.state.changed(approved=given.model_copy(update={"change": long}))
    lapsed = approvals.without_lapsed_approval(drive.state, None, drive.now).approval_lapsed
    assert len(lapsed) == approvals.LONGEST_REASON
    assert lapsed.endswith("...")


def test_what_the_operation_itself_has_changed_does_not_count() -> None:
    """Leadership has moved under it, a voter went down for an hour, and the removal goes on."""
    drive = approve(awaiting_approval(LED_BY_A)).do(to.Observe, seen(LED_BY_A)).turn()
    drive.do(to.TransferLeadership, report(StepOutcome.MOVED, None))
    drive.do(to.AwaitNewLeader, report(StepOutcome.ELECTED, RISKY))
    drive = given_up(drive).do(to.Wait, after=3000).do(to.Observe, seen(LED_BY_B)).turn()
    drive.next(to.RemoveTarget)


# --- how long it counts -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("outcome", [StepOutcome.LOCKED, StepOutcome.REFUSED_BY_ETCD, StepOutcome.REPLAN])
def test_step_that_changed_nothing_does_not_use_an_approval(outcome: StepOutcome) -> None:
    """Whoever had the lock has changed the members meanwhile: that was not approved."""
    drive = approve(awaiting_approval()).do(to.Observe, seen(LED_BY_B)).turn()
    drive.do(to.RemoveTarget, report(outcome, LED_BY_B))
    if outcome != StepOutcome.REPLAN:
        given_up(drive).do(to.Wait, after=5)
    else:
        drive.state = drive.state.changed(look_due=LookDue.PATIENT)
    drive.do(to.Observe, seen(OF_FOUR))
    assert drive.state.approved is not None
    assert not drive.state.approved.used
    if outcome == StepOutcome.REPLAN:
        given_up(drive)
    assert awaits_again(drive).startswith("members: node3 (")


def test_approval_lapses_after_its_time() -> None:
    """It stood in the queue for longer than the approval counts: the turn is given back."""
    drive = approve(awaiting_approval(approval_lapses_after_seconds=600.0)).do(to.Observe, seen(LED_BY_B))
    drive.next(to.AskQueue)
    request = drive.state.turn_request
    drive.result(TakeTurnResult(turn=QueuePosition(granted=False, chain_id="chain", request=request, behind=("x",))))
    drive.next(to.Wait)
    drive.state = drive.state.changed(holds_turn=True, turn_news=True)
    drive = given_up(drive.result(after=600).do(to.Observe, seen(LED_BY_B)))
    assert awaits_again(drive) == "it was given more than 600 s ago"


def test_change_may_begin_for_as_long_as_its_approval_counts() -> None:
    """An order may wait for days for a worker that takes it; what is half done waits for nothing."""
    hour = {"approval_lapses_after_seconds": 3600.0}
    drive = approve(awaiting_approval(LED_BY_A, **hour)).do(to.Observe, seen(LED_BY_A, **hour)).turn()
    assert drive.state.approved is not None
    assert drive.next(to.TransferLeadership).ask.begin_before == drive.state.approved.counts_from + 3600
    drive.result(report(StepOutcome.MOVED, None)).do(to.AwaitNewLeader, report(StepOutcome.ELECTED, LED_BY_B))
    assert drive.next(to.RemoveTarget).ask.begin_before == 0


def test_what_closes_first_bounds_a_change() -> None:
    """The window of the profile, or the approval."""
    for lasts, bound in ((3600.0, SATURDAY + 1 + 3600), (DAY, SATURDAYS_END)):
        worker_info = {**WINDOWS, "approval_lapses_after_seconds": lasts}
        drive = begin(require_approval=True)
        drive.now = SATURDAY
        drive.do(to.Observe, seen(LED_BY_B, **worker_info)).next(to.Wait)
        drive = approve(drive).do(to.Observe, seen(LED_BY_B, **worker_info)).turn()
        assert drive.next(to.RemoveTarget).ask.begin_before == bound


def test_approval_counts_for_a_day_by_default() -> None:
    """One second less is enough."""
    for blocked, lapses in ((DAY - 3, False), (DAY, True)):
        drive = approve(awaiting_approval()).do(to.Observe, seen(RISKY))
        drive.do(to.Wait, after=blocked)
        drive.state = drive.state.changed(blocked_remaining_seconds=100.0)
        drive.do(to.Observe, seen(LED_BY_B))
        if lapses:
            assert awaits_again(drive) == "it was given more than 86400 s ago"
        else:
            drive.turn().next(to.RemoveTarget)


def test_wait_for_the_window_does_not_count() -> None:
    """Approved on Thursday for Saturday, with an approval that counts for an hour."""
    worker_info = {**WINDOWS, "approval_lapses_after_seconds": 3600.0}
    drive = begin(require_approval=True)
    drive.now = THURSDAY
    drive.do(to.Observe, seen(LED_BY_B, **worker_info)).next(to.Wait)
    assert "once it is approved, it goes on at Sat 2026-11-28T01:00:00+01:00" in drive.state.doing
    approve(drive).do(to.Observe, seen(LED_BY_B, **worker_info))
    assert drive.next(to.Wait).until is Until.WINDOW
    drive.result(after=SATURDAY - drive.now).do(to.Observe, seen(LED_BY_B, **worker_info)).turn().next(to.RemoveTarget)


def test_proposed_removal_needs_no_second_approval() -> None:
    """What may take place at any moment is followed to its end."""
    drive = approve(awaiting_approval()).do(to.Observe, seen(LED_BY_B)).turn()
    drive.do(to.RemoveTarget, report(StepOutcome.REPLAN, LED_BY_C, proposed=True), after=2 * DAY).next(to.RemoveTarget)


def test_checks_older_than_an_hour_are_made_again() -> None:
    """Checked, then blocked for longer than that: the snapshot and the hashes are of then."""
    drive = begin(snapshot=True).do(to.Observe, seen(LED_BY_B)).turn()
    saved = StepResult(step=step("take_snapshot", StepOutcome.SAVED, "a file on node0"))
    drive.do(to.TakeSnapshot, saved).do(to.Observe, seen(RISKY))
    drive = given_up(drive).do(to.Wait, after=time_limits.OPERATION.gates_last_seconds + 1)
    drive.state = drive.state.changed(blocked_remaining_seconds=100.0)
    drive.do(to.Observe, seen(LED_BY_B)).turn().next(to.TakeSnapshot)


# --- who may ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("started_by", "by", "identity", "refused"),
    [
        (ANN, "bob", BOB, ""),
        (ANN, "ann", ANN, "ann has started it, recorded as etcd-handoff:ann@laptop; somebody else has to approve"),
        (ANN, "", "temporal-cli:Ann@node2", "ann has started it"),
        (ANN, "Ann", BOB, "ann has started it"),
        ("etcd-handoff-client:ann@ci", "", ANN, "ann has started it"),
        ("etcd-handoff-client:ann@ci", "", BOB, ""),
        ("ann@example.org", "bob", "etcd-handoff:ann@laptop", "ann has started it"),
        (ANN, "bob", "4711@node2", "the approver is recorded as 4711@node2, which names no user"),
        (ANN, "bob", "", "the approver is recorded as nobody, which names no user"),
        ("4711@pipeline", "ann", ANN, ""),
        ("", "ann", ANN, ""),
    ],
)
def test_four_eyes_are_two_people(started_by: str, by: str, identity: str, refused: str) -> None:
    """By the user that both identities name, whatever the host and the program, and by the name that is given."""
    drive = begin().do(to.Observe, seen(LED_BY_B, four_eyes=True))
    assert drive.next(to.Wait).until is Until.APPROVAL, "four eyes without an approval"
    drive.state = drive.state.changed(started_by=started_by)
    refusal = approvals.refusal(drive.state, Approval(by=by), identity)
    assert refusal.startswith(f"the profile asks for four eyes: {refused}") if refused else not refusal


users = st.text("abcÄß.-", min_size=1, max_size=8)


@given(users, st.sampled_from([*people.PROGRAMS, ""]), st.sampled_from([*people.PROGRAMS, ""]), users, users)
def test_nobody_approves_what_they_have_started(user: str, one: str, other: str, here: str, there: str) -> None:
    """Whichever program and host they use."""
    assert people.doubt(f"{one}{user}@{here}", "", f"{other}{user}@{there}")


def test_without_four_eyes_the_starter_may_approve() -> None:
    """As it was before."""
    drive = awaiting_approval()
    drive.state = drive.state.changed(started_by=ANN)
    assert not approvals.refusal(drive.state, Approval(), ANN)


def test_refused_while_it_waits_for_no_approval() -> None:
    """The state says so."""
    drive = begin().do(to.Observe, seen(LED_BY_B)).turn()
    drive.next(to.RemoveTarget)
    refusal = approvals.refusal(drive.state, Approval(), BOB)
    assert refusal.startswith("the removal does not wait for an approval, it is Removing: removing node0 through node1")


# --- who has ------------------------------------------------------------------------------------------------------


def test_who_asked_and_why_stands_in_the_result_and_on_the_etcdmember() -> None:
    """As Temporal has recorded the start, and as the request says."""
    drive = begin(reason="new disk")
    drive.state = drive.state.changed(started_by=ANN)
    record = drive.do(to.Observe, seen(LED_BY_B)).turn().do(to.RemoveTarget, REMOVED).next(to.WriteStatus).ask
    assert (record.asked_by, record.reason) == (ANN, "new disk")
    fields = recording.result_fields(
        drive.state, UpdateStatusResult(step=step("remove_member", StepOutcome.REMOVED), recorded=True)
    )
    assert (fields["asked_by"], fields["reason"]) == (ANN, "new disk")


def test_requester_of_an_order_on_an_etcdmember_stands_in_the_same_places() -> None:
    """A watcher has started the removal; a person who has started it themselves is named instead."""
    drive = begin(reason="spec.leave of EtcdMember node0")
    drive.state = drive.state.changed(requester="alice (by kubectl-patch)")
    record = drive.do(to.Observe, seen(LED_BY_B)).turn().do(to.RemoveTarget, REMOVED).next(to.WriteStatus).ask
    assert record.asked_by == "alice (by kubectl-patch)"
    recorded = UpdateStatusResult(step=step("remove_member", StepOutcome.REMOVED), recorded=True)
    assert recording.result_fields(drive.state, recorded)["asked_by"] == "alice (by kubectl-patch)"
    assert drive.state.changed(started_by=ANN).person == ANN
    carried = type(drive.state).model_validate_json(drive.state.model_dump_json())
    assert carried.requester == drive.state.requester


def test_who_approved_stands_in_the_result_and_on_the_etcdmember() -> None:
    """The name that was given, and the identity that was recorded."""
    drive = (
        approve(awaiting_approval(), by="Bob of storage")
        .do(to.Observe, seen(LED_BY_B))
        .turn()
        .do(to.RemoveTarget, REMOVED)
    )
    record = drive.next(to.WriteStatus).ask
    assert record.approved_by == f"Bob of storage (as {BOB})"
    assert f"**Approved by:** Bob of storage (as {BOB})" in current_details.details(drive.state)


@pytest.mark.parametrize(
    ("by", "identity", "name"),
    [("bob", BOB, BOB), ("", BOB, BOB), ("bob", "", "bob"), ("bot", BOB, f"bot (as {BOB})"), ("", "", "")],
)
def test_approvers_are_named_once(by: str, identity: str, name: str) -> None:
    """The same name twice tells nothing."""
    assert people.named(by, identity) == name


def test_worker_info_without_the_new_fields_is_as_before() -> None:
    """A worker of an older version answers without them."""
    info = WorkerInfo.model_validate({"search_attributes": True})
    assert (info.change_windows, info.four_eyes, info.approval_lapses_after_seconds) == ((), False, DAY)
