"""The data that travels: what is asked, what was done, how it ended. No behaviour beyond reading itself.

Everything here is immutable and fits a Temporal payload. Nothing here holds an endpoint or a secret, because all of it
ends in workflow histories.
"""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from typing import Annotated, ClassVar, Final, Literal

from pydantic import Field

from etcd_handoff.belief import ResourceClaim
from etcd_handoff.cluster_view import ClusterView
from etcd_handoff.wire import ClusterName, MemberId, MemberName, Message, NewMemberName, PeerUrl, Request

TASK_QUEUE: Final = "etcd-handoff"
"""Default task queue; setting `task_queue`."""
TASK_TIMEOUT: Final = timedelta(seconds=2)
"""A worker that is killed while it decides what comes next is given up after this, not after Temporal's 10 s."""
QUEUE_TASK_TIMEOUT: Final = timedelta(seconds=10)
"""The same for workflows that live long: what they have to replay takes its time."""

Remover = Literal["etcd", "k0s"]

SECONDS_IN_30_DAYS: Final = 30 * 24 * 3600


# --- what is asked ------------------------------------------------------------------------------------------------


class OperationRequest(Request):
    """What the input of every operation on a cluster has.

    Attributes:
        cluster: Name of a cluster profile in the workers' configuration.
        reason: Free text for the people who read the history.
        require_approval: Wait for the update `approve` before anything is changed.
        blocked_timeout_seconds: How long, in all, the operation waits for what may pass by itself.
        dry_run: Look, plan, and end with outcome `planned`; nothing is changed.
        workflow_type: The workflow that carries it out.
        noun: What people call it.
        adds: It makes something a member, and does not take a member out.
    """

    workflow_type: ClassVar[str]
    noun: ClassVar[str]
    adds: ClassVar[bool] = False

    cluster: ClusterName
    reason: str = Field(default="", max_length=1000)
    require_approval: bool = False
    blocked_timeout_seconds: float = Field(default=3600, ge=0, le=SECONDS_IN_30_DAYS, allow_inf_nan=False)
    dry_run: bool = False

    @property
    def subject(self) -> str:
        """The member as it was asked for."""
        raise NotImplementedError

    @property
    def summary(self) -> str:
        """One line on what it is for."""
        raise NotImplementedError

    @property
    def start_id(self) -> str:
        """The workflow ID under which our client starts it; no start joins a dry run and takes its end for its own."""
        raise NotImplementedError


class RemovalRequest(OperationRequest):
    """Input of the workflow `RemoveMember`.

    Attributes:
        member: Member name, or member ID in hex.
        snapshot: Store a snapshot of the keyspace on the worker's node before anything is changed.
        hash_check: Compare the hash of all members' keyspaces at one revision before anything is changed.
    """

    workflow_type = "RemoveMember"
    noun = "removal"

    member: MemberName
    snapshot: bool = False
    hash_check: bool = False

    @property
    def subject(self) -> str:
        """The member as it was asked for."""
        return self.member

    @property
    def summary(self) -> str:
        """One line on what it is for."""
        return f"Take member {self.member} out of etcd cluster {self.cluster}"

    @property
    def start_id(self) -> str:
        """The workflow ID of the removal, or of its dry run."""
        name = plan_id if self.dry_run else workflow_id
        return name(self.cluster, self.member)


class AdditionRequest(OperationRequest):
    """Input of the workflow `AddMember`.

    Attributes:
        name: Name that the member will have; it is to be started with this name.
        peer_urls: All its peer URLs; etcd gives none of them to two members.
    """

    workflow_type = "AddMember"
    noun = "addition"
    adds = True

    name: NewMemberName
    peer_urls: tuple[PeerUrl, ...] = Field(min_length=1, max_length=16)

    @property
    def subject(self) -> str:
        """The member as it was asked for."""
        return self.name

    @property
    def summary(self) -> str:
        """One line on what it is for."""
        return f"Add member {self.name} to etcd cluster {self.cluster}"

    @property
    def start_id(self) -> str:
        """The workflow ID of the addition (contract), or of its dry run: one at a time for each name."""
        return f"{'etcd-plan-add' if self.dry_run else 'etcd-add'}/{self.cluster}/{self.name}"


OPERATIONS: Final = (RemovalRequest, AdditionRequest)
"""All that takes a turn to change a cluster."""


class Approval(Request):
    """Input of the update `approve`: who lets the removal go on, and why."""

    by: str = Field(default="", max_length=200)
    comment: str = Field(default="", max_length=1000)


class Recheck(Request):
    """Input of the update `recheck`: look at once instead of waiting for the timer."""

    reason: str = Field(default="", max_length=1000)


def workflow_id(cluster: str, member: str) -> str:
    """The workflow ID of a removal: one at a time for each member (contract)."""
    return f"etcd-remove/{cluster}/{member}"


def record_id(cluster: str, member_id: str) -> str:
    """The workflow ID of `RecordStatus`, which writes an EtcdMember that a removal could not write in its time."""
    return f"etcd-record/{cluster}/{member_id}"


def plan_id(cluster: str, member: str) -> str:
    """The workflow ID of a dry run that our client starts: no removal ever joins it."""
    return f"etcd-plan/{cluster}/{member}"


# --- what was done ------------------------------------------------------------------------------------------------


class StepOutcome(StrEnum):
    """How an activity ended, as the operator reads it."""

    OBSERVED = "observed"
    UNAVAILABLE = "unavailable"
    REPLAN = "replan"
    MOVED = "moved"
    TRANSFER_FAILED = "transfer-failed"
    ELECTED = "elected"
    NO_ELECTION = "no-election"
    REMOVED = "removed"
    ALREADY_ABSENT = "already-absent"
    ADDED = "added"
    PROMOTED = "promoted"
    REFUSED_BY_ETCD = "refused-by-etcd"
    LOCKED = "locked"
    RECORDED = "recorded"
    NOT_RECORDED = "not-recorded"
    CONSISTENT = "consistent"
    INCONSISTENT = "inconsistent"
    SAVED = "saved"
    REQUESTED = "requested"
    FAILED = "failed"


Known = Annotated[StepOutcome | str, Field(union_mode="left_to_right")]
"""An outcome; one that a newer worker knows and this one does not is text."""


class Step(Message):
    """One activity that has ended.

    Attributes:
        name: Activity type.
        started: UTC start of the attempt that ended it, ISO 8601 with milliseconds.
        milliseconds: Duration of that attempt, measured on the node that ran it.
        attempts: How many attempts it took.
        node: The node whose worker ran it.
        outcome: How it ended.
        note: What people should know about it.
    """

    name: str
    started: str
    milliseconds: float
    attempts: int
    node: str
    outcome: Known
    note: str = ""


class CheckLeaderInput(Message):
    """Input of `check_leader`.

    Attributes:
        cluster: Cluster profile.
        doubtful: IDs of members that did not answer the last look; they are not waited for.
        claims: EtcdMembers are read too, as a second witness of which cluster this is.
        probe: An entry is committed first, so that whatever was proposed before has taken place or never will.
    """

    cluster: str
    doubtful: tuple[MemberId, ...] = ()
    claims: bool = False
    probe: bool = False


class ChangeInput(CheckLeaderInput):
    """What the input of every activity has that changes the pinned cluster.

    Attributes:
        cluster_id: The cluster that the operation was planned in.
        seen_term: Highest term at which the cluster has been seen.
        seen_index: Highest index of a leader that has been seen.
        holder: Who changes the cluster: ID of the operation's first run, for the lock in etcd.
        holder_label: The same for people.
    """

    cluster_id: MemberId
    seen_term: int = 0
    seen_index: int = 0
    holder: str = ""
    holder_label: str = ""


class StepInput(ChangeInput):
    """Input of the activities of a removal that change or check the pinned cluster.

    Attributes:
        target_id: The member that leaves.
        avoid: Transferees that were tried since the last wait and did not take over.
    """

    target_id: MemberId
    avoid: tuple[MemberId, ...] = ()


class AdditionInput(ChangeInput):
    """Input of the activities that add a learner and promote it.

    Attributes:
        name: Name that the member will have.
        peer_urls: All its peer URLs.
        learner_id: ID of the learner that was added; empty before. No other one is promoted.
    """

    name: str
    peer_urls: tuple[str, ...]
    learner_id: MemberId | Literal[""] = ""


class AwaitElectionInput(StepInput):
    """Input of `await_election`.

    Attributes:
        term_before: The term at which the target led.
        others: IDs of the other healthy voters, who are asked for their leader until each names a new one.
    """

    term_before: int
    others: tuple[MemberId, ...] = ()


class WorkerInfo(Message):
    """What the worker that takes a removal up knows; read once, so that replay on another worker sees the same.

    Attributes:
        search_attributes: The namespace has our search attributes.
        remover: Who takes members out: `etcd`, this project itself, or `k0s`, which is only asked to.
        cluster_id: The profile's `cluster_id`; empty when it names none, and then EtcdMembers are the second witness.
        kubernetes: The profile has Kubernetes.
    """

    search_attributes: bool
    remover: Remover = "etcd"
    cluster_id: str = ""
    kubernetes: bool = False


class StepResult(Message):
    """What an etcd activity answers.

    Attributes:
        step: How it went.
        view: What it saw last; None when nobody gave a linearizable member list.
        transferee_id: Whom leadership was offered to; empty when to nobody.
        added_id: ID that etcd has given to the learner; empty when it has not said so.
        proposed: A change was sent and not turned down: it may have taken effect.
        traits: What `check_leader`'s worker knows.
        claims: What EtcdMembers say of who is a member; None when they were not asked for or could not be read.
        writes_acknowledged: After a removal: whether a write was committed through those that remain; None when that
            was not tried.
    """

    step: Step
    view: ClusterView | None = None
    transferee_id: str = ""
    added_id: str = ""
    proposed: bool = False
    traits: WorkerInfo | None = None
    claims: tuple[ResourceClaim, ...] | None = None
    writes_acknowledged: bool | None = None


class FindResourceInput(Message):
    """Input of `find_resource`: an EtcdMember by its name, or by the member ID it carries."""

    cluster: str
    member: str


class LeaveInput(Message):
    """Input of `request_leave` and `read_leave`: the EtcdMember whose `spec.leave` is to be set, or read.

    Attributes:
        cluster: Cluster profile.
        member_name: Name that the member has.
        member_id: Its ID; an EtcdMember that speaks of another one is left alone.
        leave: What is to be set: True asks k0s for the removal, False takes that back.
    """

    cluster: str
    member_name: str
    member_id: MemberId
    leave: bool = True


class FindResourceResult(Message):
    """Answer of `find_resource`; `member_id` is empty when there is no such EtcdMember.

    Attributes:
        step: How it went.
        name: Name of the EtcdMember.
        member_id: The ID in its status.
        peer_address: Its peer address; k0s writes a bare host or IP address.
        leave: Its `spec.leave`.
        joined: Its condition Joined: `True`, `False` or `Unknown`.
        generation: Its `metadata.generation`, which rises with every change of its spec.
        uid: Its UID.
    """

    step: Step
    name: str = ""
    member_id: str = ""
    peer_address: str = ""
    leave: bool = False
    joined: str = "Unknown"
    generation: int = 0
    uid: str = ""


class ReadLeaveResult(Message):
    """Answer of `read_leave`: whether the order to leave stands that was given to a member's EtcdMember.

    Attributes:
        step: How it went.
        present: There is an EtcdMember that speaks of this member.
        name: Its name.
        leave: Its `spec.leave`.
        generation: Its `metadata.generation`, which rises with every change of its spec.
        manager: Who wrote `spec.leave` last, by field manager (`metadata.managedFields`): `etcd-handoff`,
            `kubectl-patch`, `k0s`; empty when nobody did or the API server does not say.
        since: When that was, RFC 3339 in UTC; empty when it is not known.
        uid: Its UID.
    """

    step: Step
    present: bool = False
    name: str = ""
    leave: bool = False
    generation: int = 0
    manager: str = ""
    since: str = ""
    uid: str = ""


class UpdateStatusInput(Message):
    """Input of `update_status`: what is true of a member.

    Attributes:
        cluster: Cluster profile.
        member_name: Name that the member had.
        member_id: The pinned member ID.
        peer_urls: Its peer URLs.
        joined: Whether it is in the linearizable member list; None when that is not known: the condition Joined stays
            as it is then, and only the sentence is written.
        members: IDs of that list.
        present_names: Names in that list: an EtcdMember without an ID that is named like one of them is not written.
        since: When the removal began, ISO 8601 in UTC: an EtcdMember without an ID that is younger is not written.
        message: The sentence for people.
        failed: Whether the removal failed.
        run_id: The removal's run, which makes its Events its own.
        steps: What was done; each becomes an Event.
        kubernetes: The worker that looked first has Kubernetes in its profile: there is something to write, whatever
            the configuration of another worker says.
    """

    cluster: str
    member_name: str
    member_id: MemberId
    peer_urls: tuple[str, ...] = ()
    joined: bool | None
    members: tuple[MemberId, ...] = ()
    present_names: tuple[str, ...] = ()
    since: str = ""
    message: str
    failed: bool = False
    run_id: str = ""
    steps: tuple[Step, ...] = ()
    kubernetes: bool = False


class UpdateStatusResult(Message):
    """Answer of `update_status`.

    Attributes:
        step: How it went.
        recorded: The EtcdMember says what is true.
        note: Why it does not, or what else to know.
    """

    step: Step
    recorded: bool
    note: str = ""


class Target(Message):
    """The member that an operation is about, pinned at the first look: names are never resolved again.

    Attributes:
        cluster_id: Cluster that it was found in.
        member_id: Its ID; empty for a member that joins, until etcd has given it one.
        member_name: Its name then.
        peer_urls: Its peer URLs then.
        present: Whether it was a member then; one that joins counts from its promotion on.
        leader_before: Who led then.
        term_before: The raft term then.
    """

    cluster_id: MemberId
    member_id: MemberId | Literal[""]
    member_name: str
    peer_urls: tuple[str, ...] = ()
    present: bool = True
    leader_before: MemberId | None = None
    term_before: int = 0


class Outcome(StrEnum):
    """How an operation ended well."""

    REMOVED = "removed"
    ALREADY_ABSENT = "already-absent"
    ADDED = "added"
    ALREADY_PRESENT = "already-present"
    PLANNED = "planned"


KnownOutcome = Annotated[Outcome | str, Field(union_mode="left_to_right")]
"""How a removal ended well; what a newer worker knows and this one does not is text."""


class OperationResult(Message):
    """What the result of every operation has (contract).

    Attributes:
        outcome: How it ended; `planned` for a dry run.
        cluster: Cluster profile.
        cluster_id: Cluster ID that etcd reports.
        member_id: The member's ID; empty for one that was to be added and has none yet.
        member_name: The member's name.
        peer_urls: The member's peer URLs.
        leader_before: Leader's ID at the first look, None when there was none.
        leader_after: Leader's ID at the last look.
        term_before: Raft term at the first look.
        term_after: Raft term at the last look.
        status_recorded: True when the EtcdMember says what is true.
        status_note: Why it does not, or anything else to know about the resource.
        steps: The activities in order: the first 20 and the last 50.
        steps_left_out: How many activities between those are left out.
        plan: What it would do, in words; for a dry run alone.
        blocked_by: Dry run only: what it would have to wait for; empty when nothing.
    """

    outcome: KnownOutcome
    cluster: str
    cluster_id: str
    member_id: str
    member_name: str
    peer_urls: tuple[str, ...] = ()
    leader_before: str | None = None
    leader_after: str | None = None
    term_before: int = 0
    term_after: int = 0
    status_recorded: bool = False
    status_note: str = ""
    steps: tuple[Step, ...] = ()
    steps_left_out: int = 0
    plan: tuple[str, ...] = ()
    blocked_by: str = ""


class RemovalResult(OperationResult):
    """Result of the workflow `RemoveMember` (contract): `removed` or `already-absent`.

    Attributes:
        was_leader: True when the member led at any look of this run.
        writes_acknowledged: Whether a write was committed by the members that remain, after the removal; None when that
            was not tried.
        snapshot: Where a requested snapshot was stored: node and file.
    """

    was_leader: bool = False
    writes_acknowledged: bool | None = None
    snapshot: str = ""


class AdditionResult(OperationResult):
    """Result of the workflow `AddMember` (contract): `added` or `already-present`."""


class HandoffState(StrEnum):
    """Value of the search attribute `HandoffState` (contract)."""

    QUEUED = "Queued"
    CHECKING = "Checking"
    AWAITING_APPROVAL = "AwaitingApproval"
    BLOCKED = "Blocked"
    TRANSFERRING = "Transferring"
    REMOVING = "Removing"
    ADDING = "Adding"
    PROMOTING = "Promoting"
    RECORDING = "Recording"
    DONE = "Done"
    REFUSED = "Refused"
    FAILED = "Failed"


PASSING: Final = frozenset(
    {
        HandoffState.CHECKING,
        HandoffState.TRANSFERRING,
        HandoffState.REMOVING,
        HandoffState.ADDING,
        HandoffState.PROMOTING,
        HandoffState.RECORDING,
    }
)
"""States that last some milliseconds as a rule, so that nobody could read them."""


class FailureType(StrEnum):
    """Type of the `ApplicationError` that an operation fails with (contract)."""

    REMOVAL_REFUSED = "RemovalRefused"
    CHANGE_REFUSED = "ChangeRefused"
    BLOCKED_TOO_LONG = "BlockedTooLong"
    INVALID_INPUT = "InvalidInput"
    UNKNOWN_CLUSTER = "UnknownCluster"
    UNKNOWN_MEMBER = "UnknownMember"
    PERMISSION_DENIED = "PermissionDenied"


KnownState = Annotated[HandoffState | str, Field(union_mode="left_to_right")]
"""Where a removal stands; what a newer worker knows and this one does not is text."""


class Progress(Message):
    """Answer of the query `progress`.

    Attributes:
        state: Where the removal stands.
        cluster: Cluster profile.
        member: The member as it was asked for.
        member_id: The pinned member ID; empty before the first look.
        doing: What is happening now, in words.
        waiting_for: What would unblock it; empty when nothing blocks.
        point_of_no_return: True once the change may have been proposed: it only rolls forward from there.
        join_configuration: What etcd is to be started with, by environment variable, as long as a member that was
            added has not started.
        steps: Activities that have ended: the first 20 and the last 50.
        steps_left_out: How many activities between those are left out.
    """

    state: KnownState
    cluster: str
    member: str
    member_id: str = ""
    doing: str = ""
    waiting_for: str = ""
    point_of_no_return: bool = False
    join_configuration: dict[str, str] = Field(default_factory=dict)
    steps: tuple[Step, ...] = ()
    steps_left_out: int = 0
