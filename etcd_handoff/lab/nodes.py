"""The command lines and files of the lab's processes."""

from __future__ import annotations

import base64
import json
import secrets
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from etcd_handoff.lab.binaries.lookup import Binaries
    from etcd_handoff.lab.certificates import Certificates
    from etcd_handoff.lab.options import LabOptions
    from etcd_handoff.lab.ports import Ports

TOKEN: Final = "lab-admin"  # noqa: S105  # of an API server that lives for minutes on loopback
HOST: Final = "127.0.0.1"
PROXIED_HOST: Final = "0.0.0.0"  # noqa: S104  # nobody listens there
"""Means this machine as well, but Go sends it through a proxy, as it never does with a loopback address."""
READS: Final = "--dynamic-config-value=history.transferProcessorMaxPollRPS={}"
"""How often a second the dev server reads the queue of tasks that it hands to workers; 20 for each shard by default,
and it has one shard."""
WRITE_AHEAD: Final = "--sqlite-pragma=journal_mode=wal"
"""One fsync for each transaction instead of several, with nothing less durable (SQLite, "Write-Ahead Logging")."""
TUNING: Final = (READS.format(1000), WRITE_AHEAD)
"""Where the lab's dev server departs from its defaults."""
CLUSTER_TOKEN: Final = "lab"  # noqa: S105  # tells clusters apart, and is no secret
ROOT: Final = Path(__file__).resolve().parents[2]
"""Where worker.py lies."""


class Role(StrEnum):
    """Which program a process of the lab runs."""

    ETCD = "etcd"
    APISERVER = "apiserver"
    WORKER = "worker"
    TEMPORAL = "temporal"
    TOXIPROXY = "toxiproxy"
    PEER_PROXY = "peer-proxy"


@dataclass(frozen=True, slots=True)
class Node:
    """One node: the addresses of its processes.

    Attributes:
        name: Its name and its member's.
        client_port: Where its etcd member listens for clients.
        peer_port: Where its etcd member listens for peers.
        api_port: Where its API server listens.
        advertised_client_port: Where others reach the client port; the same port unless a network lies between.
        advertised_api_port: Where others reach the API server; likewise.
        peer_host: The host that its peer URL names.
        secure: Whether its etcd member is asked over TLS.
    """

    name: str
    client_port: int
    peer_port: int
    api_port: int
    advertised_client_port: int
    advertised_api_port: int
    peer_host: str = HOST
    secure: bool = False

    @classmethod
    def on(cls, name: str, ports: Ports, *, network: bool = False, secure: bool = False) -> Node:
        """A node on fresh ports, reached directly or through a network."""
        client_port, peer_port, api_port = ports.take(3)
        advertised_client_port, advertised_api_port = ports.take(2) if network else (client_port, api_port)
        host = PROXIED_HOST if network else HOST
        return cls(name, client_port, peer_port, api_port, advertised_client_port, advertised_api_port, host, secure)

    @property
    def etcd_url(self) -> str:
        """Client URL of its etcd member, on the node itself."""
        return f"{self._scheme}://{HOST}:{self.client_port}"

    @property
    def advertised_url(self) -> str:
        """Client URL of its etcd member for everybody else."""
        return f"{self._scheme}://{HOST}:{self.advertised_client_port}"

    @property
    def peer_url(self) -> str:
        """Peer URL of its etcd member."""
        return f"{self._scheme}://{self.peer_host}:{self.peer_port}"

    @property
    def peer_listener(self) -> str:
        """Where its etcd member listens for peers."""
        return f"{self._scheme}://{HOST}:{self.peer_port}"

    @property
    def api_url(self) -> str:
        """URL of its API server."""
        return f"https://{HOST}:{self.advertised_api_port}"

    @property
    def _scheme(self) -> str:
        return "https" if self.secure else "http"


def bearer() -> dict[str, str]:
    """The header that makes an API server take us for its administrator."""
    return {"Authorization": f"Bearer {TOKEN}"}


@dataclass(frozen=True, slots=True)
class InitialCluster:
    """What an etcd member without data takes for its cluster (etcd's flags `--initial-cluster...`).

    Attributes:
        nodes: All members that there are then, itself included.
        state: `new`, or `existing` when it joins others.
        token: What the cluster ID is made from beside the peer URLs.
    """

    nodes: Sequence[Node]
    state: str = "new"
    token: str = CLUSTER_TOKEN


def etcd_command(
    binaries: Binaries, node: Node, initial: InitialCluster, folder: Path, certificates: Certificates | None = None
) -> list[str]:
    """A member of a cluster."""
    command = [
        str(binaries.etcd),
        f"--name={node.name}",
        f"--data-dir={folder / 'etcd'}",
        f"--listen-client-urls={node.etcd_url}",
        f"--advertise-client-urls={node.advertised_url}",
        f"--listen-peer-urls={node.peer_listener}",
        f"--initial-advertise-peer-urls={node.peer_url}",
        f"--initial-cluster={','.join(f'{n.name}={n.peer_url}' for n in initial.nodes)}",
        f"--initial-cluster-state={initial.state}",
        f"--initial-cluster-token={initial.token}",
        "--log-level=info",
    ]
    if certificates is not None:
        cert, key = certificates.server.cert, certificates.server.key
        command += [f"--cert-file={cert}", f"--key-file={key}", "--client-cert-auth"]
        command += [f"--trusted-ca-file={certificates.clients_ca}", f"--peer-trusted-ca-file={certificates.servers_ca}"]
        command += [f"--peer-cert-file={cert}", f"--peer-key-file={key}", "--peer-client-cert-auth"]
    return command


def apiserver_command(
    binaries: Binaries, node: Node, folder: Path, shared: Path, certificates: Certificates | None = None
) -> list[str]:
    """An API server on this node's etcd member alone, as in k0s."""
    command = [
        str(binaries.kube_apiserver),
        f"--etcd-servers={node.etcd_url}",
        f"--bind-address={HOST}",
        f"--secure-port={node.api_port}",
        f"--cert-dir={folder / 'certificates'}",
        "--service-account-issuer=https://lab",
        f"--service-account-key-file={shared / 'service-account.key'}",
        f"--service-account-signing-key-file={shared / 'service-account.key'}",
        f"--token-auth-file={shared / 'tokens.csv'}",
        "--authorization-mode=RBAC",
        "--service-cluster-ip-range=10.0.0.0/24",
        "--disable-admission-plugins=ServiceAccount,NamespaceLifecycle",
        "--endpoint-reconciler-type=none",
        "--enable-priority-and-fairness=false",
        "--profiling=false",
    ]
    if certificates is not None:
        server, client = certificates.server, certificates.root
        command += [f"--tls-cert-file={server.cert}", f"--tls-private-key-file={server.key}"]
        command += [f"--etcd-cafile={certificates.servers_ca}"]
        command += [f"--etcd-certfile={client.cert}", f"--etcd-keyfile={client.key}"]
    return command


def temporal_command(binaries: Binaries, folder: Path, port: int, ui_port: int) -> list[str]:
    """Temporal's dev server with its Web UI, on a file, so that it survives its own restart.

    Left alone it reads the queue from which it hands tasks to workers 20 times a second for each history shard, and it
    has one shard: after a burst of 20 every task waits for up to 50 ms.
    """
    return [
        str(binaries.temporal),
        "server",
        "start-dev",
        f"--db-filename={folder / 'temporal.db'}",
        f"--ip={HOST}",
        f"--port={port}",
        f"--ui-port={ui_port}",
        "--log-level=warn",
        *TUNING,
    ]


def write_shared_files(folder: Path) -> None:
    """What all API servers share: the service accounts' key and the administrator's token.

    The key is a fresh P-256 scalar in the DER of RFC 5915, which leaves the public half to the reader.
    """
    folder.mkdir(parents=True, exist_ok=True)
    scalar = bytes([secrets.randbelow(255)]) + secrets.token_bytes(31)
    der = bytes.fromhex("30310201010420") + scalar + bytes.fromhex("a00a06082a8648ce3d030107")
    pem = base64.encodebytes(der).decode()
    key = f"-----BEGIN EC PRIVATE KEY-----\n{pem}-----END EC PRIVATE KEY-----\n"
    (folder / "service-account.key").write_text(key)
    (folder / "tokens.csv").write_text(f'{TOKEN},lab,lab,"system:masters"\n')


def write_kubeconfig(path: Path, nodes: list[Node], user: dict[str, str], ca_file: Path | None = None) -> None:
    """One context per API server, named after its node; the API servers are verified where there is a `ca_file`."""
    names = [node.name for node in nodes]
    trust = {"certificate-authority": str(ca_file)} if ca_file else {"insecure-skip-tls-verify": True}
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": names[0],
        "clusters": [{"name": n.name, "cluster": {"server": n.api_url, **trust}} for n in nodes],
        "users": [{"name": "lab", "user": user}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": "lab"}} for name in names],
    }
    path.write_text(json.dumps(content, indent=2))


def write_config(
    path: Path, options: LabOptions, nodes: list[Node], kubeconfig: Path | None, etcd: dict[str, str]
) -> None:
    """The product's configuration file for this cluster; `etcd` has further keys of the table of that name."""
    cluster = options.cluster
    lines = [f"[clusters.{cluster}]", f"remover = {json.dumps(options.remover)}", ""]
    lines += [f"[clusters.{cluster}.etcd]", f"endpoints = {json.dumps([n.advertised_url for n in nodes])}"]
    lines += ['snapshot_directory = "snapshots"', *(f"{key} = {json.dumps(v)}" for key, v in etcd.items())]
    if kubeconfig is not None:
        lines += [
            "",
            f"[clusters.{cluster}.kubernetes]",
            f"kubeconfig = {json.dumps(str(kubeconfig))}",
            f"contexts = {json.dumps([n.name for n in nodes])}",
        ]
    path.write_text("\n".join(lines) + "\n")
