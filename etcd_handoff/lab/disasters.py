"""What becomes of etcd clusters beside processes that die: on data, on membership and on what others see of them."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from etcd_handoff.lab import disk, http, judge
from etcd_handoff.lab.nodes import Beginning, Role
from etcd_handoff.lab.processes import ProcessError, run
from etcd_handoff.lab.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from etcd_handoff.lab.cluster import Lab
    from etcd_handoff.lab.credentials import Whose
    from etcd_handoff.lab.nodes import Node

FOREIGN_TOKEN: Final = "another"  # noqa: S105  # tells clusters apart, and is no secret
PUT_BYTES: Final = 64
PUTS_AT_ONCE: Final = 16
SECONDS: Final = 30.0
WHOLE_CLUSTER: Final = "0"
"""The member ID under which etcd raises an alarm that is no single member's (etcd `server/etcdserver/corrupt.go`)."""


# disks


def hang_disk(lab: Lab, node: str, what: str = disk.WRITE_AHEAD_LOG) -> None:
    """Syncs of the node's etcd do not return any more; the process runs on and answers what it has in memory.

    By default those of its write-ahead log, which it needs for every entry: that way also an etcd that asks its
    backend for its status answers, as it does when the log is on a disk of its own.

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


def mend_disk(lab: Lab, node: str) -> None:
    """What hangs goes on."""
    disk.control(lab.directory / node).unlink(missing_ok=True)


async def fall_behind(lab: Lab, node: str, via: str, entries: int) -> None:
    """The node's etcd is stopped while so many entries are written through another one, and goes on then."""
    lab.stop(Role.ETCD, node)
    try:
        await load(lab, via, entries)
    finally:
        lab.resume(Role.ETCD, node)


async def load(lab: Lab, via: str, entries: int) -> None:
    """So many entries are written through this node, all to a few keys.

    Raises:
        OSError: etcd takes them no more.
    """
    url, left = f"{lab.node(via).etcd_url}/v3/kv/put", iter(range(entries))

    async def put() -> None:
        for number in left:
            body = {"key": "bG9hZA==", "value": f"{number:0{PUT_BYTES}d}"}
            await http.post(url, body, timeout_seconds=8.0)

    await asyncio.gather(*(put() for _ in range(PUTS_AT_ONCE)))


# what is on a member's address


async def become_foreign(lab: Lab, node: str) -> None:
    """The node is wiped, and its etcd runs as a cluster of its own on the old addresses.

    Its API server runs on, and serves what it finds there: nothing.
    """
    await _set_aside(lab, node)
    await lab.start_etcd(lab.node(node), Beginning([lab.node(node)], token=FOREIGN_TOKEN))


async def found_stranger(lab: Lab, name: str = "stranger") -> Node:
    """An etcd that has nothing to do with the others, on addresses of its own: a cluster of one."""
    node = lab.new_stranger(name)
    await lab.start_etcd(node, Beginning([node], token=FOREIGN_TOKEN))
    return node


async def force_new_cluster(lab: Lab, node: str) -> None:
    """The node's etcd is a cluster of itself alone, under the same cluster ID and with the same data.

    It listens for peers elsewhere, where the others do not find it: these would not leave it alone, and who does this
    is cut off from them. What writes to it writes what the others do not know, so its API server is killed, as etcd's
    documentation of disaster recovery asks for.
    """
    process = lab.process(Role.ETCD, node)
    if node in lab.having(Role.APISERVER):
        await lab.kill(Role.APISERVER, node)
    await lab.kill(Role.ETCD, node)
    _copy_aside(lab, node)
    before, elsewhere = list(process.command), lab.new_stranger(f"{node}-alone")
    listen, there = f"--listen-peer-urls={lab.node(node).peer_listener}", elsewhere.peer_listener
    process.command = [f"--listen-peer-urls={there}" if word == listen else word for word in before]
    process.command.append("--force-new-cluster")
    await lab.start(Role.ETCD, node)
    process.command = before


async def come_back(lab: Lab, node: str) -> None:
    """What `become_foreign` or `force_new_cluster` set aside is there again, and the node is a member as before."""
    await lab.kill(Role.ETCD, node)
    shutil.rmtree(_data(lab, node))
    _aside(lab, node).rename(_data(lab, node))
    await lab.start_etcd(lab.node(node), Beginning(lab.nodes[: lab.options.nodes]))
    if node in lab.having(Role.APISERVER):  # what it remembers is of the other cluster
        await lab.restart(Role.APISERVER, node)


# who is a member


async def rejoin(lab: Lab, node: str) -> str:
    """A node whose member has left is a member again under its old name, with a new ID and new data.

    Returns:
        The ID.

    Raises:
        OSError: etcd refuses.
    """
    members = {m.name for m in await lab.members()}
    via = next(n for n in lab.nodes if n.name in members and n.name != node and lab.alive(Role.ETCD, n.name))
    await _set_aside(lab, node)
    url = f"{via.etcd_url}/v3/cluster/member"
    await judge.change_members(f"{url}/add", {"peerURLs": [lab.node(node).peer_url]})
    initial = [n for n in lab.nodes if n.name in members or n.name == node]
    await lab.start_etcd(lab.node(node), Beginning(initial, "existing"))
    found = ""

    async def named() -> bool:
        nonlocal found
        found = {m.name: m.id for m in await lab.members(via.name)}.get(node, "")
        return bool(found)

    await wait_until(named, f"{node} is listed again", SECONDS)
    if node in lab.having(Role.APISERVER):  # it may have given up while its etcd was out
        await lab.restart(Role.APISERVER, node)
    return found


# backups


@dataclass(frozen=True, slots=True)
class Backup:
    """The data of all members at about one moment."""

    data: dict[str, Path]


async def back_up(lab: Lab, name: str = "backup") -> Backup:
    """What all members have on disk, as a copy; they stand still meanwhile."""
    running = [node.name for node in lab.nodes if lab.alive(Role.ETCD, node.name)]
    for node in running:
        lab.stop(Role.ETCD, node)
    copies = {node: lab.directory / name / node for node in running}
    try:
        for node, copy in copies.items():
            copy.parent.mkdir(parents=True, exist_ok=True)
            await _copy(_data(lab, node), copy)
    finally:
        for node in running:
            lab.resume(Role.ETCD, node)
    return Backup(copies)


async def restore(lab: Lab, backup: Backup) -> None:
    """All that was a member then is a member again with the data of then: terms, indices and membership go back.

    Cluster ID and member IDs are the same as ever, as after `etcdutl snapshot restore` with the initial cluster and
    token that the cluster began with.
    """
    everybody = [n.name for n in lab.nodes]
    for node in everybody:
        if node in lab.having(Role.APISERVER):
            await lab.kill(Role.APISERVER, node)
    await asyncio.gather(*(lab.kill(Role.ETCD, node) for node in everybody))
    for node, copy in backup.data.items():
        shutil.rmtree(_data(lab, node))
        await _copy(copy, _data(lab, node))
    await asyncio.gather(*(lab.start(Role.ETCD, node) for node in backup.data))
    await asyncio.gather(*(lab.start(Role.APISERVER, node) for node in lab.having(Role.APISERVER)))


# alarms


async def raise_alarm(lab: Lab, via: str, kind: str, member_id: str = WHOLE_CLUSTER) -> None:
    """The alarm `NOSPACE` or `CORRUPT` of a member, given in hex, or of the whole cluster."""
    await _alarm(lab, via, "ACTIVATE", kind, member_id)


async def disarm(lab: Lab, via: str) -> None:
    """No alarm is raised any more."""
    answer = await http.post(f"{lab.node(via).etcd_url}/v3/maintenance/alarm", {"action": "GET"})
    for alarm in answer.get("alarms", []):
        await _alarm(lab, via, "DEACTIVATE", alarm["alarm"], judge.hex_id(alarm.get("memberID", 0)))


async def _alarm(lab: Lab, via: str, action: str, kind: str, member_id: str) -> None:
    body: dict[str, Any] = {"action": action, "memberID": str(int(member_id, 16)), "alarm": kind}
    await http.post(f"{lab.node(via).etcd_url}/v3/maintenance/alarm", body, timeout_seconds=8.0)


# certificates


async def renew_certificates(lab: Lab, whose: Whose) -> None:
    """New certificates and a new authority of `clients` or `servers` lie where the old ones did, which count no more.

    All servers restart at once: who keeps a connection open would not notice.
    """
    lab.credentials.renew(whose)
    for role in (Role.ETCD, Role.APISERVER):
        running = [node for node in lab.having(role) if lab.alive(role, node)]
        await asyncio.gather(*(lab.kill(role, node) for node in running))
        await asyncio.gather(*(lab.start(role, node) for node in running))


def restart_api_servers(lab: Lab) -> None:
    """Those that run start anew and this returns at once: they answer as API servers do that are not ready yet."""
    for node in lab.having(Role.APISERVER):
        if lab.alive(Role.APISERVER, node):
            lab.process(Role.APISERVER, node).start_over()


def _data(lab: Lab, node: str) -> Path:
    """What `etcd_command` makes its data directory."""
    return lab.directory / node / "etcd"


def _aside(lab: Lab, node: str) -> Path:
    return _data(lab, node).with_suffix(".aside")


async def _set_aside(lab: Lab, node: str) -> None:
    await lab.kill(Role.ETCD, node)
    shutil.rmtree(_aside(lab, node), ignore_errors=True)
    with contextlib.suppress(FileNotFoundError):
        _data(lab, node).rename(_aside(lab, node))


def _copy_aside(lab: Lab, node: str) -> None:
    shutil.rmtree(_aside(lab, node), ignore_errors=True)
    shutil.copytree(_data(lab, node), _aside(lab, node))


async def _copy(source: Path, target: Path) -> None:
    """Sparse files stay sparse: most of a write-ahead log's 64 MB is room for later."""
    status, _, errors = await run(["/bin/cp", "-a", "--sparse=always", str(source), str(target)], {}, source.parent)
    if status != 0:
        raise ProcessError(f"{source} could not be copied: {errors}")
