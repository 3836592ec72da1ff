"""Whose turn it is to change an etcd cluster: the data and the pure functions of the workflow `ClusterTurns`."""

from __future__ import annotations

from datetime import timedelta

from pydantic import Field

from etcd_handoff.message import MemberId, Message

UNDISTURBED, UNDISTURBED_EACH, LONGEST_UNDISTURBED = timedelta(seconds=2), timedelta(seconds=0.5), timedelta(seconds=60)


class Ticket(Message):
    """One removal in the queue of its etcd cluster.

    Attributes:
        workflow_id: The removal's workflow ID.
        chain_id: Run ID of the first run of its chain: a later start under the same workflow ID is another removal.
        cluster: Its cluster profile; two profiles may name one etcd cluster.
        member_name: Name of the member that leaves.
        member_id: ID of the member that leaves.
        waits: It wants a turn; False while it is blocked by something else.
    """

    workflow_id: str = Field(min_length=1)  # Temporal fails the task that signals a workflow without ID
    chain_id: str
    cluster: str
    member_name: str
    member_id: MemberId
    waits: bool = True

    @property
    def label(self) -> str:
        """How people speak of it."""
        return f"the removal of {self.member_name or self.member_id}"


class Turns(Message):
    """Input of the workflow `ClusterTurns`: who has the turn, who wants it, first come first served.

    Attributes:
        cluster_id: The etcd cluster's own ID.
        tickets: Open removals, in the order in which they came.
        holder: Chain ID of the one whose turn it is; empty when it is nobody's.
    """

    cluster_id: MemberId
    tickets: tuple[Ticket, ...] = ()
    holder: str = ""


class Turn(Message):
    """Signal `your_turn` to a removal, or the news who is before it.

    Attributes:
        granted: It may change the cluster now.
        behind: Who is before it, in order.
        chain_id: Whom it is meant for. A signal reaches whichever run has the workflow ID, and that may be a later
            removal than the one that stood in the queue.
    """

    granted: bool
    behind: tuple[str, ...] = ()
    chain_id: str = ""


def turns_id(cluster_id: str) -> str:
    """The workflow ID of a cluster's queue."""
    return f"etcd-turns/{cluster_id}"


def joined(turns: Turns, ticket: Ticket) -> Turns:
    """`ticket` stands in the queue: at its old place if it waited already, else at the end.

    Another chain under the same workflow ID has ended, since only one can be open.
    """
    for ended in [t for t in turns.tickets if t.workflow_id == ticket.workflow_id and t.chain_id != ticket.chain_id]:
        turns = left(turns, ended.chain_id)
    before = next((t for t in turns.tickets if t.chain_id == ticket.chain_id), None)
    if before is not None and before.waits and ticket.waits:
        return turns
    others = tuple(t for t in turns.tickets if t.chain_id != ticket.chain_id)
    holder = "" if turns.holder == ticket.chain_id and not ticket.waits else turns.holder
    return turns.model_copy(update={"tickets": (*others, ticket), "holder": holder})


def left(turns: Turns, chain_id: str) -> Turns:
    """The removal of this chain has ended: it neither holds nor waits."""
    tickets = tuple(t for t in turns.tickets if t.chain_id != chain_id)
    return turns.model_copy(update={"tickets": tickets, "holder": "" if turns.holder == chain_id else turns.holder})


def granted(turns: Turns) -> Turns:
    """Somebody has the turn, if anybody wants it."""
    if turns.holder:
        return turns
    first = next((t for t in turns.tickets if t.waits), None)
    return turns.model_copy(update={"holder": first.chain_id}) if first else turns


def turn_of(turns: Turns, chain_id: str) -> Turn:
    """What a removal is to be told."""
    if turns.holder == chain_id:
        return Turn(granted=True, chain_id=chain_id)
    waiting = [t for t in turns.tickets if t.waits and t.chain_id != turns.holder]
    before = [t for t in turns.tickets if t.chain_id == turns.holder]
    for ticket in waiting:
        if ticket.chain_id == chain_id:
            break
        before.append(ticket)
    return Turn(granted=False, behind=tuple(t.label for t in before), chain_id=chain_id)


def keeps_still(others: int) -> timedelta:
    """How long a queue does nothing but keep the place of whom its start gave the turn.

    As a rule that removal ends within a moment, and whatever the queue did then would only slow it down. Whoever joins
    wakes it up.

    Args:
        others: Removals that have begun lately on the same worker: the more there are, the later each ends.
    """
    return min(UNDISTURBED + others * UNDISTURBED_EACH, LONGEST_UNDISTURBED)
