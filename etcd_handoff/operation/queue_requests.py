"""Ask for the turn to change the etcd cluster, wait for it, and give it up.

`etcd_handoff.operation.change_queue` decides who is next.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from etcd_handoff.contract import HandoffState
from etcd_handoff.operation import schedule, texts
from etcd_handoff.operation.change_queue import latest_position, rejoin_pause
from etcd_handoff.operation.commands import LONGEST_SUMMARY, AskQueue, Until, Wait
from etcd_handoff.operation.phases import LookDue
from etcd_handoff.operation.queue_messages import QueuePosition, TakeTurnResult
from etcd_handoff.operation.state import NextCommand
from etcd_handoff.operation.step_log import cut

if TYPE_CHECKING:
    from etcd_handoff.operation.state import OperationState


def acquire(state: OperationState) -> NextCommand | OperationState:
    """Ask for a turn, then wait for it; others may change the cluster meanwhile."""
    if not state.queueing:
        return ask(state.changed(queueing=True, rejoins=0), waits=True)
    if state.queue_silent:
        return state.blocked_by(texts.queue_silent(state.queue_silent, (state.subject or state.target).cluster_id))
    if state.rejoin_due:
        return ask(state.changed(rejoins=state.rejoins + 1), waits=True)
    behind = ", ".join(state.behind) or "another operation"
    doing = f"waiting in the queue behind {behind}"
    state = state.showing(
        HandoffState.QUEUED, doing, "wait until the operations before it have ended or are blocked"
    ).changed(turn_news=False)
    seconds = rejoin_pause(state.rejoins).total_seconds()
    if (remaining := schedule.remaining_seconds(state)) is not None:
        seconds = min(seconds, remaining)
    summary = cut(f"wait in the change queue behind {behind}", LONGEST_SUMMARY)
    return NextCommand(state, Wait(until=Until.TURN, seconds=seconds, summary=summary))


def ask(state: OperationState, *, waits: bool, wakes: bool = True, news: bool = False) -> NextCommand:
    """Inform the queue whether a turn is wanted; its answers to earlier requests count no more.

    Args:
        state: The state.
        waits: A turn is wanted; False gives it up.
        wakes: The queue is to write at once on the EtcdMember what the removal waits for.
        news: See `AskQueue`.
    """
    state = state.changed(
        turn_request=state.turn_request + 1,
        wants_turn=waits,
        holds_turn=False,
        behind=(),
        queue_knows=True,
        rejoin_due=False,
    )
    return NextCommand(state, AskQueue(waits=waits, wakes=wakes, news=news))


def numbered(state: OperationState, now: float) -> OperationState:
    """Return the state with a request number that no request of the operation has had.

    An operation that was reset goes on from an older state. If it counted on from there, its queue would take its
    requests for older ones. It would also take grants for requests that it has forgotten.

    Args:
        state: The state.
        now: The workflow's time, which a reset does not turn back, in seconds.
    """
    return state.changed(turn_request=max(state.turn_request, int(now * 1000)))


def answered(state: OperationState, command: AskQueue, place: TakeTurnResult) -> OperationState:
    """Return the state after the queue's answer."""
    if place.turn.chain_id == state.chain_id and place.turn.request:
        # This is the number that was sent: a replay may count by another time (`numbered`).
        state = state.changed(turn_request=place.turn.request)
    state = position_received(state, place.turn)
    if not command.waits:
        # A silent queue gets the message again at the next pause.
        return state.changed(released=True, queue_knows=not place.silent)
    # A free turn is used on the latest look; after a wait, the cluster is looked at again.
    return state.changed(queue_silent=place.silent, queueing=not (state.holds_turn and not state.rejoins))


def unless_asked_since(state: OperationState, request: int, taken: TakeTurnResult) -> TakeTurnResult:
    """Return a queue's answer, or the known position where another queue has asked meanwhile.

    Args:
        state: The state after the answer.
        request: Number of the request that was answered.
        taken: The answer.
    """
    if state.turn_request in (request, taken.turn.request):
        return taken
    return TakeTurnResult(turn=_known(state))


def position_received(state: OperationState, turn: QueuePosition) -> OperationState:
    """Return the state after a signal or an answer from the queue."""
    known = _known(state)
    now = latest_position(known, turn, state.chain_id, state.turn_request)
    if now is known:
        return state
    return state.changed(holds_turn=now.granted, behind=now.behind, turn_news=True)


def waited(state: OperationState) -> OperationState:
    """Return the state after a wait for the turn: there is news, or the removal checks its place.

    A queue that was terminated has forgotten this removal.
    """
    return state if state.turn_news else state.changed(recheck=False, rejoin_due=True)


def acquired(state: OperationState) -> OperationState:
    """Return the state with a turn that it had to wait for: the cluster is looked at again."""
    return state.changed(queueing=False, look_due=LookDue.PATIENT)


def rejoined(state: OperationState) -> OperationState:
    """Return the state after a new queue asked whether this removal has or wants a turn."""
    return state.changed(turn_request=state.turn_request + 1)


def _known(state: OperationState) -> QueuePosition:
    """Return the operation's position, by the queue's last message."""
    return QueuePosition(
        granted=state.holds_turn, behind=state.behind, chain_id=state.chain_id, request=state.turn_request
    )
