"""The data of what stands round a removal: whose turn it is in a cluster, and what EtcdMembers ask for.

Pure, like the model: the workflows of `workflows.turns` and `workflows.watch` decide with these functions.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from pydantic import Field

from etcd_handoff.message import ClusterName, MemberId, Message
from etcd_handoff.model import HandoffState
from etcd_handoff.view import ClusterView

if TYPE_CHECKING:
    from collections.abc import Iterable

# --- whose turn it is ----------------------------------------------------------------------------------------------

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


# --- how a removal goes ---------------------------------------------------------------------------------------------


class Follow(Message):
    """Input of `follow_removal`.

    Attributes:
        workflow_id: The removal.
        chain_id: Its chain; empty for whichever runs.
        state: The state that is known; the answer comes when there is another.
        doing: The words that are known.
        to_the_end: Answer only when it has ended.
    """

    workflow_id: str
    chain_id: str = ""
    state: str = ""
    doing: str = ""
    to_the_end: bool = False


class Followed(Message):
    """Answer of `follow_removal`: what is new about a removal.

    Attributes:
        open: It runs; False once it has ended.
        state: Its state, in the words of the search attribute.
        doing: What it does, or why it failed.
        waiting_for: What would unblock it.
        failed: It has ended and not done what was asked for.
        cancelled: It has ended because somebody cancelled or terminated it.
    """

    open: bool
    state: str
    doing: str = ""
    waiting_for: str = ""
    failed: bool = False
    cancelled: bool = False


def sentence(followed: Followed) -> str:
    """What an EtcdMember says while its removal is under way."""
    doing = followed.doing[:1].upper() + followed.doing[1:]
    if followed.state == HandoffState.BLOCKED:
        return f"Blocked: {followed.doing}; goes on when: {followed.waiting_for}"
    if followed.waiting_for and followed.state != HandoffState.CHECKING:
        return f"{doing}; goes on when: {followed.waiting_for}"
    return doing


class Note(Message):
    """Input of `note_progress`: a sentence for a member's EtcdMember.

    Attributes:
        cluster: Cluster profile.
        resource: Name of the EtcdMember.
        member_id: The member's ID: an EtcdMember that speaks of another one is left alone.
        message: The sentence.
        failed: Whether what was tried has failed.
        instead_of: When given, an EtcdMember that says none of these is left alone: somebody else has spoken since.
    """

    cluster: str
    resource: str
    member_id: str
    message: str
    failed: bool = False
    instead_of: tuple[str, ...] = ()


# --- what EtcdMembers ask for ---------------------------------------------------------------------------------------

RESYNC_SECONDS: Final = 300.0
LATEST: Final = 253_402_300_799
"""The end of the year 9999: a timer beyond it cannot be set, which would end what tends the removal."""
FIRST_RETRY_SECONDS: Final = 15.0
RETRY_GROWTH: Final = 2.0
LONGEST_RETRY_SECONDS: Final = 600.0
MOST_DOUBLINGS: Final = 30
"""Beyond the longest pause, and far from what a float can hold."""


class Asked(Message):
    """One EtcdMember, as far as it is an order.

    Attributes:
        name: Name of the resource.
        uid: Identity of the resource: a new one with the same name is another order.
        generation: Counts changes of its spec.
        leave: `spec.leave`.
        member_id: `status.memberID`, in our form; empty when it has none.
        joined: Condition `Joined`: `True`, `False` or `Unknown`.
        since: `lastTransitionTime` of that condition.
    """

    name: str
    uid: str
    generation: int
    leave: bool
    member_id: str = ""
    joined: str = "Unknown"
    since: str = ""

    def speaks_as(self, other: Asked | None) -> bool:
        """Whether both say the same about the member; what they ask for, and their message, may differ."""
        mine = (self.uid, self.member_id, self.joined, self.since)
        return other is not None and mine == (other.uid, other.member_id, other.joined, other.since)


class Seen(Message):
    """All EtcdMembers at one moment; answer of `watch_members`.

    Attributes:
        installed: The API serves EtcdMembers.
        members: The EtcdMembers, by name.
    """

    installed: bool = True
    members: tuple[Asked, ...] = ()

    def says_as(self, other: Seen | None) -> bool:
        """Whether there is nothing new against `other`: a message or another field of a status is not news."""
        return other is not None and (self.installed, self.members) == (other.installed, other.members)


class Watch(Message):
    """Input of `watch_members`.

    Attributes:
        cluster: Cluster profile.
        known: What was seen last; the answer comes when there is something else, or at the end of the time.
        seconds: How long to watch at most.
    """

    cluster: str
    known: Seen | None = None
    seconds: float


class Sync(Message):
    """Input of `sync_members`: make every EtcdMember agree with a linearizable member list.

    Attributes:
        cluster: Cluster profile.
        seen: The EtcdMembers, read before the list: one that says something else since is left for the next time,
            because the list may then be older than what it says.
        view: The list.
    """

    cluster: str
    seen: Seen
    view: ClusterView


class Synced(Message):
    """Answer of `sync_members`.

    Attributes:
        changed: What was put right, one sentence each.
        again: Something could not be judged now: sync again soon.
        note: Why; empty when all agree.
    """

    changed: tuple[str, ...] = ()
    again: bool = False
    note: str = ""


class Retry(Message):
    """A removal that failed and will be tried again.

    Attributes:
        uid: The EtcdMember that asks for it.
        generation: Its generation when it failed: a change of its spec is tried at once.
        failures: How often in a row.
        at_seconds: When it is tried again, in seconds of workflow time since the epoch.
    """

    uid: str
    generation: int
    failures: int = Field(ge=1)
    at_seconds: float = Field(ge=0, le=LATEST, allow_inf_nan=False)


class WatchRequest(Message):
    """Input of the workflow `WatchEtcdMembers`.

    Attributes:
        cluster: Cluster profile.
        resync_seconds: How often all EtcdMembers are compared with the member list though nothing has changed.
        retries: Carried from run to run; leave it empty.
    """

    cluster: ClusterName
    resync_seconds: float = Field(default=RESYNC_SECONDS, ge=1, le=86400, allow_inf_nan=False)
    retries: tuple[Retry, ...] = ()


class Watching(Message):
    """Answer of the query `watching`.

    Attributes:
        cluster: Cluster profile.
        members: All EtcdMembers as seen last.
        removing: UIDs of those whose removal is under way or waits to be tried again.
        retries: Removals that failed.
        trouble: Why the last round could not be done; empty when it was.
        repaired: What was put right lately.
    """

    cluster: str
    members: tuple[Asked, ...] = ()
    removing: tuple[str, ...] = ()
    retries: tuple[Retry, ...] = ()
    trouble: str = ""
    repaired: tuple[str, ...] = ()


def watch_id(cluster: str) -> str:
    """The workflow ID of a cluster's watcher (contract)."""
    return f"etcd-watch/{cluster}"


def retry_after(failures: int) -> float:
    """Seconds until a removal that failed so often in a row is tried again."""
    doublings = min(failures - 1, MOST_DOUBLINGS)
    return min(FIRST_RETRY_SECONDS * RETRY_GROWTH**doublings, LONGEST_RETRY_SECONDS)


def to_remove(asked: Asked, view: ClusterView) -> str | None:
    """How to name the member that a flagged EtcdMember means; None when no member is meant any more.

    The ID in its status decides, because a name may have passed to another member. A name is preferred to the ID where
    both mean the same, so that every front door starts the same workflow.
    """
    by_name = [m for m in view.members if m.name.lower() == asked.name]
    if not asked.member_id:
        return by_name[0].name if len(by_name) == 1 else None
    meant = view.member(asked.member_id)
    if meant is None:
        return None
    same_name = [m for m in view.members if m.name == meant.name]
    return meant.name if meant.name and len(same_name) == 1 else meant.id


def wanted(members: Iterable[Asked], view: ClusterView) -> dict[str, Asked]:
    """Flagged EtcdMembers that mean a present member, by how the removal names it."""
    found = {to_remove(asked, view): asked for asked in members if asked.leave}
    return {name: asked for name, asked in found.items() if name is not None}
