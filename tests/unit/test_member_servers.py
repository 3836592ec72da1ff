"""API servers by etcd's member list: which there are, where they are, and what happens while that is not known."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from etcd_handoff import time_limits
from etcd_handoff.config import Config, KubernetesProfile
from etcd_handoff.errors import UnreachableError
from etcd_handoff.etcd.member_hosts import hosts_of
from etcd_handoff.etcd.replies import ListedMember, MemberList
from etcd_handoff.kubernetes.failover import ApiServers
from etcd_handoff.kubernetes.pool import KubernetesGateways

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping
    from pathlib import Path

THREE = {"node0": "10.0.0.1", "node1": "10.0.0.2", "node2": "10.0.0.3"}


class Members:
    """A member list that changes, or cannot be read.

    Attributes:
        hosts: Host by member name; None while nobody answers.
        read: How often it was asked for.
    """

    def __init__(self, hosts: dict[str, str] | None) -> None:
        self.hosts, self.read = hosts, 0

    async def __call__(self) -> Mapping[str, str]:
        """The hosts."""
        self.read += 1
        if self.hosts is None:
            raise UnreachableError("no endpoint answers")
        return dict(self.hosts)


def kubeconfig(folder: Path, server: str = "https://localhost:6443") -> Path:
    """A kubeconfig as k0s writes it: one context, which leads to the API server on this node."""
    path = folder / "admin.conf"
    parts: dict[str, Any] = {
        "clusters": [{"name": "local", "cluster": {"server": server}}],
        "users": [{"name": "user", "user": {"token": "t0ken"}}],
        "contexts": [{"name": "Default", "context": {"cluster": "local", "user": "user"}}],
        "current-context": "Default",
    }
    path.write_text(json.dumps(parts))
    return path


@asynccontextmanager
async def api_servers(path: Path, members: Members, member: str = "", **keys: Any) -> AsyncIterator[ApiServers]:
    """API servers by a member list, as far as they are known after the first look."""
    profile = KubernetesProfile.model_validate({"kubeconfig": path, "api_servers": "members", **keys})
    servers = ApiServers(profile, member, members)
    try:
        await servers.refresh()
        yield servers
    finally:
        await servers.close()


async def addresses(servers: ApiServers) -> dict[str, str]:
    """Where each context leads, in the order in which they are asked."""
    return {context: (await servers.client(context)).api.configuration.host for context in servers.contexts()}


async def test_each_members_host_has_an_api_server(tmp_path: Path) -> None:
    """Called like the member; the one on this node is reached as the kubeconfig says, and asked first."""
    async with api_servers(kubeconfig(tmp_path), Members(THREE), "Node1") as servers:
        assert await addresses(servers) == {
            "node1": "https://localhost:6443",
            "node0": "https://10.0.0.1:6443",
            "node2": "https://10.0.0.3:6443",
        }
        assert servers.contexts(departing="node1") == ("node0", "node2", "node1")


async def test_all_have_the_credentials_of_the_current_context(tmp_path: Path) -> None:
    """No other node's credentials are needed."""
    async with api_servers(kubeconfig(tmp_path), Members(THREE), "node1") as servers:
        settings = [(await servers.client(context)).api.configuration for context in servers.contexts()]
        assert {each.api_key["BearerToken"] for each in settings} == {"Bearer t0ken"}


@pytest.mark.parametrize("server", ["https://10.9.9.9:8443", "https://api.example:8443"])
async def test_address_of_a_load_balancer_is_asked_last(tmp_path: Path, server: str) -> None:
    """It leads to any of them, this node's own does not count as it."""
    async with api_servers(kubeconfig(tmp_path, server), Members(THREE), "node1", api_port=6443) as servers:
        found = await addresses(servers)
    assert next(iter(found.items())) == ("node1", "https://10.0.0.2:6443")
    assert list(found.items())[-1] == ("", server)
    assert len(found) == 4


async def test_elsewhere_the_current_context_stands_for_itself(tmp_path: Path) -> None:
    """A machine without a member of its own may have a kubeconfig that leads to any of them."""
    async with api_servers(kubeconfig(tmp_path), Members(THREE)) as servers:
        assert await addresses(servers) == {
            **{name: f"https://{host}:6443" for name, host in THREE.items()},
            "": "https://localhost:6443",
        }


@pytest.mark.parametrize(
    ("server", "port", "expected"),
    [
        ("https://localhost:6443", None, "https://[fd00::2]:6443"),
        ("https://[::1]:7443", None, "https://[fd00::2]:7443"),
        ("https://localhost", None, "https://[fd00::2]:443"),
        ("https://localhost:6443", 9443, "https://[fd00::2]:9443"),
    ],
)
async def test_port_is_the_kubeconfigs_unless_it_is_named(
    tmp_path: Path, server: str, port: int | None, expected: str
) -> None:
    """And an IPv6 address stands in brackets."""
    hosts = Members({"node0": "fd00::1", "node1": "fd00::2"})
    async with api_servers(kubeconfig(tmp_path, server), hosts, "node0", api_port=port) as servers:
        assert (await addresses(servers))["node1"] == expected


async def test_member_list_that_cannot_be_read_is_read_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Until then the current context is asked alone; nobody waits for the second attempt."""
    members = Members(None)
    async with api_servers(kubeconfig(tmp_path), members, "node1") as servers:
        assert await addresses(servers) == {"": "https://localhost:6443"}
        members.hosts = THREE
        await servers.refresh()
        assert members.read == 1
        monkeypatch.setattr(time_limits, "KUBERNETES", replace(time_limits.KUBERNETES, failed_again_seconds=0.0))
        await until(servers, lambda: len(servers.contexts()) == 3)


async def test_members_that_come_and_go_are_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Read again once in a while; a client whose address changed is not used any more."""
    members = Members(dict(THREE))
    async with api_servers(kubeconfig(tmp_path), members, "node1") as servers:
        first = await servers.client("node0")
        members.hosts = {"node0": "10.0.0.9", "node1": "10.0.0.2", "node3": "10.0.0.4"}
        await servers.refresh()
        assert members.read == 1
        monkeypatch.setattr(time_limits, "KUBERNETES", replace(time_limits.KUBERNETES, identify_seconds=0.0))
        await until(servers, lambda: set(servers.contexts()) == set(members.hosts or ()))
        assert (await addresses(servers))["node0"] == "https://10.0.0.9:6443"
        assert await servers.client("node0") is not first


async def until(servers: ApiServers, holds: Callable[[], bool]) -> None:
    """Return when a refresh in the background has made it so."""
    async with asyncio.timeout(10):
        while not holds():
            await servers.refresh()
            await asyncio.sleep(0)


async def test_kubeconfig_that_cannot_be_read_is_the_error_of_the_request(tmp_path: Path) -> None:
    """Looking for API servers hides nothing and ends nothing."""
    async with api_servers(tmp_path / "gone", Members(THREE), "node1") as servers:
        assert servers.contexts() == ("",)


async def test_worker_prefers_its_own_member_whatever_the_node_is_called(tmp_path: Path) -> None:
    """The table of nodes says which member's API server is the local one; the pool passes the member list on."""
    profile = {
        "etcd": {"endpoints": ["https://127.0.0.1:2379"]},
        "kubernetes": {"kubeconfig": str(kubeconfig(tmp_path)), "api_servers": "members"},
        "nodes": {"node2": "third.example"},
    }
    endpoints = list[str]()

    async def hosts(etcd: Any) -> Mapping[str, str]:
        endpoints.extend(etcd.endpoints)
        return THREE

    pool = KubernetesGateways(Config.model_validate({"clusters": {"prod": profile}}), "third.example", hosts=hosts)
    gateway: Any = pool.require("prod")
    try:
        await gateway.find_servers()
        assert gateway.contexts()[0] == "node2"
        assert endpoints == ["https://127.0.0.1:2379"]
    finally:
        await pool.close()


def test_hosts_are_those_of_peer_urls() -> None:
    """A member that has not started has no name, and no API server either."""
    members = [
        ListedMember("1", "node0", ("https://10.0.0.1:2380", "https://10.1.0.1:2380")),
        ListedMember("2", "node1", ("https://[fd00::2]:2380",)),
        ListedMember("3", "", ("https://10.0.0.3:2380",)),
        ListedMember("4", "node3"),
    ]
    assert hosts_of(MemberList("c", "1", tuple(members))) == {"node0": "10.0.0.1", "node1": "fd00::2"}
