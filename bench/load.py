"""A leader's removal while etcd holds 100 MB and takes a put every millisecond, against the same load with no removal.

Run as `python -m bench.load [ROUNDS]`.
"""

from __future__ import annotations

import asyncio
import base64
import os
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Final
from unittest import mock

from bench import arena, report
from etcd_handoff.client import connect, start_removal
from etcd_handoff.lab import Lab, LabOptions, http
from etcd_handoff.lab.writer import OpenLoopWriter, missing
from etcd_handoff.model import RemovalRequest

WRITERS: Final = 2
"""Of 500 puts a second each: one process of Python is no steady source of 1,000."""
INTERVAL_MS: Final = 2.0
VALUES: Final = 400
VALUE_BYTES: Final = 256 * 1024
SOON_SNAPSHOT: Final = ("--snapshot-count=500", "--snapshot-catchup-entries=500")
"""A member that comes back gets a snapshot: a new one that has thousands of entries to apply refuses all requests, its
own first one too, and does little else (etcd server/etcdserver/v3_server.go, maxGapBetweenApplyAndCommitIndex)."""
WINDOW_SECONDS: Final = 2.0
BUSY, REMOVAL = "load alone", "load and a leader's removal"


async def fill(url: str) -> None:
    """100 MB of values."""
    for number in range(VALUES):
        value = base64.b64encode(os.urandom(VALUE_BYTES)).decode()
        key = base64.b64encode(f"fill/{number}".encode()).decode()
        await http.post(f"{url}/v3/kv/put", {"key": key, "value": value}, timeout_seconds=30)


async def run(rounds: int) -> tuple[dict[str, list[float]], dict[str, float]]:
    """Longest gap of each round in ms, and what else was counted."""
    gaps: dict[str, list[float]] = defaultdict(list)
    counted = {"acknowledged puts lost": 0.0, "puts acknowledged a second": 0.0}
    rates: list[float] = []
    with tempfile.TemporaryDirectory(prefix="etcd-handoff-bench-") as folder:
        options = LabOptions(kubernetes=False, workers=("node0", "node1", "node2"), etcd_flags=SOON_SNAPSHOT)
        async with Lab(options) as lab:
            with mock.patch.dict(os.environ, lab.environment):
                client = await connect()
                await fill(lab.nodes[0].etcd_url)
                await arena.settle(lab)
                for number in range(rounds):
                    for way in (BUSY, REMOVAL):
                        who = await arena.roles(lab)
                        url = lab.node(who.writer).etcd_url
                        writers = [OpenLoopWriter(url, Path(folder), INTERVAL_MS) for _ in range(WRITERS)]
                        await asyncio.gather(*(writer.start() for writer in writers))
                        await asyncio.sleep(0.5)
                        since = time.monotonic()
                        if way == REMOVAL:
                            request = RemovalRequest(cluster=lab.cluster, member=who.leader)
                            await (await start_removal(client, request)).result()
                        await asyncio.sleep(max(0.5, since + WINDOW_SECONDS - time.monotonic()))
                        until = time.monotonic()
                        written = await asyncio.gather(*(writer.stop() for writer in writers))
                        gaps[way].append(max(one.longest_gap_ms(since, until) for one in written))
                        puts = [put for one in written for put in one.acknowledged if since <= put.answered <= until]
                        rates.append(len(puts) / (until - since))
                        left = [n.etcd_url for n in lab.nodes if way == BUSY or n.name != who.leader]
                        for one in written:
                            lost = await missing(one, left)
                            counted["acknowledged puts lost"] += sum(map(len, lost.values()))
                            failed = f"failed puts: {way}"
                            counted[failed] = counted.get(failed, 0) + len(one.failed)
                        if way == REMOVAL:
                            await arena.bring_back(lab, who.leader)
                        print(f"round {number}: {way}: {gaps[way][-1]:.1f} ms", flush=True)
    counted["puts acknowledged a second"] = statistics.median(rates)
    return gaps, counted


if __name__ == "__main__":
    found, others = asyncio.run(run(int(sys.argv[1]) if len(sys.argv) > 1 else 20))
    report.write(
        "load",
        "Longest gap between acknowledged writes with 100 MB and 1,000 puts a second",
        found,
        "ms",
        ["two open-loop writers through a survivor; the gap is the longer one's", "both ways take turns"],
        figures=others,
    )
