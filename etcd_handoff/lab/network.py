"""A network between the lab's nodes that can be cut and slowed: Toxiproxy on every link.

Each ordered pair of peers has a link. All others reach a node's etcd and API server through one link each. Processes on
a node reach its own etcd without a link.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any, Final

from etcd_handoff.lab import http, peer_proxy
from etcd_handoff.lab.binaries.catalog import TOXIPROXY
from etcd_handoff.lab.binaries.lookup import locate
from etcd_handoff.lab.nodes import HOST, Node, Role
from etcd_handoff.lab.processes import Process, ProcessError

if TYPE_CHECKING:
    from pathlib import Path

    from etcd_handoff.lab.ports import Ports

DROP_ALL: Final = {"type": "timeout", "attributes": {"timeout": 0}}
"""The toxic that drops everything and closes no connection, like a cut cable."""
CONTROL_SECONDS: Final = 20.0
"""Time limit for a change. Toxiproxy waits until data on a slow link has arrived."""
UPSTREAM, DOWNSTREAM = "upstream", "downstream"
"""Toxiproxy's words for the directions to the server and to the client."""


class Network:
    """The links between nodes.

    Args:
        ports: Source of its own ports.
        nodes: All nodes, including later ones.
    """

    def __init__(self, ports: Ports, nodes: list[Node]) -> None:
        (self._control,) = ports.take(1)
        self._links: dict[str, tuple[int, int]] = {}
        self._dropping: set[str] = set()
        self._routes: dict[str, dict[str, int]] = {}
        self._peer_proxy_ports: dict[str, int] = {}
        for node in nodes:
            self._links[f"etcd-{node.name}"] = (node.advertised_client_port, node.client_port)
            self._links[f"api-{node.name}"] = (node.advertised_api_port, node.api_port)
            (self._peer_proxy_ports[node.name],) = ports.take(1)
            routes = self._routes[str(self._peer_proxy_ports[node.name])] = {}
            for other in nodes:
                if other != node:
                    (routes[str(other.peer_port)],) = ports.take(1)
                    self._links[f"{node.name}-{other.name}"] = (routes[str(other.peer_port)], other.peer_port)

    def processes(self, logs: Path) -> dict[Role, Process]:
        """Return the processes of the network: Toxiproxy and the proxy between peers."""
        proxy = [str(locate(TOXIPROXY)), "-host", HOST, "-port", str(self._control)]
        proxies = [sys.executable, "-I", peer_proxy.__file__, json.dumps(self._routes)]
        return {
            Role.TOXIPROXY: Process("toxiproxy", proxy, logs / "toxiproxy.log"),
            Role.PEER_PROXY: Process("peer-proxy", proxies, logs / "peer-proxy.log"),
        }

    def environment(self, node: str) -> dict[str, str]:
        """Return the environment variables that make a node's etcd dial its peers through the links."""
        proxy_url = f"http://{HOST}:{self._peer_proxy_ports[node]}"
        return {"HTTP_PROXY": proxy_url, "http_proxy": proxy_url, "NO_PROXY": "", "no_proxy": ""}

    @property
    def version_url(self) -> str:
        """URL that answers once links can be made."""
        return f"{self._url}/version"

    async def connect(self) -> None:
        """Make all links."""
        links = [
            {"name": name, "listen": f"{HOST}:{listen}", "upstream": f"{HOST}:{port}", "enabled": True}
            for name, (listen, port) in self._links.items()
        ]
        await self._request("/populate", links)

    async def isolate(self, node: str) -> None:
        """Cut the node off from all others. Processes on it still reach its etcd."""
        for name in self._links_of(node):
            for stream in (UPSTREAM, DOWNSTREAM):
                await self._add_toxic(name, stream, DROP_ALL)

    async def drop_outgoing(self, node: str) -> None:
        """Drop everything that the node sends. It still receives."""
        for name in self._links_of(node):
            await self._add_toxic(name, UPSTREAM if name.startswith(f"{node}-") else DOWNSTREAM, DROP_ALL)

    async def add_latency(self, milliseconds: int) -> None:
        """Delay every answer on every link, which delays messages between peers in both directions."""
        for name in self._links:
            await self._add_toxic(name, DOWNSTREAM, {"type": "latency", "attributes": {"latency": milliseconds}})

    async def heal(self) -> None:
        """Restore all links.

        A link that dropped bytes closes its connections first, because TCP cannot continue after a gap.
        """
        while self._dropping:
            await self._request(f"/proxies/{self._dropping.pop()}", {"enabled": False})
        await self._request("/reset", {})

    def _links_of(self, node: str) -> list[str]:
        return [name for name in self._links if node in name.split("-")]

    async def _add_toxic(self, link: str, stream: str, toxic: dict[str, Any]) -> None:
        if toxic == DROP_ALL:
            self._dropping.add(link)
        await self._request(f"/proxies/{link}/toxics", {"name": stream, "stream": stream, "toxicity": 1.0, **toxic})

    async def _request(self, path: str, body: Any) -> None:
        status, text = await http.request(f"{self._url}{path}", body, method="POST", timeout_seconds=CONTROL_SECONDS)
        if status >= 300:
            msg = f"toxiproxy {path}: {text}"
            raise ProcessError(msg)

    @property
    def _url(self) -> str:
        return f"http://{HOST}:{self._control}"
