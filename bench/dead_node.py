"""A removal of the leader where each worker reaches its own member alone, with another node dead, and with all alive.

Run as `python -m bench.dead_node [ROUNDS]`, as root: nodes have network namespaces of their own. Each round starts a
fresh cluster of four for each case, with TLS everywhere. The dead node's etcd and API server are killed a
moment before. Timed from the start of the removal until the API server of a node that stays shows `Joined=False`.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
from typing import TYPE_CHECKING, Final

from bench import report
from bench.isolated import GAP, measure
from etcd_handoff.lab import LabOptions, Role

if TYPE_CHECKING:
    from collections.abc import Sequence

    from etcd_handoff.lab import Lab

NODES: Final = ("node0", "node1", "node2", "node3")
ALIVE, DEAD, LONG_DEAD = "all nodes alive", "one node has just died", "one node has no worker for long"
WARM_SECONDS: Final = 1.0
OPTIONS: Final = LabOptions(nodes=len(NODES), isolated=True)


async def start_workers(lab: Lab, names: Sequence[str]) -> None:
    """They run, and have made their first connections."""
    for name in names:
        await lab.start_worker(name)
    await asyncio.sleep(WARM_SECONDS)


async def all_alive(lab: Lab) -> None:
    """Each node has its worker."""
    await start_workers(lab, NODES)


async def just_died(lab: Lab) -> None:
    """A node that neither leads nor is watched dies as a whole; Temporal still lists its worker."""
    await all_alive(lab)
    node = lab.others(await lab.leader())[-1].name
    for role in (Role.WORKER, Role.APISERVER, Role.ETCD):
        await lab.kill(role, node)


async def long_dead(lab: Lab) -> None:
    """The same, and Temporal lists no worker there: none has ever been, which is as if it had died minutes ago."""
    node = lab.others(await lab.leader())[-1].name
    await start_workers(lab, [name for name in NODES if name != node])
    for role in (Role.APISERVER, Role.ETCD):
        await lab.kill(role, node)


CASES: Final = {ALIVE: all_alive, DEAD: just_died, LONG_DEAD: long_dead}


async def run(rounds: int) -> tuple[dict[str, list[float]], int]:
    """Milliseconds until the record, and of the longest write gap, by case; how many acknowledged puts were lost."""
    samples: dict[str, list[float]] = {f"{case}{what}": [] for what in ("", GAP) for case in CASES}
    lost = 0
    for number in range(rounds):
        for case, inject in CASES.items():
            recorded, gap, gone = await measure(OPTIONS, inject)
            samples[case].append(recorded)
            samples[f"{case}{GAP}"].append(gap)
            lost += gone
            print(f"round {number}: {case}: {recorded:.0f} ms, longest gap {gap:.1f} ms", flush=True)
    return samples, lost


def print_results(samples: dict[str, list[float]], lost: int) -> None:
    """Store what was measured."""
    medians = {name: statistics.median(found) for name, found in samples.items()}
    report.write(
        "dead_node",
        "From the start of the leader's removal until Joined=False is seen, where each worker reaches its own member",
        samples,
        "ms",
        ["a fresh cluster of four for each sample, in turns", "TLS everywhere, a worker on each node"],
        figures={
            **{f"{case} / {ALIVE}, medians": medians[case] / medians[ALIVE] for case in (DEAD, LONG_DEAD)},
            "acknowledged puts lost": lost,
        },
    )


if __name__ == "__main__":
    print_results(*asyncio.run(run(int(sys.argv[1]) if len(sys.argv) > 1 else 5)))
