"""Define the view of an etcd cluster: members, the leader, the voters that count towards a quorum.

It has no endpoint and no secret: a view ends in workflow histories.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from etcd_handoff.wire import MemberId, WireModel

if TYPE_CHECKING:
    from collections.abc import Container

CORRUPT: Final = "CORRUPT"
NOSPACE: Final = "NOSPACE"
"""Kinds of alarm (etcd `api/etcdserverpb/rpc.proto`, AlarmType)."""

READS_HANG: Final = "answers, but no linearizable read"
"""What is said of a member that answers from memory alone."""
MIXED_CLUSTERS: Final = "MixedClusters"
"""Kind of doubt: an endpoint answers for another cluster than the member list is of."""


class Alarm(WireModel):
    """One alarm that etcd has raised.

    Attributes:
        kind: `NOSPACE`, `CORRUPT`, or etcd's own text where it is neither.
        member_id: The member that it was raised for. Empty when it is the whole cluster's (member 0 in etcd), or when
            the text names none.
    """

    kind: str
    member_id: str = ""


class Doubt(WireModel):
    """A contradiction between the answers of one look: nothing may be concluded from it.

    Attributes:
        kind: One word, also a `planning.Reason`.
        text: The contradiction, with both sides named.
        remedy: What would settle it.
        member_id: The doubted member, where there is one.
        lasting: It does not pass without action.
        by_status_alone: The doubted member gives no linearizable list. A member that has been removed and still runs
            looks like this.
    """

    kind: str
    text: str
    remedy: str
    member_id: str = ""
    lasting: bool = False
    by_status_alone: bool = False


class MemberView(WireModel):
    """One member as the linearizable list and its own status describe it.

    Attributes:
        id: Member ID.
        name: Member name; empty when the member has not started yet.
        peer_urls: Peer URLs of the membership entry.
        is_learner: True for a non-voting member.
        reachable: True when the member answered the last status call.
        serves_reads: True when it answered a linearizable read of its own within this look. `Status` alone answers from
            memory, also while the member's disk hangs (etcd `server/etcdserver/api/v3rpc/maintenance.go`); such a read
            must have gone through the member's raft loop (raft ReadIndex).
        leader_id: The leader that the member itself names; None when it knows none or did not answer.
        term: Raft term that the member reports; 0 when it did not answer.
        raft_index: Last raft log index that the member knows to be committed (etcd `api/etcdserverpb/rpc.proto`,
            StatusResponse.raftIndex); 0 when it did not answer.
        version: etcd version of the member, empty when it did not answer.
        db_size_bytes: Size of the backend file; 0 when it did not answer.
        alarms: Alarms raised for this member: `NOSPACE`, `CORRUPT`.
        through_node: In a view that several workers made (`etcd_handoff.merged_view`): the node whose worker reaches
            the member. Empty in all other views.
        note: Why it counts as unreachable or unhealthy, for people.
    """

    id: MemberId
    name: str
    peer_urls: tuple[str, ...] = ()
    is_learner: bool = False
    reachable: bool = False
    serves_reads: bool = False
    leader_id: MemberId | None = None
    term: int = 0
    raft_index: int = 0
    version: str = ""
    db_size_bytes: int = 0
    alarms: tuple[str, ...] = ()
    through_node: str = ""
    note: str = ""

    @property
    def label(self) -> str:
        """Return the name for people: the member's name, or its ID while it has none."""
        return self.name or self.id


class MemberSelfReport(WireModel):
    """A member's own status, from a worker without a member list: a learner gives none.

    Attributes:
        cluster_id: The member's cluster, by its own status.
        id: Its ID.
        is_learner: Whether it has no vote.
        leader_id: The leader that it names; None when it knows none.
        term: Raft term that it reports.
        raft_index: Last raft log index that it knows to be committed.
        version: Its etcd version.
        db_size_bytes: Size of its backend file.
        alarms: All alarms that it knows of, those of others included.
    """

    cluster_id: MemberId
    id: MemberId
    is_learner: bool = False
    leader_id: MemberId | None = None
    term: int = 0
    raft_index: int = 0
    version: str = ""
    db_size_bytes: int = 0
    alarms: tuple[Alarm, ...] = ()


class Leadership(NamedTuple):
    """A leader that a majority of the voters names at one term."""

    id: MemberId
    term: int


class ClusterView(WireModel):
    """The membership of a linearizable list together with each member's own status, read at nearly one moment.

    Attributes:
        cluster_id: Cluster ID in the header of the linearizable list.
        members: All members, sorted by ID.
        doubts: Contradictions between the answers; see `etcd_handoff.doubts`.
        alarms: All alarms that members report, those of the whole cluster and of members that have left included.
        endpoints: How many endpoints of the profile were asked; 0 when that is not known.
        answering: How many of these led to a listed member of this cluster.
    """

    cluster_id: MemberId
    members: tuple[MemberView, ...]
    doubts: tuple[Doubt, ...] = ()
    alarms: tuple[Alarm, ...] = ()
    endpoints: int = 0
    answering: int = 0

    @property
    def few_answer(self) -> bool:
        """Whether at most half of the profile's endpoints answer for the cluster: it may be the wrong one."""
        return 2 * self.answering <= self.endpoints and self.endpoints > 0

    @property
    def voters(self) -> tuple[MemberView, ...]:
        """Return the members with a vote."""
        return tuple(m for m in self.members if not m.is_learner)

    def member(self, member_id: str | None) -> MemberView | None:
        """Return the member with this ID, or None when it is not in the list."""
        return next((m for m in self.members if m.id == member_id), None)

    def only(self, member_ids: Container[str]) -> ClusterView:
        """Return the view without members that are not among these."""
        return self.model_copy(update={"members": tuple(m for m in self.members if m.id in member_ids)})

    def label(self, member_id: str | None) -> str:
        """Return a member's name where it has one, else its ID."""
        found = self.member(member_id)
        return found.label if found else (member_id or "nobody")

    @property
    def leadership(self) -> Leadership | None:
        """Return the leader that a majority of voters names at the same term; None without such agreement.

        One member's answer is not enough: for a second and more after a leader's removal, members still name it
        (`Status.leader` is local knowledge, etcd `api/v3rpc/maintenance.go`).
        """
        voters, votes = self.voters, dict[tuple[str, int], int]()
        for m in voters:
            if m.reachable and m.leader_id:
                votes[m.leader_id, m.term] = votes.get((m.leader_id, m.term), 0) + 1
        needed = quorum(len(voters))
        agreed = next((named for named, count in votes.items() if count >= needed), None)
        return Leadership(*agreed) if agreed and any(m.id == agreed[0] for m in voters) else None

    @property
    def who_leads(self) -> str:
        """`node0 leads at term 7`."""
        agreed = self.leadership
        return f"{self.label(agreed.id)} leads at term {agreed.term}" if agreed else "no leader"

    @property
    def healthy_voters(self) -> tuple[MemberView, ...]:
        """Return the voters that count towards a quorum.

        They answer a linearizable read of their own, and their data is not known to be corrupt. They name the agreed
        leader at the agreed term: a voter that names another one is cut off from the others, however well it answers
        us.
        """
        agreed = self.leadership
        if agreed is None:
            return ()
        return tuple(
            m
            for m in self.voters
            if m.reachable
            and m.serves_reads
            and CORRUPT not in m.alarms
            and (m.leader_id, m.term) == (agreed.id, agreed.term)
        )

    @property
    def merged(self) -> bool:
        """Whether several workers made it, since no single one reaches all members."""
        return any(m.through_node for m in self.members)

    @property
    def foreign(self) -> tuple[str, ...]:
        """Return which endpoints answered for another cluster, one sentence each."""
        return tuple(doubt.text for doubt in self.doubts if doubt.kind == MIXED_CLUSTERS)


def quorum(voters: int) -> int:
    """Return how many of `voters` make a majority."""
    return voters // 2 + 1
