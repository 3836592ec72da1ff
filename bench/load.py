"""A leader's removal while etcd holds 100 MB and takes a put every millisecond, against the same load with no removal.

Run as `python -m bench.load [ROUNDS]`.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import sys
import tempfile
import time
from collections import Counter, defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Final
from unittest import mock

from bench import lab_rounds, report
from etcd_handoff.contract import RemovalRequest
from etcd_handoff.lab import Lab, LabOptions
from etcd_handoff.lab.writer import OpenLoopWriter, missing
from etcd_handoff.temporal.client import connect, start_removal

if TYPE_CHECKING:
    from temporalio.client import Client

WRITERS: Final = 2
"""Of 500 puts a second each: one process of Python is no steady source of 1,000."""
INTERVAL_MS: Final = 2.0
VALUES: Final = 400
VALUE_BYTES: Final = 256 * 1024
WARM_SECONDS: Final = 0.5
WINDOW_SECONDS: Final = 2.0
BUSY, REMOVAL = "load alone", "load and a leader's removal"


async def measure(lab: Lab, client: Client, way: str, folder: Path) -> tuple[float, float, Counter[str]]:
    """The longest gap in ms, puts acknowledged a second, and how many puts were lost and failed."""
    who, counted = await lab_rounds.roles(lab), Counter[str]()
    writers = [OpenLoopWriter(lab.node(who.writer).etcd_url, folder, INTERVAL_MS) for _ in range(WRITERS)]
    await asyncio.gather(*(writer.start() for writer in writers))
    await asyncio.sleep(WARM_SECONDS)
    since = time.monotonic()
    if way == REMOVAL:
        request = RemovalRequest(cluster=lab.cluster, member=who.leader)
        await (await start_removal(client, request)).result()
    await asyncio.sleep(max(WARM_SECONDS, since + WINDOW_SECONDS - time.monotonic()))
    until = time.monotonic()
    written = await asyncio.gather(*(writer.stop() for writer in writers))
    left = [node.etcd_url for node in lab.nodes if way == BUSY or node.name != who.leader]
    for one in written:
        counted["acknowledged puts lost"] += sum(map(len, (await missing(one, left)).values()))
        counted[f"failed puts: {way}"] += len(one.failed)
    puts = [put for one in written for put in one.acknowledged if since <= put.answered <= until]
    return max(one.longest_gap_ms(since, until) for one in written), len(puts) / (until - since), counted


async def run(rounds: int) -> tuple[dict[str, list[float]], dict[str, float]]:
    """Longest gap of each round in ms, and what else was counted."""
    gaps: dict[str, list[float]] = defaultdict(list)
    rates, counted = list[float](), Counter[str]()
    for number in range(rounds):
        # A lab for each: a member that comes back under load has thousands of entries to apply and refuses all requests
        # meanwhile, its own first one too (etcd server/etcdserver/v3_server.go, maxGapBetweenApplyAndCommitIndex).
        with tempfile.TemporaryDirectory(prefix="etcd-handoff-bench-") as folder:
            async with Lab(LabOptions(kubernetes=False, workers=("node0", "node1", "node2"))) as lab:
                with mock.patch.dict(os.environ, lab.environment):
                    client = await connect()
                    await lab_rounds.fill(lab.nodes[0].etcd_url, VALUES, VALUE_BYTES)
                    await lab_rounds.settle(lab)
                    for way in (BUSY, REMOVAL):
                        gap, rate, more = await measure(lab, client, way, Path(folder))
                        gaps[way].append(gap)
                        rates.append(rate)
                        counted.update(more)
                        print(f"round {number}: {way}: {gap:.1f} ms", flush=True)
    return gaps, {"puts acknowledged a second": statistics.median(rates), **counted}


if __name__ == "__main__":
    found, others = asyncio.run(run(int(sys.argv[1]) if len(sys.argv) > 1 else 20))
    report.write(
        "load",
        "Longest gap between acknowledged writes with 100 MB and 1,000 puts a second",
        found,
        "ms",
        [
            "two open-loop writers through a survivor; the gap is the longer one's",
            "a new lab for each round, the load alone first",
        ],
        figures=others,
    )
