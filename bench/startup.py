"""Start-up: the command line, and a worker until it takes work.

Run as `python -m bench.startup [ROUNDS]`.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bench import report
from etcd_handoff.lab import Lab, LabOptions, Role
from etcd_handoff.lab.processes import run as run_program

if TYPE_CHECKING:
    from collections.abc import Awaitable

PYTHON, HELP, PLAN, WORKER = "python -c pass", "etcd-handoff --help", "etcd-handoff plan", "worker ready"
COMMAND: Final = str(Path(sys.executable).parent / "etcd-handoff")
NODE: Final = "node0"


async def run(rounds: int) -> dict[str, list[float]]:
    """Milliseconds by what was started; they take turns."""
    samples: dict[str, list[float]] = defaultdict(list)
    async with Lab(LabOptions(kubernetes=False)) as lab:
        plan = [COMMAND, "plan", await lab.leader()]
        for number in range(-1, rounds):
            found = {
                PYTHON: await _taken(_program([sys.executable, "-c", "pass"], lab)),
                HELP: await _taken(_program([COMMAND, "--help"], lab)),
                PLAN: await _taken(_program(plan, lab)),
                WORKER: await _taken(lab.start_worker(NODE)),
            }
            await lab.kill(Role.WORKER, NODE)
            if number >= 0:  # the first of each reads its files from the disk
                for name, milliseconds in found.items():
                    samples[name].append(milliseconds)
    return samples


async def _taken(doing: Awaitable[None]) -> float:
    began = time.perf_counter()
    await doing
    return (time.perf_counter() - began) * 1000


async def _program(command: list[str], lab: Lab) -> None:
    status, _, errors = await run_program(command, lab.environment, lab.directory)
    if status != 0:
        msg = f"{command}: {errors}"
        raise RuntimeError(msg)


def print_results(samples: dict[str, list[float]]) -> None:
    """Store what was measured."""
    medians = {name: statistics.median(found) for name, found in samples.items()}
    report.write(
        "startup",
        "Start-up",
        samples,
        "ms",
        ["files are in the page cache", "etcd and Temporal run on the same machine"],
        figures={f"{name} / {PYTHON}": medians[name] / medians[PYTHON] for name in (HELP, PLAN, WORKER)},
    )


if __name__ == "__main__":
    print_results(asyncio.run(run(int(sys.argv[1]) if len(sys.argv) > 1 else 20)))
