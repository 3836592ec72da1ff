"""Define the part of an operation's state that its next run gets, in JSON."""

from __future__ import annotations

from typing import Any, Self

from etcd_handoff.activity_io import Target, WorkerInfo
from etcd_handoff.contract import Approval, Pause, Step
from etcd_handoff.doubts import Binding
from etcd_handoff.operation.phases import ApprovalState, JoinState, LastingState, SentNotices
from etcd_handoff.operation.whole_change import WholeChange
from etcd_handoff.wire import WireModel


class CarriedState(WireModel):
    """The part of an operation's state that a new run cannot find out again. Times are workflow time, in seconds.

    Attributes:
        origin: The run in which the operation began, by the name that it keeps when it is reset.
        noticed: What was notified outside of Temporal.
        run_id: The run that this is the state of. Temporal's own continuations (cron, a retry policy, a Schedule) also
            show this state to the next run. That run starts afresh.
        blocked_remaining_seconds: What remains of `blocked_timeout_seconds`.
        began: When the operation began, ISO 8601 in UTC.
        worker_info: What the worker that took the operation up knows.
        pinned: The member that leaves or joins.
        unlisted_in: Cluster with a believed list that lacked the requested name; empty when there was none. A member
            that has the name there later has joined since.
        described_id: ID that the EtcdMember of the requested name described while a list without that name could not be
            believed; empty when there was none. A member with the name and another ID joined later.
        binding: The cluster that is meant, and how far it has been seen.
        voters_seen: IDs of the voters in the last list that was believed.
        steps: First and last activities that have ended.
        steps_left_out: How many between them are left out.
        pauses: How many pauses in a row have ended without a `recheck`.
        avoid: Transferees that were tried since the last pause and did not take over.
        steps_since_pause: How many changes were tried since the last pause.
        leadership_moved: The operation has moved leadership since the last pause, so that its change follows.
        was_leader: The member led at any look.
        started_by: The identity that Temporal recorded as its starter; empty where none is known.
        approval: The approval that lets it go on.
        approved: What that approval covers, and how long it counts.
        approval_lapsed: Why the last approval counts no more; empty when it does, or when there was none.
        paused: The pause; None when it is not paused.
        gates_passed_at: When the checks before a change were done; None when they are not.
        hash_omitted: IDs of members whose data the last hash check did not compare, since they leave.
        snapshot: Where the snapshot lies.
        pending_since: When the last attempt ended that may have proposed the change; None when nothing can be pending.
        lock_abandoned: An attempt has ended whose lock in etcd may stand.
        absent: An undoubted list has been seen without the member: it has left for good.
        writes_acknowledged: Whether a write was committed after the removal; None when that was not tried.
        recording_seconds: For how long the record has been tried.
        turn_request: Number of the last request to the queue; 0 when it has made none.
        wants_turn: That request wanted a turn.
        holds_turn: It has the turn.
        far_nodes: Nodes whose members only their own workers reach, as far as that has been seen.
        leave_asked: k0s has been asked for the removal.
        leave_stored: The API server has confirmed that.
        cancel_requested: It was cancelled past the point of no return.
        joining: The progress of the member that joins.
        whole: The larger change that it is a part of; None for a removal or an addition that was started alone.
        lasting: Its state, and since when it lasts.
        etcdmember: The EtcdMember whose flag or annotation a watcher has started it for; empty where not known.
        requester: Who set those, as the EtcdMember's API server shows it; empty where it is not known.
        last_note: The last sentence that was written on that EtcdMember.
        note_again: It is not known to have arrived.
    """

    run_id: str
    blocked_remaining_seconds: float
    origin: str = ""
    began: str = ""
    worker_info: WorkerInfo | None = None
    pinned: Target | None = None
    unlisted_in: str = ""
    described_id: str = ""
    binding: Binding = Binding()
    voters_seen: tuple[str, ...] = ()
    steps: tuple[Step, ...] = ()
    steps_left_out: int = 0
    pauses: int = 0
    avoid: tuple[str, ...] = ()
    steps_since_pause: int = 0
    leadership_moved: bool = False
    was_leader: bool = False
    started_by: str = ""
    approval: Approval | None = None
    approved: ApprovalState | None = None
    approval_lapsed: str = ""
    paused: Pause | None = None
    gates_passed_at: float | None = None
    hash_omitted: tuple[str, ...] = ()
    snapshot: str = ""
    pending_since: float | None = None
    lock_abandoned: bool = False
    absent: bool = False
    writes_acknowledged: bool | None = None
    recording_seconds: float = 0.0
    turn_request: int = 0
    wants_turn: bool = False
    holds_turn: bool = False
    far_nodes: tuple[str, ...] = ()
    leave_asked: bool = False
    leave_stored: bool = False
    cancel_requested: bool = False
    joining: JoinState = JoinState()
    whole: WholeChange | None = None
    noticed: SentNotices = SentNotices()
    lasting: LastingState = LastingState()
    etcdmember: str = ""
    requester: str = ""
    last_note: str = ""
    note_again: bool = False

    @property
    def person(self) -> str:
        """Return who is behind it, for people: its starter, or who gave the order on the EtcdMember."""
        return self.started_by or self.requester

    def changed(self, **fields: Any) -> Self:
        """Return the same state with other values in these fields.

        Raises:
            TypeError: There is no such field.
        """
        if unknown := fields.keys() - type(self).model_fields.keys():
            msg = f"no such field: {', '.join(sorted(unknown))}"
            raise TypeError(msg)
        return self.model_copy(update=fields)
