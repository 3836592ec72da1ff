"""Every order in which messages between removals and their queue may arrive, worked through with the real functions.

A message that was sent may arrive at any time, more than once, and after whatever was sent later. Removals may end and
the queue may be terminated at any time. What is checked of every world that can come about: no two removals think that
they have the turn, and nobody holds the queue's turn without being told.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Final

from etcd_handoff.operation import change_queue as q
from etcd_handoff.operation.queue_messages import (
    LOST_HOLDER,
    ChangeQueueState,
    QueueEntry,
    QueuePosition,
    RecallEntriesResult,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

CLUSTER_ID: Final = "cafe"


@dataclass(frozen=True, slots=True)
class Says:
    """A entry, in short: comparing thousands of worlds with the real ones would take most of the time."""

    chain: str
    waits: bool
    request: int
    holds: bool = False

    @property
    def entry(self) -> QueueEntry:
        """The real one."""
        return QueueEntry(
            workflow_id=f"etcd-remove/demo/{self.chain}",
            chain_id=self.chain,
            cluster="demo",
            member_name=f"node-{self.chain}",
            member_id="1",
            waits=self.waits,
            request=self.request,
            holds=self.holds,
        )


@dataclass(frozen=True, slots=True)
class Grant:
    """What a removal is told, as far as it matters: whether it has the turn, for which request."""

    chain: str
    request: int
    granted: bool

    @property
    def turn(self) -> QueuePosition:
        """The real one."""
        return QueuePosition(granted=self.granted, chain_id=self.chain, request=self.request)


@dataclass(frozen=True, slots=True)
class Removal:
    """What a removal knows."""

    chain: str
    open: bool = True
    waits: bool = False
    request: int = 0
    granted: bool = False

    def asks(self, *, waits: bool) -> Removal:
        """It asks for a turn, or gives it back."""
        return replace(self, waits=waits, request=self.request + 1, granted=False)

    def hears(self, grant: Grant) -> Removal:
        """It is told something."""
        now = QueuePosition(granted=self.granted, chain_id=self.chain, request=self.request)
        return replace(self, granted=q.latest_position(now, grant.turn, self.chain, self.request).granted)

    def rejoins(self) -> Removal:
        """A new queue asks it by the update `rejoin`."""
        return self if self.granted else replace(self, request=self.request + 1)

    @property
    def says(self) -> Says:
        """Its latest entry."""
        return Says(self.chain, self.waits, self.request, self.granted)


@dataclass(frozen=True, slots=True)
class World:
    """Removals, their queue, and every message that was ever sent.

    Attributes:
        removals: All there are.
        queue: Number of the queue's state in `STATES`; None while there is no queue.
        to_queue: Tickets that were sent.
        to_removals: ChangeQueueState that were sent.
        recalled: Answers to a new queue that asks who has the turn; None unless it asks.
        terminations: How often the queue may still be terminated.
        lost: The last queue was terminated.
    """

    removals: tuple[Removal, ...]
    queue: int | None = None
    to_queue: frozenset[Says] = frozenset()
    to_removals: frozenset[Grant] = frozenset()
    recalled: frozenset[Says] | None = None
    terminations: int = 0
    lost: bool = False

    def having(self, removal: Removal) -> World:
        """The world with this removal as it is now."""
        return replace(self, removals=tuple(removal if r.chain == removal.chain else r for r in self.removals))

    def with_queue(self, outcome: tuple[int | None, frozenset[Grant]]) -> World:
        """The world after the queue has done something."""
        queue, grants = outcome
        lost = self.lost and queue is not None
        return replace(self, queue=queue, to_removals=self.to_removals | grants, lost=lost)


STATES: Final[list[ChangeQueueState]] = []
NUMBERS: Final[dict[ChangeQueueState, int]] = {}


def served(state: ChangeQueueState, *answers: QueuePosition) -> tuple[int | None, frozenset[Grant]]:
    """The queue's state once it has told what is news, and all that was told; it ends when nobody stands in it."""
    state, turns = q.grant(state), [*answers]
    for _, turn in q.changed_positions(state):
        state = q.with_position(state, turn)
        turns.append(turn)
    grants = frozenset(Grant(turn.chain_id, turn.request, turn.granted) for turn in turns)
    if not state.entries and not state.possible_holders:
        return None, grants
    number = NUMBERS.setdefault(state, len(STATES))
    if number == len(STATES):
        STATES.append(state)
    return number, grants


@cache
def started(by: Says, *, lost: bool) -> tuple[int | None, frozenset[Grant]]:
    """A removal starts the queue, which is its turn unless the last queue was terminated."""
    state = ChangeQueueState(
        cluster_id=CLUSTER_ID, entries=(by.entry,), possible_holders=(LOST_HOLDER,) if lost else ()
    )
    answer = QueuePosition(granted=not lost, chain_id=by.chain, request=by.request)
    return served(q.start(state), answer)


@cache
def asked_by(queue: int, message: Says, *, answers: bool) -> tuple[int | None, frozenset[Grant]]:
    """The update `position`, or a signal, which is not answered."""
    state = q.grant(q.enqueue(STATES[queue], message.entry))
    if not answers:
        return served(state)
    turn = q.position_of(state, message.chain)
    return served(q.with_position(state, turn), turn)


@cache
def left_by(queue: int, chain: str) -> tuple[int | None, frozenset[Grant]]:
    """The queue learns that a removal has ended."""
    return served(q.dequeue(STATES[queue], chain))


@cache
def recalled_in(queue: int, answers: frozenset[Says]) -> tuple[int | None, frozenset[Grant]]:
    """All have said who has the turn."""
    entries = tuple(answer.entry for answer in sorted(answers, key=lambda answer: answer.chain))
    return served(q.recall(STATES[queue], RecallEntriesResult(entries=entries)))


def after(world: World, most_requests: int) -> Iterator[World]:
    """Every world that one event makes of this one."""
    for removal in world.removals:
        if removal.open:
            yield from _by_removal(world, removal, most_requests)
        elif world.queue is not None and any(t.chain_id == removal.chain for t in STATES[world.queue].entries):
            yield world.with_queue(left_by(world.queue, removal.chain))
    yield from _by_queue(world)


def _by_removal(world: World, removal: Removal, most_requests: int) -> Iterator[World]:
    yield world.having(replace(removal, open=False, granted=False))
    if removal.request < most_requests:
        for waits in (False,) if removal.granted else (False, True):
            new = removal.asks(waits=waits)
            yield replace(world.having(new), to_queue=world.to_queue | {new.says})
    for grant in world.to_removals:
        if grant.chain == removal.chain and (now := removal.hears(grant)) != removal:
            yield world.having(now)
    if (
        world.recalled is not None
        and removal.request
        and all(answer.chain != removal.chain for answer in world.recalled)
    ):
        new = removal.rejoins()
        yield replace(world.having(new), recalled=world.recalled | {new.says})


def _by_queue(world: World) -> Iterator[World]:
    for message in world.to_queue:
        if world.queue is not None:
            yield world.with_queue(asked_by(world.queue, message, answers=True))
            yield world.with_queue(asked_by(world.queue, message, answers=False))
        elif message.waits:
            recalled = frozenset[Says]() if world.lost else None
            yield replace(world, recalled=recalled).with_queue(started(message, lost=world.lost))
    if world.queue is None:
        return
    if world.terminations:
        yield replace(world, queue=None, recalled=None, lost=True, terminations=world.terminations - 1)
    if world.recalled is not None:
        answered = {answer.chain for answer in world.recalled}
        if all(not r.open or not r.request or r.chain in answered for r in world.removals):
            yield replace(world.with_queue(recalled_in(world.queue, world.recalled)), recalled=None, lost=False)


def wrong(world: World) -> str:
    """What is wrong with a world; empty when nothing is."""
    if sum(r.granted for r in world.removals) > 1:
        return "two have the turn"
    if world.queue is None:
        return ""
    state = STATES[world.queue]
    for removal in world.removals:
        if state.holder != removal.chain or not removal.open or removal.granted:
            continue
        known = next(t for t in state.entries if t.chain_id == removal.chain)
        grant = Grant(removal.chain, removal.request, granted=True)
        if known.request == removal.request and grant not in world.to_removals:
            return "it holds the turn and nobody tells it"
    return ""


def explore(removals: int, most_requests: int, terminations: int = 0, most: int = 1_000_000) -> tuple[str, int]:
    """What is wrong with the first world found that is wrong, and how many worlds were looked at.

    Args:
        removals: How many there are.
        most_requests: How often each asks for a turn or gives it back.
        terminations: How often the queue is terminated.
        most: The search ends after so many worlds.
    """
    for cached in (started, asked_by, left_by, recalled_in):
        cached.cache_clear()  # a test may have put something else in place of the real functions
    first = World(tuple(Removal(chain) for chain in "abc"[:removals]), terminations=terminations)
    seen, fresh = {first}, deque([first])
    while fresh and len(seen) < most:
        for world in after(fresh.popleft(), most_requests):
            if world not in seen:
                if text := wrong(world):
                    return text, len(seen)
                seen.add(world)
                fresh.append(world)
    return "", len(seen)
