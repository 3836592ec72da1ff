"""What users and other programs see: requests, results, progress, names of states and failures, IDs.

Everything here is immutable and fits a Temporal payload. Nothing here holds an endpoint or a secret, because all of it
ends in workflow histories.
"""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Final, Literal

from pydantic import Field

from etcd_handoff.wire import ClusterName, MemberName, Message, Request

TASK_QUEUE: Final = "etcd-handoff"
"""Default task queue; setting `task_queue`."""
TASK_TIMEOUT: Final = timedelta(seconds=2)
"""A worker that is killed while it decides what comes next is given up after this, not after Temporal's 10 s."""
QUEUE_TASK_TIMEOUT: Final = timedelta(seconds=10)
"""The same for workflows that live long: what they have to replay takes its time."""
Remover = Literal["etcd", "k0s"]
SECONDS_IN_30_DAYS: Final = 30 * 24 * 3600


class RemovalRequest(Request):
    """Input of the workflow `RemoveMember`.

    Attributes:
        cluster: Name of a cluster profile in the workers' configuration.
        member: Member name, or member ID in hex.
        reason: Free text for the people who read the history.
        require_approval: Wait for the update `approve` before anything is changed.
        snapshot: Store a snapshot of the keyspace on the worker's node before anything is changed.
        hash_check: Compare the hash of all members' keyspaces at one revision before anything is changed.
        blocked_timeout_seconds: How long, in all, the removal waits for what may pass by itself.
        dry_run: Look, plan, and end with outcome `planned`; nothing is changed.
    """

    cluster: ClusterName
    member: MemberName
    reason: str = Field(default="", max_length=1000)
    require_approval: bool = False
    snapshot: bool = False
    hash_check: bool = False
    blocked_timeout_seconds: float = Field(default=3600, ge=0, le=SECONDS_IN_30_DAYS, allow_inf_nan=False)
    dry_run: bool = False


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


class Outcome(StrEnum):
    """How a removal ended well."""

    REMOVED = "removed"
    ALREADY_ABSENT = "already-absent"
    PLANNED = "planned"


KnownOutcome = Annotated[Outcome | str, Field(union_mode="left_to_right")]
"""How a removal ended well; what a newer worker knows and this one does not is text."""


class RemovalResult(Message):
    """Result of the workflow `RemoveMember` (contract).

    Attributes:
        outcome: `removed`, `already-absent`, or `planned` for a dry run.
        cluster: Cluster profile.
        cluster_id: Cluster ID that etcd reports.
        member_id: The removed member's ID.
        member_name: The removed member's name.
        peer_urls: The removed member's peer URLs.
        was_leader: True when the member led at any look of this run.
        leader_before: Leader's ID at the first look, None when there was none.
        leader_after: Leader's ID at the last look.
        term_before: Raft term at the first look.
        term_after: Raft term at the last look.
        status_recorded: True when the EtcdMember says what is true.
        status_note: Why it does not, or anything else to know about the resource.
        steps: The activities in order: the first 20 and the last 50.
        steps_left_out: How many activities between those are left out.
        writes_acknowledged: Whether a write was committed by the members that remain, after the removal; None when that
            was not tried.
        plan: What the removal would do, in words; for a dry run alone.
        blocked_by: Dry run only: what the removal would have to wait for; empty when nothing.
        snapshot: Where a requested snapshot was stored: node and file.
    """

    outcome: KnownOutcome
    cluster: str
    cluster_id: str
    member_id: str
    member_name: str
    peer_urls: tuple[str, ...] = ()
    was_leader: bool = False
    leader_before: str | None = None
    leader_after: str | None = None
    term_before: int = 0
    term_after: int = 0
    status_recorded: bool = False
    status_note: str = ""
    steps: tuple[Step, ...] = ()
    steps_left_out: int = 0
    writes_acknowledged: bool | None = None
    plan: tuple[str, ...] = ()
    blocked_by: str = ""
    snapshot: str = ""


class HandoffState(StrEnum):
    """Value of the search attribute `HandoffState` (contract)."""

    QUEUED = "Queued"
    CHECKING = "Checking"
    AWAITING_APPROVAL = "AwaitingApproval"
    BLOCKED = "Blocked"
    TRANSFERRING = "Transferring"
    REMOVING = "Removing"
    RECORDING = "Recording"
    DONE = "Done"
    REFUSED = "Refused"
    FAILED = "Failed"


PASSING: Final = frozenset(
    {HandoffState.CHECKING, HandoffState.TRANSFERRING, HandoffState.REMOVING, HandoffState.RECORDING}
)
"""States that last some milliseconds as a rule, so that nobody could read them."""


class FailureType(StrEnum):
    """Type of the `ApplicationError` that a removal fails with (contract)."""

    REMOVAL_REFUSED = "RemovalRefused"
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
        point_of_no_return: True once the removal may have been proposed: it only rolls forward from there.
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
    steps: tuple[Step, ...] = ()
    steps_left_out: int = 0
