"""What is asked of every distribution: one command on each machine, and then the leader leaves."""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from etcd_handoff.etcdmember import resource_name
from etcd_handoff.lab import wait_until
from etcd_handoff.lab.processes import ProcessError
from etcd_handoff.lab.writer import OpenLoopWriter, WriteReport, missing
from tests.stock.machines import joined

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from etcd_handoff.lab.nodes import Node
    from tests.stock.machines import StockLab

WRITE_INTERVAL_MS = 10.0
KEY = "handoff-lab/after"
OUT_SECONDS = 120.0
LEAVE = ("patch", "--type=merge", "-p", json.dumps({"spec": {"leave": True}}))
"""The order to leave that k0s knows."""


@dataclass
class Departure:
    """A leader that has left a distribution's own cluster.

    Attributes:
        member: Name of its member.
        node: Its machine.
        survivors: The machines that stay.
        report: What a writer through one of them did meanwhile.
    """

    member: str
    node: Node
    survivors: list[Node]
    report: WriteReport


async def member_names(lab: StockLab, node: str) -> dict[str, str]:
    """Names of the members by machine, told apart by their peer URLs, as the machine's own member lists them."""
    listed = json.loads(await lab.etcdctl_on(node, "member", "list", "-w", "json"))["members"]
    hosts = {member["peerURLs"][0].partition("://")[2].rpartition(":")[0]: member["name"] for member in listed}
    return {node.name: hosts[node.address] for node in lab.nodes if node.address in hosts}


async def everything_is_well(lab: StockLab) -> None:
    """A worker runs on each machine, and `doctor` finds no fault on any."""
    for node in lab.nodes:
        await lab.worker_on(node.name)
    for node in lab.nodes:
        status, shown, errors = await lab.handoff_on(node.name, "doctor", "-o", "json")
        wrong = [finding for finding in json.loads(shown or '{"checks": []}')["checks"] if not finding["ok"]]
        assert (status, wrong) == (0, []), (shown, errors)


async def watch(lab: StockLab, node: str) -> None:
    """A watcher runs, started from this machine, and each member has an EtcdMember that says that it has joined."""
    status, shown, errors = await lab.handoff_on(node, "watch", "start")
    assert status == 0, (shown, errors)
    await records_are_true(lab, [lab.node(node)])


async def conditions(lab: StockLab, node: str) -> dict[str, str]:
    """The condition Joined of each EtcdMember, as the machine's API server has it; none where it does not answer."""
    with contextlib.suppress(ProcessError):
        return joined(json.loads(await lab.kubectl_on(node, "get", "etcdmembers", "-o", "json")))
    return {}


async def leader_leaves(lab: StockLab, nodes: list[Node], how: Callable[[str, str], Awaitable[None]]) -> Departure:
    """The leader leaves while somebody writes through another machine.

    Args:
        lab: The cluster.
        nodes: Machines whose members there are.
        how: Is told the member's name and a machine that stays, and returns once the member is said to be out.
    """
    names, leads = await member_names(lab, nodes[0].name), await lab.leader()
    leader = next(node for node in nodes if names[node.name] == leads)
    survivors = [node for node in nodes if node != leader]
    async with OpenLoopWriter(survivors[0].etcd_url, lab.directory, WRITE_INTERVAL_MS) as writer:
        await how(names[leader.name], survivors[0].name)
        return Departure(names[leader.name], leader, survivors, await writer.stop())


async def by_command(lab: StockLab, member: str, node: str) -> dict[str, Any]:
    """The result of `etcd-handoff remove`, which has moved leadership first."""
    status, shown, errors = await lab.handoff_on(node, "remove", member, "-o", "json")
    assert status == 0, (shown, errors)
    result: dict[str, Any] = json.loads(shown)
    assert (result["outcome"], result["was_leader"]) == ("removed", True), result
    assert [step["outcome"] for step in result["steps"] if step["name"] == "move_leader"][-1] == "moved", result
    return result


async def by_kubectl(lab: StockLab, member: str, node: str, *order: str) -> dict[str, Any]:
    """The EtcdMember of the member, once it says Joined=False after this command of kubectl on it.

    Args:
        lab: The cluster.
        member: Name of the member.
        node: A machine that stays, whose API server is asked.
        order: The command and its options; the EtcdMember's name comes after the first word.
    """
    name, (verb, *options) = resource_name(member), order
    await lab.kubectl_on(node, verb, "etcdmember", name, *options)
    seen: list[dict[str, Any]] = [{"metadata": {"name": name}}]

    async def out() -> bool:
        with contextlib.suppress(ProcessError):
            seen.append(json.loads(await lab.kubectl_on(node, "get", "etcdmember", name, "-o", "json")))
        return joined({"items": [seen[-1]]})[name] == "False"

    await wait_until(
        out, f"EtcdMember {name} says Joined=False", OUT_SECONDS, lambda: json.dumps(seen[-1], indent=1), 0.5
    )
    return seen[-1]


async def is_out(lab: StockLab, left: Departure) -> None:
    """All machines that stay list their own members alone, have every write, take new ones, and serve Kubernetes."""
    assert left.report.acknowledged
    assert await missing(left.report, [node.etcd_url for node in left.survivors]) == {}
    for node in left.survivors:
        names = await member_names(lab, node.name)
        assert set(names) == {each.name for each in left.survivors}
        assert await lab.leader() in names.values()
        await lab.etcdctl_on(node.name, "put", KEY, node.name)
        for reader in left.survivors:  # etcdctl reads linearizably
            assert await lab.etcdctl_on(reader.name, "get", KEY, "--print-value-only") == f"{node.name}\n"
        await _serves_kubernetes(lab, node, left)


async def records_are_true(lab: StockLab, nodes: list[Node], *gone: str) -> None:
    """On these machines the EtcdMembers of all members say Joined=True, and those of the gone Joined=False."""
    for node in nodes:
        stay = (await member_names(lab, node.name)).values()
        expected = {**dict.fromkeys(stay, "True"), **dict.fromkeys(gone, "False")}
        await _says(lab, node.name, {resource_name(name): joined for name, joined in expected.items()})


async def _says(lab: StockLab, node: str, expected: dict[str, str]) -> None:
    seen: list[dict[str, str]] = [{}]

    async def as_expected() -> bool:
        seen.append(await conditions(lab, node))
        return seen[-1] == expected

    await wait_until(as_expected, f"the EtcdMembers on {node} say {expected}", 60, lambda: f"they say {seen[-1]}")


async def _serves_kubernetes(lab: StockLab, node: Node, left: Departure) -> None:
    """What is written through its API server, all that stay can read."""
    assert await lab.kubectl_on(node.name, "get", "--raw", "/readyz") == "ok"
    name = f"{node.name}-without-{left.node.name}"
    await lab.kubectl_on(node.name, "create", "configmap", name, "-n", "default")
    for reader in left.survivors:
        await lab.kubectl_on(reader.name, "get", "configmap", name, "-n", "default")
