"""Whole changes of a membership under writes: grown, shrunk, and members exchanged. `make chaos` runs them."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

import pytest

from etcd_handoff.lab import Role
from tests.chaos import checks
from tests.chaos.conftest import recorded
from tests.integration import additions
from tests.integration.conftest import open_cluster
from tests.integration.joining import started
from tests.integration.test_replace_member import apply, replace

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from etcd_handoff.lab.nodes import Node
    from etcd_handoff.lab.writer import WriteReport
    from tests.chaos.changes import Change
    from tests.chaos.conftest import Finding
    from tests.integration.conftest import LiveCluster


async def ids_of(b: LiveCluster) -> dict[str, str]:
    """IDs of the members, by names."""
    return {member.name: member.id for member in await b.lab.members()}


async def brought_to(b: LiveCluster, *nodes: Node) -> None:
    """The members are these; those that join are started as they are waited for, and those that stay keep their IDs."""
    before = await ids_of(b)
    change = await apply(b, *nodes)
    for node in nodes:
        if node.name not in before:
            await started(b, change, node.name)
    result = await change.result()
    assert str(result.outcome) == "applied"
    after = await ids_of(b)
    assert set(after) == {node.name for node in nodes}
    stay = {name: member_id for name, member_id in before.items() if name in after}
    await checks.change_is_right(b.lab, b.client, voters={**after, **stay}.values())
    for name in before.keys() - after.keys():
        await additions.wiped(b.lab, name)


async def replaced(b: LiveCluster, leaving: str, node: Node, through: Node) -> WriteReport:
    """This node has taken the place of the member under writes; all others are as before."""
    before = await ids_of(b)
    writer = await b.writer(through.name)
    replacement = await replace(b, before[leaving], node)
    await started(b, replacement, node.name)
    result = await replacement.result()
    assert str(result.outcome) == "replaced"
    report = await writer.stop()
    voters = {*before.values(), result.new_member_id} - {before[leaving]}
    await checks.change_is_right(b.lab, b.client, voters=voters, reports=[report])
    return report


async def two_additions_at_once(folder: Path, finding: Finding) -> None:
    """One grows to three: one addition after the other, although both are asked for at once."""
    async with open_cluster(folder, nodes=3, kubernetes=False) as b:
        leader = await b.lab.leader()
        nodes = [await additions.out(b.lab, node.name) for node in b.lab.others(leader)]
        (first_id,) = (await ids_of(b)).values()
        writer = await b.writer(leader)
        both = [await additions.add(b, node) for node in nodes]

        async def grown(number: int) -> str:
            await additions.start(b, both[number], nodes[number])
            return (await asyncio.wait_for(both[number].result(), 2 * additions.PATIENCE)).member_id

        added = await asyncio.gather(grown(0), grown(1))
        report = await writer.stop()
        finding.counts(report)
        await checks.change_is_right(b.lab, b.client, voters={first_id, *added}, reports=[report])


async def one_three_five_three_one(folder: Path, finding: Finding) -> None:
    """Each size by one list of members; the first member stays and takes the writes."""
    async with open_cluster(folder, nodes=5, kubernetes=False) as b:
        first = b.lab.node(await b.lab.leader())
        others = b.lab.others(first.name)
        await brought_to(b, first)
        writer = await b.writer(first.name)
        for size in (3, 5, 3, 1):
            await brought_to(b, first, *others[: size - 1])
        report = await writer.stop()
        finding.counts(report)
        voters = [await b.lab.member_id(first.name)]
        await checks.change_is_right(b.lab, b.client, voters=voters, reports=[report])


async def each_of_three_in_turn(folder: Path, finding: Finding) -> None:
    """A fourth node takes each one's place; the one that has left is empty then, and takes the next one's.

    As long as that took, a writer writes afterwards while nothing is changed: how far apart its writes are is stored
    beside it, and says what this machine alone makes of it.
    """
    async with open_cluster(folder, nodes=4, kubernetes=False) as b:
        spare = await additions.out(b.lab, b.lab.others(await b.lab.leader())[0].name)
        first_ids, seconds = set((await ids_of(b)).values()), 0.0
        for leaving in [node for node in b.lab.nodes if node.name != spare.name]:
            through = next(n for n in b.lab.nodes if n.name not in (leaving.name, spare.name))
            report = await replaced(b, leaving.name, spare, through)
            finding.counts(report)
            seconds += max(put.sent for put in report.puts) - min(put.sent for put in report.puts)
            spare = await additions.wiped(b.lab, leaving.name)
        assert first_ids.isdisjoint((await ids_of(b)).values())
        idle = await b.writer(next(n.name for n in b.lab.nodes if n.name != spare.name))
        await asyncio.sleep(seconds)
        finding.idle_gap_ms = round((await idle.stop()).longest_gap_ms(), 1)


def dead_one_of(size: int, *, at_its_address: bool = False) -> Callable[[Path, Finding], Awaitable[None]]:
    """A dead member is replaced: it leaves first, for with it nobody else may fail while another one joins."""

    async def case(folder: Path, finding: Finding) -> None:
        async with open_cluster(folder, nodes=size + (not at_its_address), kubernetes=False) as b:
            leader = await b.lab.leader()
            dead, *others = b.lab.others(leader)
            node = dead
            if not at_its_address:
                node = await additions.out(b.lab, others[0].name)
                await b.lab.wait_for_health_interval()
            await additions.wiped(b.lab, dead.name) if at_its_address else await b.lab.kill(Role.ETCD, dead.name)
            finding.counts(await replaced(b, dead.name, node, b.lab.node(leader)))

    return case


CASES: Final[dict[str, Callable[[Path, Finding], Awaitable[None]]]] = {
    "two-additions-at-once": two_additions_at_once,
    "one-three-five-three-one": one_three_five_three_one,
    "each-of-three-in-turn": each_of_three_in_turn,
    "dead-one-of-three": dead_one_of(3),
    "dead-one-of-five": dead_one_of(5),
    "dead-one-at-its-address": dead_one_of(3, at_its_address=True),
}


@pytest.mark.integration
@pytest.mark.slow
async def test_membership_is_changed(membership: Change, tmp_path: Path) -> None:
    """There is no fault but what the case itself is, and no acknowledged write is lost."""
    async with recorded(membership.name) as finding:
        began = time.monotonic()
        await CASES[membership.fault](tmp_path, finding)
        finding.seconds, finding.ended = round(time.monotonic() - began, 2), "well"
