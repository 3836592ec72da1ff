"""Many clusters at once: gateways that answer as real ones do, after the time that real ones take.

Temporal, the worker, the workflows and the activities are real; only what lies behind the gateways is not.
"""

from __future__ import annotations

import asyncio
import hashlib
from typing import TYPE_CHECKING, Any, Final, cast

from etcd_handoff.cluster_view import ClusterView, MemberView
from etcd_handoff.etcd.port import EtcdPort, KeyspaceHash
from etcd_handoff.kubernetes.pool import KubernetesGateways
from etcd_handoff.kubernetes.port import KubernetesPort

from etcd_handoff.config import ClusterProfile, Config, EtcdProfile, KubernetesProfile
from etcd_handoff.etcdmember import KIND

if TYPE_CHECKING:
    import builtins
    from collections.abc import AsyncIterator, Iterable

    from etcd_handoff.etcd.gateway import EtcdGateway
    from etcd_handoff.kubernetes.gateway import KubernetesGateway

NAMES: Final = ("node0", "node1", "node2")
DATABASE: Final = b"all that there is" * 1000
LEADER: Final = NAMES[0]
"""The member that leads each cluster at first, and that is taken out."""
READ_SECONDS, WRITE_SECONDS, TRANSFER_SECONDS, TICK_SECONDS = 0.002, 0.003, 0.005, 0.102
"""On loopback: a read of etcd, a write or a removal, a transfer until the transferee says so, MoveLeader's answer."""
GET_SECONDS, PATCH_SECONDS = 0.004, 0.008
"""A read and a write of an API server; on loopback."""


def config(clusters: int, task_queue: str) -> Config:
    """A configuration of so many clusters; the host of an endpoint names the cluster."""
    profiles = {
        name: ClusterProfile(etcd=EtcdProfile(endpoints=(f"http://{name}:2379",)), kubernetes=KubernetesProfile())
        for name in cluster_names(clusters)
    }
    return Config(task_queue=task_queue, clusters=profiles)


def cluster_names(clusters: int) -> list[str]:
    """Names of the cluster profiles."""
    return [f"c{number:04}" for number in range(clusters)]


def _member_id(cluster: str, name: str) -> str:
    return f"{int(cluster[1:]) + 1:x}{NAMES.index(name) + 1:04x}"


class SimulatedEtcd(EtcdPort):
    """The gateway of one cluster of three members."""

    def __init__(self, profile: EtcdProfile) -> None:
        self._cluster = profile.endpoints[0].removeprefix("http://").removesuffix(":2379")
        self._members = {_member_id(self._cluster, name): name for name in NAMES}
        self._leader, self._term = _member_id(self._cluster, LEADER), 2

    async def close(self) -> None:
        """Nothing is open."""

    async def observe(self, doubtful: Iterable[str] = (), leaving: str = "") -> ClusterView:  # noqa: ARG002
        """All members, healthy."""
        await asyncio.sleep(READ_SECONDS)
        members = tuple(
            MemberView(
                id=member_id,
                name=name,
                peer_urls=(f"http://{name}.{self._cluster}:2380",),
                reachable=True,
                serves_reads=True,
                leader_id=self._leader,
                term=self._term,
                raft_index=1000,
                version="3.6.16",
                db_size_bytes=1_000_000,
            )
            for member_id, name in self._members.items()
        )
        return ClusterView(cluster_id=f"{int(self._cluster[1:]) + 1:x}", members=members)

    async def status_of(self, member_id: str) -> tuple[str | None, int]:  # noqa: ARG002  # all agree
        """Leader and term as a member names them."""
        await asyncio.sleep(READ_SECONDS)
        return self._leader, self._term

    async def hash_at(self, member_id: str, revision: int) -> KeyspaceHash:  # noqa: ARG002  # all are equal
        """The hash of a member's data."""
        await asyncio.sleep(READ_SECONDS)
        return KeyspaceHash(1, max(revision, 1), 1)

    async def snapshot(self, member_id: str) -> AsyncIterator[bytes]:  # noqa: ARG002  # all are equal
        """A small database, and its SHA-256."""
        await asyncio.sleep(READ_SECONDS)
        yield DATABASE + hashlib.sha256(DATABASE).digest()

    async def acquire_lock(self, holder: str, label: str, via_id: str) -> str:  # noqa: ARG002  # nobody else is there
        """Taken."""
        await asyncio.sleep(WRITE_SECONDS)
        return ""

    async def release_lock(self, holder: str, via_id: str) -> None:  # noqa: ARG002
        """Given back."""
        await asyncio.sleep(WRITE_SECONDS)

    async def commit_probe(self, via_id: str = "") -> None:  # noqa: ARG002
        """Committed."""
        await asyncio.sleep(WRITE_SECONDS)

    async def move_leader(self, leader_id: str, transferee_id: str) -> None:  # noqa: ARG002  # it leads
        """Done long before it is answered."""
        await asyncio.sleep(TRANSFER_SECONDS)
        self._leader, self._term = transferee_id, self._term + 1
        await asyncio.sleep(TICK_SECONDS - TRANSFER_SECONDS)

    async def remove_member(self, member_id: str, via_id: str) -> frozenset[str]:  # noqa: ARG002  # any may do it
        """Gone for good."""
        await asyncio.sleep(WRITE_SECONDS)
        self._members.pop(member_id, None)
        return frozenset(self._members)

    async def add_learner(self, peer_urls: Iterable[str], via_id: str) -> str:
        """Nobody joins."""
        raise NotImplementedError

    async def promote_member(self, member_id: str, via_id: str) -> None:
        """Nobody joins."""
        raise NotImplementedError


class SimulatedKubernetes(KubernetesPort):
    """The gateway to the API servers of one cluster, with an EtcdMember for each member."""

    def __init__(self, cluster: str) -> None:
        self._resources = {
            name: {
                "kind": KIND,
                "metadata": {"name": name, "uid": f"{cluster}-{name}", "generation": 1, "resourceVersion": "1"},
                "spec": {"leave": False},
                "status": {
                    "memberID": _member_id(cluster, name),
                    "peerAddress": f"{name}.{cluster}",
                    "reconcileStatus": "Success",
                    "message": "Member joined",
                    "conditions": [
                        {"type": "Joined", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"},
                    ],
                },
            }
            for name in NAMES
        }

    async def close(self) -> None:
        """Nothing is open."""

    async def warm(self) -> None:
        """Nothing to open."""

    async def get(self, name: str, departing: str = "") -> dict[str, Any]:  # noqa: ARG002
        """One EtcdMember."""
        await asyncio.sleep(GET_SECONDS)
        return self._resources[name]

    async def list(self, departing: str = "") -> builtins.list[dict[str, Any]]:  # noqa: ARG002
        """All EtcdMembers."""
        await asyncio.sleep(GET_SECONDS)
        return [*self._resources.values()]

    async def list_at(self, departing: str = "") -> tuple[builtins.list[dict[str, Any]], str]:
        """All EtcdMembers and the version of the list."""
        return await self.list(departing), "1"

    async def changed(self, version: str) -> None:  # noqa: ARG002
        """Nobody else changes anything."""
        await asyncio.Event().wait()

    async def create(self, resource: dict[str, Any]) -> dict[str, Any]:
        """An EtcdMember that has no status yet."""
        await asyncio.sleep(PATCH_SECONDS)
        self._resources[resource["metadata"]["name"]] = resource
        return resource

    async def patch_status(
        self,
        resource: dict[str, Any],
        status: dict[str, Any],
        departing: str = "",  # noqa: ARG002
    ) -> dict[str, Any]:
        """The EtcdMember says so."""
        await asyncio.sleep(PATCH_SECONDS)
        name = resource["metadata"]["name"]
        self._resources[name] = {**resource, "status": {**resource["status"], **status}}
        return self._resources[name]

    async def record_event(self, event: dict[str, Any], departing: str = "") -> None:  # noqa: ARG002
        """Told."""
        await asyncio.sleep(PATCH_SECONDS)


class SimulatedGateways(KubernetesGateways):
    """Gateways to API servers that are not there."""

    def __init__(self, of: Config) -> None:
        super().__init__(of, LEADER)
        self._simulated = {cluster: SimulatedKubernetes(cluster) for cluster in of.clusters}

    def get(self, cluster: str) -> KubernetesGateway | None:
        """The gateway of a profile."""
        return cast("KubernetesGateway", self._simulated[cluster])

    async def close(self) -> None:
        """Nothing is open."""


def simulated_etcd(profile: EtcdProfile, cluster_id: str = "") -> EtcdGateway:  # noqa: ARG001  # no profile names one
    """The gateway of a profile."""
    return cast("EtcdGateway", SimulatedEtcd(profile))
