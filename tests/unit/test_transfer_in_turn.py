"""The turn that is taken together with a transfer: leadership stays where it is until the queue has granted it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from temporalio import workflow
from temporalio.testing import ActivityEnvironment

from activities.etcd import EtcdActivities
from etcd_handoff.activity_io import StepInput
from etcd_handoff.config import Config
from etcd_handoff.contract import HandoffState, StepOutcome
from etcd_handoff.operation import commands as to
from etcd_handoff.operation import queue_requests
from etcd_handoff.operation.loop import apply, transfer_in_turn
from etcd_handoff.operation.phases import ApprovalState
from etcd_handoff.operation.queue_messages import (
    MoveLeaderInTurnInput,
    MoveLeaderResult,
    QueueEntry,
    QueuePosition,
    TakeTurnInput,
    TakeTurnResult,
)
from etcd_handoff.temporal.converter import VersionMismatchError
from tests.fakes.etcd import FakeEtcd
from tests.unit.builders import step
from tests.unit.conversion import CONVERTER
from tests.unit.test_removal_loop import LED_BY_A, OBSERVED_B, begin, report
from workflows import patches
from workflows.transferring import Transferring

if TYPE_CHECKING:
    from collections.abc import Iterable

    from etcd_handoff.cluster_view import ClusterView
    from etcd_handoff.operation.state import OperationState

MEMBERS = {"1": "node1", "2": "node2", "3": "node3"}
"""Node1 leads."""
ENTRY = QueueEntry(workflow_id="w", chain_id="chain", cluster="demo", member_name="node1", member_id="1", request=7)
ASK = MoveLeaderInTurnInput(
    transfer=StepInput(cluster="demo", cluster_id="c", target_id="1", holder="chain"),
    turn=TakeTurnInput(cluster_id="c", entry=ENTRY),
)
CONFIG = Config.model_validate({"clusters": {"demo": {"etcd": {"endpoints": ["http://etcd:2379"]}}}})


def position(*, granted: bool) -> TakeTurnResult:
    """What the queue answers."""
    return TakeTurnResult(turn=QueuePosition(granted=granted, chain_id="chain", request=7))


async def moved(etcd: FakeEtcd, ask: StepInput | MoveLeaderInTurnInput, **worker: Any) -> MoveLeaderResult:
    """What `move_leader` answers."""
    activities = EtcdActivities(CONFIG, "node1", lambda *_: etcd, **worker)
    answer: MoveLeaderResult = await ActivityEnvironment().run(activities.move_leader, ask)
    return answer


def answering(result: TakeTurnResult | None, requests: list[TakeTurnInput]) -> Any:
    """A queue that answers this."""

    async def take_turn(turn: TakeTurnInput) -> TakeTurnResult | None:
        requests.append(turn)
        return result

    return take_turn


async def test_leadership_moves_once_the_turn_is_granted() -> None:
    """One activity does both."""
    etcd, requests = FakeEtcd(MEMBERS), list[TakeTurnInput]()
    answer = await moved(etcd, ASK, take_turn=answering(position(granted=True), requests))
    assert (answer.step.outcome, answer.turn, requests) == (StepOutcome.MOVED, position(granted=True), [ASK.turn])
    assert "move_leader 1" in etcd.calls


@pytest.mark.parametrize("turn", [position(granted=False), None])
async def test_leadership_stays_without_the_turn(turn: TakeTurnResult | None) -> None:
    """Others are before it, or the queue does not answer soon."""
    etcd = FakeEtcd(MEMBERS)
    answer = await moved(etcd, ASK, take_turn=answering(turn, []))
    assert (answer.step.outcome, answer.turn) == (StepOutcome.REPLAN, turn)
    assert "move_leader 1" not in etcd.calls


@pytest.mark.parametrize(("began_queue", "outcome"), [(True, StepOutcome.MOVED), (False, StepOutcome.REPLAN)])
async def test_look_before_the_turn_counts_only_where_nobody_had_it(outcome: StepOutcome, *, began_queue: bool) -> None:
    """The operation that had it may have removed a member since; of two voters none may leave here."""

    class Shrinking(FakeEtcd):
        async def observe(self, doubtful: Iterable[str] = (), leaving: str = "") -> ClusterView:
            view = await super().observe(doubtful, leaving)
            self.members.pop("3", None)
            return view

    etcd = Shrinking(MEMBERS)
    turn = position(granted=True).model_copy(update={"began_queue": began_queue})
    ask = ASK.model_copy(update={"transfer": ASK.transfer.model_copy(update={"min_voters": 2})})
    answer = await moved(etcd, ask, take_turn=answering(turn, []))
    assert (answer.step.outcome, "move_leader 1" in etcd.calls) == (outcome, began_queue)


async def test_worker_that_cannot_ask_the_queue_moves_nothing() -> None:
    """The operation asks by itself then."""
    etcd = FakeEtcd(MEMBERS)
    assert (await moved(etcd, ASK)).turn is None
    assert "move_leader 1" not in etcd.calls


async def test_transfer_of_an_operation_that_has_the_turn_asks_for_none() -> None:
    """It had to wait for it before."""
    etcd, requests = FakeEtcd(MEMBERS), list[TakeTurnInput]()
    answer = await moved(etcd, ASK.transfer, take_turn=answering(position(granted=True), requests))
    assert (answer.step.outcome, answer.turn, requests) == (StepOutcome.MOVED, None, [])


async def test_turn_is_told_although_no_transfer_is_needed_any_more() -> None:
    """It is ours, and the operation goes on with it."""
    etcd = FakeEtcd({"2": "node2", "1": "node1", "3": "node3"})
    answer = await moved(etcd, ASK, take_turn=answering(position(granted=True), []))
    assert (answer.step.outcome, answer.turn) == (StepOutcome.REPLAN, position(granted=True))
    assert "move_leader" not in " ".join(etcd.calls)


def test_worker_of_a_version_without_it_reads_no_transfer_in_it() -> None:
    """It would hand leadership over without the turn."""
    payloads = CONVERTER.to_payloads([ASK])
    with pytest.raises(VersionMismatchError, match="StepInput was written by another version"):
        CONVERTER.from_payloads(payloads, [StepInput])


# --- when it is done ------------------------------------------------------------------------------------------


def asking(seen: Any, **options: Any) -> tuple[OperationState, to.AskQueue, float]:
    """A removal that asks for its turn after it has seen this."""
    drive = begin(**options).do(to.Observe, seen)
    command = drive.next(to.AskQueue)
    return drive.state, command, drive.now


def test_leaders_removal_takes_the_turn_with_the_transfer() -> None:
    """It says so meanwhile, and has no turn yet."""
    ahead = transfer_in_turn(*asking(report(StepOutcome.OBSERVED, LED_BY_A)))
    assert ahead is not None
    state, transfer = ahead
    assert isinstance(transfer, to.TransferLeadership)
    assert (state.handoff_state, state.holds_turn) == (HandoffState.TRANSFERRING, False)
    assert state.doing.startswith("handing leadership from node0 to ")
    assert state.doing.endswith(" as soon as it has its turn")


def test_followers_removal_asks_for_the_turn_alone() -> None:
    """The step after it cannot be undone."""
    assert transfer_in_turn(*asking(OBSERVED_B)) is None


def test_transfer_that_waits_for_a_check_is_none_yet() -> None:
    """The hashes are compared in its turn, before anything is changed."""
    assert transfer_in_turn(*asking(report(StepOutcome.OBSERVED, LED_BY_A), hash_check=True)) is None


def test_transfer_through_another_node_is_made_once_the_turn_is_there() -> None:
    """The worker of that node serves a task queue of its own."""
    state, command, now = asking(report(StepOutcome.OBSERVED, LED_BY_A))
    assert state.view is not None
    leader, *others = state.view.members
    view = state.view.model_copy(
        update={"members": (leader.model_copy(update={"through_node": "node0"}), *others), "merged": True}
    )
    assert transfer_in_turn(state.changed(view=view), command, now) is None


@pytest.mark.parametrize("silent", ["", "the queue cannot be asked"])
def test_answer_of_a_queue_that_is_gone_counts_no_more(silent: str) -> None:
    """A new queue has asked meanwhile, by which the request has another number: only its word counts."""
    state, command, now = asking(OBSERVED_B)
    granted = QueuePosition(granted=True, chain_id="chain", request=state.turn_request)
    taken = TakeTurnResult(turn=granted, silent=silent)
    since = queue_requests.rejoined(state)
    assert queue_requests.unless_asked_since(state, state.turn_request, taken) is taken
    counted = queue_requests.unless_asked_since(since, state.turn_request, taken)
    after = apply(since, command, counted, now)
    assert (after.turn_request, after.holds_turn, after.queueing) == (since.turn_request, False, True)
    granted = granted.model_copy(update={"request": since.turn_request})
    assert queue_requests.position_received(after, granted).holds_turn


# --- what the workflow makes of it ------------------------------------------------------------------------------


class Driven(Transferring):
    """A leader's removal at the moment in which it asks for its turn.

    Args:
        result: What the step that takes the turn and hands leadership over comes to.
        asked_meanwhile: A new queue asks where the removal stands, while that step runs.
    """

    def __init__(self, result: Any, *, asked_meanwhile: bool = False, **options: Any) -> None:
        super().__init__()
        self.state, self.command, _ = asking(report(StepOutcome.OBSERVED, LED_BY_A), **options)
        self._state, self._result, self._asked_meanwhile = self.state, result, asked_meanwhile

    def _show(self) -> None:
        """Nobody looks."""

    def _numbered(self, command: to.AskQueue) -> TakeTurnInput:  # noqa: ARG002
        entry = ENTRY.model_copy(update={"request": self._state.turn_request})
        return TakeTurnInput(cluster_id="c", entry=entry)

    async def _transfer(self, command: Any) -> Any:  # noqa: ARG002
        if self._asked_meanwhile:
            self._state = queue_requests.rejoined(self._state)
        return self._result

    async def asks(self) -> TakeTurnResult | None:
        """What is known of the turn then."""
        return await self._turn_with_transfer(self.command)

    def goes_on(self, turn: TakeTurnResult) -> OperationState:
        """The state once the queue's answer and the transfer have been taken in."""
        self._state = apply(self._state, self.command, turn, 1_000.0)
        self._take_in_transfer()
        return self._state


@pytest.fixture(autouse=True)
def outside_of_temporal(monkeypatch: pytest.MonkeyPatch) -> None:
    """No workflow runs here."""
    monkeypatch.setattr(workflow, "time", lambda: 1_000.0)
    monkeypatch.setattr(patches, "is_on", lambda _: True)


def came_to(outcome: StepOutcome, *, attempts: int = 1, turn: TakeTurnResult | None) -> MoveLeaderResult:
    """What the step comes to."""
    done = step("move_leader", outcome).model_copy(update={"attempts": attempts})
    return MoveLeaderResult(step=done, turn=turn)


def in_state(state: OperationState, *, granted: bool) -> TakeTurnResult:
    """What the queue answers to the request of this state."""
    return TakeTurnResult(turn=QueuePosition(granted=granted, chain_id="chain", request=state.turn_request))


async def gone_on(outcome: StepOutcome, *, granted: bool) -> OperationState:
    """The state once the step has come to this, and the queue has answered."""
    driven = Driven(None)
    driven._result = came_to(outcome, turn=in_state(driven.state, granted=granted))
    turn = await driven.asks()
    assert turn is not None
    return driven.goes_on(turn)


async def test_what_was_handed_over_in_its_turn_is_followed_by_the_election() -> None:
    """As if the turn had been asked for first."""
    state = await gone_on(StepOutcome.MOVED, granted=True)
    assert (state.holds_turn, state.leadership_moved, state.election is not None) == (True, True, True)
    assert [s.name for s in state.steps][-1:] == ["move_leader"]


async def test_removal_that_is_not_first_waits_and_has_handed_nothing_over() -> None:
    """The step is not told: nothing was done in it."""
    state = await gone_on(StepOutcome.REPLAN, granted=False)
    assert (state.holds_turn, state.queueing, state.election, len(state.steps)) == (False, True, None, 1)


async def test_grant_of_a_queue_that_was_replaced_meanwhile_does_not_count() -> None:
    """The new queue has asked who has the turn, and has heard that this removal only waits for it."""
    driven = Driven(None, asked_meanwhile=True)
    driven._result = came_to(StepOutcome.MOVED, turn=in_state(driven.state, granted=True))
    assert await driven.asks() is None
    assert not driven._state.holds_turn
    assert driven._state.leadership_moved, "it has moved all the same"
    assert driven._state.steps[-1].name == "move_leader"


async def test_signal_that_came_before_the_queue_is_asked_again_grants_nothing() -> None:
    """The queue that sent it may have been terminated since."""
    driven = Driven(None)
    driven._result = came_to(StepOutcome.REPLAN, turn=None)
    driven._state = driven._state.changed(holds_turn=True)
    assert await driven.asks() is None
    assert not driven._state.holds_turn


async def test_approval_of_what_had_no_turn_lapses_as_ever() -> None:
    """The first attempt met a worker of an older version, and the second the queue, in which others are first."""
    driven = Driven(None)
    driven._result = came_to(StepOutcome.REPLAN, attempts=2, turn=in_state(driven.state, granted=False))
    driven._state = driven._state.changed(approved=ApprovalState(identity="ann@desk"))
    assert await driven.asks() is not None
    assert driven._state.approved is not None
    assert not driven._state.approved.used


@pytest.mark.parametrize("result", [came_to(StepOutcome.REPLAN, attempts=2, turn=None), None])
async def test_approval_of_what_has_begun_does_not_lapse(result: MoveLeaderResult | None) -> None:
    """An attempt whose answer was lost may have handed leadership over."""
    failed = to.StepFailure("move_leader", "", "its worker was killed", attempts=2, tried=True)
    driven = Driven(result or failed)
    driven._state = driven._state.changed(approved=ApprovalState(identity="ann@desk"))
    assert await driven.asks() is None
    assert driven._state.approved is not None
    assert driven._state.approved.used
