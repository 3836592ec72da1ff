"""The gateway of a node's worker to a model: it reaches the member on its own node, and nobody else."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from etcd_handoff.errors import UnreachableError
from tests.model import looks
from tests.model.gateways import ModelEtcd, who

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterable

    from etcd_handoff.cluster_view import ClusterView
    from etcd_handoff.config import EtcdProfile
    from etcd_handoff.etcd.port import EtcdPort, KeyspaceHash
    from tests.model.nodes import NodeCluster


class NodeEtcd(ModelEtcd):
    """The gateway of a node's worker: it reaches the member there, and nobody else.

    Args:
        cluster: The model.
        node: The node.
    """

    def __init__(self, cluster: NodeCluster, node: str) -> None:
        super().__init__(cluster)
        self._nodes, self._node = cluster, node

    async def observe(self, doubtful: Iterable[str] = (), leaving: str = "") -> ClusterView:  # noqa: ARG002
        """A look at one member."""
        await asyncio.sleep(0)
        return self._nodes.look_from(who(), self._node)

    async def status_of(self, member_id: str) -> tuple[str | None, int]:
        """Its own member's words."""
        self._reaches(member_id)
        return await super().status_of(member_id)

    async def hash_at(self, member_id: str, revision: int) -> KeyspaceHash:
        """The hash of its own member's data."""
        self._reaches(member_id)
        return await super().hash_at(member_id, revision)

    async def snapshot(self, member_id: str) -> AsyncGenerator[bytes, None]:
        """Its own member's data."""
        self._reaches(member_id)
        async for chunk in super().snapshot(member_id):
            yield chunk

    async def move_leader(self, leader_id: str, transferee_id: str) -> None:
        """A transfer away from its own member."""
        self._reaches(leader_id)
        await super().move_leader(leader_id, transferee_id)

    async def acquire_lock(self, holder: str, label: str, via_id: str, attempt: str = "") -> str:
        """The lock, through its own member."""
        self._reaches(via_id)
        return await super().acquire_lock(holder, label, via_id, attempt)

    async def release_lock(self, holder: str, via_id: str) -> None:
        """The lock is given back through its own member."""
        self._reaches(via_id)
        await super().release_lock(holder, via_id)

    async def commit_probe(self, via_id: str = "") -> None:
        """An entry through its own member."""
        own = self._nodes.member_on(self._node)
        via_id = via_id or (own.id if own else "")
        self._reaches(via_id)
        await super().commit_probe(via_id)

    async def remove_member(self, member_id: str, via_id: str) -> frozenset[str]:
        """A removal through its own member."""
        self._reaches(via_id)
        return await super().remove_member(member_id, via_id)

    def _reaches(self, member_id: str) -> None:
        own = self._nodes.member_on(self._node)
        foreign = looks.FOREIGN_IDS[:1] if self._node in self._nodes.foreign_on else ()
        if member_id not in {own.id if own else None, *foreign} or not member_id:
            msg = f"member {member_id} has not answered at any endpoint yet"
            raise UnreachableError(msg)


def gateway_on(node: str, cluster: NodeCluster) -> Callable[[EtcdProfile, str], EtcdPort]:
    """Makes the gateway of a node's worker."""
    return lambda *_: NodeEtcd(cluster, node)
