"""Additions on real processes: started, watched, their members started and killed."""

from __future__ import annotations

import asyncio
import shutil
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from etcd_handoff.contract import AdditionRequest, AdditionResult
from etcd_handoff.errors import EtcdError
from etcd_handoff.lab import Role, wait_until
from etcd_handoff.lab.nodes import InitialCluster
from etcd_handoff.temporal.client import start_operation
from tests.integration.etcd_gateways import gateway_to
from tests.integration.progress import says

if TYPE_CHECKING:
    from temporalio.client import WorkflowHandle

    from etcd_handoff.cluster_view import ClusterView
    from etcd_handoff.lab import Lab
    from etcd_handoff.lab.nodes import Node
    from tests.integration.conftest import LiveCluster

PATIENCE: Final = 120.0


async def add(b: LiveCluster, node: Node, **options: Any) -> WorkflowHandle[Any, AdditionResult]:
    """Start an addition."""
    given = {"cluster": b.lab.cluster, "name": node.name, "peer_urls": (node.peer_url,), **options}
    return await start_operation(b.client, AdditionRequest.model_validate(given), AdditionResult)


async def seen(lab: Lab) -> ClusterView:
    """The cluster as the lab sees it, through all members that run."""
    urls = [node.etcd_url for node in lab.nodes if lab.alive(Role.ETCD, node.name)]
    async with gateway_to(*urls) as gateway:
        return await gateway.observe()


async def out(lab: Lab, name: str) -> Node:
    """The node of a member that has left by hand, without its process and its data."""
    urls = [node.etcd_url for node in lab.others(name) if lab.alive(Role.ETCD, node.name)]
    async with gateway_to(*urls) as gateway:

        async def left() -> bool:
            with suppress(EtcdError):  # it minds who has been connected for less than 5 s, and may have to elect
                view = await gateway.observe()
                member = next((m for m in view.members if m.name == name), None)
                if member is None:
                    return view.leadership is not None
                via_id = next(m.id for m in view.healthy_voters if m.id != member.id)
                await gateway.remove_member(member.id, via_id)
            return False

        await wait_until(left, f"{name} has left", PATIENCE)
    return await wiped(lab, name)


async def wiped(lab: Lab, name: str) -> Node:
    """The node, without its process and its data."""
    if lab.alive(Role.ETCD, name):
        await lab.kill(Role.ETCD, name)
    shutil.rmtree(lab.directory / name / "etcd", ignore_errors=True)
    return lab.node(name)


async def start(b: LiveCluster, addition: WorkflowHandle[Any, AdditionResult], node: Node) -> None:
    """Start the member with what `progress` shows."""
    shown = await says(addition, so=lambda progress: bool(progress.join_configuration))
    await b.lab.start_etcd(node, InitialCluster.of(shown.join_configuration, b.lab.nodes))


async def joined(b: LiveCluster, addition: WorkflowHandle[Any, AdditionResult], voters: int) -> AdditionResult:
    """Its result, once it has ended well; its member is the only one of its name and URL, votes, and works."""
    result = await asyncio.wait_for(addition.result(), PATIENCE)
    views: list[ClusterView] = []

    async def all_work() -> bool:
        views.append(await seen(b.lab))
        return not views[-1].doubts and len(views[-1].healthy_voters) == len(views[-1].members)

    await wait_until(all_work, "all members work", PATIENCE, lambda: str(views[-1:]))
    named = [m.id for m in views[-1].members if m.name == result.member_name]
    assert (str(result.outcome), named, len(views[-1].members)) == ("added", [result.member_id], voters)
    return result
