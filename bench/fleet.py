"""A thousand clusters that all ask for a removal at once, on one worker.

Run as `python -m bench.fleet [ROUNDS [CLUSTERS]]`. Temporal, the worker, workflows and activities are real, etcd and
Kubernetes are simulated. As many trivial workflows of as many activities, on such a worker, say what Temporal allows,
and with an empty second workflow each, 2 s later, what queues cost that do not wait for the end; removals that take no
turn say what ours cost.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bench import report, simulated
from bench.dev_server import DevServer, dev_server
from bench.fleet_worker import NO_TURNS, READY
from bench.trivial import Trivial
from etcd_handoff import time_limits
from etcd_handoff.contract import TASK_QUEUE, RemovalRequest, RemovalResult
from etcd_handoff.lab.nodes import ROOT, TUNING
from etcd_handoff.lab.processes import Process
from etcd_handoff.lab.waiting import wait_until
from etcd_handoff.reconciler.state import ReconcileEtcdMembersRequest
from etcd_handoff.temporal.client import start_removal, start_watcher
from etcd_handoff.temporal.process_exit import end_process

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from temporalio.client import Client, WorkflowHandle

    Start = Callable[[str], Awaitable[WorkflowHandle[Any, Any]]]

REMOVAL, TURNLESS, TRIVIAL, PAIRED = (
    "a leader's removal",
    "the same without a turn",
    "as many trivial activities",
    "the same, and an empty workflow each",
)
ACTIVITIES: Final = 5
AT_ONCE: Final = 50
"""Requests that are on their way at a time, so that they do not run into their own time-outs."""
READY_SECONDS: Final = 60.0
PATIENCE_SECONDS: Final = 600.0


@dataclass(frozen=True, slots=True)
class Burst:
    """What came of starting all at once.

    Attributes:
        ended: Milliseconds from the first start until each had ended, in order.
        memory: Largest resident memory of the worker beyond what it had before, in kB for each workflow.
    """

    ended: list[float]
    memory: float


async def burst(client: Client, worker: int, start: Start, names: list[str]) -> Burst:
    """Start one workflow for each cluster, all at once, and wait until the last has ended."""
    gate, before, most, done = asyncio.Semaphore(AT_ONCE), memory_kb(worker), 0.0, asyncio.Event()

    async def one(name: str) -> WorkflowHandle[Any, Any]:
        async with gate:
            return await start(name)

    async def look() -> None:
        nonlocal most
        while not done.is_set():
            most = max(most, memory_kb(worker) - before)
            await asyncio.sleep(0.1)

    looking, began = asyncio.create_task(look()), time.time()
    started = await asyncio.gather(*(one(name) for name in names))
    ended = []
    for handle in started:
        result = await asyncio.wait_for(handle.result(), PATIENCE_SECONDS)
        if isinstance(result, RemovalResult) and (result.outcome != "removed" or not result.status_recorded):
            msg = f"{handle.id}: {result.outcome}, {result.status_note}"
            raise RuntimeError(msg)
        closed = (await handle.describe()).close_time
        ended.append((closed.timestamp() - began) * 1000 if closed else 0.0)
    done.set()
    await looking
    await quiet(client)
    return Burst(sorted(ended), most / len(names))


async def quiet(client: Client) -> None:
    """Nothing runs, the queues of the clusters neither."""

    async def nothing() -> bool:
        return (await client.count_workflows('ExecutionStatus = "Running"')).count == 0

    await wait_until(nothing, "nothing runs", PATIENCE_SECONDS)


def memory_kb(pid: int) -> float:
    """Resident memory of a process."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith("VmRSS:"))


async def watched(client: Client, worker: int, names: list[str]) -> float:
    """Resident memory of the worker for each watched cluster, in kB."""
    before = memory_kb(worker)
    handles = [await start_watcher(client, ReconcileEtcdMembersRequest(cluster=name)) for name in names]

    async def all_watch() -> bool:
        seen = [await handle.query("status") for handle in handles]
        return all(len(found["members"]) == len(simulated.NAMES) for found in seen)

    await wait_until(all_watch, "all are watched", PATIENCE_SECONDS)
    grown = memory_kb(worker) - before
    await asyncio.gather(*(handle.cancel() for handle in handles))
    return grown / len(names)


async def run(rounds: int, clusters: int) -> tuple[dict[str, list[Burst]], float]:
    """Bursts of all kinds by turns, then all clusters watched."""
    kinds = [TRIVIAL, PAIRED, TURNLESS, REMOVAL]
    bursts: dict[str, list[Burst]] = {kind: [] for kind in kinds}
    names, grown = simulated.cluster_names(clusters), 0.0
    async with dev_server(*TUNING) as server:
        client = await server.our_client()

        async def trivial(name: str) -> WorkflowHandle[Any, Any]:
            waits = [0.0] * ACTIVITIES
            return await client.start_workflow(Trivial.run, waits, id=f"trivial/{name}", task_queue=TASK_QUEUE)

        async def paired(name: str) -> WorkflowHandle[Any, Any]:
            nothing, empty_id = list[float](), f"empty/{name}"
            await client.start_workflow(
                Trivial.run,
                nothing,
                id=empty_id,
                task_queue=TASK_QUEUE,
                start_delay=time_limits.OPERATION.queue_start_delay,
            )
            return await trivial(name)

        async def removal(name: str) -> WorkflowHandle[Any, Any]:
            return await start_removal(client, RemovalRequest(cluster=name, member=simulated.LEADER))

        starts = {TRIVIAL: trivial, PAIRED: paired, TURNLESS: removal, REMOVAL: removal}
        for number in range(rounds):
            for kind in kinds[:: -1 if number % 2 else 1]:
                async with fleet_worker(server, clusters, kind) as pid:
                    found = await burst(client, pid, starts[kind], names)
                    bursts[kind].append(found)
                    print(f"round {number}: {kind}: {found.ended[-1]:.0f} ms, {found.memory:.0f} kB each", flush=True)
                    if (number, kind) == (rounds - 1, TRIVIAL):
                        grown = await watched(client, pid, names)
    return bursts, grown


@asynccontextmanager
async def fleet_worker(server: DevServer, clusters: int, kind: str) -> AsyncIterator[int]:
    """The process ID of a worker whose clusters are whole, and whose memory holds nothing of an earlier burst."""
    command = [sys.executable, "-m", "bench.fleet_worker", str(clusters), *[NO_TURNS] * (kind == TURNLESS)]
    env = {"TEMPORAL_ADDRESS": server.address}
    process = Process("fleet-worker", command, server.folder / "worker.log", env, ROOT)
    process.start()

    async def ready() -> bool:
        return process.log_contains(READY)

    await process.ready_when(ready, READY_SECONDS)
    try:
        yield process.pid or 0
    finally:
        await process.kill()


def print_results(rounds: int, clusters: int, bursts: dict[str, list[Burst]], watch_kb: float) -> None:
    """Store what was measured."""
    last = {kind: statistics.median(found.ended[-1] for found in of_it) for kind, of_it in bursts.items()}
    report.write(
        "fleet",
        f"{clusters} clusters at once: from the first start until each has ended",
        {kind: [ms for found in of_it for ms in found.ended] for kind, of_it in bursts.items()},
        "ms",
        [
            "one worker with our settings, gateways simulated with latencies of loopback, Temporal's dev server real",
            f"{rounds} rounds, a fresh worker for each burst",
        ],
        figures={
            "throughput, removals / trivial": last[TRIVIAL] / last[REMOVAL],
            "throughput, trivial with an empty workflow each / trivial": last[TRIVIAL] / last[PAIRED],
            "throughput, removals without a turn / trivial": last[TRIVIAL] / last[TURNLESS],
            "removals per second": clusters / last[REMOVAL] * 1000,
            "kB of the worker for each open removal, at most": max(found.memory for found in bursts[REMOVAL]),
            "kB of the worker for each watched cluster": watch_kb,
            "last / median end of a removal": last[REMOVAL] / statistics.median(bursts[REMOVAL][-1].ended),
        },
    )


if __name__ == "__main__":
    numbers = [int(word) for word in sys.argv[1:]]
    sizes = (numbers[0] if numbers else 2, numbers[1] if len(numbers) > 1 else 1000)
    print_results(*sizes, *asyncio.run(run(*sizes)))
    end_process(0)
