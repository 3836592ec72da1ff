"""What tests do that let a member join on real processes: free a node, and start etcd as `progress` says."""

from __future__ import annotations

import shutil
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from etcd_handoff.contract import Progress
from etcd_handoff.lab import Role, wait_until
from etcd_handoff.lab.nodes import InitialCluster

if TYPE_CHECKING:
    from temporalio.client import WorkflowHandle

    from etcd_handoff.lab.nodes import Node
    from tests.integration.conftest import Bench


async def leave(b: Bench, member: str) -> Node:
    """The node of a member that has been taken out, without its process and its data."""
    assert (await b.remove(member)).outcome == "removed"
    return await wiped(b, member)


async def wiped(b: Bench, member: str) -> Node:
    """The node of a member that has left, without its process and its data."""
    if b.lab.alive(Role.ETCD, member):
        await b.lab.kill(Role.ETCD, member)
    shutil.rmtree(b.lab.directory / member / "etcd")
    return b.lab.node(member)


async def blocked(operation: WorkflowHandle[Any, Any], reason: str, name: str = "") -> Progress:
    """Where it stands, once it waits for this reason, and for this member to be started where one is named."""
    said: list[Progress] = []

    async def so() -> bool:
        said.append(await operation.query("progress", result_type=Progress))
        waits = said[-1].state == "Blocked" and reason in said[-1].doing
        return waits and name in ("", said[-1].join_configuration.get("ETCD_NAME"))

    await wait_until(so, f"the operation is blocked by {reason}", 60, lambda: f"it does: {said[-1].doing}")
    return said[-1]


async def started(b: Bench, operation: WorkflowHandle[Any, Any], name: str = "") -> Node:
    """The node whose etcd an operation waits for, started with what `progress` shows and with nothing else."""
    settings = (await blocked(operation, "LearnerNotStarted", name)).join_configuration
    node = b.lab.node(settings["ETCD_NAME"])
    assert settings["ETCD_INITIAL_ADVERTISE_PEER_URLS"] == node.peer_url
    by_url = {node.peer_url: node for node in b.lab.nodes}
    pairs = [pair.split("=", 1) for pair in settings["ETCD_INITIAL_CLUSTER"].split(",")]
    others = [replace(by_url[url], name=name) for name, url in pairs]
    await b.lab.start_etcd(node, InitialCluster(others, settings["ETCD_INITIAL_CLUSTER_STATE"]))
    await operation.execute_update("recheck")
    return node
