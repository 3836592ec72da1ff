"""What tests do that let a member join on real processes: free a node, and start etcd as `progress` says."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

from etcd_handoff.lab import Role
from etcd_handoff.lab.nodes import InitialCluster
from etcd_handoff.temporal.updates import execute_update
from tests.integration.progress import says

if TYPE_CHECKING:
    from temporalio.client import WorkflowHandle

    from etcd_handoff.lab.nodes import Node
    from tests.integration.conftest import LiveCluster


async def leave(b: LiveCluster, member: str) -> Node:
    """The node of a member that has been removed, without its process and its data."""
    assert (await b.remove(member)).outcome == "removed"
    return await wiped(b, member)


async def wiped(b: LiveCluster, member: str) -> Node:
    """The node of a member that has left, without its process and its data."""
    if b.lab.alive(Role.ETCD, member):
        await b.lab.kill(Role.ETCD, member)
    shutil.rmtree(b.lab.directory / member / "etcd")
    return b.lab.node(member)


async def started(b: LiveCluster, operation: WorkflowHandle[Any, Any], name: str = "") -> Node:
    """The node whose etcd an operation waits for, started with what `progress` shows and with nothing else."""
    settings = (
        await says(
            operation,
            "Blocked",
            "LearnerNotStarted",
            so=lambda progress: name in ("", progress.join_configuration.get("ETCD_NAME")),
        )
    ).join_configuration
    node = b.lab.node(settings["ETCD_NAME"])
    assert settings["ETCD_INITIAL_ADVERTISE_PEER_URLS"] == node.peer_url
    await b.lab.start_etcd(node, InitialCluster.of(settings, b.lab.nodes))
    await execute_update(operation, "recheck")
    return node
