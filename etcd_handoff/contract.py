"""What users and other programs see: requests, results, progress, names of states and failures, IDs.

Everything here is immutable and fits a Temporal payload. Nothing here holds an endpoint or a secret, because all of it
ends in workflow histories.
"""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from typing import Annotated, ClassVar, Final, Literal, Self

from pydantic import Field, model_validator

from etcd_handoff import peer_url
from etcd_handoff.change_windows import Moment, seconds_of
from etcd_handoff.wire import ClusterName, MemberName, Message, NewMemberName, PeerUrl, Request

TASK_QUEUE: Final = "etcd-handoff"
"""Default task queue; setting `task_queue`."""
TASK_TIMEOUT: Final = timedelta(seconds=2)
"""A worker that is killed while it decides what comes next is given up after this, not after Temporal's 10 s."""
QUEUE_TASK_TIMEOUT: Final = timedelta(seconds=10)
"""The same for workflows that live long: what they have to replay takes its time."""
Remover = Literal["etcd", "k0s", "both"]
SECONDS_IN_30_DAYS: Final = 30 * 24 * 3600


class OperationRequest(Request):
    """What the input of every operation on a cluster has.

    Attributes:
        cluster: Name of a cluster profile in the workers' configuration.
        reason: Free text for the people who read the history.
        require_approval: Wait for the update `approve` before anything is changed.
        not_before: When it may make its first change at the earliest; empty for any time.
        not_after: When it may make its first change at the latest, after which it fails; empty for any time.
        blocked_timeout_seconds: How long, in all, the operation waits for what may pass by itself.
        dry_run: Look, plan, and end with outcome `planned`; nothing is changed.
        workflow_type: The workflow that carries it out.
        noun: What people call it.
        adds: It makes something a member, and does not take a member out.
        of_parts: It consists of additions and removals, one after the other.
    """

    workflow_type: ClassVar[str]
    noun: ClassVar[str]
    adds: ClassVar[bool] = False
    of_parts: ClassVar[bool] = False

    cluster: ClusterName
    reason: str = Field(default="", max_length=1000)
    require_approval: bool = False
    not_before: Moment = ""
    not_after: Moment = ""
    blocked_timeout_seconds: float = Field(default=3600, ge=0, le=SECONDS_IN_30_DAYS, allow_inf_nan=False)
    dry_run: bool = False

    @model_validator(mode="after")
    def _ends_after_it_begins(self) -> Self:
        if self.not_before and self.not_after and seconds_of(self.not_after) <= seconds_of(self.not_before):
            msg = "not_after is no later than not_before; correct one of them"
            raise ValueError(msg)
        return self

    @property
    def subject(self) -> str:
        """The member as it was asked for."""
        raise NotImplementedError

    @property
    def wish(self) -> tuple[str, ...]:
        """What is wanted beside what the workflow ID says; a start with another wish is not the same operation."""
        return ()

    @property
    def summary(self) -> str:
        """One line on what it is for."""
        raise NotImplementedError

    @property
    def start_id(self) -> str:
        """The workflow ID under which our client starts it; no start joins a dry run and takes its end for its own."""
        raise NotImplementedError


class CheckedRequest(OperationRequest):
    """What the input of an operation has before which the data can be looked after.

    Attributes:
        snapshot: Store a snapshot of the keyspace on the worker's node before anything is changed.
        hash_check: Compare the hash of all members' keyspaces at one revision before anything is changed.
    """

    snapshot: bool = False
    hash_check: bool = False


class RemovalRequest(CheckedRequest):
    """Input of the workflow `RemoveMember`.

    Attributes:
        member: Member name, or member ID in hex.
    """

    workflow_type = "RemoveMember"
    noun = "removal"

    member: MemberName

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


class AdditionRequest(CheckedRequest):
    """Input of the workflow `AddMember`.

    Attributes:
        name: Name that the member will have; it is to be started with this name.
        peer_urls: All its peer URLs; etcd gives none of them to two members.
        progress_timeout_seconds: How long the learner may make no progress, its start included, before that is a
            reason of its own.
    """

    workflow_type = "AddMember"
    noun = "addition"
    adds = True

    name: NewMemberName
    peer_urls: tuple[PeerUrl, ...] = Field(min_length=1, max_length=16)
    progress_timeout_seconds: float = Field(default=600, gt=0, le=SECONDS_IN_30_DAYS, allow_inf_nan=False)

    @property
    def subject(self) -> str:
        """The member as it was asked for."""
        return self.name

    @property
    def wish(self) -> tuple[str, ...]:
        """Its peer URLs."""
        return tuple(sorted(map(peer_url.canonical, self.peer_urls)))

    @property
    def summary(self) -> str:
        """One line on what it is for."""
        return f"Add member {self.name} to etcd cluster {self.cluster}"

    @property
    def start_id(self) -> str:
        """The workflow ID of the addition (contract), or of its dry run: one at a time for each name."""
        return f"{'etcd-plan-add' if self.dry_run else 'etcd-add'}/{self.cluster}/{self.name}"


class Approval(Request):
    """Input of the update `approve`: who lets the removal go on, and why."""

    by: str = Field(default="", max_length=200)
    comment: str = Field(default="", max_length=1000)


class Recheck(Request):
    """Input of the update `recheck`: look at once instead of waiting for the timer."""

    reason: str = Field(default="", max_length=1000)


class Pause(Request):
    """Input of the updates `pause` and `resume`: who says so, and why."""

    by: str = Field(default="", max_length=200)
    reason: str = Field(default="", max_length=1000)


def node_queue(task_queue: str, node: str) -> str:
    """The task queue that only the worker of a node serves (contract)."""
    return f"{task_queue}/node/{node}"


def workflow_id(cluster: str, member: str) -> str:
    """The workflow ID of a removal: one at a time for each member (contract)."""
    return f"etcd-remove/{cluster}/{member}"


def record_id(cluster: str, member_id: str) -> str:
    """The workflow ID of `RecordStatus`, which writes an EtcdMember that a removal could not write in its time."""
    return f"etcd-record/{cluster}/{member_id}"


def plan_id(cluster: str, member: str) -> str:
    """The workflow ID of a dry run that our client starts: no removal ever joins it."""
    return f"etcd-plan/{cluster}/{member}"


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
    IN_SYNC = "in-sync"
    NOT_IN_SYNC = "not-in-sync"
    PROMOTED = "promoted"
    REFUSED_BY_ETCD = "refused-by-etcd"
    LOCKED = "locked"
    RECORDED = "recorded"
    NOT_RECORDED = "not-recorded"
    CONSISTENT = "consistent"
    INCONSISTENT = "inconsistent"
    SAVED = "saved"
    REQUESTED = "requested"
    STARTED = "started"
    STOPPED = "stopped"
    ARCHIVED = "archived"
    NO_COMMAND = "no-command"
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


class Outcome(StrEnum):
    """How an operation ended well."""

    REMOVED = "removed"
    ALREADY_ABSENT = "already-absent"
    ADDED = "added"
    ALREADY_PRESENT = "already-present"
    REPLACED = "replaced"
    ALREADY_REPLACED = "already-replaced"
    APPLIED = "applied"
    ALREADY_APPLIED = "already-applied"
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
        next_steps: What is left to do by hand on the member's node; empty where that is not known.
        steps: The activities in order: the first 20 and the last 50.
        steps_left_out: How many activities between those are left out.
        approved_by: Who approved it, by the name given and the identity that Temporal has recorded; empty for nobody.
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
    next_steps: tuple[str, ...] = ()
    steps: tuple[Step, ...] = ()
    steps_left_out: int = 0
    approved_by: str = ""
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
    """Result of the workflow `AddMember` (contract): `added` or `already-present`.

    Attributes:
        snapshot: Where a requested snapshot was stored: node and file.
        join_configuration: What etcd was to be started with when that was last said, by environment variable; for a dry
            run what it would be as things are.
    """

    snapshot: str = ""
    join_configuration: dict[str, str] = Field(default_factory=dict)


class HandoffState(StrEnum):
    """Value of the search attribute `HandoffState` (contract)."""

    QUEUED = "Queued"
    CHECKING = "Checking"
    AWAITING_APPROVAL = "AwaitingApproval"
    AWAITING_WINDOW = "AwaitingWindow"
    PAUSED = "Paused"
    BLOCKED = "Blocked"
    TRANSFERRING = "Transferring"
    REMOVING = "Removing"
    ADDING = "Adding"
    SYNCING = "Syncing"
    PROMOTING = "Promoting"
    VERIFYING = "Verifying"
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
    TOO_LATE = "TooLate"
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
        part: Which of its parts runs, in words; empty where it has none, and between two.
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
    part: str = ""
    point_of_no_return: bool = False
    join_configuration: dict[str, str] = Field(default_factory=dict)
    steps: tuple[Step, ...] = ()
    steps_left_out: int = 0
