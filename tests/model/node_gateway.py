"""The gateways of a node's worker to a model: it reaches the etcd member and the API server on its own node alone."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from activities.node_workers import NodeWorkers
from etcd_handoff.activity_io import DataOwner
from etcd_handoff.cluster_view import MemberSelfReport
from etcd_handoff.errors import UnreachableError
from etcd_handoff.etcdmember_matching import claim_of
from tests.fakes.kubernetes import FakeGateways, FakeKubernetes
from tests.model import looks
from tests.model.gateways import ModelEtcd, ModelKubernetes, who

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Collection, Iterable

    from activities.leader_check import ReadClaims, ReadData
    from etcd_handoff.cluster_view import ClusterView
    from etcd_handoff.config import Config, EtcdProfile
    from etcd_handoff.doubts import ResourceClaim
    from etcd_handoff.etcd.port import EtcdPort, KeyspaceHash
    from etcd_handoff.kubernetes.port import KubernetesPort
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

    async def self_reports(self) -> tuple[MemberSelfReport, ...]:
        """Its own member's word, where that runs and gives no list."""
        own = self._nodes.member_on(self._node)
        if self._node in self._nodes.foreign_on or own is None or not own.alive:
            return ()
        return (MemberSelfReport(cluster_id=self._nodes.cluster_id, id=own.id, is_learner=not own.voter),)

    async def own_cluster(self) -> str:
        """The cluster of its own member; empty when that does not answer."""
        await asyncio.sleep(0)
        if self._node in self._nodes.foreign_on:
            self._nodes.call()  # asked last: no node is another one again between what it has read and this
            return looks.FOREIGN
        own = self._nodes.member_on(self._node)
        return self._nodes.cluster_id if own is not None and own.alive else ""

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


class NodeGateways(FakeGateways):
    """The API server of a node, which stands on the etcd there: on another cluster's while that answers there.

    Args:
        config: The configuration.
        cluster: The model.
        node: The node.
    """

    def __init__(self, config: Config, cluster: NodeCluster, node: str) -> None:
        super().__init__(config, node, {})
        self._nodes, self._node = cluster, node
        self._own = ModelKubernetes(cluster)

    def get(self, cluster: str) -> KubernetesPort:  # noqa: ARG002  # there is one
        """The API server by what it stands on now."""
        return ForeignKubernetes(self._nodes) if self._node in self._nodes.foreign_on else self._own


class ForeignKubernetes(FakeKubernetes):
    """The API servers of another cluster, whose EtcdMembers are none of ours to write.

    Args:
        cluster: The model whose target has a namesake there.
    """

    def __init__(self, cluster: NodeCluster) -> None:
        super().__init__(*cluster.foreign_resources())
        self._cluster = cluster

    async def patch_status(
        self, resource: dict[str, Any], status: dict[str, Any], departing: str = ""
    ) -> dict[str, Any]:
        """Whoever writes there takes it for the cluster that is meant."""
        name = resource["metadata"]["name"]
        self._cluster.wrong.append(f"status: EtcdMember {name} of another cluster was written")
        return await super().patch_status(resource, status, departing)


def claims_on(node: str, cluster: NodeCluster) -> ReadClaims:
    """Reads what the EtcdMembers say that a node's API server has; it is no step of the script."""

    async def read(_: str) -> tuple[ResourceClaim, ...] | None:
        await asyncio.sleep(0)
        if node in cluster.foreign_on:
            return tuple(claim_of(resource) for resource in cluster.foreign_resources())
        return cluster.claims()

    return read


def data_on(node: str, cluster: NodeCluster) -> ReadData:
    """Reads whose data lie on a node; they stay when the member ends or leaves."""

    async def read(_: str) -> tuple[DataOwner | None, str]:
        await asyncio.sleep(0)
        if node in cluster.foreign_on:
            return DataOwner(cluster_id=looks.FOREIGN, member_id=looks.FOREIGN_IDS[0]), ""
        own = cluster.member_on(node)
        return DataOwner(cluster_id=cluster.cluster_id, member_id=own.id if own else "fade"), ""

    return read


class ModelWorkers(NodeWorkers):
    """Workers as a Temporal server lists them that has not yet noticed who is down.

    Args:
        cluster: The model.
    """

    def __init__(self, cluster: NodeCluster) -> None:
        self._nodes = cluster

    async def missing(self, nodes: Collection[str]) -> tuple[str, ...]:  # noqa: ARG002
        """Nobody is known to be."""
        return ()

    async def serving(self, cluster: str) -> tuple[str, ...]:  # noqa: ARG002  # there is one profile
        """All nodes that there have been."""
        return tuple(sorted(self._nodes.names))
