"""Additions on real processes with something wrong at each of their steps, or with somebody else at work."""

from __future__ import annotations

import asyncio
import itertools
from typing import TYPE_CHECKING, Final

import pytest
from temporalio.client import WorkflowFailureError
from temporalio.exceptions import CancelledError

from etcd_handoff.lab import Role
from etcd_handoff.lab.writer import missing
from etcd_handoff.temporal.updates import execute_update
from tests.integration import additions
from tests.integration.conftest import open_bench
from tests.integration.etcd_gateways import gateway_to
from tests.integration.progress import says

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.integration, pytest.mark.slow]

POINTS: Final = tuple(
    f"{step}.{moment}"
    for step, moment in itertools.product(
        ("add_learner", "await_sync", "promote_member"), ("before", "during", "after")
    )
)


@pytest.mark.parametrize("point", POINTS)
async def test_worker_dies(point: str, tmp_path: Path) -> None:
    """Another one goes on: the member is added once and promoted once."""
    async with open_bench(tmp_path, nodes=3, failpoints=f"{point}=kill", kubernetes=False) as b:
        node = await additions.out(b.lab, b.lab.others(await b.lab.leader())[0].name)
        addition = await additions.add(b, node)
        await additions.start(b, addition, node)
        await additions.joined(b, addition, 3)
        assert (tmp_path / f"{point}.hit").exists()


@pytest.mark.parametrize("point", ["await_sync.during", "promote_member.before", "promote_member.during"])
async def test_learner_dies(point: str, tmp_path: Path) -> None:
    """It is never promoted while it is down; the vote that it has then counts once it works."""
    async with open_bench(tmp_path, nodes=2, failpoints=f"{point}=hold", kubernetes=False) as b:
        node = await additions.out(b.lab, b.lab.others(await b.lab.leader())[0].name)
        addition = await additions.add(b, node)
        await additions.start(b, addition, node)
        await b.reached(point)
        await b.lab.kill(Role.ETCD, node.name)
        b.release(point)
        if point.endswith("promote_member.during"):
            await b.lab.start(Role.ETCD, node.name)  # two voters, of which one is down, commit nothing
        else:
            await says(addition, "Blocked", "LearnerUnreachable")
            assert len((await additions.seen(b.lab)).voters) == 1
            await b.lab.start(Role.ETCD, node.name)
        await additions.joined(b, addition, 2)


@pytest.mark.parametrize("point", ["add_learner.during", "promote_member.before", "promote_member.during"])
async def test_voter_dies(point: str, tmp_path: Path) -> None:
    """Three voters, one of which dies: the quorum stands, and the learner is not promoted before it is back."""
    async with open_bench(tmp_path, nodes=4, failpoints=f"{point}=hold", kubernetes=False) as b:
        leader = await b.lab.leader()
        first, dies, _ = (node.name for node in b.lab.others(leader))
        node = await additions.out(b.lab, first)
        addition = await additions.add(b, node)
        if not point.startswith("add_learner"):
            await additions.start(b, addition, node)
        await b.reached(point)
        await b.lab.kill(Role.ETCD, dies)
        b.release(point)
        if point.startswith("add_learner"):
            await additions.start(b, addition, node)
        if not point.endswith("promote_member.during"):
            await says(addition, "Blocked", "QuorumAtRisk")
            assert len((await additions.seen(b.lab)).voters) == 3
        await b.lab.start(Role.ETCD, dies)
        await execute_update(addition, "recheck")
        await additions.joined(b, addition, 4)


@pytest.mark.parametrize("deed", ["promotes", "removes"])
async def test_somebody_else_is_faster(deed: str, tmp_path: Path) -> None:
    """A vote that somebody else has given counts; a learner that somebody else has removed is not added again."""
    async with open_bench(tmp_path, nodes=2, failpoints="promote_member.before=hold", kubernetes=False) as b:
        node = await additions.out(b.lab, b.lab.others(await b.lab.leader())[0].name)
        addition = await additions.add(b, node)
        await additions.start(b, addition, node)
        await b.reached("promote_member.before")
        async with gateway_to(next(n for n in b.lab.nodes if n.name != node.name).etcd_url) as gateway:
            view = await gateway.observe()
            learner, leader = next(m for m in view.members if m.is_learner), view.voters[0]
            if deed == "promotes":
                await gateway.promote_member(learner.id, leader.id)
            else:
                await gateway.remove_member(learner.id, leader.id)
        b.release("promote_member.before")
        if deed == "promotes":
            await additions.joined(b, addition, 2)
            return
        with pytest.raises(WorkflowFailureError) as failed:
            await asyncio.wait_for(addition.result(), additions.PATIENCE)
        assert "somebody has removed it" in str(failed.value.cause)
        assert [m.id for m in await b.lab.members()] == [leader.id]


@pytest.mark.parametrize("point", ["add_learner.during", "promote_member.before"])
async def test_it_is_cancelled_in_a_step(point: str, tmp_path: Path) -> None:
    """The step ends first; then the learner leaves, unless it has its vote by then."""
    async with open_bench(tmp_path, nodes=2, failpoints=f"{point}=hold", kubernetes=False) as b:
        node = await additions.out(b.lab, b.lab.others(await b.lab.leader())[0].name)
        addition = await additions.add(b, node)
        if point.startswith("promote"):
            await additions.start(b, addition, node)
        await b.reached(point)
        await addition.cancel()
        b.release(point)
        if point.startswith("promote"):
            await additions.joined(b, addition, 2)
            return
        with pytest.raises(WorkflowFailureError) as failed:
            await asyncio.wait_for(addition.result(), additions.PATIENCE)
        assert isinstance(failed.value.cause, CancelledError)
        assert len(await b.lab.members()) == 1


async def test_one_grows_to_three_under_writes(tmp_path: Path) -> None:
    """Two additions, one after the other, although both are asked for at once; no acknowledged write is lost."""
    async with open_bench(tmp_path, nodes=3, kubernetes=False) as b:
        leader = await b.lab.leader()
        nodes = [await additions.out(b.lab, node.name) for node in b.lab.others(leader)]
        writer = await b.writer(leader)
        both = [await additions.add(b, node) for node in nodes]

        async def grown(number: int) -> None:
            await additions.start(b, both[number], nodes[number])
            await asyncio.wait_for(both[number].result(), 2 * additions.PATIENCE)

        await asyncio.gather(grown(0), grown(1))
        report = await writer.stop()
        view = await additions.seen(b.lab)
        assert len(view.healthy_voters) == len(view.members) == 3
        assert report.acknowledged
        assert await missing(report, [node.etcd_url for node in b.lab.nodes]) == {}
