"""The command lines and files of the lab's processes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from etcd_handoff.lab.binaries.lookup import Binaries
    from etcd_handoff.lab.ports import Ports

TOKEN: Final = "lab-admin"  # noqa: S105  # of an API server that lives for minutes on loopback
HOST: Final = "127.0.0.1"
PROXIED_HOST: Final = "0.0.0.0"  # noqa: S104  # no process listens there
"""This machine too, but Go uses a proxy for it, unlike for a loopback address."""
READS: Final = "--dynamic-config-value=history.transferProcessorMaxPollRPS={}"
"""How often per second the dev server reads the queue of tasks for workers. The default is 20 per shard, and it has one
shard."""
WRITE_AHEAD: Final = "--sqlite-pragma=journal_mode=wal"
"""One fsync per transaction instead of several, with the same durability (SQLite, "Write-Ahead Logging")."""
TUNING: Final = (READS.format(1000), WRITE_AHEAD)
"""Settings of the lab's dev server that differ from the defaults."""
ISOLATED_PORTS: Final = (2379, 2380, 6443)
"""Ports of an isolated node for clients, peers and the API server, as in k0s."""
EVERYWHERE: Final = "0.0.0.0"  # noqa: S104  # of one namespace
"""All addresses of a namespace, with its loopback, as k0s's API server and Temporal's services need them."""
CLUSTER_TOKEN: Final = "lab"  # noqa: S105  # tells clusters apart, and is no secret
ROOT: Final = Path(__file__).resolve().parents[2]
"""Folder of worker.py."""


class Role(StrEnum):
    """The program that a process of the lab runs."""

    ETCD = "etcd"
    APISERVER = "apiserver"
    WORKER = "worker"
    TEMPORAL = "temporal"
    NAMESPACE = "namespace"
    TOXIPROXY = "toxiproxy"
    PEER_PROXY = "peer-proxy"


@dataclass(frozen=True, slots=True)
class Node:
    """One node: the addresses of its processes.

    Attributes:
        name: Name of the node and of its member.
        client_port: Port of its etcd member for clients.
        peer_port: Port of its etcd member for peers.
        api_port: Port of its API server.
        advertised_client_port: Port where others reach its etcd member; the client port unless a network lies between.
        advertised_api_port: Port where others reach the API server; the API port unless a network lies between.
        observed_client_port: Port where the lab itself reaches its etcd member; the client port unless the node is
            isolated.
        address: Address of its peer port and its API server.
        peer_host: Host in its peer URL.
        secure: Whether its etcd member uses TLS.
        shared: Whether other nodes reach the etcd member of this isolated node.
    """

    name: str
    client_port: int
    peer_port: int
    api_port: int
    advertised_client_port: int
    advertised_api_port: int
    observed_client_port: int
    address: str = HOST
    peer_host: str = HOST
    secure: bool = False
    shared: bool = False

    @classmethod
    def on(cls, name: str, ports: Ports, *, network: bool = False, secure: bool = False) -> Node:
        """Return a node on free ports, reached directly or through a network."""
        client_port, peer_port, api_port = ports.take(3)
        advertised_client_port, advertised_api_port = ports.take(2) if network else (client_port, api_port)
        own, advertised = (client_port, peer_port, api_port), (advertised_client_port, advertised_api_port)
        host = PROXIED_HOST if network else HOST
        return cls(name, *own, *advertised, client_port, peer_host=host, secure=secure)

    @classmethod
    def isolated(cls, name: str, address: str, ports: Ports, *, shared: bool = False) -> Node:
        """Return a node with a network namespace of its own, with k0s's ports in it."""
        client_port, peer_port, api_port = ISOLATED_PORTS
        (observed,) = ports.take(1)
        own = (client_port, peer_port, api_port)
        return cls(name, *own, client_port, api_port, observed, address, peer_host=address, secure=True, shared=shared)

    @property
    def is_isolated(self) -> bool:
        """Whether it has a network namespace of its own."""
        return self.address != HOST

    @property
    def etcd_url(self) -> str:
        """Client URL of its etcd member, for the lab itself."""
        return f"{self._scheme}://{HOST}:{self.observed_client_port}"

    @property
    def local_url(self) -> str:
        """Client URL of its etcd member, on the node itself."""
        return f"{self._scheme}://{HOST}:{self.client_port}"

    @property
    def advertised_url(self) -> str:
        """Client URL of its etcd member, for all others."""
        return f"{self._scheme}://{self.address if self.shared else HOST}:{self.advertised_client_port}"

    @property
    def client_listeners(self) -> str:
        """Listener URLs of its etcd member for clients."""
        return f"{self.local_url},{self.advertised_url}" if self.shared else self.local_url

    @property
    def peer_url(self) -> str:
        """Peer URL of its etcd member."""
        return f"{self._scheme}://{self.peer_host}:{self.peer_port}"

    @property
    def peer_listener(self) -> str:
        """Listener URL of its etcd member for peers."""
        return f"{self._scheme}://{self.address}:{self.peer_port}"

    @property
    def api_url(self) -> str:
        """URL of its API server."""
        return f"https://{self.address}:{self.advertised_api_port}"

    @property
    def _scheme(self) -> str:
        return "https" if self.secure else "http"


def bearer() -> dict[str, str]:
    """Return the header by which an API server takes us for its administrator."""
    return {"Authorization": f"Bearer {TOKEN}"}


@dataclass(frozen=True, slots=True)
class InitialCluster:
    """The cluster that an etcd member without data starts with (etcd's flags `--initial-cluster...`).

    Attributes:
        nodes: All its members at that time, including this one.
        state: `new`, or `existing` if it joins others.
        token: Part of the cluster ID, beside the peer URLs.
    """

    nodes: Sequence[Node]
    state: str = "new"
    token: str = CLUSTER_TOKEN

    @classmethod
    def of(cls, settings: Mapping[str, str], nodes: Sequence[Node]) -> Self:
        """Return the cluster in these environment variables of etcd, for members on these nodes."""
        by_url = {node.peer_url: node for node in nodes}
        pairs = [pair.split("=", 1) for pair in settings["ETCD_INITIAL_CLUSTER"].split(",")]
        return cls([replace(by_url[url], name=name) for name, url in pairs], settings["ETCD_INITIAL_CLUSTER_STATE"])


def etcd_command(
    binaries: Binaries, node: Node, initial: InitialCluster, folder: Path, flags: Sequence[str] = ()
) -> list[str]:
    """Return the command line of an etcd member."""
    return [
        str(binaries.etcd),
        f"--name={node.name}",
        f"--data-dir={folder / 'etcd'}",
        f"--listen-client-urls={node.client_listeners}",
        f"--advertise-client-urls={node.advertised_url}",
        f"--listen-peer-urls={node.peer_listener}",
        f"--initial-advertise-peer-urls={node.peer_url}",
        f"--initial-cluster={','.join(f'{n.name}={n.peer_url}' for n in initial.nodes)}",
        f"--initial-cluster-state={initial.state}",
        f"--initial-cluster-token={initial.token}",
        "--log-level=info",
        *flags,
    ]


UNUSED_ADMISSION: Final = (
    "ServiceAccount,NamespaceLifecycle,LimitRanger,TaintNodesByCondition,Priority,DefaultTolerationSeconds,"
    "DefaultStorageClass,StorageObjectInUseProtection,PersistentVolumeClaimResize,RuntimeClass,CertificateApproval,"
    "CertificateSigning,ClusterTrustBundleAttest,CertificateSubjectRestriction,DefaultIngressClass,ResourceQuota"
)
UNUSED_APIS: Final = (
    "autoscaling/v1=false,autoscaling/v2=false,batch/v1=false,certificates.k8s.io/v1=false,node.k8s.io/v1=false,"
    "flowcontrol.apiserver.k8s.io/v1=false,resource.k8s.io/v1=false,scheduling.k8s.io/v1=false,storage.k8s.io/v1=false"
)
"""APIs that no lab uses. An API server without them starts sooner."""
APISERVER_ENVIRONMENT: Final = {"GOGC": "400"}
"""An API server spends a quarter of its start on garbage collection. Less of it takes 70 MB more memory."""


def apiserver_command(
    binaries: Binaries, node: Node, folder: Path, shared: Path, flags: Sequence[str] = ()
) -> list[str]:
    """Return the command line of an API server that uses only this node's etcd member, as in k0s."""
    listener = [f"--bind-address={EVERYWHERE}", f"--advertise-address={node.address}"]
    return [
        str(binaries.kube_apiserver),
        f"--etcd-servers={node.local_url}",
        *(listener if node.is_isolated else [f"--bind-address={HOST}"]),
        f"--secure-port={node.api_port}",
        f"--cert-dir={folder / 'certificates'}",
        "--service-account-issuer=https://lab",
        f"--service-account-key-file={shared / 'service-account.key'}",
        f"--service-account-signing-key-file={shared / 'service-account.key'}",
        f"--token-auth-file={shared / 'tokens.csv'}",
        "--service-cluster-ip-range=10.0.0.0/24",
        f"--disable-admission-plugins={UNUSED_ADMISSION}",
        f"--runtime-config={UNUSED_APIS}",
        "--endpoint-reconciler-type=none",
        "--enable-priority-and-fairness=false",
        "--profiling=false",
        *flags,
    ]


def temporal_command(binaries: Binaries, folder: Path, port: int, ui_port: int, listener: str = HOST) -> list[str]:
    """Return the command line of Temporal's dev server with its Web UI.

    It stores its data in a file, so that it survives its own restart. By default it reads the queue of tasks for
    workers 20 times per second and shard, and it has one shard. After a burst of 20, every task would wait for up to 50
    ms.
    """
    return [
        str(binaries.temporal),
        "server",
        "start-dev",
        f"--db-filename={folder / 'temporal.db'}",
        f"--ip={listener}",
        f"--port={port}",
        f"--ui-port={ui_port}",
        "--log-level=warn",
        *TUNING,
    ]
