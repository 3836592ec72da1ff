"""The data that travels: what is asked, what was seen, what was done. No behaviour beyond reading itself.

Everything here is immutable and fits a Temporal payload. Member and cluster IDs are lowercase hex without padding,
as etcdctl and k0s print them: uint64 does not survive JSON readers that use doubles. Nothing here holds an endpoint
or a secret, because all of it ends in workflow histories.
"""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

if TYPE_CHECKING:
    from collections.abc import Callable, Container

    from pydantic_core import ErrorDetails

TASK_QUEUE: Final = "etcd-handoff"
"""Default task queue; setting `task_queue`."""
TASK_TIMEOUT: Final = timedelta(seconds=2)
"""A worker that is killed while it decides what comes next is given up after this, not after Temporal's 10 s."""

MemberId = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{1,16}$")]
CLUSTER_NAME: Final = r"^[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$"
MEMBER_NAME: Final = r"^[^\s/\p{Cc}\p{Cf}][^/\p{Cc}\p{Cf}\p{Zl}\p{Zp}]*$"
"""Member names stand in workflow IDs and on pages: no slash, nothing that breaks a line or turns its direction."""
ClusterName = Annotated[str, StringConstraints(pattern=CLUSTER_NAME)]
MemberName = Annotated[str, StringConstraints(min_length=1, max_length=253, pattern=MEMBER_NAME)]
Remover = Literal["etcd", "k0s"]

SECONDS_IN_30_DAYS: Final = 30 * 24 * 3600


class Message(BaseModel):
    """Base of everything that crosses a border: immutable, exact types, no unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


PATTERNS: Final = {
    CLUSTER_NAME: "give up to 63 letters, digits, '.', '_' and '-', a letter or digit first and last",
    MEMBER_NAME: "give a member name or a hex ID: no '/', no control characters, no space at its start",
}
"""What a text that does not match should be, in words."""
LONGEST_KEY: Final = 60


def in_words(item: ErrorDetails) -> str:
    """What is wrong with one field."""
    pattern = str(item.get("ctx", {}).get("pattern"))
    return PATTERNS.get(pattern) or item["msg"].removeprefix("Value error, ")


def describe(error: ValidationError, say: Callable[[ErrorDetails], str] = in_words) -> list[str]:
    """One readable line for each wrong field: `member: Field required`; no value is repeated.

    Args:
        error: What pydantic found.
        say: What is wrong with a field, in words.
    """
    items = error.errors(include_url=False, include_input=False)
    lists = {item["loc"][:-1] for item in items}
    return [
        f"{'.'.join(_shown(part) for part in item['loc']) or 'input'}: {say(item)}"
        for item in items
        # A list whose items are wrong counts as empty as well, which nobody needs to hear.
        if item["type"] != "too_short" or item["loc"] not in lists
    ]


def _shown(key: str | int) -> str:
    """A key as it may stand in a line, whatever somebody sent."""
    text = "".join(c if c.isprintable() else "?" for c in str(key))
    return text if len(text) <= LONGEST_KEY else f"{text[:LONGEST_KEY]}..."


# --- what is asked ------------------------------------------------------------------------------------------------


class RemovalRequest(Message):
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


class Approval(Message):
    """Input of the update `approve`: who lets the removal go on, and why."""

    by: str = Field(default="", max_length=200)
    comment: str = Field(default="", max_length=1000)


class Recheck(Message):
    """Input of the update `recheck`: look at once instead of waiting for the timer."""

    reason: str = Field(default="", max_length=1000)


def workflow_id(cluster: str, member: str) -> str:
    """The workflow ID of a removal: one at a time for each member (contract)."""
    return f"etcd-remove/{cluster}/{member}"


# --- what was seen ------------------------------------------------------------------------------------------------


class MemberView(Message):
    """One member as the linearizable list and its own status describe it.

    Attributes:
        id: Member ID.
        name: Member name; empty when the member has not started yet.
        peer_urls: Peer URLs of the membership entry.
        is_learner: True for a non-voting member.
        reachable: True when the member answered the last status call.
        leader_id: The leader that the member itself names; None when it knows none or did not answer.
        term: Raft term that the member reports; 0 when it did not answer.
        raft_index: Last raft log index of the member; 0 when it did not answer.
        version: etcd version of the member, empty when it did not answer.
        db_size_bytes: Size of the backend file; 0 when it did not answer.
        alarms: Alarms raised for this member: `NOSPACE`, `CORRUPT`.
        note: Why it counts as unreachable or unhealthy, for people.
    """

    id: MemberId
    name: str
    peer_urls: tuple[str, ...] = ()
    is_learner: bool = False
    reachable: bool = False
    leader_id: MemberId | None = None
    term: int = 0
    raft_index: int = 0
    version: str = ""
    db_size_bytes: int = 0
    alarms: tuple[str, ...] = ()
    note: str = ""

    @property
    def label(self) -> str:
        """Name for people: the member's name, or its ID while it has none."""
        return self.name or self.id


class Leadership(Message):
    """A leader that a majority of the voters names at one term."""

    id: MemberId
    term: int


class ClusterView(Message):
    """The membership of a linearizable list together with each member's own status, read at nearly one moment.

    Attributes:
        cluster_id: Cluster ID in the header of the linearizable list.
        members: All members, sorted by ID.
        foreign: Labels of configured endpoints that answered for another cluster.
    """

    cluster_id: MemberId
    members: tuple[MemberView, ...]
    foreign: tuple[str, ...] = ()

    @property
    def voters(self) -> tuple[MemberView, ...]:
        """Members with a vote."""
        return tuple(m for m in self.members if not m.is_learner)

    def member(self, member_id: str | None) -> MemberView | None:
        """The member with this ID, or None when it is not in the list."""
        return next((m for m in self.members if m.id == member_id), None)

    def only(self, member_ids: Container[str]) -> ClusterView:
        """The view without members that are not among these."""
        return self.model_copy(update={"members": tuple(m for m in self.members if m.id in member_ids)})

    def label(self, member_id: str | None) -> str:
        """How to speak of a member: its name where it has one."""
        found = self.member(member_id)
        return found.label if found else (member_id or "nobody")

    @property
    def leadership(self) -> Leadership | None:
        """The leader that a majority of voters names at the same term; None while there is no such agreement.

        One member's word is not enough: for a second and more after a leader's removal members still name it
        (`Status.leader` is local knowledge, etcd `api/v3rpc/maintenance.go`).
        """
        votes = Counter((m.leader_id, m.term) for m in self.voters if m.reachable and m.leader_id)
        if not votes:
            return None
        (leader_id, term), count = votes.most_common(1)[0]
        if leader_id not in {m.id for m in self.voters} or count < quorum(len(self.voters)):
            return None
        return Leadership(id=leader_id, term=term)

    @property
    def healthy_voters(self) -> tuple[MemberView, ...]:
        """Voters that count towards a quorum.

        They answer, their data is not known to be corrupt, and they name the agreed leader at the agreed term: one
        that names another is cut off from the others, however well it answers us.
        """
        agreed = self.leadership
        if agreed is None:
            return ()
        return tuple(
            m
            for m in self.voters
            if m.reachable and "CORRUPT" not in m.alarms and (m.leader_id, m.term) == (agreed.id, agreed.term)
        )


def quorum(voters: int) -> int:
    """How many of `voters` make a majority."""
    return voters // 2 + 1


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
    REFUSED_BY_ETCD = "refused-by-etcd"
    RECORDED = "recorded"
    NOT_RECORDED = "not-recorded"
    CONSISTENT = "consistent"
    INCONSISTENT = "inconsistent"
    SAVED = "saved"
    REQUESTED = "requested"
    FAILED = "failed"


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
    outcome: StepOutcome
    note: str = ""


class Look(Message):
    """Input of `check_leader`.

    Attributes:
        cluster: Cluster profile.
        doubtful: IDs of members that did not answer the last look; they are not waited for.
    """

    cluster: str
    doubtful: tuple[MemberId, ...] = ()


class Act(Look):
    """Input of the activities that change or check the pinned cluster.

    Attributes:
        cluster_id: The cluster that the removal was planned in.
        target_id: The member that leaves.
        avoid: Transferees that were tried since the last wait and did not take over.
    """

    cluster_id: MemberId
    target_id: MemberId
    avoid: tuple[MemberId, ...] = ()


class AwaitElection(Act):
    """Input of `await_election`.

    Attributes:
        term_before: The term at which the target led.
        others: IDs of the other healthy voters, who are asked for their leader until each names a new one.
    """

    term_before: int
    others: tuple[MemberId, ...] = ()


class WorkerTraits(Message):
    """What the worker that takes a removal up knows; read once, so that replay on another worker sees the same.

    Attributes:
        search_attributes: The namespace has our search attributes.
        remover: Who takes members out: `etcd`, this project itself, or `k0s`, which is only asked to.
    """

    search_attributes: bool
    remover: Remover = "etcd"


class Report(Message):
    """What an etcd activity answers.

    Attributes:
        step: How it went.
        view: What it saw last; None when nobody gave a linearizable member list.
        transferee_id: Whom leadership was offered to; empty when to nobody.
        proposed: A removal was sent and not turned down: it may have taken effect.
        traits: What `check_leader`'s worker knows.
    """

    step: Step
    view: ClusterView | None = None
    transferee_id: str = ""
    proposed: bool = False
    traits: WorkerTraits | None = None


class ResourceQuery(Message):
    """Input of `find_resource`: an EtcdMember by its name, or by the member ID it carries."""

    cluster: str
    member: str


class LeaveRequest(Message):
    """Input of `request_leave`: the EtcdMember whose `spec.leave` is to be set."""

    cluster: str
    member_name: str
    member_id: MemberId


class FoundResource(Message):
    """Answer of `find_resource`; `member_id` is empty when there is no such EtcdMember.

    Attributes:
        step: How it went.
        name: Name of the EtcdMember.
        member_id: The ID in its status.
        peer_address: Its peer address; k0s writes a bare host or IP address.
    """

    step: Step
    name: str = ""
    member_id: str = ""
    peer_address: str = ""


class Record(Message):
    """Input of `update_status`: what is true of a member.

    Attributes:
        cluster: Cluster profile.
        member_name: Name that the member had.
        member_id: The pinned member ID.
        peer_urls: Its peer URLs.
        joined: Whether it is in the linearizable member list.
        members: IDs of that list: an EtcdMember that speaks of one of them is not overwritten.
        message: The sentence for people.
        failed: Whether the removal failed.
        run_id: The removal's run, which makes its Events its own.
        steps: What was done; each becomes an Event.
    """

    cluster: str
    member_name: str
    member_id: MemberId
    peer_urls: tuple[str, ...] = ()
    joined: bool
    members: tuple[MemberId, ...] = ()
    message: str
    failed: bool = False
    run_id: str = ""
    steps: tuple[Step, ...] = ()


class Recorded(Message):
    """Answer of `update_status`.

    Attributes:
        step: How it went.
        recorded: The EtcdMember says what is true.
        note: Why it does not, or what else to know.
    """

    step: Step
    recorded: bool
    note: str = ""


class Pinned(Message):
    """The member that leaves, pinned at the first look: names are never resolved again.

    Attributes:
        cluster_id: Cluster that it was found in.
        member_id: Its ID.
        member_name: Its name then.
        peer_urls: Its peer URLs then.
        present: Whether it was in the member list then.
        leader_before: Who led then.
        term_before: The raft term then.
    """

    cluster_id: MemberId
    member_id: MemberId
    member_name: str
    peer_urls: tuple[str, ...] = ()
    present: bool = True
    leader_before: MemberId | None = None
    term_before: int = 0


class Carried(Message):
    """What a removal takes along when it continues as a new run, because its history has grown long."""

    traits: WorkerTraits
    pinned: Pinned | None = None
    steps: tuple[Step, ...] = ()
    blocked_seconds_left: float
    was_leader: bool = False
    approval: Approval | None = None
    gates_passed: bool = False
    committed: bool = False
    snapshot: str = ""


class Outcome(StrEnum):
    """How a removal ended well."""

    REMOVED = "removed"
    ALREADY_ABSENT = "already-absent"
    PLANNED = "planned"


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
        steps: Every activity in order.
        plan: What the removal does or would do, in words.
        blocked_by: Dry run only: what the removal would have to wait for; empty when nothing.
        snapshot: Where a requested snapshot was stored: node and file.
    """

    outcome: Outcome
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


class FailureType(StrEnum):
    """Type of the `ApplicationError` that a removal fails with (contract)."""

    REMOVAL_REFUSED = "RemovalRefused"
    BLOCKED_TOO_LONG = "BlockedTooLong"
    INVALID_INPUT = "InvalidInput"
    UNKNOWN_CLUSTER = "UnknownCluster"
    UNKNOWN_MEMBER = "UnknownMember"
    PERMISSION_DENIED = "PermissionDenied"


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
        steps: Activities that have ended.
    """

    state: HandoffState
    cluster: str
    member: str
    member_id: str = ""
    doing: str = ""
    waiting_for: str = ""
    point_of_no_return: bool = False
    steps: tuple[Step, ...] = ()
