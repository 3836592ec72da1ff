"""What activities ask of etcd and of API servers, as types: whatever stands in for a gateway has all of it.

The gateways themselves say what each call does and raises. Here nothing runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import builtins
    from collections.abc import AsyncIterator, Iterable

    from etcd_handoff.cluster_view import ClusterView
    from etcd_handoff.etcd.port import KeyspaceHash


class EtcdPort(Protocol):
    """The calls of `etcd_handoff.etcd.gateway.EtcdGateway`."""

    async def close(self) -> None:
        """Close all connections."""

    async def observe(self, doubtful: Iterable[str] = (), leaving: str = "") -> ClusterView:
        """A linearizable member list with the status of each member."""

    async def status_of(self, member_id: str) -> tuple[str | None, int]:
        """Leader and term that one member names."""

    async def hash_at(self, member_id: str, revision: int) -> KeyspaceHash:
        """Hash of one member's keyspace."""

    def snapshot(self, member_id: str) -> AsyncIterator[bytes]:
        """Chunks of one member's backend."""

    async def move_leader(self, leader_id: str, transferee_id: str) -> None:
        """Ask the leader to hand over."""

    async def remove_member(self, member_id: str, via_id: str) -> frozenset[str]:
        """Take a member out, and say who remains."""

    async def add_learner(self, peer_urls: Iterable[str], via_id: str) -> str:
        """Add a member without a vote, and say which ID it got."""

    async def promote_member(self, member_id: str, via_id: str) -> None:
        """Give a learner a vote."""

    async def acquire_lock(self, holder: str, label: str, via_id: str) -> str:
        """Take the lock in etcd, or say who has it; an entry is committed either way."""

    async def release_lock(self, holder: str, via_id: str) -> None:
        """Give the lock back; an entry is committed."""

    async def commit_probe(self, via_id: str = "") -> None:
        """Commit an entry that changes nothing."""


class KubernetesPort(Protocol):
    """The calls of `etcd_handoff.kubernetes.gateway.KubernetesGateway` that removals and watchers need."""

    async def close(self) -> None:
        """Close all clients."""

    async def warm(self) -> None:
        """Open all clients ahead of use."""

    async def get(self, name: str, departing: str = "") -> dict[str, Any]:
        """One EtcdMember."""

    async def list(self, departing: str = "") -> builtins.list[dict[str, Any]]:
        """All EtcdMembers."""

    async def list_at(self, departing: str = "") -> tuple[builtins.list[dict[str, Any]], str]:
        """All EtcdMembers, and the version of the list."""

    async def changed(self, version: str) -> None:
        """Return when an EtcdMember has changed after that version."""

    async def create(self, resource: dict[str, Any]) -> dict[str, Any]:
        """Store a new EtcdMember."""

    async def patch_status(
        self, resource: dict[str, Any], status: dict[str, Any], departing: str = ""
    ) -> dict[str, Any]:
        """Change fields of the status, unless the EtcdMember has changed since it was read."""

    async def record_event(self, event: dict[str, Any], departing: str = "") -> None:
        """Store an Event."""
