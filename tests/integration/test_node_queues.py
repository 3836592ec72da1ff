"""Removal where each worker reaches its own node's member alone, as on stock k0s."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from etcd_handoff.contract import Outcome
from tests.integration.isolation import require_isolation

if TYPE_CHECKING:
    from tests.integration.conftest import MakeBench


@pytest.fixture(autouse=True)
def _isolation_is_possible() -> None:
    require_isolation()


async def test_leader_is_removed_where_no_worker_reaches_all_members(bench: MakeBench) -> None:
    """Leadership moves first, each step on the node whose member it needs, and every write is there."""
    async with bench(isolated=True) as b:
        leader = await b.lab.leader()
        writer = await b.writer(b.lab.others(leader)[0].name)
        result = await b.remove(leader)
        report = await writer.stop()
        assert (result.outcome, result.was_leader, result.status_recorded) == (Outcome.REMOVED, True, True)
        nodes = {step.name: step.node for step in result.steps}
        assert nodes["move_leader"] == leader
        assert leader not in {nodes["await_election"], nodes["remove_member"], nodes["update_status"]}
        await b.judge({leader}, report)
