"""A removal of the leader where each worker reaches its own member alone, with another node dead, and with all alive.

Run as `python -m bench.dead_node [ROUNDS]`, as root: nodes have network namespaces of their own. Each round starts a
fresh cluster of four for either case, with TLS everywhere. The dead node's etcd, API server and worker are killed a
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
    from etcd_handoff.lab import Lab

NODES: Final = ("node0", "node1", "node2", "node3")
ALIVE, DEAD = "all nodes alive", "one node dead"
OPTIONS: Final = LabOptions(nodes=len(NODES), workers=NODES, isolated=True)


async def kill_one(lab: Lab) -> None:
    """A node that neither leads nor is watched dies as a whole."""
    node = lab.others(await lab.leader())[-1].name
    for role in (Role.WORKER, Role.APISERVER, Role.ETCD):
        await lab.kill(role, node)


async def run(rounds: int) -> tuple[dict[str, list[float]], int]:
    """Milliseconds until the record, and of the longest write gap, by case; how many acknowledged puts were lost."""
    samples: dict[str, list[float]] = {f"{case}{what}": [] for what in ("", GAP) for case in (ALIVE, DEAD)}
    lost = 0
    for number in range(rounds):
        for case in (ALIVE, DEAD):
            recorded, gap, gone = await measure(OPTIONS, kill_one if case == DEAD else None)
            samples[case].append(recorded)
            samples[f"{case}{GAP}"].append(gap)
            lost += gone
            print(f"round {number}: {case}: {recorded:.0f} ms, longest gap {gap:.1f} ms", flush=True)
    return samples, lost


def tell(samples: dict[str, list[float]], lost: int) -> None:
    """Store what was measured."""
    medians = {name: statistics.median(found) for name, found in samples.items()}
    report.write(
        "dead_node",
        "From the start of the leader's removal until Joined=False is seen, where each worker reaches its own member",
        samples,
        "ms",
        ["a fresh cluster of four for each sample, in turns", "TLS everywhere, a worker on each node"],
        figures={"one node dead / all alive, medians": medians[DEAD] / medians[ALIVE], "acknowledged puts lost": lost},
    )


if __name__ == "__main__":
    tell(*asyncio.run(run(int(sys.argv[1]) if len(sys.argv) > 1 else 5)))
