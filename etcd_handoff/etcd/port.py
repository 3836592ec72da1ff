"""The calls that activities make to etcd, as a type that the gateway and its substitutes implement.

The gateway documents what each call does and raises. Nothing runs here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable

    from etcd_handoff.cluster_view import ClusterView, MemberSelfReport


class KeyspaceHash(NamedTuple):
    """A hash of a member's keyspace. Two are comparable only at equal revision and equal compact revision.

    Attributes:
        hash: etcd's HashKV.
        revision: The member's revision.
        compact_revision: The revision up to which it had compacted. A member that has compacted and one that has not
            hash different keys (etcd `server/etcdserver/corrupt.go`).
    """

    hash: int
    revision: int
    compact_revision: int


class EtcdPort(Protocol):
    """The calls of `etcd_handoff.etcd.gateway.EtcdGateway`."""

    async def close(self) -> None:
        """Close all connections."""

    async def observe(self, doubtful: Iterable[str] = (), leaving: str = "") -> ClusterView:
        """Return a linearizable member list with the status of each member."""

    async def self_reports(self) -> tuple[MemberSelfReport, ...]:
        """Return the members' own status, without a member list."""

    async def own_cluster(self) -> str:
        """Return the cluster of the member at the first endpoint, by its own answer."""

    async def status_of(self, member_id: str) -> tuple[str | None, int]:
        """Return leader and term that one member names."""

    async def hash_at(self, member_id: str, revision: int) -> KeyspaceHash:
        """Return the hash of one member's keyspace."""

    def snapshot(self, member_id: str) -> AsyncGenerator[bytes, None]:
        """Yield chunks of one member's backend."""

    async def move_leader(self, leader_id: str, transferee_id: str) -> None:
        """Ask the leader to hand over."""

    async def remove_member(self, member_id: str, via_id: str) -> frozenset[str]:
        """Remove a member, and return the remaining ones."""

    async def add_learner(self, peer_urls: Iterable[str], via_id: str) -> str:
        """Add a learner, and return its ID."""

    async def promote_member(self, member_id: str, via_id: str) -> None:
        """Promote a learner to a voter."""

    async def acquire_lock(self, holder: str, label: str, via_id: str, attempt: str = "") -> str:
        """Take the lock in etcd, or return its holder. An entry is committed either way."""

    async def release_lock(self, holder: str, via_id: str) -> None:
        """Release the lock, and commit an entry."""

    async def abandon_lock(self, holder: str, via_id: str, attempt: str = "") -> None:
        """Delete the lock's key if this attempt has created it and no other has written it since."""

    async def check_rights(self) -> None:
        """Raise if the user may not change the membership."""

    async def commit_probe(self, via_id: str = "") -> None:
        """Commit an entry that changes nothing."""
