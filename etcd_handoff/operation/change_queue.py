"""Decide the queue of one etcd cluster, where one change runs at a time. Pure.

The first half is the queue's side, the second half the side of a removal in it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from etcd_handoff import time_limits
from etcd_handoff.operation.queue_messages import LOST_HOLDER, KnownProgress, QueuePosition

if TYPE_CHECKING:
    from datetime import timedelta

    from etcd_handoff.operation.queue_messages import ChangeQueueState, QueueEntry, RecallEntriesResult

KEPT_SENTENCES: Final = 5
"""Sentences of a removal that the queue remembers. Its EtcdMember may show one of them when the removal ends."""


# --- the queue --------------------------------------------------------------------------------------------------------


def start(state: ChangeQueueState) -> ChangeQueueState:
    """Return the queue at its start. The removal that started it has the turn and needs no message."""
    state = grant(state)
    return with_position(state, position_of(state, state.holder)) if state.holder else state


def enqueue(state: ChangeQueueState, entry: QueueEntry) -> ChangeQueueState:
    """Return the queue with `entry`: at its old place when it waited already, else at the end.

    An entry changes nothing when a later one of the same removal came first. An entry does not end other removals under
    the same workflow ID: only Temporal shows that one has ended.
    """
    before = next((e for e in state.entries if e.chain_id == entry.chain_id), None)
    if before is not None and before.request > entry.request:
        return state
    if before is not None and before.waits == entry.waits:
        entries = tuple(entry if e is before else e for e in state.entries)
    else:
        entries = (*(e for e in state.entries if e is not before), entry)
    holder = "" if state.holder == entry.chain_id and not entry.waits else state.holder
    return state.model_copy(update={"entries": entries, "holder": holder})


def dequeue(state: ChangeQueueState, chain_id: str) -> ChangeQueueState:
    """Return the queue without a removal that has ended."""
    return state.model_copy(
        update={
            "entries": tuple(e for e in state.entries if e.chain_id != chain_id),
            "holder": "" if state.holder == chain_id else state.holder,
            "positions": tuple(p for p in state.positions if p.chain_id != chain_id),
            "progress": tuple(p for p in state.progress if p.chain_id != chain_id),
        }
    )


def waiters(state: ChangeQueueState) -> tuple[QueueEntry, ...]:
    """Return the operations that wait for the turn, in the order in which they get it."""
    return tuple(entry for entry in state.entries if entry.waits and entry.chain_id != state.holder)


def grant(state: ChangeQueueState) -> ChangeQueueState:
    """Return the queue after granting a free turn.

    It goes to an entry that held it in the queue before, else to the first waiter.
    """
    if state.holder or state.possible_holders:
        return state
    waiting = waiters(state)
    first = next((entry for entry in waiting if entry.holds), waiting[0] if waiting else None)
    return state.model_copy(update={"holder": first.chain_id}) if first else state


def recall(state: ChangeQueueState, answer: RecallEntriesResult) -> ChangeQueueState:
    """Return the queue with what the open removals answered about their places in the queue before."""
    for entry in answer.entries:
        state = enqueue(state, entry)
    state = grant(state.model_copy(update={"possible_holders": answer.silent}))
    for entry in state.entries:
        if entry.holds and state.holder == entry.chain_id:
            state = with_position(state, position_of(state, entry.chain_id))
    return state


def position_of(state: ChangeQueueState, chain_id: str) -> QueuePosition:
    """Return the position of a removal."""
    request = next((e.request for e in state.entries if e.chain_id == chain_id), 0)
    if state.holder == chain_id:
        return QueuePosition(granted=True, chain_id=chain_id, request=request)
    before = [e for e in state.entries if e.chain_id == state.holder]
    for entry in waiters(state):
        if entry.chain_id == chain_id:
            break
        before.append(entry)
    behind = (*map(holder_label, state.possible_holders), *(e.label for e in before))
    return QueuePosition(granted=False, behind=behind, chain_id=chain_id, request=request)


def holder_label(name: str) -> str:
    """Return one of `possible_holders` in words."""
    return name if name == LOST_HOLDER else f"{name}, which does not say whether it has the turn"


def changed_positions(state: ChangeQueueState) -> tuple[tuple[QueueEntry, QueuePosition], ...]:
    """Return the removals to inform of their position.

    They have the turn for their latest request, or their place has changed.
    """
    last = {position.chain_id: position for position in state.positions}
    changed: list[tuple[QueueEntry, QueuePosition]] = []
    for entry in state.entries:
        position, before = position_of(state, entry.chain_id), last.get(entry.chain_id)
        known = before is not None and (position.granted, position.behind) == (before.granted, before.behind)
        same_request = before is not None and position.request == before.request
        if entry.waits and not (known and (same_request or not position.granted)):
            changed.append((entry, position))
    return tuple(changed)


def with_position(state: ChangeQueueState, position: QueuePosition) -> ChangeQueueState:
    """Return the queue after sending a removal this position."""
    others = (p for p in state.positions if p.chain_id != position.chain_id)
    return state.model_copy(update={"positions": (*others, position)})


def progress_of(state: ChangeQueueState, chain_id: str) -> KnownProgress:
    """Return the known progress of a removal."""
    return next((p for p in state.progress if p.chain_id == chain_id), KnownProgress(chain_id=chain_id))


def with_progress(state: ChangeQueueState, progress: KnownProgress) -> ChangeQueueState:
    """Return the queue with the new progress of a removal, if the removal is still in the queue."""
    if all(entry.chain_id != progress.chain_id for entry in state.entries):
        return state
    others = (p for p in state.progress if p.chain_id != progress.chain_id)
    kept = progress.model_copy(update={"sentences": progress.sentences[-KEPT_SENTENCES:]})
    return state.model_copy(update={"progress": (*others, kept)})


# --- a removal --------------------------------------------------------------------------------------------------------


def latest_position(known: QueuePosition, received: QueuePosition, chain_id: str, request: int) -> QueuePosition:
    """Return the position that counts for a removal after a message from its queue.

    Args:
        known: The position that the removal knew.
        received: The position in the queue's signal or answer.
        chain_id: The removal's own chain.
        request: The removal's last request. An answer to an older one does not count: the removal has given up the
            turn, or asked for it again, since. A granted turn stays granted until the removal makes another request.
    """
    other = received.chain_id != chain_id or received.request != request
    return known if other or (known.granted and known.request == request) else received


def rejoin_pause(times: int) -> timedelta:
    """Return how long a removal waits for news before it checks its place in the queue.

    Each check costs events in both histories, and a history must stay bounded.

    Args:
        times: How many checks it has made since it began to wait.
    """
    limits = time_limits.OPERATION
    return min(limits.rejoin_first_pause * (1 << min(times, 10)), limits.rejoin_longest_pause)


def start_delay(others: int) -> timedelta:
    """Return the start delay of the queue workflow.

    Its start alone grants the turn. Most removals end within the delay, and a running queue would only slow them down.
    The next removal that asks for the turn ends the delay.

    Args:
        others: Removals that began lately on the same worker: the more there are, the later each ends.
    """
    limits = time_limits.OPERATION
    return min(limits.queue_start_delay + others * limits.queue_start_added_delay, limits.queue_start_longest_delay)
