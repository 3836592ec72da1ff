"""On what the real kubeadm writes: one command a node, and the leaders leave with all records true."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from activities.member_status import NOTHING_TO_RECORD
from tests.stock import scenario
from tests.stock.kubeadm import KubeadmLab

if TYPE_CHECKING:
    from pathlib import Path

HOST_NAMES = ("Node0", "node1", "node2")
"""kubeadm calls member and Node by the host name in lower case."""


@pytest.mark.timeout(400)
async def test_leaders_leave_a_cluster_of_kubeadm(tmp_path: Path) -> None:
    """Certificates, kubeconfigs and command lines are kubeadm's, at their places; nothing but `--kubeadm` is said.

    The first one leaves where no EtcdMembers are installed, as on every new cluster; the second by kubectl alone.
    """
    async with KubeadmLab(tmp_path / "lab", HOST_NAMES) as lab:
        await scenario.everything_is_well(lab)

        async def by_command(member: str, node: str) -> None:
            result = await scenario.by_command(lab, member, node)
            assert (result["status_recorded"], result["status_note"]) == (False, NOTHING_TO_RECORD)

        first = await scenario.leader_leaves(lab, lab.nodes, by_command)
        await scenario.is_out(lab, first)
        assert await lab.process_of("etcd", first.node.name).ended() == 0
        assert not await lab.api_answers(first.node.name)
        # kubeadm waits for its API server, which answers no more, for some twenty seconds.
        reset = asyncio.create_task(lab.kubeadm(first.node.name, "reset phase remove-etcd-member"))
        await lab.install_crd(first.survivors[0].name)
        await scenario.watch(lab, first.survivors[0].name)

        async def by_kubectl(member: str, node: str) -> None:
            await scenario.by_kubectl(lab, member, node, *scenario.LEAVE)

        second = await scenario.leader_leaves(lab, first.survivors, by_kubectl)
        await scenario.is_out(lab, second)
        await scenario.records_are_true(lab, second.survivors, second.member)
        await reset
        assert list((lab.root(first.node.name) / "var/lib/etcd").iterdir()) == []
