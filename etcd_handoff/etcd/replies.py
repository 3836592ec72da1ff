"""What an endpoint gives in a look: its status, its member list, or why not. Read from etcd's messages. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

from etcd_handoff.cluster_view import Alarm, MemberSelfReport

NO_LEADER: Final = "etcdserver: no leader"
"""The one text among `Status.errors` that is no alarm (etcd `server/etcdserver/api/v3rpc/maintenance.go`, Status)."""
FIELD: Final = re.compile(r"(\w+):\s*(\S+)")
LONGEST_ALARM: Final = 100
NO_ANSWER: Final = "no answer"


@dataclass(frozen=True, slots=True)
class Status:
    """A member's own status, from its memory.

    Attributes:
        cluster_id: Cluster ID in the header.
        member_id: Member that answered, by the header.
        leader_id: The leader that it names; None when it knows none.
        term: Its raft term.
        raft_index: Its committed raft index.
        version: Its etcd version.
        db_size_bytes: Size of its backend file.
        is_learner: Whether it is a learner.
        alarms: All alarms that it knows of, also those of other members.
    """

    cluster_id: str
    member_id: str
    leader_id: str | None = None
    term: int = 0
    raft_index: int = 0
    version: str = ""
    db_size_bytes: int = 0
    is_learner: bool = False
    alarms: tuple[Alarm, ...] = ()


@dataclass(frozen=True, slots=True)
class ListedMember:
    """One member of a member list."""

    id: str
    name: str = ""
    peer_urls: tuple[str, ...] = ()
    client_urls: tuple[str, ...] = ()
    is_learner: bool = False


@dataclass(frozen=True, slots=True)
class MemberList:
    """A linearizable member list, and which member gave it."""

    cluster_id: str
    member_id: str
    members: tuple[ListedMember, ...]

    @property
    def ids(self) -> frozenset[str]:
        """IDs of the members."""
        return frozenset(m.id for m in self.members)

    @property
    def learners(self) -> frozenset[str]:
        """IDs of those without a vote."""
        return frozenset(m.id for m in self.members if m.is_learner)


@dataclass(frozen=True, slots=True)
class Reply:
    """What one endpoint gave within a look.

    Attributes:
        endpoint: Its name in messages, without its address.
        url: Its URL in canonical form.
        advertised_by: ID of the member that advertises it; empty for an endpoint of the profile.
        status: Status of the member that answered, None when none came.
        status_note: Why none came.
        listed: Its linearizable member list, None when none came.
        list_note: Why none came.
    """

    endpoint: str
    url: str
    advertised_by: str = ""
    status: Status | None = None
    status_note: str = NO_ANSWER
    listed: MemberList | None = None
    list_note: str = NO_ANSWER

    @property
    def cluster_id(self) -> str:
        """The cluster that it answered for; empty when it gave no answer."""
        answer = self.status or self.listed
        return answer.cluster_id if answer else ""

    @property
    def member_id(self) -> str:
        """The member that answered; empty when none did."""
        answer = self.status or self.listed
        return answer.member_id if answer else ""


def hex_id(number: int) -> str:
    """Return a member or cluster ID in our notation."""
    return format(number, "x")


def read_status(answer: Any) -> Status:
    """Read a StatusResponse (etcd `api/etcdserverpb/rpc.proto`)."""
    return Status(
        cluster_id=hex_id(answer.header.cluster_id),
        member_id=hex_id(answer.header.member_id),
        leader_id=hex_id(answer.leader) if answer.leader else None,
        term=answer.raftTerm,
        raft_index=answer.raftIndex,
        version=answer.version,
        db_size_bytes=answer.dbSize,
        is_learner=answer.isLearner,
        alarms=tuple(alarm for text in answer.errors if (alarm := read_alarm(text))),
    )


def self_report(status: Status) -> MemberSelfReport:
    """Return a member's own status in the form that a worker with a member list gets."""
    return MemberSelfReport(
        cluster_id=status.cluster_id,
        id=status.member_id,
        is_learner=status.is_learner,
        leader_id=status.leader_id,
        term=status.term,
        raft_index=status.raft_index,
        version=status.version,
        db_size_bytes=status.db_size_bytes,
        alarms=status.alarms,
    )


def read_list(answer: Any) -> MemberList:
    """Read a MemberListResponse (etcd `api/etcdserverpb/rpc.proto`)."""
    return MemberList(
        cluster_id=hex_id(answer.header.cluster_id),
        member_id=hex_id(answer.header.member_id),
        members=tuple(
            ListedMember(hex_id(m.ID), m.name, tuple(m.peerURLs), tuple(m.clientURLs), m.isLearner)
            for m in answer.members
        ),
    )


def read_alarm(text: str) -> Alarm | None:
    """Read one text of `Status.errors`, such as `memberID:123 alarm:NOSPACE `, or return None if it is no alarm.

    Protobuf's text form omits a field that is zero. So an alarm of member 0, the whole cluster, reads `alarm:CORRUPT `
    (etcd `server/etcdserver/corrupt.go`, checkPeerHashes). A text of another form counts as an alarm of that name,
    since an unknown alarm must not be lost.

    The Alarm call would put an entry into the raft log for every look (etcd `server/etcdserver/v3_server.go`, Alarm).
    Status has the alarms without that cost.
    """
    words = " ".join(text.split())
    if not words or words == NO_LEADER:
        return None
    fields = dict(FIELD.findall(words))
    kind, member = fields.get("alarm", ""), fields.get("memberID", "0")
    if not kind or not member.isdecimal():
        return Alarm(kind=words[:LONGEST_ALARM])
    return Alarm(kind=kind[:LONGEST_ALARM], member_id="" if int(member) == 0 else hex_id(int(member)))
