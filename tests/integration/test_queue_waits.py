"""Removals that wait for their turn: a late grant, what waiting costs, and a queue that was terminated."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

import pytest
import pytest_asyncio

from etcd_handoff.lab import wait_until
from etcd_handoff.operation.change_queue import rejoin_pause
from etcd_handoff.operation.queue_messages import QueuePosition
from etcd_handoff.temporal.updates import execute_update
from tests.integration.conftest import open_cluster
from tests.integration.queues import changing, entry_in, holds, queue_of, queued

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.integration.conftest import LiveCluster

MOST_EVENTS: Final = 4_000
"""What a removal that waits may add in a day to its own history, and to the queue's."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(shared_path: Path) -> AsyncIterator[LiveCluster]:
    """One cluster for removals that wait for their turn: each test removes two members, of seven."""
    async with open_cluster(shared_path, nodes=7, failpoints="remove_member.before=hold") as b:
        yield b


@pytest.mark.asyncio(loop_scope="module")
async def test_removal_that_begins_after_the_queue_was_terminated(shared: LiveCluster) -> None:
    """It does not take the turn of the one at work, which the new queue finds by asking all that are open."""
    b = shared
    b.arm("remove_member.before")
    leader = await b.lab.leader()
    first, second = b.others(leader)[:2]
    holder = await b.start(first)
    await b.reached("remove_member.before")
    await (await queue_of(b)).terminate("by the test")
    late = await b.start(second)
    await queued(b, second)
    await holds(b, holder)
    b.release("remove_member.before")
    results = [await removal.result() for removal in (holder, late)]
    assert [result.outcome for result in results] == ["removed", "removed"]
    assert changing(results[0])[1] <= changing(results[1])[0]
    await b.judge({first, second})


@pytest.mark.asyncio(loop_scope="module")
async def test_turn_that_was_granted_for_an_older_request_is_none(shared: LiveCluster) -> None:
    """A grant may arrive after the turn was given back; the removal waits on, and so does one for another removal."""
    b = shared
    b.arm("remove_member.before")
    leader = await b.lab.leader()
    first, second = b.others(leader)[:2]
    holder = await b.start(first)
    await b.reached("remove_member.before")
    waiting = await b.start(second)
    await queued(b, second)
    entry = await entry_in(await queue_of(b), waiting)
    await execute_update(waiting, "recheck")  # it asks once more

    async def asked_again() -> bool:
        return (await entry_in(await queue_of(b), waiting)).request > entry.request

    await wait_until(asked_again, "the queue has its next request", 60)
    late = QueuePosition(granted=True, chain_id=entry.chain_id, request=entry.request)
    for grant in (late, late.model_copy(update={"chain_id": "another"}), late.model_copy(update={"chain_id": ""})):
        await waiting.signal("your_turn", grant)
    assert (await waiting.query("progress"))["state"] == "Queued"
    b.release("remove_member.before")
    results = [await removal.result() for removal in (holder, waiting)]
    assert changing(results[0])[1] <= changing(results[1])[0]
    await b.judge({first, second})


@pytest.mark.asyncio(loop_scope="module")
async def test_waiting_for_a_day_costs_a_few_thousand_events(shared: LiveCluster) -> None:
    """Each time that a removal asks again it adds some events to its history and to the queue's: counted for a day."""
    day, asks, times = timedelta(), 0, 20
    while day < timedelta(days=1):
        day, asks = day + rejoin_pause(asks), asks + 1
    b = shared
    b.arm("remove_member.before")
    leader = await b.lab.leader()
    first, second = b.others(leader)[:2]
    holder = await b.start(first)
    await b.reached("remove_member.before")
    waiting = await b.start(second)
    await queued(b, second)
    queue = await queue_of(b)
    before = [(await handle.describe()).history_length for handle in (waiting, queue)]
    for _ in range(times):
        request = (await entry_in(queue, waiting)).request
        await execute_update(waiting, "recheck")

        async def asked_again(request: int = request) -> bool:
            return (await entry_in(queue, waiting)).request > request

        await wait_until(asked_again, "the queue has its next request", 60)
    after = [(await handle.describe()).history_length for handle in (waiting, queue)]
    events = [(last - first) / times * asks for first, last in zip(before, after, strict=True)]
    assert all(0 < count < MOST_EVENTS for count in events), events
    b.release("remove_member.before")
    for removal in (holder, waiting):
        assert (await removal.result()).outcome == "removed"
    b.gone |= {first, second}
