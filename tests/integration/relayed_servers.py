"""API servers behind relays that note each connection, for the tests of the gateway to Kubernetes."""

from __future__ import annotations

import asyncio
import contextlib
import json
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from etcd_handoff.config import KubernetesProfile
from etcd_handoff.kubernetes.gateway import KubernetesGateway
from etcd_handoff.lab import Lab, LabOptions
from etcd_handoff.lab.nodes import HOST, TOKEN

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path


PATIENCE_SECONDS: Final = 30.0
"""How long one API server may be silent where a test says nothing of it."""


@dataclass
class RelayedServers:
    """API servers, each behind a relay that notes each connection.

    Attributes:
        lab: Where they run.
        folder: For kubeconfig files.
        ports: Port of each relay, by node; the node `shut` has one that nobody listens on.
        connections: The node of each of them, in order.
    """

    lab: Lab
    folder: Path
    ports: dict[str, int] = field(default_factory=dict)
    connections: list[str] = field(default_factory=list)

    async def open(self, name: str, port: int) -> asyncio.Server:
        """The relay of an API server: each connection is noted and handed on."""

        async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self.connections.append(name)
            await relay(reader, writer, port)

        server = await asyncio.start_server(accept, HOST)
        self.ports[name] = server.sockets[0].getsockname()[1]
        return server

    def write_kubeconfig(
        self, token: str = TOKEN, users: Mapping[str, dict[str, Any]] | None = None, host: str = HOST
    ) -> Path:
        """A kubeconfig with all contexts: as a user with this token, but where `users` gives a context another one."""
        servers = {name: f"https://{host}:{port}" for name, port in self.ports.items()}
        named = [{"name": n, "cluster": {"server": s, "insecure-skip-tls-verify": True}} for n, s in servers.items()]
        given = {name: {"token": token} for name in servers} | dict(users or {})
        content = {
            "clusters": named,
            "users": [{"name": name, "user": user} for name, user in given.items()],
            "contexts": [{"name": n, "context": {"cluster": n, "user": n}} for n in servers],
        }
        path = self.folder / "kubeconfig"
        path.write_text(json.dumps(content))
        return path

    @asynccontextmanager
    async def gateway(
        self,
        *contexts: str,
        node: str = "",
        token: str = TOKEN,
        users: Mapping[str, dict[str, Any]] | None = None,
        host: str = HOST,
        **options: Any,
    ) -> AsyncIterator[KubernetesGateway]:
        """A gateway that tries these contexts, or both nodes; connections so far are forgotten."""
        kubeconfig = self.write_kubeconfig(token, users, host)
        profile = {"kubeconfig": kubeconfig, "contexts": contexts or ("node0", "node1")}
        profile |= {"try_timeout_seconds": PATIENCE_SECONDS, **options}
        gateway = KubernetesGateway(KubernetesProfile.model_validate(profile), node)
        self.connections.clear()
        try:
            yield gateway
        finally:
            await gateway.close()


async def relay(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int, cut: asyncio.Event | None = None
) -> None:
    """Hand everything on to a port of this machine, and back; once it is `cut`, what comes is lost without a word."""
    with contextlib.suppress(ConnectionError):
        inner = await asyncio.open_connection(HOST, port)
        await asyncio.gather(_hand_on(reader, inner[1], cut), _hand_on(inner[0], writer, cut))
    writer.close()


async def _hand_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, cut: asyncio.Event | None) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(65_536):
            if cut is None or not cut.is_set():
                writer.write(data)
                await writer.drain()
    writer.close()


@asynccontextmanager
async def relayed_servers(folder: Path, nodes: int = 2) -> AsyncIterator[RelayedServers]:
    """A lab's API servers, and the port `shut` that nobody listens on."""
    async with Lab(LabOptions(nodes=nodes, temporal=False, roles=True, directory=folder / "lab")) as lab:
        relayed = RelayedServers(lab, folder)
        relays = [await relayed.open(node.name, node.api_port) for node in lab.nodes]
        with contextlib.ExitStack() as stack:
            shut = await asyncio.start_server(lambda *_: None, HOST)
            relayed.ports["shut"] = shut.sockets[0].getsockname()[1]
            shut.close()
            for server in relays:
                stack.callback(server.close)
            yield relayed
