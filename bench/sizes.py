"""Looking at clusters of 3, 5 and 7 members, and removing their leader; and the same with one voter that hangs.

Run as `python -m bench.sizes [ROUNDS]`.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import sys
import time
from collections import defaultdict
from typing import TYPE_CHECKING, Final
from unittest import mock

from bench import lab_rounds, report
from etcd_handoff.config import load_config
from etcd_handoff.contract import RemovalRequest
from etcd_handoff.etcd.gateway import EtcdGateway
from etcd_handoff.lab import Lab, LabOptions, Role
from etcd_handoff.temporal.client import connect, start_removal

if TYPE_CHECKING:
    from temporalio.client import Client

SIZES: Final = (3, 5, 7)
LOOKS: Final = 5
"""Looks in each round."""
HANGING: Final = 5
"""The size of which one voter hangs; with three, no other one may be taken out then."""

Samples = dict[str, list[float]]


async def look(lab: Lab, gateway: EtcdGateway, looks: Samples, label: str) -> None:
    """Time `observe`, warm."""
    await gateway.observe()
    for _ in range(LOOKS):
        began = time.perf_counter()
        await gateway.observe()
        looks[f"{label} members"].append((time.perf_counter() - began) * 1000)
    await lab.leader()


async def remove(lab: Lab, client: Client, removals: Samples, label: str) -> None:
    """Time one removal of the leader; it is back when this returns."""
    leader = await lab.leader()
    began = time.perf_counter()
    await (await start_removal(client, RemovalRequest(cluster=lab.cluster, member=leader))).result()
    removals[f"{label} members"].append((time.perf_counter() - began) * 1000)
    for node in lab.nodes:
        lab.resume(Role.ETCD, node.name)
    await lab_rounds.bring_back(lab, leader)


async def run(rounds: int) -> tuple[Samples, Samples, float]:
    """Looks, removals, and the time-out of one call, all in ms."""
    looks, removals, limit = defaultdict[str, list[float]](list), defaultdict[str, list[float]](list), 0.0
    for size in SIZES:
        async with Lab(LabOptions(nodes=size, kubernetes=False, workers=("node0", "node1", "node2"))) as lab:
            with mock.patch.dict(os.environ, lab.environment):
                client = await connect()
                profile = load_config(lab.config_path).cluster(lab.cluster).etcd
                gateway, limit = EtcdGateway(profile), profile.call_timeout_seconds * 1000
                await lab_rounds.settle(lab)
                for number in range(rounds):
                    await look(lab, gateway, looks, str(size))
                    await remove(lab, client, removals, str(size))
                    if size == HANGING:
                        leader = await lab.leader()
                        lab.stop(Role.ETCD, lab.others(leader)[0].name)
                        await remove(lab, client, removals, f"{size}, one hangs:")
                    print(f"{size} members, round {number}", flush=True)
                await gateway.close()
    return looks, removals, limit


if __name__ == "__main__":
    seen, taken, one_timeout = asyncio.run(run(int(sys.argv[1]) if len(sys.argv) > 1 else 20))
    whole, hanging = (statistics.median(taken[f"{HANGING}{what} members"]) for what in ("", ", one hangs:"))
    report.write(
        "looks",
        "One look at the whole cluster",
        seen,
        "ms",
        ["linearizable member list and every member's status, asked in parallel on warm connections"],
        figures={"7 members / 3 members": statistics.median(seen["7 members"]) / statistics.median(seen["3 members"])},
    )
    report.write(
        "sizes",
        "A leader's removal, start to result, without Kubernetes",
        taken,
        "ms",
        [f"a call to etcd times out after {one_timeout:.0f} ms"],
        figures={"time-outs that a hanging voter costs": (hanging - whole) / one_timeout},
    )
