"""Define the state of an operation: one value that holds all that it knows.

An operation that continues as a new run hands its state on as it is, in JSON (`carried_state.py`). Fields that a run
can find out anew are marked `Own` and left out. So a field that was forgotten here is carried.
"""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple, TypeVar

from pydantic import Field

from etcd_handoff.activity_io import FindResourceResult, Target
from etcd_handoff.cluster_view import ClusterView
from etcd_handoff.command_lines import with_cluster
from etcd_handoff.contract import HandoffState, OperationRequest, RemovalRequest, Step
from etcd_handoff.doubts import ResourceClaim
from etcd_handoff.operation import step_log
from etcd_handoff.operation.carried_state import CarriedState
from etcd_handoff.operation.commands import AwaitNewLeader, Command, Failure, Until
from etcd_handoff.operation.phases import ApprovedChange, EndPhase, EndState, HalfLook, HashCheck, LeavePhase, LookDue
from etcd_handoff.planning import Blocked

T = TypeVar("T")
Own = Annotated[T, Field(exclude=True)]
"""A field that each run finds out anew; it is not handed on."""


class OperationState(CarriedState):
    """All that an operation knows. Times are workflow time, in seconds.

    Attributes:
        request: The request; of a part, its own request.
        chain_id: ID of the first run of this operation.
        namespace: The Temporal namespace that it runs in.
        handoff_state: Its state, as lists show it.
        doing: What is happening, in words.
        waiting_for: What would unblock it; empty when nothing blocks.
        since: When the command that runs now was decided.
        look_due: Whether the cluster is looked at next.
        looked_at: When the last look was ordered.
        looked_twice: A look was repeated at once that may have had too little time.
        half_look: A look that waits for what the workers of other nodes see; None when there is none.
        silent_nodes: When a node was asked last, by nodes whose workers took no look.
        own_member_alone: The profile of the last look's worker names only its own node's member.
        entry_committed: The last look has committed an entry before it.
        view: What was seen last; None when no linearizable member list was read.
        claims: What EtcdMembers said then; None when they were not read.
        resource: What the EtcdMember of a member says that no list shows; None when it was not asked for.
        blocked: What it waits for before it looks again; None when it does not wait.
        released: The queue knows that no turn is wanted while it waits.
        behind: The operations before it in the queue.
        turn_news: The queue has sent news since it began to wait for its turn.
        queueing: It waits for its turn.
        rejoin_due: It makes sure next that it still stands in the queue.
        rejoins: How often it has done so.
        queue_knows: The queue knows what it waits for.
        queue_silent: Why the queue does not answer; empty when it does.
        recheck: Another look was asked for.
        planned: The steps that follow, in words; empty while they are not known.
        to_approve: The change that an approval would cover; None when it waits for none.
        hash_checked: All voters hold the same data.
        hashing: A hash check through nodes, as far as it has come.
        election: The command that awaits an election after a transfer; None when there is none.
        in_flight: The change is being proposed, or its effect is being recorded.
        leave_step: What is next about the order to k0s.
        ending: Its end, as far as it has come; None before.
    """

    request: Own[OperationRequest] = RemovalRequest.model_construct(cluster="", member="")
    chain_id: Own[str] = ""
    namespace: Own[str] = ""
    handoff_state: Own[HandoffState] = HandoffState.CHECKING
    doing: Own[str] = "starting"
    waiting_for: Own[str] = ""
    since: Own[float] = 0.0
    look_due: Own[LookDue] = LookDue.QUICK
    looked_at: Own[float] = 0.0
    looked_twice: Own[bool] = False
    half_look: Own[HalfLook | None] = None
    silent_nodes: Own[dict[str, float]] = Field(default_factory=dict)
    own_member_alone: Own[bool] = False
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
    planned: Own[tuple[str, ...]] = ()
    to_approve: Own[ApprovedChange | None] = None
    hash_checked: Own[bool] = False
    hashing: Own[HashCheck] = HashCheck()
    election: Own[AwaitNewLeader | None] = None
    in_flight: Own[bool] = False
    leave_step: Own[LeavePhase] = LeavePhase.NONE
    ending: Own[EndState | None] = None

    # --- what follows from it -----------------------------------------------------------------------------------------

    @property
    def target(self) -> Target:
        """Return the pinned member.

        Raises:
            RuntimeError: It is not pinned yet.
        """
        if self.pinned is None:
            msg = "a step was asked for before the member was pinned"
            raise RuntimeError(msg)
        return self.pinned

    @property
    def end(self) -> EndState:
        """Return the end, as far as it has come.

        Raises:
            RuntimeError: It has not begun.
        """
        if self.ending is None:
            msg = "something of the end came before it"
            raise RuntimeError(msg)
        return self.ending

    @property
    def label(self) -> str:
        """Return the member that leaves or joins, for people."""
        return (self.pinned.member_name or self.pinned.member_id) if self.pinned else self.request.subject

    @property
    def original_request(self) -> OperationRequest:
        """Return the request that was made: the whole's where this is a part."""
        return self.whole.request if self.whole else self.request

    @property
    def subject(self) -> Target | None:
        """Return the member as the queue knows it: the whole's where this is a part; None before the first look."""
        return self.whole.pinned if self.whole else self.pinned

    @property
    def title(self) -> str:
        """Return the operation for people: `the removal of node2`."""
        target, request = self.subject, self.original_request
        return f"the {request.noun} of {target.member_name or target.member_id if target else request.subject}"

    @property
    def point_of_no_return(self) -> bool:
        """Whether it only rolls forward: the change may be proposed, or a member that joins has its vote."""
        return self.proposed or self.joining.has_vote

    @property
    def proposed(self) -> bool:
        """Whether a proposed change may take place at any moment."""
        return self.in_flight or self.pending_since is not None

    @property
    def change_pending(self) -> bool:
        """Whether the membership may change at any moment because of this operation."""
        return self.proposed or self.leave_asked

    @property
    def is_paused(self) -> bool:
        """Whether it is paused, and at a point where it begins nothing further."""
        free = self.ending is None and self.election is None and not self.change_pending
        return self.paused is not None and free and not self.cancel_requested

    def label_of(self, member_id: str) -> str:
        """Return any member, for people."""
        return self.view.label(member_id) if self.view else member_id

    def node_for(self, member_id: str) -> str:
        """Return the node whose worker reaches a member; empty where any worker does."""
        member = self.view.member(member_id) if self.view else None
        return member.through_node if member else ""

    def is_over(self, until: Until) -> bool:
        """Whether the event that ends a wait has come."""
        match until:
            case Until.TIME:
                return False
            case Until.APPROVAL:
                return self.approval is not None or self.is_paused
            case Until.TURN:
                return self.turn_news or self.recheck or self.is_paused
            case Until.RECHECK | Until.WINDOW:
                return self.recheck or self.is_paused
            case Until.RESUME:
                return not self.is_paused

    # --- the next state -----------------------------------------------------------------------------------------------

    def with_request(self, request: OperationRequest) -> OperationState:
        """Return the same state in a run whose input is `request`."""
        if self.whole is None:
            return self.changed(request=request)
        own = self.whole.part.request(request) if self.whole.part else request
        return self.changed(whole=self.whole.changed(request=request), request=own)

    def showing(self, handoff_state: HandoffState, doing: str, waiting_for: str = "") -> OperationState:
        """Return the state with what people see from now on."""
        cluster = self.request.cluster
        doing, waiting_for = with_cluster(doing, cluster), with_cluster(waiting_for, cluster)
        return self.changed(handoff_state=handoff_state, doing=doing, waiting_for=waiting_for)

    def with_step(self, step: Step, *, instead_of_last: bool = False) -> OperationState:
        """Return the state after one more activity has ended.

        Args:
            step: The activity.
            instead_of_last: It replaces the last one of its name.
        """
        steps, omitted = step_log.appended(self.steps, self.steps_left_out, step, instead_of_last=instead_of_last)
        return self.changed(steps=steps, steps_left_out=omitted)

    def blocked_by(self, blocked: Blocked) -> OperationState:
        """Return the state that waits for this; its next step is decided anew afterwards."""
        dropped = {"hash_checked": False, "hashing": HashCheck(), "election": None, "queueing": False, "planned": ()}
        joining = self.with_joining(progresses=False, in_sync=False, works_since=None)
        return joining.changed(blocked=blocked, released=False, **dropped)

    def failing(self, failure: Failure) -> OperationState:
        """Return the state that ends with this failure, unless it turns out that the goal is reached."""
        failure = failure.with_cluster(self.request.cluster)
        return self.changed(ending=EndState(failure=failure), released=False, leave_step=LeavePhase.NONE)

    def finishing(self) -> OperationState:
        """Return the state that records the reached goal and ends well."""
        return self.changed(ending=EndState(phase=EndPhase.RECORD), released=False, in_flight=True)

    def with_joining(self, **fields: Any) -> OperationState:
        """Return the same state with other values in these fields of `joining`."""
        return self.changed(joining=self.joining.model_copy(update=fields))

    def at_end(self, **fields: Any) -> OperationState:
        """Return the same state with other values in these fields of its end."""
        return self.changed(ending=self.end.model_copy(update=fields))


class NextCommand(NamedTuple):
    """A command, and the state while it is carried out."""

    state: OperationState
    command: Command
