"""Gateways to models: what activities hold instead of connections to etcd and to API servers."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from temporalio import activity

from etcd_handoff.config import ClusterProfile, Config, EtcdProfile, KubernetesProfile
from etcd_handoff.doubts import ResourceClaim
from etcd_handoff.etcd.port import EtcdPort, KeyspaceHash
from etcd_handoff.kubernetes.pool import KubernetesGateways
from tests.fakes.kubernetes import FakeGateways, FakeKubernetes

if TYPE_CHECKING:
    import builtins
    from collections.abc import AsyncGenerator, Iterable
    from pathlib import Path

    from activities.etcd import MakeEtcd
    from activities.leader_check import ReadClaims
    from etcd_handoff.cluster_view import ClusterView, MemberSelfReport
    from etcd_handoff.doubts import ResourceClaim
    from etcd_handoff.kubernetes.pool import KubernetesGateways
    from tests.model.cluster import Cluster

NEWS_SECONDS: Final = 0.05
"""Pause between looks for news of EtcdMembers."""


def config_of(
    names: Iterable[str], task_queue: str = "model", snapshots: Path | None = None, *, alone: bool = False
) -> Config:
    """A profile for each model; the host of its endpoint is its name, or the worker's own where it reaches no other."""
    profiles = {
        name: ClusterProfile(
            etcd=EtcdProfile(
                endpoints=(f"http://{'127.0.0.1' if alone else name}:2379",), snapshot_directory=snapshots
            ),
            kubernetes=KubernetesProfile(),
        )
        for name in names
    }
    return Config(task_queue=task_queue, clusters=profiles)


def etcd_of(clusters: dict[str, Cluster]) -> MakeEtcd:
    """Makes the gateway of a profile."""

    def make(profile: EtcdProfile, cluster_id: str) -> EtcdPort:  # noqa: ARG001  # no profile names one
        return ModelEtcd(clusters[profile.endpoints[0].removeprefix("http://").removesuffix(":2379")])

    return make


def claims_of(clusters: dict[str, Cluster]) -> ReadClaims:
    """Reads what the EtcdMembers of a model say of who is a member; it is no step of the script."""

    async def read(name: str) -> tuple[ResourceClaim, ...] | None:
        await asyncio.sleep(0)
        return clusters[name].claims()

    return read


def gateways_of(config: Config, clusters: dict[str, Cluster]) -> KubernetesGateways:
    """Gateways to the models' EtcdMembers."""
    return FakeGateways(config, "model", {name: ModelKubernetes(cluster) for name, cluster in clusters.items()})


class ModelEtcd(EtcdPort):
    """The gateway to the etcd of a model."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster

    async def close(self) -> None:
        """Nothing is open."""

    async def observe(self, doubtful: Iterable[str] = (), leaving: str = "") -> ClusterView:  # noqa: ARG002
        """A look."""
        await asyncio.sleep(0)
        return self.cluster.view(who())

    async def self_reports(self) -> tuple[MemberSelfReport, ...]:
        """Nobody is heard who gives no list."""
        return ()

    async def own_cluster(self) -> str:
        """The cluster that is meant."""
        return self.cluster.view(who()).cluster_id

    async def status_of(self, member_id: str) -> tuple[str | None, int]:
        """One member's own words."""
        return self.cluster.status_of(member_id)

    async def hash_at(self, member_id: str, revision: int) -> KeyspaceHash:  # noqa: ARG002  # nothing is compacted
        """The hash of one member's data."""
        found, at = self.cluster.hash_of(who(), member_id)
        return KeyspaceHash(found, at, 1)

    async def snapshot(self, member_id: str) -> AsyncGenerator[bytes, None]:
        """One member's data, in one piece."""
        yield self.cluster.snapshot(member_id)

    async def move_leader(self, leader_id: str, transferee_id: str) -> None:
        """A transfer."""
        self.cluster.move_leader(who(), leader_id, transferee_id)

    async def acquire_lock(self, holder: str, label: str, via_id: str, attempt: str = "") -> str:  # noqa: ARG002  # nobody wakes up
        """The lock, and an entry."""
        return self.cluster.acquire_lock(who(), holder, label, via_id)

    async def release_lock(self, holder: str, via_id: str) -> None:
        """The lock is given back, with an entry."""
        self.cluster.release_lock(holder, via_id)

    async def abandon_lock(self, holder: str, via_id: str, attempt: str = "") -> None:  # noqa: ARG002  # nobody wakes up
        """An attempt that a busy machine has given up: its lock goes, as after one that has ended."""
        self.cluster.release_lock(holder, via_id)

    async def check_rights(self) -> None:
        """Everybody may do everything."""

    async def commit_probe(self, via_id: str = "") -> None:
        """An entry."""
        self.cluster.commit_probe(who(), via_id)

    async def remove_member(self, member_id: str, via_id: str) -> frozenset[str]:
        """A removal."""
        self.cluster.remove_member(who(), member_id, via_id)
        return frozenset(self.cluster.members)

    async def add_learner(self, peer_urls: Iterable[str], via_id: str) -> str:
        """No model grows yet."""
        raise NotImplementedError

    async def promote_member(self, member_id: str, via_id: str) -> None:
        """No model grows yet."""
        raise NotImplementedError


class ModelKubernetes(FakeKubernetes):
    """The gateway to the API servers of a model."""

    def __init__(self, cluster: Cluster) -> None:
        super().__init__()
        self._cluster = cluster

    async def get(self, name: str, departing: str = "") -> dict[str, Any]:  # noqa: ARG002
        """One EtcdMember."""
        return self._cluster.get(name)

    async def list_at(self, departing: str = "") -> tuple[builtins.list[dict[str, Any]], str]:  # noqa: ARG002
        """All EtcdMembers, and the version of the list."""
        return self._cluster.everything(), self._cluster.version

    async def wait_for_change(self, version: str) -> None:
        """An EtcdMember has been written since that version; watching is no step of the script."""
        while self._cluster.version == version:  # noqa: ASYNC110  # a model tells nobody
            await asyncio.sleep(NEWS_SECONDS)

    async def create(self, resource: dict[str, Any]) -> dict[str, Any]:
        """An EtcdMember is made."""
        return self._cluster.create(resource)

    async def patch_status(
        self,
        resource: dict[str, Any],
        status: dict[str, Any],
        departing: str = "",  # noqa: ARG002
    ) -> dict[str, Any]:
        """A status is written."""
        return self._cluster.patch_status(activity.info().activity_type, resource, status)

    async def record_event(self, event: dict[str, Any], departing: str = "") -> None:
        """Events are no step of the script."""


def who() -> str:
    """Which attempt of which activity asks."""
    info = activity.info()
    return f"{info.workflow_run_id} {info.activity_id} {info.attempt}"
