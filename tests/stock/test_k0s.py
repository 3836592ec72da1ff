"""On the real k0s: one command a controller, and the leader leaves through each interface with all records true."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from etcd_handoff.annotations import LEAVE_ANNOTATION
from etcd_handoff.etcdmember import resource_name
from etcd_handoff.lab import wait_until
from tests.stock import scenario
from tests.stock.k0s import K0sLab

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.usefixtures("installed"), pytest.mark.timeout(600)]
HOST_NAMES = ("Node0", "node1", "node2")
"""k0s calls the member like the host, and its EtcdMember in lower case."""


async def test_leader_leaves_a_cluster_of_k0s_by_our_command(tmp_path: Path) -> None:
    """`etcd-handoff remove --k0s`: leadership moves, the record is true at once, and k0s leaves all that as it is."""
    async with K0sLab(tmp_path / "lab", HOST_NAMES) as lab:
        await scenario.everything_is_well(lab)

        async def by_command(member: str, node: str) -> None:
            result = await scenario.by_command(lab, member, node)
            assert result["status_recorded"], result
            assert any("k0s stop" in step for step in result["next_steps"]), result
            assert (await scenario.conditions(lab, node))[resource_name(member)] == "False"
            assert (await lab.etcdmembers_on(node))[resource_name(member)]["spec"]["leave"] is True

        left = await scenario.leader_leaves(lab, lab.nodes, by_command)
        k0s = lab.process_of(left.node.name)

        async def respawned() -> bool:
            return k0s.log_contains("respawning in 5s")

        await wait_until(respawned, "k0s starts the etcd again that was removed", 60)
        assert k0s.alive
        await scenario.is_out(lab, left)
        await scenario.records_are_true(lab, left.survivors, left.member)
        assert not await lab.api_answers(left.node.name)


async def test_leaders_leave_a_cluster_of_k0s_by_kubectl(tmp_path: Path) -> None:
    """By our annotation leadership moves first; by k0s's own `spec.leave` k0s acts, and the record is true as well."""
    async with K0sLab(tmp_path / "lab", HOST_NAMES) as lab:
        await scenario.everything_is_well(lab)
        await scenario.watch(lab, lab.nodes[0].name)

        async def by_annotation(member: str, node: str) -> None:
            resource = await scenario.by_kubectl(lab, member, node, "annotate", f"{LEAVE_ANNOTATION}=true")
            annotated = LEAVE_ANNOTATION in resource["metadata"].get("annotations", {})
            assert (resource["spec"]["leave"], annotated) == (True, False)

        first = await scenario.leader_leaves(lab, lab.nodes, by_annotation)
        await scenario.is_out(lab, first)
        await scenario.records_are_true(lab, first.survivors, first.member)

        async def by_flag(member: str, node: str) -> None:
            await scenario.by_kubectl(lab, member, node, *scenario.LEAVE)

        second = await scenario.leader_leaves(lab, first.survivors, by_flag)
        await scenario.is_out(lab, second)
        await scenario.records_are_true(lab, second.survivors, first.member, second.member)
