"""A worker killed with SIGKILL in each step: how long until the step starts on another node.

Run as `python -m bench.takeover [ROUNDS]`. Workers with Temporal's own settings take turns with ours, and ours on a
Temporal server as it is with ours on one whose timers are prompt.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import sys
import tempfile
from collections import defaultdict
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from unittest import mock

from bench import lab_rounds, report
from etcd_handoff.contract import RemovalRequest
from etcd_handoff.failpoints import FAILPOINTS_VARIABLE, FOLDER_VARIABLE
from etcd_handoff.lab import Lab, LabOptions, Role
from etcd_handoff.lab.nodes import ROOT
from etcd_handoff.temporal.client import connect, start_removal

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from temporalio.client import Client, WorkflowHandle

STEPS: Final = ("check_leader", "move_leader", "await_election", "remove_member", "update_status")
NODES: Final = ("node0", "node1", "node2")
OURS, PROMPT, DEFAULTS = "etcd-handoff", "etcd-handoff, prompt timers", "Temporal's settings"
OUR_WORKER: Final = ROOT / "worker.py"
PROGRAMS: Final = {OURS: OUR_WORKER, PROMPT: OUR_WORKER, DEFAULTS: Path(__file__).parent / "default_worker.py"}
PROMPT_TIMERS: Final = ("--dynamic-config-value", 'history.timerProcessorMaxTimeShift="100ms"')
"""How far ahead the server reads its timers, 1 s by default; none that is set within that time fires before its end."""


async def run(rounds: int, default_rounds: int) -> dict[str, dict[str, list[float]]]:
    """Milliseconds from each kill until the step's next start, by settings and step."""
    samples: dict[str, dict[str, list[float]]] = {kind: defaultdict(list) for kind in PROGRAMS}
    with tempfile.TemporaryDirectory(prefix="etcd-handoff-bench-") as folder:
        async with bench(folder) as plain, bench(folder, PROMPT_TIMERS) as prompt:
            labs = {OURS: plain, PROMPT: prompt, DEFAULTS: plain}
            for number in range(rounds):
                for kind in PROGRAMS if number < default_rounds else [OURS, PROMPT]:
                    for step in STEPS:
                        found = await measure(*labs[kind], kind, step, Path(folder))
                        samples[kind][step].append(found)
                        print(f"round {number}: {kind}, {step}: {found:.0f} ms", flush=True)
    return samples


@asynccontextmanager
async def bench(folder: str, temporal_flags: tuple[str, ...] = ()) -> AsyncIterator[tuple[Lab, Client]]:
    """A lab whose workers die at the start of a step, and a client of its Temporal server."""
    env = ((FAILPOINTS_VARIABLE, ";".join(f"{step}.before=kill" for step in STEPS)), (FOLDER_VARIABLE, folder))
    async with Lab(LabOptions(kubernetes=False, worker_env=env, temporal_flags=temporal_flags)) as lab:
        with mock.patch.dict(os.environ, lab.environment):
            client = await connect()
        await lab_rounds.settle(lab)
        yield lab, client


async def measure(lab: Lab, client: Client, kind: str, step: str, folder: Path) -> float:
    """One removal of the leader, whose worker dies at the start of `step`."""
    for other in STEPS:  # a point that has acted acts no more
        (folder / f"{other}.before.hit").touch()
    (folder / f"{step}.before.hit").unlink()
    for name in NODES:
        lab.process(Role.WORKER, name).command[1] = str(PROGRAMS[kind])
    await asyncio.gather(*(lab.start_worker(name) for name in NODES))
    leader = await lab.leader()
    removal = await start_removal(client, RemovalRequest(cluster=lab.cluster, member=leader))
    await removal.result()
    killed = datetime.fromtimestamp((folder / f"{step}.before.hit").stat().st_mtime, UTC)
    started = await start_of(removal, step)
    await asyncio.gather(*(lab.kill(Role.WORKER, name) for name in NODES))
    await lab_rounds.bring_back(lab, leader)
    return (started - killed).total_seconds() * 1000


async def start_of(removal: WorkflowHandle[Any, Any], step: str) -> datetime:
    """When the attempt of this step began that ended it."""
    scheduled: dict[int, str] = {}
    async for event in removal.fetch_history_events():
        if event.HasField("activity_task_scheduled_event_attributes"):
            scheduled[event.event_id] = event.activity_task_scheduled_event_attributes.activity_type.name
        elif event.HasField("activity_task_started_event_attributes"):
            begun = event.activity_task_started_event_attributes
            if scheduled[begun.scheduled_event_id] == step and begun.attempt > 1:
                return event.event_time.ToDatetime(UTC)
    msg = f"{step} was not taken over"
    raise RuntimeError(msg)


def print_results(samples: dict[str, dict[str, list[float]]]) -> None:
    """Store what was measured."""
    every = {kind: [ms for found in steps.values() for ms in found] for kind, steps in samples.items()}
    medians = {kind: statistics.median(found) for kind, found in every.items()}
    report.write(
        "takeover",
        "From the kill of a worker until its step starts on another node",
        {f"{kind}: {step}": found for kind, steps in samples.items() for step, found in steps.items()},
        "ms",
        ["each step's worker is killed at the step's start", "three workers, one of them killed"],
        figures={
            "etcd-handoff, 95th percentile of all": report.p95(every[OURS]),
            "etcd-handoff, prompt timers, 95th percentile of all": report.p95(every[PROMPT]),
            "Temporal's settings / etcd-handoff, medians": medians[DEFAULTS] / medians[OURS],
        },
    )


if __name__ == "__main__":
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    print_results(asyncio.run(run(count, min(count, 2))))
