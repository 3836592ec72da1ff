"""What a look at an etcd cluster sees: members, who leads, who counts towards a quorum.

No endpoint and no secret: a view ends in workflow histories.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from etcd_handoff.message import MemberId, Message

if TYPE_CHECKING:
    from collections.abc import Container


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
