"""Workers that die around the steps by which a node's own command takes part: preflight, start, stop, archive."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest

from etcd_handoff.data_directory import Identity, identity
from etcd_handoff.lab import Role
from tests.chaos import checks
from tests.chaos.conftest import recorded
from tests.integration import additions
from tests.integration.conftest import open_cluster
from tests.integration.member_hooks import etcd_on
from tests.integration.test_member_command import archived, left_with_command
from tests.integration.test_replace_member import replace

if TYPE_CHECKING:
    from pathlib import Path

    from etcd_handoff.lab.nodes import Node
    from tests.chaos.changes import Change
    from tests.integration.conftest import LiveCluster


async def worker_comes_back(b: LiveCluster, node: Node, point: str) -> None:
    """The node's worker has died at the point, and its supervisor starts it again."""
    await b.reached(point)
    await b.lab.process(Role.WORKER, node.name).ended()
    await b.lab.start(Role.WORKER, node.name)


@pytest.mark.integration
@pytest.mark.slow
async def test_worker_with_a_command_dies(command: Change, tmp_path: Path) -> None:
    """A member is added; where the step is one of its end, an empty one then takes its place at its address.

    There is one etcd process, on the new member's data; what the old one leaves is archived once, and kept.
    """
    async with (
        recorded(command.name) as finding,
        open_cluster(tmp_path, failpoints=f"{command.point}=kill", kubernetes=False) as b,
    ):
        leader, node, member = await left_with_command(b, tmp_path)
        before, data = {m.id for m in await b.lab.members()}, member.data_dir
        assert data is not None
        writer = await b.writer(leader)
        addition = await additions.add(b, node)
        while_it_joins = command.point.startswith(("preflight_member", "start_member"))
        if while_it_joins:
            await worker_comes_back(b, node, command.point)
        added = await asyncio.wait_for(addition.result(), additions.PATIENCE)
        new_id, cluster_id = added.member_id, added.cluster_id
        if not while_it_joins:
            replacement = await replace(b, added.member_id, node)
            await worker_comes_back(b, node, command.point)
            result = await asyncio.wait_for(replacement.result(), additions.PATIENCE)
            assert str(result.outcome) == "replaced"
            new_id, old = result.new_member_id, Identity(cluster_id, added.member_id)
            assert identity(archived(member, old)) == old
        finding.seconds = round(time.time() - (tmp_path / f"{command.point}.hit").stat().st_mtime, 2)
        assert identity(data) == Identity(cluster_id, new_id)
        assert len(etcd_on(data)) == 1
        report = await writer.stop()
        finding.counts(report)
        await checks.change_is_right(b.lab, b.client, voters={*before, new_id}, reports=[report])
        finding.ended = "well"
