"""The pure parts of a removal: what it keeps of its steps, how long it waits, what may be pending, what it says."""

from __future__ import annotations

import pytest
from temporalio.exceptions import ActivityError, ApplicationError, TimeoutError, TimeoutType  # noqa: A004  # Temporal's

from etcd_handoff import time_limits
from etcd_handoff.activity_io import Target, WorkerInfo
from etcd_handoff.change_windows import ChangeWindow
from etcd_handoff.cluster_view import Alarm, ClusterView, MemberView
from etcd_handoff.contract import Approval, FailureType, PartResult, RemovalRequest, Step, record_id
from etcd_handoff.doubts import ResourceClaim
from etcd_handoff.operation import blocked_waiting, failures, proposal, texts
from etcd_handoff.operation.approvals import LONGEST_REASON
from etcd_handoff.operation.commands import DescribeWorker
from etcd_handoff.operation.loop import decide
from etcd_handoff.operation.phases import ApprovalState, ApprovedChange, LookDue
from etcd_handoff.operation.state import OperationState
from etcd_handoff.operation.step_log import FIRST, LAST, LONGEST_NOTE, MEMO_BYTES, bounded, within
from etcd_handoff.operation.whole_change import Part, WholeChange
from etcd_handoff.planning import Blocked, NotFound, Reason, Remove
from tests.unit.builders import begun, cluster, step
from workflows.failures import TIME_OUTS, attempts_of, was_taken, was_tried, why_it_failed

ANN = "etcd-handoff:ann@laptop"
CLUSTER = "cdf818194e3a8c32"
NOTE = "t" * 300
MONTH_SECONDS = 30 * 24 * 3600.0


def numbered(number: int, name: str = "check_leader", note: str = "") -> Step:
    """A step whose node tells which one it is."""
    return step(name, node=str(number), note=note)


def numbers(steps: tuple[Step, ...]) -> list[int]:
    """Which steps these are."""
    return [int(s.node) for s in steps]


# --- steps --------------------------------------------------------------------------------------------------------


def test_short_log_keeps_everything() -> None:
    """A removal without surprises shows every step."""
    removal = begun()
    for number in range(FIRST + LAST):
        removal = removal.with_step(numbered(number))
    assert numbers(removal.steps) == list(range(FIRST + LAST))
    assert removal.steps_left_out == 0


def test_long_log_keeps_the_first_and_the_last_and_counts_the_rest() -> None:
    """Thousands of steps stay within a bound, and it is told how many are not shown."""
    removal = begun()
    for number in range(5_000):
        removal = removal.with_step(numbered(number))
    assert numbers(removal.steps) == [*range(FIRST), *range(5_000 - LAST, 5_000)]
    assert removal.steps_left_out == 5_000 - FIRST - LAST


def test_bounding_twice_counts_each_step_once() -> None:
    """What was left out before is not counted again."""
    steps, omitted = bounded([numbered(n) for n in range(100)], 7)
    assert (len(steps), omitted) == (FIRST + LAST, 7 + 30)
    assert bounded(steps, omitted) == (steps, omitted)


def test_repeated_look_takes_the_place_of_the_last_one_of_its_name_alone() -> None:
    """Looks of one wait are one step; another step between them stays."""
    removal = begun(steps=(numbered(1),)).with_step(numbered(2), instead_of_last=True)
    removal = removal.with_step(numbered(3, "find_resource")).with_step(numbered(4), instead_of_last=True)
    assert numbers(removal.steps) == [2, 3, 4]


def test_note_of_a_step_has_a_bound() -> None:
    """A webhook's page of text does not fill the result."""
    first, second = (
        begun().with_step(numbered(1, note="x" * 10_000)).with_step(numbered(2, note="y" * LONGEST_NOTE)).steps
    )
    assert len(first.note) == LONGEST_NOTE
    assert first.note.endswith("...")
    assert second.note == "y" * LONGEST_NOTE


def carried(steps: int) -> OperationState:
    """What a removal hands on whose every field is as long as it can be."""
    return OperationState(
        run_id="0192f0c1-0000-7000-8000-000000000000",
        worker_info=WorkerInfo(search_attributes=True, cluster_id="cdf818194e3a8c32"),
        pinned=Target(cluster_id="cdf818194e3a8c32", member_id="1f", member_name="n" * 253, peer_urls=("u" * 200,) * 3),
        steps=tuple(numbered(n, note="ö" * LONGEST_NOTE) for n in range(steps)),
        steps_left_out=3,
        blocked_remaining_seconds=MONTH_SECONDS,
        approval=Approval(by="b" * 200, comment="c" * 1000),
        snapshot="s" * 300,
        request=RemovalRequest(cluster="prod", member="m" * 253, reason="r" * 1000),
        view=ClusterView(cluster_id="c", members=(MemberView(id="a", name="n" * 253, note="x" * 10_000),)),
        behind=("the removal of " + "n" * 253,) * 50,
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


def large(approval: str) -> OperationState:
    """What a change of a whole membership hands on near its end, under a profile with all that it can have."""
    who = [(f"node-{n}.example.org", f"8211f1d0f64f326{n}") for n in range(7)]
    members = tuple(f"{name} ({member_id})" for name, member_id in who)
    leaves = tuple(
        Target(cluster_id=CLUSTER, member_id=i, member_name=name, peer_urls=(f"https://{name}:2380",))
        for name, i in who
    )
    ended = tuple(
        PartResult(kind="add", member_id=i, member_name=name, outcome="added", status_note=NOTE, process=NOTE)
        for name, i in (who * 2)[:12]
    )
    windows = (ChangeWindow(days=tuple(range(7)), begins=1380, ends=1439),) * 50
    change = ApprovedChange(
        target=members[0], members=members, leader=who[0][0], plan=tuple(f"remove {name}" for name, _ in who)
    )
    successors = tuple(member_id for _, member_id in who)
    lapsed = approval == "lapsed"
    return carried(70).changed(
        worker_info=WorkerInfo(search_attributes=True, cluster_id=CLUSTER, change_windows=windows),
        pinned=leaves[0],
        approval=None if lapsed else Approval(by="ann", comment="as planned"),
        approved=None if lapsed else ApprovalState(identity=ANN, change=change, used=approval == "used"),
        approval_lapsed="x" * LONGEST_REASON if lapsed else "",
        snapshot="node0:/var/lib/etcd-handoff/snapshot.db",
        whole=WholeChange(
            pinned=leaves[0],
            leaves=leaves,
            part=Part(kind="remove", leaves=leaves[-1], successors=successors, number=13, of=14),
            begun=True,
            ended=ended,
            own=successors,
        ),
    )


@pytest.mark.parametrize("approval", ["given", "used", "lapsed"])
def test_large_change_of_the_membership_fits_a_small_memo(approval: str) -> None:
    """What only tells gives way, and what can be asked for again; what is done and what is to be done stays."""
    whole = large(approval)
    fits = within(whole)
    assert len(fits.model_dump_json().encode()) <= MEMO_BYTES
    assert fits.whole is not None
    assert whole.whole is not None
    kept = [[(p.kind, p.member_id, p.outcome) for p in w.ended] for w in (fits.whole, whole.whole)]
    assert kept[0] == kept[1]
    assert fits.whole.changed(ended=()) == whole.whole.changed(ended=())
    assert (fits.approval, fits.approval_lapsed) == (whole.approval, whole.approval_lapsed)
    if approval == "given":
        assert fits.approved == whole.approved
    elif approval == "used":
        assert fits.approved == ApprovalState(identity=ANN, used=True)


def test_texts_of_parts_that_have_ended_stay_where_there_is_room() -> None:
    """A result says them in full."""
    part = PartResult(kind="remove", member_id="1f", member_name="n", outcome="removed", process=NOTE)
    whole = begun(whole=WholeChange(ended=(part,)), worker_info=WorkerInfo(search_attributes=True))
    assert within(whole) == whole


def test_next_run_asks_the_worker_again_before_it_plans() -> None:
    """What did not fit is known before anything is changed."""
    carried_on = within(large("used")).changed(look_due=LookDue.NO, whole=None)
    assert carried_on.worker_info is None
    decided = decide(carried_on, 0.0)
    assert isinstance(decided.command, DescribeWorker)


def test_next_run_gets_all_but_what_it_finds_out_itself() -> None:
    """The state is carried as it is: a field that nobody thinks of is carried too."""
    whole = carried(2).changed(pauses=7, leave_asked=True, leave_stored=True, avoid=("b",), holds_turn=True)
    read = OperationState.model_validate_json(whole.model_dump_json())
    own = {
        n: field.get_default(call_default_factory=True)
        for n, field in OperationState.model_fields.items()
        if field.exclude
    }
    assert read == whole.changed(**own)
    assert set(own) == {
        "request",
        "chain_id",
        "namespace",
        "handoff_state",
        "doing",
        "waiting_for",
        "since",
        "look_due",
        "half_look",
        "looked_at",
        "looked_twice",
        "silent_nodes",
        "own_member_alone",
        "entry_committed",
        "view",
        "claims",
        "resource",
        "blocked",
        "released",
        "behind",
        "turn_news",
        "queueing",
        "rejoin_due",
        "rejoins",
        "queue_knows",
        "queue_silent",
        "recheck",
        "planned",
        "to_approve",
        "hash_checked",
        "hashing",
        "election",
        "in_flight",
        "leave_step",
        "ending",
    }


def test_state_has_no_field_that_is_misspelt() -> None:
    """A change of a field that does not exist is an error, and not lost."""
    with pytest.raises(TypeError, match="no such field: pause"):
        begun().changed(pause=1)


# --- waiting ------------------------------------------------------------------------------------------------------


def test_pauses_grow_to_a_bound_and_never_past_the_time_that_is_left() -> None:
    """0.25 s at first, at least one look in 30 s, and no pause beyond the end."""
    removal, pauses = begun(blocked_remaining_seconds=MONTH_SECONDS), list[float]()
    for _ in range(5_000):
        pauses.append(blocked_waiting.pause_seconds(removal))
        removal = blocked_waiting.waited(removal, pauses[-1], rechecked=False)
    assert pauses[0] == 0.25
    assert sorted(pauses) == pauses
    assert pauses[-1] == time_limits.OPERATION.blocked_longest_pause_seconds
    assert blocked_waiting.pause_seconds(begun(blocked_remaining_seconds=0.1)) == 0.1


def test_recheck_makes_pauses_short_again() -> None:
    """Whoever says that something has changed gets quick looks afterwards."""
    removal = blocked_waiting.waited(begun(blocked_remaining_seconds=100, pauses=9), 3, rechecked=True)
    assert (blocked_waiting.pause_seconds(removal), removal.blocked_remaining_seconds) == (0.25, 97)


def test_waiting_always_uses_something_up() -> None:
    """A clock that stands still does not make a removal wait for ever."""
    removal = begun(blocked_remaining_seconds=0.01)
    for _ in range(11):
        removal = blocked_waiting.waited(removal, 0, rechecked=True)
    assert removal.blocked_remaining_seconds <= 0


# --- the point of no return -----------------------------------------------------------------------------------------


def test_attempt_that_proposed_nothing_leaves_no_trace() -> None:
    """In flight it cannot be called off; once it is known that nothing was sent, it can."""
    removal = begun(in_flight=True)
    assert removal.point_of_no_return
    assert not proposal.ended(removal, 100, may_be_pending=False).point_of_no_return


def test_ambiguous_attempt_stays_pending_until_both_proofs_are_there() -> None:
    """Time alone, a write alone or a list alone do not show that etcd has given the proposal up."""
    removal = proposal.ended(begun(in_flight=True), 100, may_be_pending=True)
    assert not proposal.wants_probe(removal, 100 + time_limits.OPERATION.settle_seconds - 0.1)
    assert proposal.seconds_to_settle(removal, 103) == time_limits.OPERATION.settle_seconds - 3
    assert proposal.wants_probe(removal, 100 + time_limits.OPERATION.settle_seconds)
    for acknowledged, listed in ((None, True), (False, True), (True, False)):
        assert proposal.settled(removal, acknowledged=acknowledged, unchanged=listed).point_of_no_return
    assert not proposal.settled(removal, acknowledged=True, unchanged=True).point_of_no_return


def test_later_attempt_that_proposed_nothing_does_not_clear_an_earlier_one() -> None:
    """What may be pending is pending, whatever was tried since; another ambiguous attempt starts the time anew."""
    removal = proposal.ended(begun(pending_since=100), 105, may_be_pending=False)
    assert removal.pending_since == 100
    assert proposal.ended(removal, 106, may_be_pending=True).pending_since == 106


def test_nothing_pending_wants_no_probe() -> None:
    """A probe is a write, and a removal that has proposed nothing writes nothing."""
    assert not proposal.wants_probe(begun(in_flight=True), 1e12)
    assert proposal.seconds_to_settle(begun(), 5) == 0


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
    found = why_it_failed(failed(ApplicationError("no such file: password", type="StepFails")))
    assert found == ("StepFails", "no such file: password")


def test_denied_attempt_tells_how_many_came_before_it() -> None:
    """An attempt before it may have proposed the removal; what does not say how many there were counts as one."""
    assert attempts_of(failed(ApplicationError("denied", 2, type="PermissionDenied"))) == 2
    assert attempts_of(failed(ApplicationError("denied", type="PermissionDenied"))) == 1
    assert attempts_of(failed(timed_out(TimeoutType.HEARTBEAT))) == 1


def test_step_that_nobody_takes_may_have_been_tried_before() -> None:
    """The server tells the end of an attempt before as the cause of the time-out."""
    untaken = timed_out(TimeoutType.SCHEDULE_TO_START)
    again = timed_out(TimeoutType.SCHEDULE_TO_START, timed_out(TimeoutType.HEARTBEAT))
    assert [(was_taken(failed(e)), was_tried(failed(e))) for e in (untaken, again)] == [(False, False), (False, True)]
    assert was_taken(failed(timed_out(TimeoutType.HEARTBEAT)))
    assert was_tried(failed(ApplicationError("no answer")))


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (TimeoutType.START_TO_CLOSE, "took too long"),
        (TimeoutType.HEARTBEAT, "sent no heartbeat in time"),
        (TimeoutType.SCHEDULE_TO_CLOSE, "it was not done in time"),
    ],
)
def test_time_out_is_told_with_what_was_said_before_it(kind: TimeoutType, words: str) -> None:
    """A step whose last attempt hangs still names the cause that the attempt before has named."""
    assert why_it_failed(failed(timed_out(kind))) == ("", TIME_OUTS[kind])
    before = ApplicationError("the API server answers 503", type="NotRecorded")
    found, text = why_it_failed(failed(timed_out(kind, before)))
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
    failure = failures.failed_step(kind, "why", pinned=pinned)
    assert (failure is not None) == final
    if failure is not None:
        assert (failure.kind, failure.text) == (kind, "why")


def test_step_that_keeps_failing_is_a_reason_with_its_cause() -> None:
    """Step, cause, and that it is tried again."""
    blocked = texts.step_fails("check_leader", "no such file: password")
    assert blocked.reason is Reason.STEP_FAILS
    assert blocked.seen == "check_leader keeps failing: no such file: password"
    assert "tries the step again" in blocked.unblocks


# --- what it says -----------------------------------------------------------------------------------------------------

VIEW = ClusterView(cluster_id="c", members=(MemberView(id="a", name="node0"), MemberView(id="b", name="node1")))
FULL = VIEW.model_copy(update={"alarms": (Alarm(kind="NOSPACE", member_id="b"),)})
REQUEST = RemovalRequest(cluster="prod", member="node2")


def test_plan_begins_with_what_to_know_before() -> None:
    """A full disk stands in the plan and at the end of what is being done; without one there is nothing more."""
    plain = texts.plan_lines(Remove(via_id="a"), "node1", VIEW.label, VIEW)
    warned = texts.plan_lines(Remove(via_id="a"), "node1", FULL.label, FULL)
    assert warned[1:] == plain
    assert warned[0].startswith("WARNING: ")
    assert "NOSPACE" in warned[0]
    assert "NOSPACE" in texts.alarmed(FULL)
    assert texts.alarmed(VIEW) == texts.alarmed(None) == ""
    assert texts.plan_lines(Blocked(Reason.NO_LEADER, "", ""), "node1", FULL.label, FULL) == ()


def test_plan_says_what_is_left_of_the_quorum() -> None:
    """By who is healthy now; whoever leaves does not count, and a learner's removal takes no vote."""
    three = cluster()
    plan = texts.plan_lines(Remove(via_id="1"), "n2", three.label, three, "2")
    assert plan[0] == "remove n2 through n1; 2 voters remain, quorum 2, 0 of them may fail"
    assert texts.afterwards(three, "nobody") == "3 voters remain, quorum 2, 1 of them may fail"


@pytest.mark.parametrize(
    ("claims", "has_kubernetes", "line"),
    [
        (
            (ResourceClaim(name="n2", member_id="2", joined="True"),),
            True,
            "record Joined=False on the EtcdMember of n2",
        ),
        (
            (ResourceClaim(name="n2", member_id="9", joined="False"),),
            True,
            "record nothing: no EtcdMember describes n2",
        ),
        ((), True, "record nothing: no EtcdMember describes n2"),
        (None, True, "record Joined=False on the EtcdMember of n2"),
        (None, False, "record nothing: the cluster profile has no kubernetes"),
    ],
)
def test_plan_ends_with_what_will_be_recorded(
    claims: tuple[ResourceClaim, ...] | None, *, has_kubernetes: bool, line: str
) -> None:
    """A record is promised only where there is an EtcdMember that it can be written on."""
    assert texts.removal_record("n2", "n2", "2", claims, has_kubernetes=has_kubernetes) == line


@pytest.mark.parametrize("adds", [False, True])
def test_data_that_differ_are_told_after_what_to_do(*, adds: bool) -> None:
    """Lists and pages cut a text at its end, and hashes of seven members are long."""
    text = failures.inconsistent("revision 9: n1 0a, n2 0b", adds=adds).text
    assert text.startswith("DataInconsistent: find the member whose data are wrong")
    assert text.index("`etcd-handoff remove MEMBER") < text.index("Seen: ")
    assert text.endswith("Seen: the members' data differ at revision 9: n1 0a, n2 0b")


def test_unknown_member_is_told_with_the_hint() -> None:
    """An ID in decimal is named in hex; without a hint the text has no empty place."""
    error = failures.unknown(REQUEST, NotFound(("node0 (a)",), "that is decimal"), "no such EtcdMember")
    assert "no such EtcdMember; that is decimal; members are node0 (a)" in error.text
    assert (
        "no such EtcdMember; members" in failures.unknown(REQUEST, NotFound(("node0 (a)",)), "no such EtcdMember").text
    )


def test_member_of_another_name_is_not_taken_for_the_one_that_was_typed() -> None:
    """The text names both, and the ID to give when that one is meant."""
    error = failures.another_name("node2", "node2", MemberView(id="b", name="node1"))
    assert error.kind == FailureType.UNKNOWN_MEMBER
    assert "EtcdMember node2 describes node1 (ID b); give the ID" in error.text


def test_failure_after_a_proposal_says_that_it_may_have_taken_place() -> None:
    """Type and first words stay, and it is final."""
    plain = failures.blocked_too_long(Blocked(Reason.NO_QUORUM, "seen", "unblocks"), 5)
    error = failures.ended(plain, pending=True, unwritten="nobody takes the status")
    assert error.kind == plain.kind
    assert error.text.startswith(f"{plain.text}; nobody takes the status. ")
    assert error.text.endswith("may have taken place")
    assert failures.ended(plain, pending=False, unwritten="").text == plain.text


def test_lost_writes_are_said_only_when_they_are_known_to_be_lost() -> None:
    """None means that nobody has tried."""
    assert "WARNING" in texts.no_writes(False)  # noqa: FBT003
    assert texts.no_writes(None) == texts.no_writes(True) == ""  # noqa: FBT003


def test_record_of_a_member_has_one_workflow() -> None:
    """The ID names cluster profile and member ID, as neither a name nor a cluster is unique alone."""
    assert record_id("prod", "1f") == "etcd-record/prod/1f"
