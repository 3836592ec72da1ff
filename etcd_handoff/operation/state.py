"""The state of an operation: one value that holds all that it knows.

An operation that continues as a new run hands its state on as it is, in JSON. What a run can find out by itself is
marked `Own` and left out of that, so a field that nobody thinks of is carried.
"""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple, TypeVar

from pydantic import Field

from etcd_handoff.activity_io import FindResourceResult, Target, WorkerInfo
from etcd_handoff.cluster_view import ClusterView
from etcd_handoff.contract import Approval, HandoffState, OperationRequest, RemovalRequest, Step
from etcd_handoff.doubts import Binding, ResourceClaim
from etcd_handoff.operation import step_log
from etcd_handoff.operation.commands import AwaitNewLeader, Command, Failure, Until
from etcd_handoff.operation.phases import Ending, EndPhase, HalfLook, LeaveStep, LookDue, NodeProcess
from etcd_handoff.planning import Blocked
from etcd_handoff.wire import Message

T = TypeVar("T")
Own = Annotated[T, Field(exclude=True)]
"""A field that each run finds out by itself; it is not handed on."""


class OperationState(Message):
    """All that an operation knows. Times are workflow time, in seconds.

    Attributes:
        run_id: The run that this is the state of. Temporal's own continuations (cron, a retry policy, a Schedule) show
            what was handed on to a run that follows another one: that run starts afresh.
        blocked_seconds_left: What is left of `blocked_timeout_seconds`.
        began: When the removal began, ISO 8601 in UTC.
        traits: What the worker that took the removal up knows.
        pinned: The member that leaves.
        binding: The cluster that is meant, and how far it has been seen.
        steps: First and last activities that have ended.
        steps_left_out: How many between them are left out.
        pauses: How many pauses in a row have ended without a `recheck`.
        avoid: Transferees that were tried since the last pause and did not take over.
        steps_since_pause: How many changes were tried since the last pause.
        was_leader: The member led at any look.
        approval: Who let it go on.
        gates_passed_at: When what was asked for beforehand was done; None when it is not.
        snapshot: Where the snapshot lies.
        pending_since: When the last attempt ended that may have proposed the removal; None when nothing can be pending.
        absent: An undoubted list has been seen without the member: it is out for good.
        writes_acknowledged: Whether a write was committed after the removal; None when that was not tried.
        recording_seconds: How long the status has been tried to be recorded.
        turn_request: Number of the last request to the queue; 0 when it has made none.
        wants_turn: That request wanted a turn.
        holds_turn: It has the turn.
        far_nodes: Nodes whose members only their own workers reach, as far as that has been seen.
        process: What is known of the process on the member's node.
        leave_asked: k0s has been asked for the removal.
        leave_stored: The API server has confirmed that.
        cancel_requested: Somebody has cancelled it past the point of no return.
        request: What was asked for.
        chain_id: ID of the first run of this removal.
        namespace: The Temporal namespace that it runs in.
        handoff_state: Where it stands, as lists show it.
        doing: What is happening, in words.
        waiting_for: What would unblock it; empty when nothing blocks.
        since: When the command that runs now was decided.
        look_due: Whether the cluster is looked at next.
        half_look: A look that waits for what the workers of other nodes see; None when there is none.
        silent_nodes: When a node was asked last, by nodes whose workers took no look.
        entry_committed: The last look has committed an entry before it.
        view: What was seen last; None when nobody gave a linearizable member list.
        claims: What EtcdMembers said then; None when they were not read.
        resource: What the EtcdMember of a member says that no list shows; None when it was not asked for.
        blocked: What it waits for before it looks again; None when it does not wait.
        released: The queue has been told that no turn is wanted while it waits.
        behind: Who is before it in the queue.
        turn_news: The queue has told something new since it began to wait for its turn.
        queueing: It waits for its turn.
        rejoin_due: It makes sure next that it still stands in the queue.
        rejoins: How often it has done so.
        queue_knows: The queue has been told what it waits for.
        queue_silent: Why the queue does not answer; empty when it does.
        recheck: Somebody has asked for another look.
        hash_checked: All members hold the same data.
        election: The command that awaits an election after a transfer; None when there is none.
        in_flight: The removal is being proposed, or its effect is being recorded.
        leave_step: What is next about the order to k0s.
        ending: Its end, as far as it has come; None before.
    """

    run_id: str
    blocked_seconds_left: float
    began: str = ""
    traits: WorkerInfo | None = None
    pinned: Target | None = None
    binding: Binding = Binding()
    steps: tuple[Step, ...] = ()
    steps_left_out: int = 0
    pauses: int = 0
    avoid: tuple[str, ...] = ()
    steps_since_pause: int = 0
    was_leader: bool = False
    approval: Approval | None = None
    gates_passed_at: float | None = None
    snapshot: str = ""
    pending_since: float | None = None
    absent: bool = False
    writes_acknowledged: bool | None = None
    recording_seconds: float = 0.0
    turn_request: int = 0
    wants_turn: bool = False
    holds_turn: bool = False
    far_nodes: tuple[str, ...] = ()
    process: NodeProcess = NodeProcess()
    leave_asked: bool = False
    leave_stored: bool = False
    cancel_requested: bool = False

    request: Own[OperationRequest] = RemovalRequest.model_construct(cluster="", member="")
    chain_id: Own[str] = ""
    namespace: Own[str] = ""
    handoff_state: Own[HandoffState] = HandoffState.CHECKING
    doing: Own[str] = "taking the removal up"
    waiting_for: Own[str] = ""
    since: Own[float] = 0.0
    look_due: Own[LookDue] = LookDue.QUICK
    half_look: Own[HalfLook | None] = None
    silent_nodes: Own[dict[str, float]] = Field(default_factory=dict)
    entry_committed: Own[bool] = False
    view: Own[ClusterView | None] = None
    claims: Own[tuple[ResourceClaim, ...] | None] = None
    resource: Own[FindResourceResult | None] = None
    blocked: Own[Blocked | None] = None
    released: Own[bool] = False
    behind: Own[tuple[str, ...]] = ()
    turn_news: Own[bool] = False
    queueing: Own[bool] = False
    rejoin_due: Own[bool] = False
    rejoins: Own[int] = 0
    queue_knows: Own[bool] = False
    queue_silent: Own[str] = ""
    recheck: Own[bool] = False
    hash_checked: Own[bool] = False
    election: Own[AwaitNewLeader | None] = None
    in_flight: Own[bool] = False
    leave_step: Own[LeaveStep] = LeaveStep.NONE
    ending: Own[Ending | None] = None

    # --- what follows from it -----------------------------------------------------------------------------------------

    @property
    def target(self) -> Target:
        """The member that it is about.

        Raises:
            RuntimeError: It is not pinned yet.
        """
        if self.pinned is None:
            msg = "a step was asked for before the member was pinned"
            raise RuntimeError(msg)
        return self.pinned

    @property
    def end(self) -> Ending:
        """The end, as far as it has come.

        Raises:
            RuntimeError: It has not begun.
        """
        if self.ending is None:
            msg = "something of the end came before it"
            raise RuntimeError(msg)
        return self.ending

    @property
    def label(self) -> str:
        """How people speak of the member that leaves."""
        return (self.pinned.member_name or self.pinned.member_id) if self.pinned else self.request.subject

    @property
    def point_of_no_return(self) -> bool:
        """The member may disappear because of a proposal, so the removal only rolls forward."""
        return self.in_flight or self.pending_since is not None

    @property
    def change_pending(self) -> bool:
        """The member may disappear at any moment because of this removal."""
        return self.point_of_no_return or self.leave_asked

    def label_of(self, member_id: str) -> str:
        """How people speak of any member."""
        return self.view.label(member_id) if self.view else member_id

    def node_for(self, member_id: str) -> str:
        """The node whose worker reaches a member; empty where any worker does."""
        member = self.view.member(member_id) if self.view else None
        return member.through_node if member else ""

    @property
    def staying_node(self) -> str:
        """The node of a healthy voter that stays, where no worker reaches all members; empty where any worker does."""
        voters = self.view.healthy_voters if self.view else ()
        return next((m.through_node for m in voters if m.id != self.target.member_id), "")

    def is_over(self, until: Until) -> bool:
        """Whether what a wait is for has come."""
        match until:
            case Until.TIME:
                return False
            case Until.APPROVAL:
                return self.approval is not None
            case Until.TURN:
                return self.turn_news or self.recheck
            case Until.RECHECK:
                return self.recheck

    # --- the next state -----------------------------------------------------------------------------------------------

    def changed(self, **fields: Any) -> OperationState:
        """The same state with other values in these fields."""
        if unknown := fields.keys() - type(self).model_fields.keys():
            msg = f"no such field: {', '.join(sorted(unknown))}"
            raise TypeError(msg)
        return self.model_copy(update=fields)

    def showing(self, handoff_state: HandoffState, doing: str, waiting_for: str = "") -> OperationState:
        """People see this from now on."""
        return self.changed(handoff_state=handoff_state, doing=doing, waiting_for=waiting_for)

    def with_step(self, step: Step, *, instead_of_last: bool = False) -> OperationState:
        """One more activity has ended.

        Args:
            step: The activity.
            instead_of_last: It tells all that the last one of its name told.
        """
        steps, left_out = step_log.appended(self.steps, self.steps_left_out, step, instead_of_last=instead_of_last)
        return self.changed(steps=steps, steps_left_out=left_out)

    def blocked_by(self, blocked: Blocked) -> OperationState:
        """It waits for this, and what it was about to do is decided anew afterwards."""
        return self.changed(blocked=blocked, released=False, hash_checked=False, election=None, queueing=False)

    def failing(self, failure: Failure) -> OperationState:
        """It ends with this failure, unless it turns out that the member is out."""
        return self.changed(ending=Ending(failure=failure), released=False, leave_step=LeaveStep.NONE)

    def finishing(self) -> OperationState:
        """The member is out: that is recorded, and the removal ends well."""
        return self.changed(ending=Ending(phase=EndPhase.RECORD), released=False, in_flight=True)

    def at_end(self, **fields: Any) -> OperationState:
        """The same state with other values in these fields of its end."""
        return self.changed(ending=self.end.model_copy(update=fields))


class Decided(NamedTuple):
    """A command, and the state while it is carried out."""

    state: OperationState
    command: Command
