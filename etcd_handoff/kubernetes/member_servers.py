"""The API servers on the hosts of etcd's members, for profiles that name no contexts.

The member list is read again once in a while: a member that was added later has an API server too.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from etcd_handoff import time_limits
from etcd_handoff.errors import HandoffError
from etcd_handoff.etcdmember import resource_name
from etcd_handoff.kubernetes.proxies import is_loopback

if TYPE_CHECKING:
    from etcd_handoff.config import KubernetesProfile
    from etcd_handoff.kubernetes.clients import Clients

CURRENT: Final = ""
"""The current context of the kubeconfig, with its own address."""
HTTPS_PORT: Final = 443
Hosts = Callable[[], Awaitable[Mapping[str, str]]]
"""Reads the host of each member's peer URL, by the member's name."""

log = logging.getLogger(__name__)


class MemberServers:
    """API servers by the member list. All use the credentials and the authority of the current context.

    Args:
        profile: Where the kubeconfig is.
        member: Name of the member on this node; empty when there is none.
        clients: Opens the clients.
        hosts: Reads the member list.

    Attributes:
        contexts: One for each API server, with its member's name. The current context is the one on this node if it
            leads there. Otherwise it is a further context.
    """

    def __init__(self, profile: KubernetesProfile, member: str, clients: Clients, hosts: Hosts) -> None:
        self.contexts: tuple[str, ...] = (CURRENT,)
        self._port = profile.api_port
        self._member = member
        self._clients = clients
        self._hosts = hosts
        self._reading: asyncio.Task[None] | None = None
        self._read_at = 0.0

    async def refresh(self) -> None:
        """Read the member list again if the last reading is old. Only the first caller has to wait for it."""
        now = asyncio.get_running_loop().time()
        if self._reading is None:
            self._read_at = now
            self._reading = asyncio.create_task(self._read())
            await asyncio.shield(self._reading)
        elif self._reading.done() and now - self._read_at >= self._pause_seconds:
            self._read_at = now
            self._reading = asyncio.create_task(self._read())

    async def close(self) -> None:
        """End a running reading."""
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)

    @property
    def _pause_seconds(self) -> float:
        known = self.contexts != (CURRENT,)
        return time_limits.KUBERNETES.identify_seconds if known else time_limits.KUBERNETES.failed_again_seconds

    async def _read(self) -> None:
        try:
            hosts = await self._hosts()
            current = urlsplit((await self._clients.get(CURRENT)).api.configuration.host)
            port = self._port or current.port or HTTPS_PORT
        except (HandoffError, ValueError) as error:
            log.warning("the members' API servers are not known, the current context is asked alone: %s", error)
            return
        servers = {name: f"https://{f'[{host}]' if ':' in host else host}:{port}" for name, host in hosts.items()}
        own = next((name for name in servers if same_node(name, self._member)), CURRENT)
        if own and is_loopback(current.hostname or ""):
            servers[own] = ""
        self._clients.lead_to(servers)
        self.contexts = (*servers, *(() if "" in servers.values() else (CURRENT,)))


def same_node(context: str, node: str) -> bool:
    """Return whether a context is a node's: it has the node's name or its EtcdMember's, in upper or lower case."""
    return bool(node) and resource_name(context) == resource_name(node)
