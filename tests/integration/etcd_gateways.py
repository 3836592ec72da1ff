"""Gateways to real etcd clusters: opened, asked, and what they answer judged."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import pytest

from etcd_handoff.config import EtcdProfile
from etcd_handoff.errors import EtcdError, UnreachableError
from etcd_handoff.etcd.gateway import EtcdGateway
from etcd_handoff.lab import Lab, wait_until
from etcd_handoff.lab.binaries.lookup import locate_binaries
from etcd_handoff.lab.nodes import HOST, InitialCluster, Node, etcd_command
from etcd_handoff.lab.ports import Ports
from etcd_handoff.lab.processes import Process

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable
    from pathlib import Path

    from etcd_handoff.cluster_view import ClusterView

UNKNOWN_ID: Final = "abad1dea"


@asynccontextmanager
async def gateway_to(*endpoints: str, **options: Any) -> AsyncIterator[EtcdGateway]:
    """A gateway to these endpoints, closed afterwards; it is patient, as most tests ask once."""
    options = {"call_timeout_seconds": 5.0, **options}
    gateway = EtcdGateway(EtcdProfile.model_validate({"endpoints": endpoints, **options}))
    try:
        yield gateway
    finally:
        await gateway.close()


async def refused(call: Awaitable[object], kind: type[EtcdError], *, words: str = "") -> None:
    """The call fails with exactly this class, in words without an address."""
    with pytest.raises(EtcdError) as caught:
        await call
    assert (type(caught.value), HOST in str(caught.value)) == (kind, False), repr(caught.value)
    assert words in str(caught.value)


def roles(view: ClusterView) -> tuple[str, list[str]]:
    """The leader's ID and those of the other voters."""
    assert view.leadership is not None
    return view.leadership.id, [m.id for m in view.voters if m.id != view.leadership.id]


@dataclass
class Cluster:
    """Three voters and a learner.

    Attributes:
        lab: Where they run.
        learner: The learner's node.
    """

    lab: Lab
    learner: Node

    @property
    def endpoints(self) -> list[str]:
        """All client URLs."""
        return [node.etcd_url for node in self.lab.nodes]


@asynccontextmanager
async def single(folder: Path, scheme: str = "http", flags: tuple[str, ...] = ()) -> AsyncIterator[tuple[str, Process]]:
    """A cluster of one member that serves clients over `scheme`: its client URL and its process."""
    ports = Ports(HOST)
    node = Node.on("node0", ports)
    url = f"{scheme}://{HOST}:{node.client_port}"
    command = etcd_command(locate_binaries(), node, InitialCluster([node]), folder)
    clients = [f"--listen-client-urls={url}", f"--advertise-client-urls={url}"]
    etcd = Process("etcd", [*command, *clients, *flags], folder / "etcd.log")
    etcd.start()
    try:
        yield url, etcd
    finally:
        await etcd.kill()
        ports.close()


async def serving(gateway: EtcdGateway, etcd: Process) -> ClusterView:
    """What the gateway sees once the only member leads."""
    seen: list[ClusterView] = []

    async def leads() -> bool:
        assert etcd.alive, etcd.tail()
        try:
            seen.append(await gateway.observe())
        except UnreachableError:
            return False
        return seen[-1].leadership is not None

    await wait_until(leads, "the member leads", 30, etcd.tail)
    return seen[-1]
