"""Beside k0s's own reconciler: leadership moves first, k0s removes, and the resource tells the truth."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from etcd_handoff.lab.k0s import K0sStandIn, Release
from etcd_handoff.lab.waiting import wait_until

if TYPE_CHECKING:
    from tests.integration.conftest import MakeBench


@pytest.mark.parametrize("release", ["v1.31", "v1.36"])
async def test_k0s_removes_a_leader_that_has_handed_over(bench: MakeBench, release: Release) -> None:
    """Asked after the transfer, k0s removes a follower: no write fails, and what k0s cannot write is written."""
    async with bench(remover="k0s") as b, K0sStandIn(b.lab, release) as k0s:
        leader = await b.lab.leader()
        survivor = b.lab.others(leader)[0].name
        writer = await b.writer(survivor)
        result = await b.remove(leader)
        report = await writer.stop()
        names = list(dict.fromkeys(step.name for step in result.steps))
        assert names == ["check_leader", "move_leader", "await_election", "request_leave", "update_status"]
        assert k0s.removed == [leader]
        assert (result.outcome, result.was_leader, result.status_recorded) == ("removed", True, True)
        assert (await b.lab.etcdmembers(survivor))[leader]["spec"]["leave"] is True
        await b.judge({leader}, report)


async def test_k0s_of_old_alone_leaves_a_lie(bench: MakeBench) -> None:
    """Without us the same stand-in shows the bug, so the test above can fail."""
    async with bench(remover="k0s", workers=()) as b, K0sStandIn(b.lab, "v1.31") as k0s:
        leader = await b.lab.leader()
        survivor = b.lab.others(leader)[0].name
        asked = ("patch", "etcdmember", leader, "--type", "merge", "-p", '{"spec":{"leave":true}}')
        await b.lab.kubectl(*asked, context=survivor)

        async def removed() -> bool:
            return leader in k0s.removed and await b.lab.leader() != leader

        await wait_until(removed, "the member is out and the others have elected", 20)
        assert leader not in {m.name for m in await b.lab.members(survivor)}
        assert await b.lab.joined(leader, survivor) == "True"
