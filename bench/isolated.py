"""A removal of the leader where each worker reaches its own member alone, against one where all reach all.

Run as `python -m bench.isolated [ROUNDS]`, as root: the nodes of the first have network namespaces of their own. Each
round starts a fresh cluster of either kind, both with TLS everywhere. A third one has workers without the task queue of
their node, which nothing needs where all reach all. Timed from the start of
the removal until the API server of a node that stays shows `Joined=False` to a watch.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final
from unittest import mock

from bench import lab_rounds, report
from etcd_handoff.contract import RemovalRequest
from etcd_handoff.lab import Lab, LabOptions, Role
from etcd_handoff.lab.writer import OpenLoopWriter, missing
from etcd_handoff.temporal.client import connect, start_removal

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

NODES: Final = ("node0", "node1", "node2")
ISOLATED, REACHED = "each worker reaches its own member", "all workers reach all members"
COMMON = f"{REACHED}, no task queues of nodes"
KINDS: Final = {
    ISOLATED: LabOptions(workers=NODES, isolated=True),
    REACHED: LabOptions(workers=NODES, tls=True),
    COMMON: LabOptions(tls=True),
}
COMMON_WORKER: Final = Path(__file__).parent / "common_queue_worker.py"
GAP: Final = ", longest write gap"


async def run(rounds: int) -> tuple[dict[str, list[float]], int]:
    """Milliseconds until the record, and of the longest write gap, by kind; how many acknowledged puts were lost."""
    samples: dict[str, list[float]] = {f"{kind}{what}": [] for what in ("", GAP) for kind in KINDS}
    lost = 0
    for number in range(rounds):
        for kind, options in KINDS.items():
            recorded, gap, gone = await measure(options, program=COMMON_WORKER if kind == COMMON else None)
            samples[kind].append(recorded)
            samples[f"{kind}{GAP}"].append(gap)
            lost += gone
            print(f"round {number}: {kind}: {recorded:.0f} ms, longest gap {gap:.1f} ms", flush=True)
    return samples, lost


async def measure(
    options: LabOptions, inject: Callable[[Lab], Awaitable[None]] | None = None, program: Path | None = None
) -> tuple[float, float, int]:
    """One removal of the leader on a fresh cluster: until it is recorded, longest gap, acknowledged puts lost.

    Args:
        options: The cluster.
        inject: What happens to it before the removal starts.
        program: The worker that runs on each node; None where the options say which nodes have ours.
    """
    with tempfile.TemporaryDirectory(prefix="etcd-handoff-bench-") as folder:
        async with Lab(options) as lab:
            with mock.patch.dict(os.environ, lab.environment):
                client = await connect()
            for node in NODES if program else ():
                lab.process(Role.WORKER, node).command[1] = str(program)
                await lab.start_worker(node)
            await lab.wait_for_health_interval()
            await lab_rounds.settle(lab)
            leader = await lab.leader()
            survivors = lab.others(leader)
            if inject is not None:
                await inject(lab)
            async with (
                OpenLoopWriter(survivors[0].etcd_url, Path(folder)) as writer,
                lab_rounds.watching(lab, leader, survivors[0].name) as watch,
            ):
                began = time.perf_counter()
                removal = await start_removal(client, RemovalRequest(cluster=lab.cluster, member=leader))
                recorded = await watch.shows("False") - began
                await removal.result()
                written = await writer.stop()
            alive = [node.etcd_url for node in survivors if lab.alive(Role.ETCD, node.name)]
            lost = await missing(written, alive)
            return recorded * 1000, written.longest_gap_ms(began), sum(map(len, lost.values()))


def print_results(samples: dict[str, list[float]], lost: int) -> None:
    """Store what was measured."""
    medians = {name: statistics.median(found) for name, found in samples.items()}
    report.write(
        "isolated",
        "From the start of the leader's removal until Joined=False is seen",
        samples,
        "ms",
        ["a fresh cluster of three for each sample, in turns", "TLS everywhere, a worker on each node"],
        figures={
            "own member alone / all members, medians": medians[ISOLATED] / medians[REACHED],
            "all members / the same without task queues of nodes, medians": medians[REACHED] / medians[COMMON],
            "acknowledged puts lost": lost,
        },
    )


if __name__ == "__main__":
    print_results(*asyncio.run(run(int(sys.argv[1]) if len(sys.argv) > 1 else 10)))
