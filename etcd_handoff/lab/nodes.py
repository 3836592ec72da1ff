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
    from etcd_handoff.lab.parts import Parts
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
ROOT: Final = Path(__file__).resolve().parents[2]
"""Where worker.py lies."""


class Role(StrEnum):
    """What a process of the lab is."""

    ETCD = "etcd"
    APISERVER = "apiserver"
    WORKER = "worker"
    TEMPORAL = "temporal"
    TOXIPROXY = "toxiproxy"
    FORWARDER = "forwarder"


@dataclass(frozen=True, slots=True)
class Node:
    """One node: the addresses of its processes.

    Attributes:
        name: Its name and its member's.
        client_port: Where its etcd member listens for clients.
        peer_port: Where its etcd member listens for peers.
        api_port: Where its API server listens.
        etcd_door: Where others reach the client port; the same port unless a network lies between.
        api_door: Where others reach the API server.
        peer_host: The host that its peer URL names.
    """

    name: str
    client_port: int
    peer_port: int
    api_port: int
    etcd_door: int
    api_door: int
    peer_host: str = HOST

    @classmethod
    def on(cls, name: str, ports: Ports, *, network: bool = False) -> Node:
        """A node on fresh ports, reached directly or through a network."""
        client_port, peer_port, api_port = ports.take(3)
        etcd_door, api_door = ports.take(2) if network else (client_port, api_port)
        host = PROXIED_HOST if network else HOST
        return cls(name, client_port, peer_port, api_port, etcd_door, api_door, host)

    @property
    def etcd_url(self) -> str:
        """Client URL of its etcd member, on the node itself."""
        return f"http://{HOST}:{self.client_port}"

    @property
    def advertised_url(self) -> str:
        """Client URL of its etcd member for everybody else."""
        return f"http://{HOST}:{self.etcd_door}"

    @property
    def peer_url(self) -> str:
        """Peer URL of its etcd member."""
        return f"http://{self.peer_host}:{self.peer_port}"

    @property
    def api_url(self) -> str:
        """URL of its API server."""
        return f"https://{HOST}:{self.api_door}"


def bearer() -> dict[str, str]:
    """The header that makes an API server take us for its administrator."""
    return {"Authorization": f"Bearer {TOKEN}"}


def etcd_command(parts: Parts, node: Node, nodes: list[Node], folder: Path, *, state: str = "new") -> list[str]:
    """A member of the cluster that `nodes` make."""
    return [
        str(parts.etcd),
        f"--name={node.name}",
        f"--data-dir={folder / 'etcd'}",
        f"--listen-client-urls={node.etcd_url}",
        f"--advertise-client-urls={node.advertised_url}",
        f"--listen-peer-urls=http://{HOST}:{node.peer_port}",
        f"--initial-advertise-peer-urls={node.peer_url}",
        f"--initial-cluster={','.join(f'{n.name}={n.peer_url}' for n in nodes)}",
        f"--initial-cluster-state={state}",
        "--initial-cluster-token=lab",
        "--log-level=info",
    ]


def apiserver_command(parts: Parts, node: Node, folder: Path, shared: Path) -> list[str]:
    """An API server on this node's etcd member alone, as in k0s."""
    return [
        str(parts.kube_apiserver),
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


def temporal_command(parts: Parts, folder: Path, port: int, ui_port: int) -> list[str]:
    """Temporal's dev server with its Web UI, on a file, so that it survives its own restart.

    Left alone it reads the queue from which it hands tasks to workers 20 times a second for each history shard, and it
    has one shard: after a burst of 20 every task waits for up to 50 ms.
    """
    return [
        str(parts.temporal),
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


def write_kubeconfig(path: Path, nodes: list[Node]) -> None:
    """One context per API server, named after its node."""
    names = [node.name for node in nodes]
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": names[0],
        "clusters": [
            {"name": n.name, "cluster": {"server": n.api_url, "insecure-skip-tls-verify": True}} for n in nodes
        ],
        "users": [{"name": "lab", "user": {"token": TOKEN}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": "lab"}} for name in names],
    }
    path.write_text(json.dumps(content, indent=2))


def write_config(path: Path, cluster: str, nodes: list[Node], kubeconfig: Path | None, remover: str) -> None:
    """The product's configuration file for this cluster."""
    lines = [f"[clusters.{cluster}]", f"remover = {json.dumps(remover)}", ""]
    lines += [f"[clusters.{cluster}.etcd]", f"endpoints = {json.dumps([n.advertised_url for n in nodes])}"]
    lines += ['snapshot_directory = "snapshots"']
    if kubeconfig is not None:
        lines += [
            "",
            f"[clusters.{cluster}.kubernetes]",
            f"kubeconfig = {json.dumps(str(kubeconfig))}",
            f"contexts = {json.dumps([n.name for n in nodes])}",
        ]
    path.write_text("\n".join(lines) + "\n")
