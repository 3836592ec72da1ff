"""Define the queue of one etcd cluster: its state, and the messages between removals and their queue.

"The turn" is the right to change the cluster. One removal at a time has it: the holder.
"""

from __future__ import annotations

from typing import Final

from pydantic import Field

from etcd_handoff.activity_io import StepInput, StepResult
from etcd_handoff.wire import MemberId, WireModel

NO_MEMBER: Final = "0"
"""An ID that etcd never gives."""
LOST_HOLDER: Final = "whoever had the turn in the queue that was ended"
"""Stands in `possible_holders` until a new queue has asked the open removals for the first time."""


class QueueEntry(WireModel):
    """One removal in the queue of its etcd cluster.

    Attributes:
        workflow_id: The removal's workflow ID.
        chain_id: Run ID of the first run of its chain: a later start under the same workflow ID is another removal.
        cluster: Its cluster profile; two profiles may name one etcd cluster.
        member_name: Name of the member that leaves.
        member_id: ID of the member that leaves; `NO_MEMBER` for one that joins, since the queue writes EtcdMembers of
            removals alone.
        noun: What people call the operation.
        waits: It wants the turn; False while something else blocks it, or when its member has left.
        request: Counts up with each message of the removal to its queue. Messages may overtake each other, and the
            highest number counts.
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
        """Return the operation, for people."""
        return f"the {self.noun} of {self.member_name or self.member_id}"


class QueuePosition(WireModel):
    """The position of a removal in its queue: answer of the update `position`, payload of the signal `your_turn`.

    Attributes:
        granted: The removal has the turn.
        behind: The operations before it, in order.
        chain_id: The removal. A signal reaches any run under the workflow ID, which may be a later removal than the one
            in the queue.
        request: The request that this answers. The removal ignores answers to older requests.
    """

    granted: bool
    behind: tuple[str, ...] = ()
    chain_id: str = ""
    request: int = 0


class KnownProgress(WireModel):
    """What a queue knows of the progress of a removal that it follows.

    Attributes:
        chain_id: The removal.
        state: Its last known state.
        doing: Its last known words.
        sentences: What the queue wrote to its EtcdMember, newest last.
    """

    chain_id: str
    state: str = ""
    doing: str = ""
    sentences: tuple[str, ...] = ()


class ChangeQueueState(WireModel):
    """State of the workflow `ChangeQueue`, and its input: the holder of the turn and the removals that wait.

    Attributes:
        cluster_id: The etcd cluster's own ID.
        entries: Open removals, first come first served.
        holder: Chain ID of the removal that has the turn; empty when it is free.
        positions: The last position sent to each removal.
        progress: What is known of each removal's progress.
        possible_holders: Possible holders of the turn from an earlier queue that was ended: workflow IDs of removals,
            or `LOST_HOLDER`. While there is one, the turn is not granted.
    """

    cluster_id: MemberId
    entries: tuple[QueueEntry, ...] = ()
    holder: str = ""
    positions: tuple[QueuePosition, ...] = ()
    progress: tuple[KnownProgress, ...] = ()
    possible_holders: tuple[str, ...] = ()


class TakeTurnInput(WireModel):
    """Input of `take_turn`: a removal asks its queue for the turn, or gives it up.

    Attributes:
        cluster_id: The etcd cluster's own ID.
        entry: The removal.
        wakes: Whether a queue in its start delay goes on at once. A request for the turn wakes it in any case.
    """

    cluster_id: MemberId
    entry: QueueEntry
    wakes: bool = True


class TakeTurnResult(WireModel):
    """Answer of `take_turn`.

    Attributes:
        turn: Position of the removal in the queue.
        silent: Why the queue does not answer, in words; empty when it does.
        began_queue: There was no queue, and this request started it: no other removal has had the turn since.
    """

    turn: QueuePosition
    silent: str = ""
    began_queue: bool = False


class MoveLeaderInTurnInput(WireModel):
    """Input of `move_leader` that takes the turn as well, which saves a round trip through Temporal.

    A worker of a version without this input cannot read it, and so hands over no leadership without the turn.

    Attributes:
        transfer: The transfer, to be made once the turn is granted.
        turn: The request to the queue.
    """

    transfer: StepInput
    turn: TakeTurnInput

    @property
    def cluster(self) -> str:
        """Return the cluster profile of the transfer."""
        return self.transfer.cluster


class MoveLeaderResult(StepResult):
    """Answer of `move_leader`.

    Attributes:
        turn: The queue's answer; None where it was not asked, or did not answer soon.
    """

    turn: TakeTurnResult | None = None


class RecallEntriesInput(WireModel):
    """Input of `recall_entries` and of the update `rejoin`: a new queue asks who has or wants the turn.

    Attributes:
        cluster_id: The etcd cluster's own ID.
        profiles: Cluster profiles that are known to name it.
        only: Workflow IDs of the removals to ask; empty for all that are open.
    """

    cluster_id: MemberId
    profiles: tuple[str, ...] = ()
    only: tuple[str, ...] = ()


class RecallEntriesResult(WireModel):
    """Answer of `recall_entries`.

    Attributes:
        entries: The removals in the queue of this etcd cluster, in the order in which they were started.
        silent: Workflow IDs of removals that do not answer.
    """

    entries: tuple[QueueEntry, ...] = ()
    silent: tuple[str, ...] = ()


def change_queue_id(cluster_id: str) -> str:
    """Return the workflow ID of a cluster's queue (contract)."""
    return f"etcd-changes/{cluster_id}"
