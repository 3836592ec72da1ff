"""With `remover = "k0s"` one removal waits for k0s while the next one waits for its turn."""

from __future__ import annotations

from typing import TYPE_CHECKING

from etcd_handoff import time_limits
from etcd_handoff.activity_io import UpdateStatusResult
from etcd_handoff.contract import HandoffState, RemovalRequest, StepOutcome
from etcd_handoff.operation import commands as to
from etcd_handoff.operation import ending, queue_requests
from etcd_handoff.operation.change_queue import dequeue, enqueue, grant, position_of
from etcd_handoff.operation.commands import Until
from etcd_handoff.operation.queue_messages import ChangeQueueState, QueueEntry, TakeTurnResult
from etcd_handoff.operation.state import OperationState
from tests.unit.builders import CLUSTER, A, B, C, D, E, cluster, down, member, step
from tests.unit.test_removal_loop import ORDER, Drive, leave_flag, report

if TYPE_CHECKING:
    from etcd_handoff.activity_io import StepResult
    from etcd_handoff.cluster_view import ClusterView

FIVE = cluster(*(member(i, B) for i in (A, B, C, D, E)))
WITHOUT_A = cluster(*(member(i, B) for i in (B, C, D, E)))
RISKY = cluster(member(A, B), member(B, B), down(C), down(D), member(E, B))


def seen(view: ClusterView, *, committed: bool = False) -> StepResult:
    """A look, where k0s removes; an entry may have been committed before it."""
    return report(StepOutcome.OBSERVED, view, worker_info={"remover": "k0s"}, writes_acknowledged=committed or None)


class Queue:
    """The real queue's rules, without the workflow round them."""

    def __init__(self) -> None:
        self.state = ChangeQueueState(cluster_id=CLUSTER)

    def answer(self, drive: Drive) -> None:
        """The operation's next command tells the queue something, and the queue answers."""
        ask, state = drive.next(to.AskQueue), drive.state
        entry = QueueEntry(
            workflow_id=f"etcd-remove/prod/{state.target.member_name}",
            chain_id=state.chain_id,
            cluster="prod",
            member_name=state.target.member_name,
            member_id=state.target.member_id,
            waits=ask.waits,
            request=state.turn_request,
        )
        self.state = grant(enqueue(self.state, entry))
        drive.result(TakeTurnResult(turn=position_of(self.state, state.chain_id)))

    def ended(self, drive: Drive) -> None:
        """The operation is over, as Temporal tells."""
        self.state = grant(dequeue(self.state, drive.state.chain_id))

    def tells(self, drive: Drive) -> None:
        """An operation that waits hears where it stands."""
        drive.state = queue_requests.position_received(drive.state, position_of(self.state, drive.state.chain_id))


def removal(name: str, chain: str) -> Drive:
    """One that has looked, and leaves the removing to k0s."""
    request = RemovalRequest(cluster="prod", member=name)
    state = OperationState(run_id=chain, chain_id=chain, request=request, blocked_remaining_seconds=3600)
    return Drive(state).do(to.Observe, seen(FIVE))


def one_waits_for_k0s() -> tuple[Queue, Drive, Drive]:
    """Its order stands and it has the turn; another one stands behind it."""
    queue, first, second = Queue(), removal("node0", "first"), removal("node3", "second")
    queue.answer(first)
    first.do(to.RequestLeave, ORDER)
    assert first.next(to.Wait).until is Until.RECHECK
    assert (first.shown(), first.state.holds_turn) == (HandoffState.BLOCKED, True)
    queue.answer(second)
    wait = second.next(to.Wait)
    assert (wait.until, second.shown()) == (Until.TURN, HandoffState.QUEUED)
    assert "node0" in wait.summary
    return queue, first, second


def goes_on(queue: Queue, second: Drive) -> None:
    """It hears of its turn, and asks k0s on a fresh look."""
    queue.tells(second)
    assert second.state.holds_turn
    assert second.state.is_over(Until.TURN)
    second.result().do(to.Observe, seen(WITHOUT_A)).next(to.RequestLeave)


def test_next_removal_waits_while_k0s_may_remove_and_goes_on_afterwards() -> None:
    """However often the first one looks in vain: k0s may act between any two looks."""
    queue, first, second = one_waits_for_k0s()
    for _ in range(3):
        first.result(after=1.0).do(to.Observe, seen(FIVE)).do(to.ReadLeave, leave_flag(stands=True)).next(to.Wait)
        queue.tells(second)
        assert not second.state.holds_turn
    first.result(after=1.0).do(to.Observe, seen(WITHOUT_A))
    first.do(to.WriteStatus, UpdateStatusResult(step=step("update_status", StepOutcome.RECORDED), recorded=True))
    first.next(to.Finish)
    queue.ended(first)
    goes_on(queue, second)


def test_removal_gives_its_turn_up_some_time_after_its_order_was_taken_back() -> None:
    """k0s may have begun before; afterwards others may go on, however long this one is blocked."""
    queue, first, second = one_waits_for_k0s()
    first.result(after=1.0).do(to.Observe, seen(RISKY)).do(to.ReadLeave, leave_flag(stands=True))
    assert first.next(to.RequestLeave).ask.leave is False
    queue.tells(second)
    assert not second.state.holds_turn
    first.result(ORDER).do(to.Wait, after=time_limits.OPERATION.settle_seconds - 1).do(to.Observe, seen(RISKY)).next(
        to.Wait
    )
    queue.tells(second)
    assert not second.state.holds_turn
    first.result(after=1.0)
    assert first.next(to.Observe).ask.probe
    first.result(seen(RISKY, committed=True))
    queue.answer(first)
    assert not first.state.holds_turn
    goes_on(queue, second)


def test_cancelled_removal_keeps_its_turn_until_nothing_of_it_can_happen_any_more() -> None:
    """k0s may have begun before the order was taken back."""
    queue, first, second = one_waits_for_k0s()
    first.state = ending.cancelled(first.state)
    first.do(to.ReadLeave, leave_flag(stands=True)).do(to.RequestLeave, ORDER)
    first.do(to.Wait, after=time_limits.OPERATION.settle_seconds).do(to.Observe, seen(FIVE)).next(to.Cancel)
    queue.tells(second)
    assert not second.state.holds_turn
    queue.ended(first)
    goes_on(queue, second)


def test_order_that_kubernetes_does_not_let_us_take_back_stands() -> None:
    """A webhook or a policy forbids it, so k0s may still follow it: whoever reads of the end has to know."""
    _, first, _ = one_waits_for_k0s()
    left = first.state.blocked_remaining_seconds
    first.result(after=left).do(to.Observe, seen(FIVE)).do(to.ReadLeave, leave_flag(stands=True))
    first.do(to.ReadLeave, leave_flag(stands=True))
    first.do(to.RequestLeave, step("request_leave", StepOutcome.FAILED, "denied by a webhook"))
    first.do(to.Wait, after=time_limits.OPERATION.settle_seconds).do(to.Observe, seen(FIVE))
    assert "spec.leave of EtcdMember node0 still stands" in first.next(to.WriteStatus).ask.message


def test_removal_that_k0s_never_carries_out_fails_when_its_time_is_over() -> None:
    """So others wait no longer than its `blocked_timeout_seconds`, and its order is taken back first."""
    queue, first, second = one_waits_for_k0s()
    left = first.state.blocked_remaining_seconds
    first.result(after=left).do(to.Observe, seen(FIVE)).do(to.ReadLeave, leave_flag(stands=True))
    first.do(to.ReadLeave, leave_flag(stands=True))
    assert first.next(to.RequestLeave).ask.leave is False
    first.result(ORDER).do(to.Wait, after=time_limits.OPERATION.settle_seconds).do(to.Observe, seen(FIVE))
    first.do(to.WriteStatus, UpdateStatusResult(step=step("update_status", StepOutcome.RECORDED), recorded=True))
    assert "AwaitingK0s" in first.next(to.Fail).failure.text
    queue.ended(first)
    goes_on(queue, second)
