"""The loop of a removal, one command after the other, without anybody who carries them out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from etcd_handoff import time_limits
from etcd_handoff.activity_io import ReadLeaveResult, ReleaseLockResult, StepResult, UpdateStatusResult, WorkerInfo
from etcd_handoff.contract import Approval, FailureType, HandoffState, Outcome, RemovalRequest, StepOutcome
from etcd_handoff.operation import commands as to
from etcd_handoff.operation import ending
from etcd_handoff.operation.commands import StepFailure, Until
from etcd_handoff.operation.loop import apply, decide
from etcd_handoff.operation.member_process import ArchiveMember, PreflightMember, StartMember, StopMember
from etcd_handoff.operation.queue_messages import QueuePosition, TakeTurnResult
from etcd_handoff.operation.state import OperationState
from tests.unit.builders import A, B, C, cluster, down, member, step

if TYPE_CHECKING:
    from etcd_handoff.cluster_view import ClusterView

LED_BY_A = cluster(member(A), member(B), member(C))
LED_BY_B = cluster(member(A, B, term=8), member(B, B, term=8), member(C, B, term=8))
WITHOUT_A = cluster(member(B, B, term=8), member(C, B, term=8))
RISKY = cluster(member(A, B), member(B, B), down(C))


def report(outcome: StepOutcome, view: ClusterView | None, **fields: Any) -> StepResult:
    """What an activity of etcd's answers."""
    worker_info = WorkerInfo(**{"search_attributes": True, "kubernetes": True, **fields.pop("worker_info", {})})
    return StepResult(step=step("check_leader", outcome), view=view, worker_info=worker_info, **fields)


OBSERVED_B = report(StepOutcome.OBSERVED, LED_BY_B)
REMOVED = report(StepOutcome.REMOVED, WITHOUT_A, proposed=True)
ORDER = step("request_leave", StepOutcome.REQUESTED)
FAILED = StepFailure("update_status", "NotRecorded", "503")


UNASKED = (to.LookThroughNodes, PreflightMember, StartMember, StopMember, ArchiveMember)
"""What goes to the workers of other nodes."""
NO_WORKER = StepFailure("", "", "no worker took it", taken=False)


def _nothing(command: Any) -> Any:
    if isinstance(command, to.AskQueue):
        return TakeTurnResult(turn=QueuePosition(granted=False))
    return () if isinstance(command, to.LookThroughNodes) else NO_WORKER


@dataclass
class Drive:
    """A removal of node0, and the clock."""

    state: OperationState
    now: float = 1_000.0
    taken: list[str] = field(default_factory=list)
    unasked: list[str] = field(default_factory=list)

    def next(self, kind: type[Any]) -> Any:
        """The next command, which is of this kind; nodes that are asked meanwhile give no answer."""
        self.state, command = decide(self.state, self.now)
        while isinstance(command, (*UNASKED, to.AskQueue)) and not isinstance(command, kind):
            if isinstance(command, to.AskQueue) and not command.news:
                break
            self.unasked.append(type(command).__name__)
            nothing = _nothing(command)
            self.state, command = decide(apply(self.state, command, nothing, self.now), self.now)
        assert isinstance(command, kind), f"{command} after {self.taken}"
        self.taken.append(type(command).__name__)
        self.command = command
        return command

    def result(self, result: Any = None, *, after: float = 0.0) -> Drive:
        """The command has come to this, after so many seconds."""
        self.now += after
        self.state = apply(self.state, self.command, result, self.now)
        return self

    def do(self, kind: type[Any], result: Any = None, *, after: float = 0.0) -> Drive:
        """The next command is of this kind, and comes to this."""
        self.next(kind)
        return self.result(result, after=after)

    def cannot_be_undone(self) -> bool:
        """It is past the point of no return."""
        return self.state.point_of_no_return

    def shown(self) -> str:
        """Where it stands, as lists show it."""
        return str(self.state.handoff_state)

    def turn(self) -> Drive:
        """The queue gives the turn."""
        self.next(to.AskQueue)
        return self.result(
            TakeTurnResult(turn=QueuePosition(granted=True, chain_id="chain", request=self.state.turn_request))
        )


def begin(**options: Any) -> Drive:
    """A removal that has just begun."""
    request = RemovalRequest(cluster="prod", member="node0", **options)
    patience = request.blocked_timeout_seconds
    return Drive(OperationState(run_id="run", chain_id="chain", request=request, blocked_remaining_seconds=patience))


def removing(**options: Any) -> Drive:
    """A removal of a follower that is about to be proposed."""
    return begin(**options).do(to.Observe, OBSERVED_B).turn()


def test_leader_hands_over_before_it_is_removed() -> None:
    """Look, turn, transfer, election, removal, record: each once."""
    removal = begin().do(to.Observe, report(StepOutcome.OBSERVED, LED_BY_A)).turn()
    removal.do(to.TransferLeadership, report(StepOutcome.MOVED, None))
    removal.do(to.AwaitNewLeader, report(StepOutcome.ELECTED, LED_BY_B)).do(to.RemoveTarget, REMOVED)
    recorded = UpdateStatusResult(step=step("update_status", StepOutcome.RECORDED), recorded=True)
    removal.do(to.WriteStatus, recorded)
    result = removal.next(to.Finish).result
    assert (result.outcome, result.was_leader, result.leader_after) == (Outcome.REMOVED, True, B)
    assert removal.state.handoff_state is HandoffState.DONE


def test_deciding_changes_nothing_and_depends_on_nothing_else() -> None:
    """The same state and time give the same command and the same state, however often they are asked."""
    removal = removing()
    before = removal.state.model_copy(deep=True)
    assert decide(removal.state, 5.0) == decide(removal.state, 5.0)
    assert removal.state == before


def test_silent_queue_can_be_ended_by_the_command_as_it_stands() -> None:
    """With the workflow ID of this cluster's queue."""
    removal = begin().do(to.Observe, OBSERVED_B)
    removal.next(to.AskQueue)
    removal.result(TakeTurnResult(turn=QueuePosition(granted=False), silent="it hangs")).next(to.Wait)
    assert removal.state.blocked is not None
    assert f"`temporal workflow terminate -w etcd-changes/{LED_BY_B.cluster_id}`" in removal.state.blocked.unblocks


def test_removal_is_past_the_point_of_no_return_from_the_moment_it_is_proposed() -> None:
    """While it is carried out, and afterwards unless it is known that nothing was proposed."""
    removal = removing()
    assert not removal.cannot_be_undone()
    removal.next(to.RemoveTarget)
    assert removal.cannot_be_undone()
    refused = report(StepOutcome.REFUSED_BY_ETCD, LED_BY_B)
    assert not removal.result(refused).cannot_be_undone()


@pytest.mark.parametrize(
    ("kind", "attempts", "pending"),
    [("", 1, True), (FailureType.PERMISSION_DENIED, 1, False), (FailureType.PERMISSION_DENIED, 2, True)],
)
def test_attempt_that_failed_may_have_proposed_it(kind: str, attempts: int, *, pending: bool) -> None:
    """Only what etcd says instead of proposing it is certain, and only of the first attempt."""
    removal = removing().do(to.RemoveTarget, StepFailure("remove_member", kind, "why", attempts))
    assert removal.state.point_of_no_return is pending


@pytest.mark.parametrize(
    "answers",
    [
        [ReleaseLockResult(released=True)],
        [ReleaseLockResult(released=False), ReleaseLockResult(released=True)],
        [NO_WORKER, NO_WORKER],
    ],
)
def test_lock_of_an_attempt_whose_answer_was_lost_is_given_back(answers: list[object]) -> None:
    """The next look shows that the member has left, and nobody else is to wait until the lock is stale.

    Where no member takes it before the record, it is tried once more after it: that was written to the same etcd.
    """
    removal = removing().do(to.RemoveTarget, report(StepOutcome.REPLAN, None, proposed=True))
    removal.do(to.Observe, report(StepOutcome.OBSERVED, WITHOUT_A))
    ask = removal.next(to.ReleaseLock).ask
    assert (ask.holder, ask.cluster_id) == ("chain", WITHOUT_A.cluster_id)
    recorded = UpdateStatusResult(step=step("update_status", StepOutcome.RECORDED), recorded=True)
    removal.result(answers[0]).do(to.WriteStatus, recorded)
    for answer in answers[1:]:
        removal.do(to.ReleaseLock, answer)
    removal.next(to.Finish)


def test_lock_that_the_last_attempt_has_given_back_is_not_touched_again() -> None:
    """Its answer came, and with it the word that a write was committed since."""
    removal = removing().do(to.RemoveTarget, report(StepOutcome.REPLAN, LED_BY_B, proposed=True))
    removal.do(to.RemoveTarget, REMOVED).next(to.WriteStatus)


@pytest.mark.parametrize(("tried", "pending"), [(False, False), (True, True)])
def test_removal_that_nobody_has_taken_was_not_proposed(*, tried: bool, pending: bool) -> None:
    """One whose second attempt nobody took may have been proposed by the first."""
    untaken = StepFailure("remove_member", "", "no worker on node1", taken=False, tried=tried)
    assert removing().do(to.RemoveTarget, untaken).cannot_be_undone() is pending
    removal = removing()
    removal.next(to.RemoveTarget)
    removal.state = removal.state.changed(pending_since=removal.now)  # by a step before this one
    assert removal.result(untaken).cannot_be_undone()


def test_removal_that_waits_gives_its_turn_to_others_and_looks_again() -> None:
    """The queue is told, the pause can be taken over by a new run, and everybody gets the full time to answer."""
    removal = begin().do(to.Observe, report(StepOutcome.OBSERVED, RISKY))
    request = removal.next(to.AskQueue)
    assert (request.waits, request.wakes) == (False, True)
    removal.result(TakeTurnResult(turn=QueuePosition(granted=False)))
    pause = removal.next(to.Wait)
    assert (pause.until, pause.resumable, pause.seconds) == (Until.RECHECK, True, 0.25)
    assert not removal.state.is_over(pause.until)
    assert removal.state.changed(recheck=True).is_over(pause.until)
    look = removal.result(after=0.25).next(to.Observe)
    assert (look.patient, look.ask.doubtful) == (True, ())
    assert removal.state.blocked_remaining_seconds == 3600 - 0.25


def test_next_run_begins_with_a_look_whatever_the_one_before_was_waiting_for() -> None:
    """What is carried is enough to go on with."""
    removal = begin(require_approval=True).do(to.Observe, OBSERVED_B)
    assert removal.next(to.Wait).until is Until.APPROVAL
    carried = OperationState.model_validate_json(removal.state.model_dump_json())
    after = Drive(carried.changed(request=removal.state.request, chain_id="chain"))
    after.do(to.Observe, OBSERVED_B)
    assert after.next(to.Wait).until is Until.APPROVAL
    after.state = after.state.changed(approval=Approval(by="ann"))
    after.result().do(to.Observe, OBSERVED_B).turn().next(to.RemoveTarget)


def test_time_for_waiting_that_is_used_up_is_told_with_what_it_was_for() -> None:
    """The failure has the contract's type, and the EtcdMember the few words."""
    removal = begin(blocked_timeout_seconds=0).do(to.Observe, report(StepOutcome.OBSERVED, RISKY))
    record = removal.next(to.WriteStatus).ask
    assert (record.joined, record.failed) == (True, True)
    assert record.message.startswith("Not removed: QuorumAtRisk: ")
    assert "waited" not in record.message
    removal.result(UpdateStatusResult(step=step("update_status", StepOutcome.RECORDED), recorded=True))
    failure = removal.next(to.Fail).failure
    assert failure.kind == FailureType.BLOCKED_TOO_LONG
    assert "waited 0 s. What unblocks it: bring node2 back" in failure.text
    assert failure.text.index("start the removal again") < failure.text.index("Seen: ")


def test_failure_before_any_look_still_knows_what_the_worker_can_show() -> None:
    """A cluster that no worker knows ends it at once, after the worker was asked."""
    removal = begin().do(to.Observe, StepFailure("check_leader", FailureType.UNKNOWN_CLUSTER, "no such profile"))
    removal.do(to.DescribeWorker, WorkerInfo(search_attributes=True))
    assert removal.next(to.Fail).failure.text == "no such profile"
    assert removal.state.handoff_state is HandoffState.FAILED


def test_cancelled_removal_that_has_proposed_nothing_just_ends() -> None:
    """Nothing is written."""
    removal = removing()
    removal.state = ending.cancelled(removal.state)
    removal.next(to.Cancel)
    assert "before anything was removed" in removal.state.doing


def test_cancelled_removal_revokes_its_order_and_waits_for_what_may_still_happen() -> None:
    """k0s may have begun: only a look after etcd has given it up tells, and a member that has left is recorded."""
    removal = begin().do(to.Observe, report(StepOutcome.OBSERVED, LED_BY_B, worker_info={"remover": "k0s"})).turn()
    order = removal.next(to.RequestLeave)
    assert order.ask.leave
    assert removal.cannot_be_undone()
    removal.result(ORDER)
    assert not removal.cannot_be_undone()
    removal.state = ending.cancelled(removal.state)
    stands = ReadLeaveResult(
        step=step("read_leave", StepOutcome.OBSERVED), present=True, leave=True, manager="etcd-handoff"
    )
    removal.do(to.ReadLeave, stands)
    assert removal.next(to.RequestLeave).ask.leave is False
    removal.result(ORDER)
    assert removal.next(to.Wait).seconds == time_limits.OPERATION.settle_seconds
    removal.result(after=time_limits.OPERATION.settle_seconds)
    assert removal.next(to.Observe).ask.probe
    removal.result(report(StepOutcome.OBSERVED, WITHOUT_A, writes_acknowledged=True))
    assert removal.next(to.WriteStatus).ask.joined is False


def test_cancelled_removal_that_no_look_could_tell_the_end_of_says_so() -> None:
    """K0s may have followed the order that was revoked."""
    removal = begin().do(to.Observe, report(StepOutcome.OBSERVED, LED_BY_B, worker_info={"remover": "k0s"})).turn()
    removal.do(to.RequestLeave, ORDER)
    removal.state = ending.cancelled(removal.state)
    stands = step("read_leave", StepOutcome.OBSERVED)
    removal.do(to.ReadLeave, ReadLeaveResult(step=stands, present=True, leave=True, manager="etcd-handoff"))
    removal.do(to.RequestLeave, ORDER).do(to.Wait, after=time_limits.OPERATION.settle_seconds)
    removal.do(to.Observe, report(StepOutcome.UNAVAILABLE, None)).next(to.Cancel)
    assert removal.state.doing.startswith("cancelled; node0 may have been removed before that")
    assert "`etcd-handoff status -c prod`" in removal.state.doing


BY_K0S = report(StepOutcome.OBSERVED, LED_BY_B, worker_info={"remover": "k0s"})
NO_ANSWER = StepFailure("read_leave", "NotRecorded", "503")


def leave_flag(*, stands: bool, manager: str = "etcd-handoff") -> ReadLeaveResult:
    """What an EtcdMember says of the order, and who wrote that last."""
    seen = step("read_leave", StepOutcome.OBSERVED)
    return ReadLeaveResult(step=seen, name="node0", present=True, leave=stands, manager=manager)


@pytest.mark.parametrize("cancelled", [True, False])
def test_order_that_cannot_be_revoked_is_named_with_what_takes_it_back(*, cancelled: bool) -> None:
    """k0s would follow it later, and ask for no quorum."""
    removal = begin(blocked_timeout_seconds=1).do(to.Observe, BY_K0S).turn().do(to.RequestLeave, ORDER)
    if cancelled:
        removal.state = ending.cancelled(removal.state)
    else:
        removal.do(to.Wait, after=2.0).do(to.Observe, BY_K0S).do(to.ReadLeave, leave_flag(stands=True))
    removal.do(to.ReadLeave, NO_ANSWER)
    removal.do(to.Wait, after=time_limits.OPERATION.settle_seconds).do(to.Observe, BY_K0S)
    takes_back = """kubectl patch etcdmember node0 --type merge -p '{"spec":{"leave":false}}'"""
    if cancelled:
        removal.next(to.Cancel)
        assert takes_back in removal.state.doing
    else:
        assert takes_back in removal.next(to.WriteStatus).ask.message
        written = UpdateStatusResult(step=step("update_status", StepOutcome.RECORDED), recorded=True)
        assert takes_back in removal.result(written).next(to.Fail).failure.text


def test_order_whose_answer_was_lost_can_be_taken_back() -> None:
    """That it stands was read, so whoever clears it afterwards does not want the member to leave."""
    lost = StepFailure("request_leave", "NotRecorded", "no answer")
    removal = begin().do(to.Observe, BY_K0S).turn().do(to.RequestLeave, lost)
    removal.do(to.Wait, after=1.0).do(to.Observe, BY_K0S).do(to.ReadLeave, leave_flag(stands=True))
    removal.do(to.Wait, after=1.0).do(to.Observe, BY_K0S)
    removal.do(to.ReadLeave, leave_flag(stands=False, manager="kubectl-patch"))
    assert removal.state.ending is not None
    assert "taken back by kubectl-patch" in str(removal.state.ending.failure)


@pytest.mark.parametrize("seen", [report(StepOutcome.UNAVAILABLE, None), StepFailure("check_leader", "", "it hangs")])
def test_dry_run_waits_for_no_member_list(seen: StepResult | StepFailure) -> None:
    """It says what is missing after a second look at most."""
    removal = begin(dry_run=True).do(to.Observe, seen)
    if isinstance(seen, StepResult):
        removal.do(to.Observe, seen, after=5.0)
    else:
        removal.do(to.DescribeWorker, WorkerInfo(search_attributes=True))
    failure = removal.next(to.Fail).failure
    assert failure.kind == FailureType.BLOCKED_TOO_LONG
    assert "What unblocks it" in failure.text


def test_order_to_k0s_is_given_on_a_fresh_look_alone() -> None:
    """Workers were away after the look, or while it was read whether the order stands."""
    k0s = report(StepOutcome.OBSERVED, LED_BY_B, worker_info={"remover": "k0s"})
    removal = begin().do(to.Observe, k0s)
    removal.next(to.AskQueue)
    granted = QueuePosition(granted=True, chain_id="chain", request=removal.state.turn_request)
    removal.result(TakeTurnResult(turn=granted), after=3600.0)
    removal.do(to.Observe, k0s).do(to.RequestLeave, ORDER).do(to.Wait, after=0.25).do(to.Observe, k0s)
    lost = ReadLeaveResult(step=step("read_leave", StepOutcome.OBSERVED), present=True, leave=False, manager="k0s")
    removal.do(to.ReadLeave, lost, after=3600.0).do(to.Observe, k0s)
    removal.do(to.ReadLeave, lost).next(to.RequestLeave)


def test_status_that_nobody_takes_is_tried_in_longer_calls_with_the_turn_given_back() -> None:
    """4 s first, then others may change the cluster; a cancellation leaves the rest to another workflow."""
    removal = removing().do(to.RemoveTarget, REMOVED)
    first = removal.next(to.WriteStatus)
    assert (first.most_seconds, first.resumable) == (time_limits.OPERATION.record_first_call_seconds, False)
    removal.result(FAILED, after=time_limits.OPERATION.record_first_call_seconds)
    request = removal.next(to.AskQueue)
    assert (request.waits, request.wakes) == (False, False)
    removal.result(TakeTurnResult(turn=QueuePosition(granted=False)))
    second = removal.next(to.WriteStatus)
    assert (second.most_seconds, second.resumable) == (time_limits.OPERATION.record_call_seconds, True)
    assert (first.ask.late, second.ask) == (False, first.ask.model_copy(update={"late": True}))
    removal.state = removal.state.changed(cancel_requested=True)
    removal.result(FAILED, after=time_limits.OPERATION.record_call_seconds)
    assert removal.next(to.HandRecordOver).workflow_id == f"etcd-record/prod/{A}"
    removal.result(result=True).do(to.Observe, report(StepOutcome.OBSERVED, WITHOUT_A, writes_acknowledged=True))
    result = removal.next(to.Finish).result
    assert (result.status_recorded, result.writes_acknowledged) == (False, True)
    assert "within 19 s: 503; it goes on" in result.status_note


@pytest.mark.parametrize(("hours", "late"), [(0, False), (1, True)])
def test_record_is_late_when_no_worker_went_on(hours: float, *, late: bool) -> None:
    """What was seen an hour ago is looked at again: the cluster may have been restored since."""
    removal = removing().do(to.RemoveTarget, REMOVED, after=3600 * hours)
    assert removal.next(to.WriteStatus).ask.late is late


def test_call_that_fails_before_its_time_is_not_repeated_at_once() -> None:
    """As on a worker whose configuration is wrong."""
    removal = removing().do(to.RemoveTarget, REMOVED).do(to.WriteStatus, FAILED, after=0.5)
    removal.do(to.AskQueue, TakeTurnResult(turn=QueuePosition(granted=False)))
    rest = removal.next(to.Wait)
    assert (rest.until, rest.seconds) == (Until.TIME, 3.5)
    removal.result(after=3.5).next(to.WriteStatus)


def test_turn_that_comes_late_is_used_on_a_fresh_look_alone() -> None:
    """Others have changed the cluster meanwhile; a turn that is free is used on the look before it."""
    removal = begin().do(to.Observe, OBSERVED_B)
    removal.next(to.AskQueue)
    removal.result(TakeTurnResult(turn=QueuePosition(granted=False, behind=("another",), chain_id="chain", request=1)))
    wait = removal.next(to.Wait)
    assert wait.until is Until.TURN
    assert "another" in removal.state.doing
    removal.result(after=10)  # no news: it makes sure that it still stands there
    removal.turn()
    assert removal.next(to.Observe).patient
