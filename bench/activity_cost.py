"""The cost of one activity: our worker against a bare one of the SDK, in turns on the same dev server.

`python -m bench.activity_cost`; about a minute and a half.
"""

from __future__ import annotations

import asyncio
import statistics
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from temporalio.api.enums.v1 import EventType
from temporalio.worker import Worker

from bench.dev_server import dev_server, our_worker
from bench.report import write
from bench.trivial import Trivial, trivial
from etcd_handoff.lab.nodes import READS, WRITE_AHEAD
from etcd_handoff.temporal.process_exit import end_process

if TYPE_CHECKING:
    from temporalio.api.history.v1 import HistoryEvent
    from temporalio.client import Client

REPETITIONS: Final = 30
WARMING: Final = 5
"""Runs before the first that counts. The server lets 20 reads through before it begins to space them out."""
ACTIVITIES: Final = 10
OURS, BARE = "ours", "bare"
SETUPS: Final[dict[str, tuple[bool, tuple[str, ...]]]] = {
    "in memory": (True, ()),
    "file": (False, ()),
    "in memory, 50 reads/s": (True, (READS.format(50),)),
    "in memory, reads unlimited": (True, (READS.format(100_000),)),
    "file, reads unlimited": (False, (READS.format(100_000),)),
    "file, written ahead": (False, (READS.format(100_000), WRITE_AHEAD)),
}
NOTES: Final = (
    f"{REPETITIONS} workflows of {ACTIVITIES} activities each, after {WARMING} that do not count.",
    "Ours and the bare worker run in one process on the same dev server, by turns.",
    "A sample is the time from ActivityTaskScheduled to the next WorkflowTaskStarted in the history.",
    "Ours: temporal.worker.make_worker and our data converter; bare: temporalio's Worker and Client with no settings.",
    (
        "The server reads each history shard's queue of tasks for workers at most 20 times a second "
        "(history.transferProcessorMaxPollRPS), and the dev server has one shard. After a burst of 20 each workflow "
        "task waits until 50 ms after the one before; with 50 reads a second it is 20 ms; without the limit no wait."
    ),
)


@dataclass
class Costs:
    """Milliseconds, one sample an activity.

    Attributes:
        cost: From ActivityTaskScheduled to the next WorkflowTaskStarted.
        waits: The part of it from WorkflowTaskScheduled on, which is the server's and the poll's alone.
        cycles: From one WorkflowTaskStarted to the next, deciding included.
    """

    cost: list[float] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)
    cycles: list[float] = field(default_factory=list)

    def add(self, events: list[HistoryEvent]) -> None:
        """What the history of one run says."""
        scheduled = _times(events, EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED)
        task_times = _times(events, EventType.EVENT_TYPE_WORKFLOW_TASK_SCHEDULED)
        started = _times(events, EventType.EVENT_TYPE_WORKFLOW_TASK_STARTED)
        # The first task begins the workflow, each later one follows its activity.
        self.cost += [then - at for at, then in zip(scheduled, started[1:], strict=True)]
        self.waits += [then - at for at, then in zip(task_times[1:], started[1:], strict=True)]
        self.cycles += [then - at for at, then in pairwise(started)]


def _times(events: list[HistoryEvent], kind: EventType.ValueType) -> list[float]:
    return [event.event_time.ToNanoseconds() / 1e6 for event in events if event.event_type == kind]


async def history(client: Client, queue: str, number: int) -> list[HistoryEvent]:
    """The events of one workflow of trivial activities."""
    waits = [0.0] * ACTIVITIES
    handle = await client.start_workflow(Trivial.run, waits, id=f"{queue}-{number}", task_queue=queue)
    await handle.result()
    return list((await handle.fetch_history()).events)


async def measure(*flags: str, in_memory: bool) -> dict[str, Costs]:
    """Both workers on one dev server, by turns."""
    costs = {OURS: Costs(), BARE: Costs()}
    async with dev_server(*flags, in_memory=in_memory) as server:
        clients = {OURS: await server.our_client(), BARE: await server.bare_client()}
        async with (
            our_worker(clients[OURS], OURS, [trivial], [Trivial]),
            Worker(clients[BARE], task_queue=BARE, workflows=[Trivial], activities=[trivial]),
        ):
            for number in range(-WARMING, REPETITIONS):
                # Each follows the other as often as the other way round.
                for name in (OURS, BARE) if number % 2 else (BARE, OURS):
                    events = await history(clients[name], name, number)
                    if number >= 0:
                        costs[name].add(events)
    return costs


async def measure_all() -> None:
    """Every setup, and what it comes to."""
    series: dict[str, list[float]] = {}
    figures: dict[str, float] = {}
    for setup, (in_memory, flags) in SETUPS.items():
        costs = await measure(*flags, in_memory=in_memory)
        medians = {name: statistics.median(of.cost) for name, of in costs.items()}
        for name, of in costs.items():
            series[f"{name}, {setup}"] = of.cost
            figures[f"median cycle, {name}, {setup}"] = statistics.median(of.cycles)
        figures[f"median wait for the workflow task, bare, {setup}"] = statistics.median(costs[BARE].waits)
        figures[f"ours / bare, {setup}"] = medians[OURS] / medians[BARE]
    write(
        "activity_cost",
        "One trivial activity: from its scheduling to the next workflow task",
        series,
        "ms",
        NOTES,
        figures=figures,
    )


def main() -> None:
    """Measure and write the results."""
    asyncio.run(measure_all())
    end_process(0)


if __name__ == "__main__":
    main()
