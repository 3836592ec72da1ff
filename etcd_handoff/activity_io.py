"""What activities take and return, as docs/reference.md does not promise it: workers of one version talk like this."""

from __future__ import annotations

from typing import Final, Literal

from etcd_handoff.change_windows import ChangeWindow
from etcd_handoff.cluster_view import ClusterView, HeardMember
from etcd_handoff.contract import (
    Remover,
    Step,
)
from etcd_handoff.doubts import ResourceClaim
from etcd_handoff.wire import MemberId, Message

APPROVAL_LAPSES_AFTER_SECONDS: Final = 86400.0
"""How long an approval counts where the profile says nothing else: a day."""


class CheckLeaderInput(Message):
    """Input of `check_leader`.

    Attributes:
        cluster: Cluster profile.
        doubtful: IDs of members that did not answer the last look; they are not waited for.
        claims: EtcdMembers are read too, as a second witness of which cluster this is.
        probe: An entry is committed first, so that whatever was proposed before has taken place or never will.
        for_node: It is asked of the worker of one node: no other one is to look in its place.
    """

    cluster: str
    doubtful: tuple[MemberId, ...] = ()
    claims: bool = False
    probe: bool = False
    for_node: bool = False


class ChangeInput(CheckLeaderInput):
    """What the input of every activity has that changes the pinned cluster.

    Attributes:
        cluster_id: The cluster that the operation was planned in.
        seen_term: Highest term at which the cluster has been seen.
        seen_index: Highest index of a leader that has been seen.
        holder: Who changes the cluster: ID of the operation's first run, for the lock in etcd.
        holder_label: The same for people.
        seen: The merged view that the decision stands on, where no worker reaches all members; None where one does.
        begin_before: Until when the change may begin, in seconds since 1970; 0 for any time.
    """

    cluster_id: MemberId
    seen_term: int = 0
    seen_index: int = 0
    holder: str = ""
    holder_label: str = ""
    seen: ClusterView | None = None
    begin_before: float = 0.0


class StepInput(ChangeInput):
    """Input of the activities of a removal that change or check the pinned cluster.

    Attributes:
        target_id: The member that leaves.
        avoid: Transferees that were tried since the last wait and did not take over.
        learner_only: It leaves only as long as it is a learner.
        leaving_later: Members that leave after it: leadership is handed to none of them.
        successors: Members that are there to stay: while one of them does not work, a target that works stays as well.
        min_voters: The target does not leave where fewer voters would remain.
    """

    target_id: MemberId
    learner_only: bool = False
    avoid: tuple[MemberId, ...] = ()
    leaving_later: tuple[MemberId, ...] = ()
    successors: tuple[MemberId, ...] = ()
    min_voters: int = 1


class MemberHash(Message):
    """A hash of one member's keyspace; two are comparable if they are of one revision and compact revision.

    Attributes:
        hash: etcd's HashKV.
        revision: The revision that the member stood at.
        compact_revision: The revision up to which it had compacted.
    """

    hash: int
    revision: int
    compact_revision: int


class CheckHashInput(StepInput):
    """Input of `check_hash`.

    Attributes:
        member_id: The one member to hash, where its own node's worker alone reaches it; empty to compare all voters.
        newest: Another member's hash, at whose revision this one is hashed; None for its newest revision.
    """

    member_id: MemberId | Literal[""] = ""
    newest: MemberHash | None = None


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


class AwaitSyncInput(AdditionInput):
    """Input of `await_sync`.

    Attributes:
        waits_for: Why the learner could not be promoted when the step was ordered, a `planning.Reason`; empty when it
            could. The step ends when this changes.
        seconds: How long it waits at most.
        listed: Members that were listed then. The step ends when that changes.
        own_index: Raft index that the learner is to have reached, where only its own node's worker reaches it.
    """

    waits_for: str = ""
    seconds: float = 0.0
    listed: tuple[MemberId, ...] = ()
    own_index: int = 0


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
        remover: Who takes members out: `etcd`, this project itself, or `k0s`, which is only asked to; `both`: k0s is
            asked to, so that it stops the node, and not waited for.
        cluster_id: The profile's `cluster_id`; empty when it names none, and then EtcdMembers are the second witness.
        kubernetes: The profile has Kubernetes.
        nodes: Name of the node on which a member runs, by the member's name, where it is called otherwise.
        sets_leave: `spec.leave` of a member that is out is to be true, as k0s has it.
        require_approval: The profile has every change wait for an approval.
        snapshot: The profile has every change store a snapshot first.
        hash_check: The profile has every change compare all members' data first.
        min_voters: Nothing is done that would leave fewer voters.
        change_windows: When the profile lets changes begin; empty for any time.
        time_zone: The time zone of these windows, by its name.
        four_eyes: The profile has somebody else than its starter approve every change.
        approval_lapses_after_seconds: How long an approval counts.
        notifies: Events of operations that a webhook is told; empty where there is none.
    """

    search_attributes: bool
    remover: Remover = "etcd"
    cluster_id: str = ""
    kubernetes: bool = False
    nodes: dict[str, str] = {}  # noqa: RUF012  # pydantic copies a default
    sets_leave: bool = False
    require_approval: bool = False
    snapshot: bool = False
    hash_check: bool = False
    min_voters: int = 1
    change_windows: tuple[ChangeWindow, ...] = ()
    time_zone: str = "UTC"
    four_eyes: bool = False
    approval_lapses_after_seconds: float = APPROVAL_LAPSES_AFTER_SECONDS
    notifies: tuple[str, ...] = ()


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
        heard: What members of that worker say of themselves, where nobody gave it a member list.
        alone: The profile of `check_leader`'s worker names its own node's member and no other.
        idle_nodes: Nodes of members that `check_leader`'s worker does not reach for which Temporal lists no worker.
        writes_acknowledged: After a removal: whether a write was committed through those that remain; None when that
            was not tried.
        keyspace: The hash of the one member that was asked for it; None when there is none.
    """

    step: Step
    view: ClusterView | None = None
    transferee_id: str = ""
    added_id: str = ""
    proposed: bool = False
    traits: WorkerInfo | None = None
    claims: tuple[ResourceClaim, ...] | None = None
    heard: tuple[HeardMember, ...] = ()
    alone: bool = False
    idle_nodes: tuple[str, ...] = ()
    writes_acknowledged: bool | None = None
    keyspace: MemberHash | None = None


class SeeDepartedInput(Message):
    """Input of `see_departed`: the cluster whose member on the worker's own node is out."""

    cluster: str


class SeeDepartedResult(Message):
    """Answer of `see_departed`.

    Attributes:
        step: How it went.
        runs: The member's etcd still listens; None when that cannot be told.
    """

    step: Step
    runs: bool | None = None


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
        until_marked: Wait, not for long, until k0s has told the node to stop.
    """

    cluster: str
    member_name: str
    member_id: MemberId
    leave: bool = True
    until_marked: bool = False


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
        leave: `spec.leave` is to be true too; only for a member that is out.
        next_steps: What is left to do by hand, for an Event.
        approved_by: Who approved it, for an Event; empty for nobody.
        late: It was true a while ago: a member that was out may be in the cluster again, which was restored since.
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
    leave: bool = False
    next_steps: tuple[str, ...] = ()
    approved_by: str = ""
    late: bool = False


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
