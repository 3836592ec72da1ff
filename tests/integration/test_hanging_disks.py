"""Members whose disks hang: they answer as if they were well, and take nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from etcd_handoff.lab import Role, disasters
from tests.chaos import judges
from tests.integration.conftest import ends, in_state, open_bench

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.integration.conftest import Bench

BRIEFLY = ("--blocked-timeout", "1")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def hanging(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Bench]:
    """One bench whose disks can hang: each test takes one member out, and the last one needs three members."""
    async with open_bench(tmp_path_factory.mktemp("disks"), nodes=5, hanging_disks=True) as b:
        yield b


async def left(b: Bench, member: str) -> None:
    """The member has left, and its process is ended: with its disk it never hears of it, and goes on to answer."""
    b.gone.add(member)
    await b.lab.kill(Role.ETCD, member)


@pytest.mark.asyncio(loop_scope="module")
async def test_leader_with_a_hanging_disk_is_removed_after_an_election(hanging: Bench) -> None:
    """It neither hands over nor sends heartbeats; the others elect."""
    b = hanging
    leader = await b.lab.leader()
    via = b.others(leader)[0]
    disasters.hang_disk(b.lab, leader)
    assert (await b.remove(leader)).outcome == "removed"
    await judges.writes_are_acknowledged(b.lab.node(via).etcd_url)
    await left(b, leader)


@pytest.mark.asyncio(loop_scope="module")
async def test_voter_whose_disk_hangs_can_leave_itself(hanging: Bench) -> None:
    """Who is left are the two that work."""
    b = hanging
    leader = await b.lab.leader()
    sick = b.others(leader)[0]
    disasters.hang_disk(b.lab, sick)
    assert (await b.remove(sick)).outcome == "removed"
    await judges.writes_are_acknowledged(b.lab.node(leader).etcd_url)
    await left(b, sick)


@pytest.mark.asyncio(loop_scope="module")
async def test_voter_whose_disk_hangs_does_not_count(hanging: Bench) -> None:
    """It answers as if it were well; `plan` and `remove` say that it hangs, and writes go on until it is mended."""
    b = hanging
    leader = await b.lab.leader()
    sick, target = b.others(leader)
    writer = await b.writer(leader)
    disasters.hang_disk(b.lab, sick)
    _, text = await ends(b.lab, "plan", target)
    assert "VoterHangs" in text
    assert sick in text
    status, text = await ends(b.lab, "remove", target, *BRIEFLY)
    assert (status, "VoterHangs" in text) == (3, True), text
    await judges.writes_are_acknowledged(b.lab.node(leader).etcd_url)
    assert {m.name for m in await b.lab.members(leader)} == {leader, sick, target}
    removal = await b.start(target)
    await in_state(removal, "Blocked")
    disasters.heal_disk(b.lab, sick)
    assert (await removal.result()).outcome == "removed"
    report = await writer.stop()
    assert report.longest_gap_ms() < 5_000, "writes stopped while the removal waited"
    await b.judge({target}, report)
