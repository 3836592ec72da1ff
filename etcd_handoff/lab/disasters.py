"""Faults other than dead processes: of disks, data, membership, alarms and certificates."""

from __future__ import annotations

import asyncio
import shutil
from typing import TYPE_CHECKING, Any, Final

from etcd_handoff.lab import disk, http, observer
from etcd_handoff.lab.data_folders import aside_of, copy_aside, data_folder, set_aside
from etcd_handoff.lab.nodes import HOST, InitialCluster, Role
from etcd_handoff.lab.waiting import wait_until

if TYPE_CHECKING:
    from etcd_handoff.lab.cluster import Lab
    from etcd_handoff.lab.credentials import CertificateGroup
    from etcd_handoff.lab.nodes import Node

FOREIGN_TOKEN: Final = "another"  # noqa: S105  # tells clusters apart, and is no secret
PUT_BYTES: Final = 64
PUTS_AT_ONCE: Final = 16
SECONDS: Final = 30.0
WHOLE_CLUSTER: Final = "0"
"""The member ID of an alarm for the whole cluster (etcd `server/etcdserver/corrupt.go`)."""


# disks


def hang_disk(lab: Lab, node: str, what: str = disk.WRITE_AHEAD_LOG) -> None:
    """Make the syncs of the node's etcd hang. The process still answers from memory.

    By default only syncs of its write-ahead log hang, which it needs for every entry. So an etcd that asks its backend
    for its status also answers, as it does when the log is on a disk of its own.

    Raises:
        ValueError: The lab was started without.
    """
    if not lab.options.hanging_disks:
        msg = "the lab's disks cannot hang; start it with hanging_disks=True"
        raise ValueError(msg)
    control = disk.control(lab.directory / node)
    new = control.with_suffix(".new")
    new.write_text(what)
    new.replace(control)


def heal_disk(lab: Lab, node: str) -> None:
    """Let the disk continue."""
    disk.control(lab.directory / node).unlink(missing_ok=True)


async def fall_behind(lab: Lab, node: str, via: str, entries: int) -> None:
    """Stop the node's etcd, write `entries` entries through another node, and let the etcd continue."""
    lab.stop(Role.ETCD, node)
    try:
        await load(lab, via, entries)
    finally:
        lab.resume(Role.ETCD, node)


async def load(lab: Lab, via: str, entries: int) -> None:
    """Write `entries` entries through this node, all to one key.

    Raises:
        OSError: etcd takes them no more.
    """
    url, numbers = f"{lab.node(via).etcd_url}/v3/kv/put", iter(range(entries))

    async def put() -> None:
        for number in numbers:
            body = {"key": "bG9hZA==", "value": f"{number:0{PUT_BYTES}d}"}
            await http.post(url, body, timeout_seconds=8.0)

    await asyncio.gather(*(put() for _ in range(PUTS_AT_ONCE)))


# data


async def corrupt(lab: Lab, node: str, value: bytes) -> None:
    """Change a stored value on this node only, without etcd's knowledge.

    The bytes are changed in the database's file while etcd is down. Pages with data have no checksum (bbolt
    `internal/common/page.go`), so etcd serves the changed value.

    Args:
        lab: The lab.
        node: The node whose copy is corrupted.
        value: The stored value, which must occur only once in the database.

    Raises:
        TimeoutError: etcd has not stored it.
    """
    database = data_folder(lab, node) / "member" / "snap" / "db"

    async def is_stored() -> bool:
        return value in database.read_bytes()

    await wait_until(is_stored, f"{node} has stored the value", SECONDS)
    await lab.kill(Role.ETCD, node)
    database.write_bytes(database.read_bytes().replace(value, value[::-1]))
    await lab.start(Role.ETCD, node)


# what is on a member's address


async def become_foreign(lab: Lab, node: str) -> None:
    """Wipe the node, and run its etcd as a cluster of its own on the old addresses.

    Its API server runs on, and serves an empty cluster.
    """
    await set_aside(lab, node)
    await lab.start_etcd(lab.node(node), InitialCluster([lab.node(node)], token=FOREIGN_TOKEN))


async def start_foreign_cluster(lab: Lab, name: str = "foreign") -> Node:
    """Start another cluster with one member, on addresses of its own."""
    node = lab.new_foreign_node(name)
    await lab.start_etcd(node, InitialCluster([node], token=FOREIGN_TOKEN))
    return node


async def force_new_cluster(lab: Lab, node: str) -> None:
    """Make the node's etcd a cluster of one member, with the same cluster ID and data.

    It listens for peers on another port, where the others do not find it, because they would contact it and the real
    procedure cuts it off from them. Its API server is killed, as etcd's documentation of disaster recovery demands,
    because its writes would be unknown to the others.
    """
    process = lab.process(Role.ETCD, node)
    if node in lab.nodes_with(Role.APISERVER):
        await lab.kill(Role.APISERVER, node)
    await lab.kill(Role.ETCD, node)
    copy_aside(lab, node)
    before, own = list(process.command), lab.node(node)
    listen, there = f"--listen-peer-urls={own.peer_listener}", f"https://{HOST}:{own.peer_port}"
    if not own.is_isolated:
        there = lab.new_foreign_node(f"{node}-alone").peer_listener
    process.command = [f"--listen-peer-urls={there}" if word == listen else word for word in before]
    process.command.append("--force-new-cluster")
    await lab.start(Role.ETCD, node)
    process.command = before


async def come_back(lab: Lab, node: str) -> None:
    """Undo `become_foreign` or `force_new_cluster`: restore the node's data, and make it a member as before."""
    await lab.kill(Role.ETCD, node)
    shutil.rmtree(data_folder(lab, node))
    aside_of(lab, node).rename(data_folder(lab, node))
    await lab.start_etcd(lab.node(node), InitialCluster(lab.nodes[: lab.options.nodes]))
    if node in lab.nodes_with(Role.APISERVER):  # what it remembers is of the other cluster
        await lab.restart(Role.APISERVER, node)


# who is a member


async def rejoin(lab: Lab, node: str) -> str:
    """Make a node whose member was removed a member again, with its old name, a new ID and new data.

    Returns:
        The ID.

    Raises:
        OSError: etcd refuses.
    """
    members = {m.name for m in await lab.members()}
    via = next(n for n in lab.nodes if n.name in members and n.name != node and lab.alive(Role.ETCD, n.name))
    await set_aside(lab, node)
    url = f"{via.etcd_url}/v3/cluster/member"
    await observer.change_members(f"{url}/add", {"peerURLs": [lab.node(node).peer_url]})
    initial = [n for n in lab.nodes if n.name in members or n.name == node]
    await lab.start_etcd(lab.node(node), InitialCluster(initial, "existing"))
    member_id = ""

    async def named() -> bool:
        nonlocal member_id
        member_id = {m.name: m.id for m in await lab.members(via.name)}.get(node, "")
        return bool(member_id)

    await wait_until(named, f"{node} is listed again", SECONDS)
    if node in lab.nodes_with(Role.APISERVER):  # it may have given up while its etcd was down
        await lab.restart(Role.APISERVER, node)
    return member_id


# alarms


async def raise_alarm(lab: Lab, via: str, kind: str, member_id: str = WHOLE_CLUSTER) -> None:
    """Raise the alarm `NOSPACE` or `CORRUPT` for a member, given in hex, or for the whole cluster."""
    await _alarm(lab, via, "ACTIVATE", kind, member_id)


async def disarm(lab: Lab, via: str) -> None:
    """Clear all alarms."""
    answer = await http.post(f"{lab.node(via).etcd_url}/v3/maintenance/alarm", {"action": "GET"})
    for alarm in answer.get("alarms", []):
        await _alarm(lab, via, "DEACTIVATE", alarm["alarm"], observer.hex_id(alarm.get("memberID", 0)))


async def _alarm(lab: Lab, via: str, action: str, kind: str, member_id: str) -> None:
    body: dict[str, Any] = {"action": action, "memberID": str(int(member_id, 16)), "alarm": kind}
    await http.post(f"{lab.node(via).etcd_url}/v3/maintenance/alarm", body, timeout_seconds=8.0)


# certificates


async def renew_certificates(lab: Lab, group: CertificateGroup) -> None:
    """Replace the authority and the certificates of `clients` or `servers`; the old ones are then refused.

    All servers restart, because open connections would not notice the change. An API server stays down if its etcd has
    ended after the removal of its member, because it could not start.
    """
    lab.credentials.renew(group)
    for role in (Role.ETCD, Role.APISERVER):
        running = [node for node in lab.nodes_with(role) if lab.alive(role, node)]
        await asyncio.gather(*(lab.kill(role, node) for node in running))
        startable = [node for node in running if role is Role.ETCD or lab.alive(Role.ETCD, node)]
        await asyncio.gather(*(lab.start(role, node) for node in startable))


def restart_api_servers(lab: Lab) -> None:
    """Restart the running API servers, and return before they are ready."""
    for node in lab.nodes_with(Role.APISERVER):
        if lab.alive(Role.APISERVER, node):
            lab.process(Role.APISERVER, node).start_over()
