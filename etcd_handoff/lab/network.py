"""A network between the lab's nodes that can be cut and slowed: Toxiproxy on every link.

Peers reach each other through a link for each ordered pair, everybody reaches a node's etcd and API server through
one link each, and what runs on a node reaches its own etcd without any.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any, Final

from etcd_handoff.lab import forwarder, http
from etcd_handoff.lab.nodes import HOST, Node, Role
from etcd_handoff.lab.parts import locate_toxiproxy
from etcd_handoff.lab.processes import Process, ProcessError

if TYPE_CHECKING:
    from pathlib import Path

    from etcd_handoff.lab.ports import Ports

SWALLOWED: Final = {"type": "timeout", "attributes": {"timeout": 0}}
"""Nothing arrives any more and nobody is told, as when a cable is cut."""
CONTROL_SECONDS: Final = 20.0
"""How long Toxiproxy may take for a change: it waits until what is on its way in a slow link has arrived."""
THERE, BACK = "upstream", "downstream"


class Network:
    """The links between nodes.

    Args:
        ports: Where its own ports come from.
        nodes: All nodes that there will ever be.
    """

    def __init__(self, ports: Ports, nodes: list[Node]) -> None:
        (self._control,) = ports.take(1)
        self._links: dict[str, tuple[int, int]] = {}
        self._lossy: set[str] = set()
        self._routes: dict[str, dict[str, int]] = {}
        self._exits: dict[str, int] = {}
        for node in nodes:
            self._links[f"etcd-{node.name}"] = (node.etcd_door, node.client_port)
            self._links[f"api-{node.name}"] = (node.api_door, node.api_port)
            (self._exits[node.name],) = ports.take(1)
            ways = self._routes[str(self._exits[node.name])] = {}
            for other in nodes:
                if other != node:
                    (ways[str(other.peer_port)],) = ports.take(1)
                    self._links[f"{node.name}-{other.name}"] = (ways[str(other.peer_port)], other.peer_port)

    def processes(self, logs: Path) -> dict[Role, Process]:
        """What it is made of."""
        proxy = [str(locate_toxiproxy()), "-host", HOST, "-port", str(self._control)]
        exits = [sys.executable, "-I", forwarder.__file__, json.dumps(self._routes)]
        return {
            Role.TOXIPROXY: Process("toxiproxy", proxy, logs / "toxiproxy.log"),
            Role.FORWARDER: Process("forwarder", exits, logs / "forwarder.log"),
        }

    def environment(self, node: str) -> dict[str, str]:
        """What makes the etcd member of a node take its links; those to loopback addresses never do."""
        exit_url = f"http://{HOST}:{self._exits[node]}"
        return {"HTTP_PROXY": exit_url, "http_proxy": exit_url, "NO_PROXY": "", "no_proxy": ""}

    @property
    def version_url(self) -> str:
        """What answers once links can be made."""
        return f"{self._url}/version"

    async def connect(self) -> None:
        """All links stand."""
        links = [
            {"name": name, "listen": f"{HOST}:{listen}", "upstream": f"{HOST}:{port}", "enabled": True}
            for name, (listen, port) in self._links.items()
        ]
        await self._ask("/populate", links)

    async def cut(self, node: str) -> None:
        """Nothing reaches the node and nothing comes from it, but on the node itself."""
        for name in self._of(node):
            for stream in (THERE, BACK):
                await self._poison(name, stream, SWALLOWED)

    async def mute(self, node: str) -> None:
        """Everything reaches the node, nothing comes from it."""
        for name in self._of(node):
            await self._poison(name, THERE if name.startswith(f"{node}-") else BACK, SWALLOWED)

    async def slow(self, milliseconds: int) -> None:
        """Every answer on every link comes so much later; so does every message between peers, either way."""
        for name in self._links:
            await self._poison(name, BACK, {"type": "latency", "attributes": {"latency": milliseconds}})

    async def mend(self) -> None:
        """All links are as they were; what a link had swallowed breaks its connections, as no cable loses bytes."""
        while self._lossy:
            await self._ask(f"/proxies/{self._lossy.pop()}", {"enabled": False})
        await self._ask("/reset", {})

    def _of(self, node: str) -> list[str]:
        return [name for name in self._links if node in name.split("-")]

    async def _poison(self, link: str, stream: str, toxic: dict[str, Any]) -> None:
        if toxic == SWALLOWED:
            self._lossy.add(link)
        await self._ask(f"/proxies/{link}/toxics", {"name": stream, "stream": stream, "toxicity": 1.0, **toxic})

    async def _ask(self, path: str, body: Any) -> None:
        status, text = await http.request(f"{self._url}{path}", body, method="POST", timeout_seconds=CONTROL_SECONDS)
        if status >= 300:
            msg = f"toxiproxy {path}: {text}"
            raise ProcessError(msg)

    @property
    def _url(self) -> str:
        return f"http://{HOST}:{self._control}"
