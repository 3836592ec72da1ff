"""Whole changes of a membership under writes: grown, shrunk, and every member exchanged. `make chaos` runs them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from etcd_handoff.lab.writer import missing
from tests.integration import additions
from tests.integration.conftest import open_bench
from tests.integration.joining import started
from tests.integration.test_replace_member import apply, replace

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from etcd_handoff.lab.nodes import Node
    from etcd_handoff.lab.writer import WriteReport
    from tests.integration.conftest import Bench

pytestmark = [pytest.mark.integration, pytest.mark.slow]


async def brought_to(b: Bench, *wanted: Node) -> None:
    """The members are these; those that join are started as they are waited for."""
    there = {member.name for member in await b.lab.members(wanted[0].name)}
    change = await apply(b, *wanted)
    for node in wanted:
        if node.name not in there:
            await started(b, change, node.name)
    result = await change.result()
    assert str(result.outcome) == "applied"
    view = await additions.seen(b.lab)
    assert {m.name for m in view.healthy_voters} == {m.name for m in view.members} == {node.name for node in wanted}
    for name in there - {node.name for node in wanted}:
        await additions.wiped(b.lab, name)


async def nothing_is_lost(report: WriteReport, nodes: Sequence[Node]) -> None:
    """Every acknowledged write is on each of these members."""
    assert report.acknowledged
    assert await missing(report, [node.etcd_url for node in nodes]) == {}


async def test_one_three_five_three_one(tmp_path: Path) -> None:
    """Each size by one list of members; the first member stays and takes the writes."""
    async with open_bench(tmp_path, nodes=5, kubernetes=False) as b:
        first = b.lab.node(await b.lab.leader())
        others = b.lab.others(first.name)
        await brought_to(b, first)
        writer = await b.writer(first.name)
        for size in (3, 5, 3, 1):
            await brought_to(b, first, *others[: size - 1])
        await nothing_is_lost(await writer.stop(), [first])


async def test_every_member_of_three_is_replaced_in_turn(tmp_path: Path) -> None:
    """A fourth node takes each one's place; the one that has left is empty then, and takes the next one's."""
    async with open_bench(tmp_path, nodes=4, kubernetes=False) as b:
        spare = await additions.out(b.lab, b.lab.others(await b.lab.leader())[0].name)
        first_ids = {member.id for member in await b.lab.members()}
        for leaving in [node for node in b.lab.nodes if node.name != spare.name]:
            through = next(n for n in b.lab.nodes if n.name not in (leaving.name, spare.name))
            writer = await b.writer(through.name)
            replacement = await replace(b, leaving.name, spare)
            await started(b, replacement, spare.name)
            assert str((await replacement.result()).outcome) == "replaced"
            here = [node for node in b.lab.nodes if node.name != leaving.name]
            await nothing_is_lost(await writer.stop(), here)
            spare = await additions.wiped(b.lab, leaving.name)
        view = await additions.seen(b.lab)
        assert len(view.healthy_voters) == len(view.members) == 3
        assert first_ids.isdisjoint(member.id for member in view.members)
