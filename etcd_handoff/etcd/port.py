"""What activities ask of etcd, as a type: the gateway has it, and so has whatever stands in for it.

The gateway says what each call does and raises. Here nothing runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable

    from etcd_handoff.cluster_view import ClusterView, HeardMember


class KeyspaceHash(NamedTuple):
    """A hash of a member's keyspace; two can be compared only at equal revision and equal compact revision.

    Attributes:
        hash: etcd's HashKV.
        revision: The revision that the member stood at.
        compact_revision: The revision up to which it had compacted: one that has compacted and one that has not yet
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
        """A linearizable member list with the status of each member."""

    async def heard(self) -> tuple[HeardMember, ...]:
        """What members say of themselves, without a member list."""

    async def own_cluster(self) -> str:
        """The cluster of the member at the first endpoint, by its own word."""

    async def status_of(self, member_id: str) -> tuple[str | None, int]:
        """Leader and term that one member names."""

    async def hash_at(self, member_id: str, revision: int) -> KeyspaceHash:
        """Hash of one member's keyspace."""

    def snapshot(self, member_id: str) -> AsyncGenerator[bytes, None]:
        """Chunks of one member's backend."""

    async def move_leader(self, leader_id: str, transferee_id: str) -> None:
        """Ask the leader to hand over."""

    async def remove_member(self, member_id: str, via_id: str) -> frozenset[str]:
        """Take a member out, and say who remains."""

    async def add_learner(self, peer_urls: Iterable[str], via_id: str) -> str:
        """Add a member without a vote, and say which ID it got."""

    async def promote_member(self, member_id: str, via_id: str) -> None:
        """Give a learner a vote."""

    async def acquire_lock(self, holder: str, label: str, via_id: str, attempt: str = "") -> str:
        """Take the lock in etcd, or say who has it; an entry is committed either way."""

    async def release_lock(self, holder: str, via_id: str) -> None:
        """Give the lock back; an entry is committed."""

    async def abandon_lock(self, holder: str, via_id: str, attempt: str = "") -> None:
        """Delete the lock's key where this attempt has created it and nobody else has written it since."""

    async def check_rights(self) -> None:
        """Fail where the user may not change the membership."""

    async def commit_probe(self, via_id: str = "") -> None:
        """Commit an entry that changes nothing."""
