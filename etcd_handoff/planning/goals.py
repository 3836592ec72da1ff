"""Define the goals for a cluster's membership. `Goal` is the whole set; each of its members has a strategy."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from etcd_handoff import peer_url
from etcd_handoff.doubts import Binding

if TYPE_CHECKING:
    from etcd_handoff.cluster_view import ClusterView, MemberView


@dataclass(frozen=True, slots=True)
class MemberAbsent:
    """Goal: a member that was pinned at the first look has left the cluster.

    Attributes:
        cluster_id: The cluster that the member was found in.
        target_id: The member that leaves.
        avoid: Transferees that were tried since the last wait and did not take over.
        seen_term: Highest term that the cluster has been seen at; a lower one is another history.
        seen_index: Highest index of a leader that has been seen.
        leaving_later: The other members that leave, or have left, by the same plan. None of them gets the leadership.
        min_voters: The target does not leave where fewer voters would remain.
        successors: Members that stay by the same plan. While one of them does not work as a voter, a target that works
            does not leave.
    """

    cluster_id: str
    target_id: str
    avoid: frozenset[str] = field(default_factory=frozenset)
    seen_term: int = 0
    seen_index: int = 0
    leaving_later: frozenset[str] = field(default_factory=frozenset)
    min_voters: int = 1
    successors: frozenset[str] = field(default_factory=frozenset)

    @property
    def binding(self) -> Binding:
        """Return the cluster that is meant, as far as it has been seen."""
        return Binding(cluster_id=self.cluster_id, term=self.seen_term, raft_index=self.seen_index)

    @property
    def departing(self) -> tuple[str, ...]:
        """Return the members that may still run although they have left."""
        return (self.target_id, *sorted(self.leaving_later))


@dataclass(frozen=True, slots=True)
class MemberPresent:
    """Goal: a member is in the cluster with a vote. It is added as a learner, then promoted.

    etcd derives the ID from the time of the addition, so it cannot be known before (etcd
    `server/etcdserver/api/membership/member.go`, computeMemberID). Until then, and after an addition whose answer was
    lost, the peer URLs identify the member. etcd gives no peer URL to two members.

    Attributes:
        cluster_id: The cluster that the member joins.
        name: The name that it will have once it has started.
        peer_urls: All its peer URLs, in any order, as etcd is to list them.
        seen_term: Highest term that the cluster has been seen at; a lower one is another history.
        seen_index: Highest index of a leader that has been seen.
        departing: Members that leave, or have left, by the same larger change: they may still run.

    Raises:
        ValueError: There is no name or no peer URL.
    """

    cluster_id: str
    name: str
    peer_urls: tuple[str, ...]
    seen_term: int = 0
    seen_index: int = 0
    departing: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Reject a goal that fits any unstarted member, or any member without peer URLs.

        Raises:
            ValueError: There is no name or no peer URL.
        """
        if not self.name or not self.peer_urls:
            raise ValueError("a member that is to be added needs a name and at least one peer URL")

    @property
    def binding(self) -> Binding:
        """Return the cluster that is meant, as far as it has been seen."""
        return Binding(cluster_id=self.cluster_id, term=self.seen_term, raft_index=self.seen_index)

    def member_in(self, view: ClusterView) -> MemberView | None:
        """Return the member with exactly the wanted peer URLs, and the wanted name or none yet; else None."""
        fits = (m for m in view.members if m.name in ("", self.name) and peer_url.same(m.peer_urls, self.peer_urls))
        return next(fits, None)


@dataclass(frozen=True, slots=True)
class Joiner:
    """A member that is to be present at the end.

    Attributes:
        name: Its name.
        peer_urls: All its peer URLs, in any order.
    """

    name: str
    peer_urls: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class MembersChanged:
    """Goal: some members join and others leave, one after the other.

    Attributes:
        cluster_id: The cluster that is meant.
        joins: Members that are to have a vote at the end; some of them may have one already.
        leaves: Members that were pinned at the first look and are to be out at the end.
        exact: Only `joins` are to be members at the end.
        min_voters: The least number of voters at the end. It counts where there are fewer than now, or the change is
            exact.
        begun: The change has been found possible before: it may have waited since, and something may be half done.
        seen_term: Highest term that the cluster has been seen at; a lower one is another history.
        seen_index: Highest index of a leader that has been seen.

    Raises:
        ValueError: A change that is exact names no member.
    """

    cluster_id: str
    joins: tuple[Joiner, ...]
    leaves: tuple[str, ...] = ()
    exact: bool = False
    min_voters: int = 1
    begun: bool = False
    seen_term: int = 0
    seen_index: int = 0

    def __post_init__(self) -> None:
        """Reject a goal of a cluster without members.

        Raises:
            ValueError: A change that is exact names no member.
        """
        if self.exact and not self.joins:
            raise ValueError("a cluster needs at least one member")

    @property
    def binding(self) -> Binding:
        """Return the cluster that is meant, as far as it has been seen."""
        return Binding(cluster_id=self.cluster_id, term=self.seen_term, raft_index=self.seen_index)

    @property
    def departing(self) -> tuple[str, ...]:
        """Return the members that may still run although they have left."""
        return self.leaves

    def stays(self, member: MemberView) -> bool:
        """Whether the member is not pinned to leave."""
        return member.id not in self.leaves

    def member_in(self, view: ClusterView, joiner: Joiner) -> MemberView | None:
        """Return the staying member that has exactly the joiner's peer URLs; else None.

        In an exact change the name does not count, as no name can be changed from outside. Otherwise the member has the
        wanted name, or none yet.
        """
        alike = (m for m in view.members if self.stays(m) and peer_url.same(m.peer_urls, joiner.peer_urls))
        return next((m for m in alike if self.exact or m.name in ("", joiner.name)), None)

    def joining(self, joiner: Joiner) -> MemberPresent:
        """Return the goal of the part that lets one member join."""
        seen = (self.seen_term, self.seen_index)
        return MemberPresent(self.cluster_id, joiner.name, joiner.peer_urls, *seen, self.leaves)

    def successors(self, view: ClusterView) -> tuple[str, ...]:
        """Return the IDs of the members that are to be present at the end and are present now."""
        found = (self.member_in(view, joiner) for joiner in self.joins)
        return tuple(member.id for member in found if member is not None)

    def leaving(self, view: ClusterView, member_id: str) -> MemberAbsent:
        """Return the goal of the part that lets one member leave."""
        return MemberAbsent(
            self.cluster_id,
            member_id,
            seen_term=self.seen_term,
            seen_index=self.seen_index,
            leaving_later=frozenset(self.leaves) - {member_id},
            successors=frozenset(self.successors(view)),
        )


Goal = MemberAbsent | MemberPresent | MembersChanged
