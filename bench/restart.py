"""A thousand watched clusters, and all workers start again at once.

Run as `python -m bench.restart [CLUSTERS [SECONDS [RESYNC_SECONDS]]]`. Temporal, the worker, workflows and activities
are real; etcd and Kubernetes are simulated. After SECONDS of work the only worker is killed and another one starts:
every watcher's history must be replayed there. What is measured is how long it takes until each watcher answers again,
and how often a workflow task ran into its time-out meanwhile. A short RESYNC_SECONDS lets histories grow as long as
they become; what comes of that is stored apart.
"""

from __future__ import annotations

import asyncio
import sys
import time
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, Final

from temporalio.api.enums.v1 import TimeoutType
from temporalio.service import RPCError

from bench import report, simulated
from bench.dev_server import dev_server
from bench.fleet import AT_ONCE, PATIENCE_SECONDS, TRIVIAL, fleet_worker, memory_kb
from etcd_handoff.lab.nodes import TUNING
from etcd_handoff.lab.waiting import wait_until
from etcd_handoff.reconciler.state import ReconcileEtcdMembersRequest
from etcd_handoff.temporal.client import start_watcher
from etcd_handoff.temporal.process_exit import end_process

if TYPE_CHECKING:
    from temporalio.client import WorkflowHandle

RESYNC_SECONDS: Final = 60.0
"""Each watcher compares all EtcdMembers this often as a rule, so that histories grow as they do in use, only faster."""
QUERY_SECONDS: Final = 5.0
SAMPLE: Final = 100
"""Watchers whose histories are read."""


async def answers(handle: WorkflowHandle[Any, Any]) -> bool:
    """Whether the watcher answers a query."""
    try:
        async with asyncio.timeout(QUERY_SECONDS):
            await handle.query("status")
    except (RPCError, TimeoutError):
        return False
    return True


async def until_all_answer(handles: list[WorkflowHandle[Any, Any]], began: float) -> list[float]:
    """Milliseconds from `began` until each watcher answered, in order."""
    gate, ended = asyncio.Semaphore(AT_ONCE), list[float]()

    async def one(handle: WorkflowHandle[Any, Any]) -> None:
        while True:
            async with gate:
                if await answers(handle):
                    ended.append((time.monotonic() - began) * 1000)
                    return

    async with asyncio.timeout(PATIENCE_SECONDS):
        await asyncio.gather(*map(one, handles))
    return sorted(ended)


async def timed_out(handle: WorkflowHandle[Any, Any]) -> tuple[int, int]:
    """Events of a watcher's history, and how many of them are workflow tasks that a worker took and did not end.

    Tasks for the lost worker's cache run into another time-out: no worker takes them, and they go to the next one.
    """
    events = [event async for event in handle.fetch_history_events()]
    late = [event for event in events if event.HasField("workflow_task_timed_out_event_attributes")]
    taken = TimeoutType.TIMEOUT_TYPE_START_TO_CLOSE
    return len(events), sum(event.workflow_task_timed_out_event_attributes.timeout_type == taken for event in late)


async def run(clusters: int, seconds: float, resync_seconds: float = RESYNC_SECONDS) -> None:
    """Measure, and store what came of it."""
    names = simulated.cluster_names(clusters)
    async with dev_server(*TUNING) as server, AsyncExitStack() as first:
        client = await server.our_client()
        pid = await first.enter_async_context(fleet_worker(server, clusters, TRIVIAL))
        handles = [
            await start_watcher(client, ReconcileEtcdMembersRequest(cluster=name, resync_seconds=resync_seconds))
            for name in names
        ]
        await until_all_answer(handles, time.monotonic())

        async def grown() -> bool:
            described = await handles[-1].describe()
            return (time.time() - described.start_time.timestamp()) > seconds

        await wait_until(grown, "histories have grown", seconds + PATIENCE_SECONDS)
        before = [await timed_out(handle) for handle in handles[:SAMPLE]]
        memory = memory_kb(pid)
        await first.aclose()
        began = time.monotonic()
        async with fleet_worker(server, clusters, TRIVIAL):
            ended = await until_all_answer(handles, began)
            after = [await timed_out(handle) for handle in handles[:SAMPLE]]
    lost = sum(late for _, late in after) - sum(late for _, late in before)
    report.write(
        "restart" if resync_seconds == RESYNC_SECONDS else "restart-long",
        f"{clusters} watched clusters: from the kill of the only worker until each watcher answers on the next",
        {"a watcher answers": ended},
        "ms",
        [
            "one worker with our settings, killed with SIGKILL; gateways simulated, Temporal's dev server real",
            f"watchers had run for {seconds:g} s with resync_seconds {resync_seconds:g}",
            "the time includes the start of the next worker's process, and that Temporal notices the lost one",
        ],
        figures={
            "events of a history, at most": max(events for events, _ in before),
            f"workflow tasks taken and not ended in time, of {len(after)} watchers": lost,
            "MB of the worker before": memory / 1000,
        },
    )


if __name__ == "__main__":
    numbers = [int(word) for word in sys.argv[1:]]
    asyncio.run(run(*numbers) if len(numbers) > 1 else run(numbers[0] if numbers else 1000, 300))
    end_process(0)
