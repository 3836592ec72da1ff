"""Whose turn it is to change an etcd cluster: the data and the pure functions of the workflow `ClusterTurns`."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from pydantic import Field

from etcd_handoff.wire import MemberId, Message

START_DELAY, UNDISTURBED_EACH, LONGEST_UNDISTURBED = timedelta(seconds=2), timedelta(seconds=0.5), timedelta(seconds=60)
FIRST_REJOIN, LONGEST_REJOIN = timedelta(seconds=10), timedelta(minutes=10)
NO_MEMBER: Final = "0"
"""An ID that etcd gives to nobody."""
LOST: Final = "whoever had the turn in the queue that was ended"
"""In place of names, as long as a new queue has not asked yet."""
MOST_SENTENCES: Final = 5
"""Sentences of a removal that are remembered, of which its EtcdMember may carry one when the removal ends."""


class QueueEntry(Message):
    """One removal in the queue of its etcd cluster.

    Attributes:
        workflow_id: The removal's workflow ID.
        chain_id: Run ID of the first run of its chain: a later start under the same workflow ID is another removal.
        cluster: Its cluster profile; two profiles may name one etcd cluster.
        member_name: Name of the member that leaves.
        member_id: ID of the member that leaves; `NO_MEMBER` for one that joins, since the queue tells EtcdMembers of
            removals alone.
        noun: What people call the operation.
        waits: It wants a turn; False while it is blocked by something else, or when its member is out.
        request: Counts up each time that the removal says something to its queue. Messages may overtake each other,
            and the highest number is what counts.
        holds: It has the turn already, from a queue that was ended.
    """

    workflow_id: str = Field(min_length=1)  # Temporal fails the task that signals a workflow without ID
    chain_id: str
    cluster: str
    member_name: str
    member_id: MemberId
    waits: bool = True
    request: int = 0
    holds: bool = False
    noun: str = "removal"

    @property
    def label(self) -> str:
        """How people speak of it."""
        return f"the {self.noun} of {self.member_name or self.member_id}"


class QueuePosition(Message):
    """Signal `your_turn` to a removal: the turn is its own now, or who is before it; also the answer when it asks.

    Attributes:
        granted: It may change the cluster now.
        behind: Who is before it, in order.
        chain_id: Whom it is meant for. A signal reaches whichever run has the workflow ID, and that may be a later
            removal than the one that stood in the queue.
        request: The request that it answers; the answer to an older one is nothing.
    """

    granted: bool
    behind: tuple[str, ...] = ()
    chain_id: str = ""
    request: int = 0


class Noted(Message):
    """What a queue knows of the progress of a removal that it follows.

    Attributes:
        chain_id: The removal.
        state: Its last known state.
        doing: Its last known words.
        sentences: What its EtcdMember was made to say, newest last.
    """

    chain_id: str
    state: str = ""
    doing: str = ""
    sentences: tuple[str, ...] = ()


class ChangeQueueState(Message):
    """Input of the workflow `ClusterTurns`: who has the turn, who wants it, first come first served.

    Attributes:
        cluster_id: The etcd cluster's own ID.
        tickets: Open removals, in the order in which they came.
        holder: Chain ID of the one whose turn it is; empty when it is nobody's.
        answered: What each removal was told last.
        noted: What is known of each removal's progress.
        doubtful: Who may have the turn from an earlier queue that was ended; as long as there is somebody, nobody gets
            it. Workflow IDs of removals, or `LOST` as long as they were not asked.
    """

    cluster_id: MemberId
    tickets: tuple[QueueEntry, ...] = ()
    holder: str = ""
    answered: tuple[QueuePosition, ...] = ()
    noted: tuple[Noted, ...] = ()
    doubtful: tuple[str, ...] = ()


class Join(Message):
    """Input of `take_turn`: what a removal says to its queue.

    Attributes:
        cluster_id: The etcd cluster's own ID.
        ticket: The removal.
        wakes: Whether a queue that keeps still is to go on at once; one that is asked for a turn does so in any case.
    """

    cluster_id: MemberId
    ticket: QueueEntry
    wakes: bool = True


class TakeTurnResult(Message):
    """Answer of `take_turn`.

    Attributes:
        turn: Whether the turn is granted, or who is before the removal.
        silent: Why the queue does not answer, in words; empty when it does.
    """

    turn: QueuePosition
    silent: str = ""


class RecallEntriesInput(Message):
    """Input of `recall_tickets`, and of the update `rejoin` of a removal: a new queue asks who has or wants a turn.

    Attributes:
        cluster_id: The etcd cluster's own ID.
        profiles: Cluster profiles that are known to name it.
        only: Workflow IDs of the removals to ask; empty for all that are open.
    """

    cluster_id: MemberId
    profiles: tuple[str, ...] = ()
    only: tuple[str, ...] = ()


class Recalled(Message):
    """Answer of `recall_tickets`.

    Attributes:
        tickets: The removals of this etcd cluster that stand in its queue, in the order in which they were started.
        silent: Workflow IDs of those that do not answer.
    """

    tickets: tuple[QueueEntry, ...] = ()
    silent: tuple[str, ...] = ()


def change_queue_id(cluster_id: str) -> str:
    """The workflow ID of a cluster's queue."""
    return f"etcd-turns/{cluster_id}"


# --- what the queue does ----------------------------------------------------------------------------------------------


def begun(turns: ChangeQueueState) -> ChangeQueueState:
    """A queue at its start: whoever started it has the turn, and knows so by that alone."""
    turns = granted(turns)
    return answered(turns, turn_of(turns, turns.holder)) if turns.holder else turns


def joined(turns: ChangeQueueState, ticket: QueueEntry) -> ChangeQueueState:
    """`ticket` stands in the queue: at its old place if it waited already, else at the end.

    A ticket that a later one of the same removal has overtaken changes nothing. Nor does it tell anything about other
    removals under the same workflow ID: that one has ended is Temporal's own word alone.
    """
    before = next((t for t in turns.tickets if t.chain_id == ticket.chain_id), None)
    if before is not None and before.request > ticket.request:
        return turns
    if before is not None and before.waits == ticket.waits:
        tickets = tuple(ticket if t is before else t for t in turns.tickets)
    else:
        tickets = (*(t for t in turns.tickets if t is not before), ticket)
    holder = "" if turns.holder == ticket.chain_id and not ticket.waits else turns.holder
    return turns.model_copy(update={"tickets": tickets, "holder": holder})


def left(turns: ChangeQueueState, chain_id: str) -> ChangeQueueState:
    """The removal of this chain has ended: it neither holds nor waits."""
    return turns.model_copy(
        update={
            "tickets": tuple(t for t in turns.tickets if t.chain_id != chain_id),
            "holder": "" if turns.holder == chain_id else turns.holder,
            "answered": tuple(a for a in turns.answered if a.chain_id != chain_id),
            "noted": tuple(n for n in turns.noted if n.chain_id != chain_id),
        }
    )


def granted(turns: ChangeQueueState) -> ChangeQueueState:
    """Somebody has the turn, if anybody wants it and nobody else may have it: first whoever has it already."""
    if turns.holder or turns.doubtful:
        return turns
    waiting = [t for t in turns.tickets if t.waits]
    first = next((t for t in waiting if t.holds), waiting[0] if waiting else None)
    return turns.model_copy(update={"holder": first.chain_id}) if first else turns


def recalled(turns: ChangeQueueState, found: Recalled) -> ChangeQueueState:
    """The queue after those were asked who stood in the one before it: they keep what they have."""
    for ticket in found.tickets:
        turns = joined(turns, ticket)
    turns = granted(turns.model_copy(update={"doubtful": found.silent}))
    for ticket in turns.tickets:
        if ticket.holds and turns.holder == ticket.chain_id:
            turns = answered(turns, turn_of(turns, ticket.chain_id))
    return turns


def turn_of(turns: ChangeQueueState, chain_id: str) -> QueuePosition:
    """What a removal is to be told."""
    request = next((t.request for t in turns.tickets if t.chain_id == chain_id), 0)
    if turns.holder == chain_id:
        return QueuePosition(granted=True, chain_id=chain_id, request=request)
    waiting = [t for t in turns.tickets if t.waits and t.chain_id != turns.holder]
    before = [t for t in turns.tickets if t.chain_id == turns.holder]
    for ticket in waiting:
        if ticket.chain_id == chain_id:
            break
        before.append(ticket)
    behind = (*map(in_doubt, turns.doubtful), *(t.label for t in before))
    return QueuePosition(granted=False, behind=behind, chain_id=chain_id, request=request)


def in_doubt(name: str) -> str:
    """How people speak of who may have the turn."""
    return name if name == LOST else f"{name}, which does not say whether it has the turn"


def news(turns: ChangeQueueState) -> tuple[tuple[QueueEntry, QueuePosition], ...]:
    """Who has to be told what: a turn that is granted, for its latest request, or another place in the queue."""
    last = {turn.chain_id: turn for turn in turns.answered}
    fresh = list[tuple[QueueEntry, QueuePosition]]()
    for ticket in turns.tickets:
        turn, before = turn_of(turns, ticket.chain_id), last.get(ticket.chain_id)
        known = before is not None and (turn.granted, turn.behind) == (before.granted, before.behind)
        same_request = before is not None and turn.request == before.request
        if ticket.waits and not (known and (same_request or not turn.granted)):
            fresh.append((ticket, turn))
    return tuple(fresh)


def answered(turns: ChangeQueueState, turn: QueuePosition) -> ChangeQueueState:
    """The queue once a removal has been told `turn`."""
    others = (a for a in turns.answered if a.chain_id != turn.chain_id)
    return turns.model_copy(update={"answered": (*others, turn)})


def noted_of(turns: ChangeQueueState, chain_id: str) -> Noted:
    """What is known of a removal's progress."""
    return next((n for n in turns.noted if n.chain_id == chain_id), Noted(chain_id=chain_id))


def with_note(turns: ChangeQueueState, noted: Noted) -> ChangeQueueState:
    """The queue once it knows this of a removal that stands in it."""
    if all(t.chain_id != noted.chain_id for t in turns.tickets):
        return turns
    others = (n for n in turns.noted if n.chain_id != noted.chain_id)
    kept = noted.model_copy(update={"sentences": noted.sentences[-MOST_SENTENCES:]})
    return turns.model_copy(update={"noted": (*others, kept)})


# --- what a removal does ----------------------------------------------------------------------------------------------


def latest_position(now: QueuePosition, told: QueuePosition, chain_id: str, request: int) -> QueuePosition:
    """What a removal knows of its turn, after its queue has told it something.

    Args:
        now: What it knew.
        told: What the queue tells, in a signal or in an answer.
        chain_id: The removal's own chain.
        request: The last request that it made. Only it is answered: what belongs to an older one was given back, or
            asked for again, since. A granted turn stays granted until the removal makes another request.
    """
    if told.chain_id != chain_id or told.request != request or (now.granted and now.request == request):
        return now
    return told


def rejoin_pause(times: int) -> timedelta:
    """How long a removal that waits does without news before it makes sure that it still stands in the queue.

    Each time costs events in both histories, and a history may not grow for ever.

    Args:
        times: How often it has made sure already, since it began to wait.
    """
    return min(FIRST_REJOIN * (1 << min(times, 10)), LONGEST_REJOIN)


def start_delay(others: int) -> timedelta:
    """How long a queue does nothing but keep the place of whom its start gave the turn.

    As a rule that removal ends within a moment, and whatever the queue did then would only slow it down. Whoever joins
    wakes it up.

    Args:
        others: Removals that have begun lately on the same worker: the more there are, the later each ends.
    """
    return min(START_DELAY + others * UNDISTURBED_EACH, LONGEST_UNDISTURBED)
