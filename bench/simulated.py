"""Many clusters at once: gateways that answer as real ones do, after the time that real ones take.

Temporal, the worker, the workflows and the activities are real; only what lies behind the gateways is not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from etcd_handoff.config import ClusterProfile, Config, EtcdProfile, KubernetesProfile
from etcd_handoff.etcdmember import KIND
from tests.fakes.etcd import EtcdLatency, FakeEtcd
from tests.fakes.kubernetes import FakeGateways, FakeKubernetes

if TYPE_CHECKING:
    from etcd_handoff.etcd.port import EtcdPort
    from etcd_handoff.kubernetes.pool import KubernetesGateways
    from etcd_handoff.kubernetes.port import KubernetesPort

NAMES: Final = ("node0", "node1", "node2")
LEADER: Final = NAMES[0]
"""The member that leads each cluster at first, and that is taken out."""
LATENCY: Final = EtcdLatency(read=0.002, write=0.003, transfer=0.005, tick=0.102)
"""Of etcd on loopback."""
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


def simulated_etcd(profile: EtcdProfile, cluster_id: str = "") -> EtcdPort:  # noqa: ARG001  # no profile names one
    """The gateway of a profile, to three members."""
    cluster = profile.endpoints[0].removeprefix("http://").removesuffix(":2379")
    members = {_member_id(cluster, name): name for name in NAMES}
    return FakeEtcd(members, f"{int(cluster[1:]) + 1:x}", LATENCY)


def simulated_kubernetes(cluster: str) -> KubernetesPort:
    """The gateway to the API servers of a cluster, with an EtcdMember for each member."""
    resources = (_resource(cluster, name) for name in NAMES)
    return FakeKubernetes(*resources, read_seconds=GET_SECONDS, write_seconds=PATCH_SECONDS)


def simulated_gateways(of: Config) -> KubernetesGateways:
    """Gateways to API servers that are not there."""
    return FakeGateways(of, LEADER, {cluster: simulated_kubernetes(cluster) for cluster in of.clusters})


def _resource(cluster: str, name: str) -> dict[str, Any]:
    return {
        "kind": KIND,
        "metadata": {"name": name, "uid": f"{cluster}-{name}", "generation": 1, "resourceVersion": "1"},
        "spec": {"leave": False},
        "status": {
            "memberID": _member_id(cluster, name),
            "peerAddress": f"{name}.{cluster}",
            "reconcileStatus": "Success",
            "message": "Member joined",
            "conditions": [{"type": "Joined", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}],
        },
    }
