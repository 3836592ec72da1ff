"""A live leader is replaced by a new member while a writer writes: how long, and the longest gap between its writes.

Run as `python -m bench.replace [ROUNDS]`. Ours takes turns with what an operator types from a runbook, as fast as a
script can type it, and with the naive order: the leader is removed through itself, then the new member is added with a
vote.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from unittest import mock

from bench import lab_rounds, report
from etcd_handoff.contract import Progress, RemovalRequest, ReplacementRequest
from etcd_handoff.lab import Lab, LabOptions, Role, wait_until
from etcd_handoff.lab.cluster import HEALTH_INTERVAL_SECONDS
from etcd_handoff.lab.naive import leave
from etcd_handoff.lab.nodes import InitialCluster
from etcd_handoff.lab.writer import OpenLoopWriter, missing
from etcd_handoff.temporal.client import connect, start_removal, start_replacement

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from temporalio.client import Client

    from etcd_handoff.lab.nodes import Node

OURS, RUNBOOK, NAIVE, IDLE = "etcd-handoff", "runbook of etcdctl", "naive order", "idle"
INTERVAL_MS: Final = 2
WARM_SECONDS: Final = 1.0
SETTLE_SECONDS: Final = 2.0
READY_SECONDS: Final = 60.0
CAUGHT_UP_ENTRIES: Final = 500
"""Entries that the learner of the runbook may lag behind: one second of the writer's."""


@dataclass(frozen=True, slots=True)
class Cast:
    """Who is who in one replacement: the leader that leaves, the node that takes its place, and the two that stay."""

    old: Node
    new: Node
    staying: tuple[Node, Node]


@dataclass
class Samples:
    """What was measured, by the way of replacing."""

    seconds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    gap: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    failed: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    lost: int = 0


class ReplaceBench:
    """The ways, on one lab of four nodes of which three are members.

    Args:
        lab: It runs.
        client: Of its Temporal server.
        spare: The node that is no member.
    """

    def __init__(self, lab: Lab, client: Client, spare: Node) -> None:
        self.lab, self.client, self.spare = lab, client, spare
        self.samples, self._last_seconds = Samples(), 1.0
        self.ways: dict[str, Callable[[Cast], Awaitable[None]]] = {
            OURS: self.ours,
            RUNBOOK: self.runbook,
            NAIVE: self.naive,
            IDLE: self.idle,
        }

    async def measure(self, way: str, folder: Path) -> None:
        """The leader is replaced in this way while somebody writes; its node is the spare one afterwards."""
        leader = self.lab.node(await self.lab.leader())
        one, other = (node for node in self.lab.others(leader.name) if node != self.spare)
        cast = Cast(leader, self.spare, (one, other))
        async with OpenLoopWriter(one.etcd_url, folder, INTERVAL_MS) as writer:
            await asyncio.sleep(WARM_SECONDS)
            since = time.monotonic()
            await self.ways[way](cast)
            took = time.monotonic() - since
            await asyncio.sleep(SETTLE_SECONDS)
            until = time.monotonic()
            written = await writer.stop()
        self.samples.seconds[way].append(took)
        self.samples.gap[way].append(written.longest_gap_ms(since, until))
        self.samples.failed[way].append(sum(put.sent >= since for put in written.failed))
        members = [one, other, leader if way == IDLE else cast.new]
        self.samples.lost += sum(map(len, (await missing(written, [node.etcd_url for node in members])).values()))
        if way != IDLE:
            self._last_seconds = took
            await self.free(leader)
        await self.lab.leader()
        await asyncio.sleep(HEALTH_INTERVAL_SECONDS)

    async def free(self, node: Node) -> None:
        """The node of a member that has left is the spare one: its process has ended, and its data are gone."""
        await lab_rounds.clear(self.lab, node)
        self.spare = node

    async def idle(self, _: Cast) -> None:
        """For as long as a replacement took last."""
        await asyncio.sleep(self._last_seconds)

    async def ours(self, cast: Cast) -> None:
        """The workflow; etcd is started as soon as it asks for that."""
        replacement = await start_replacement(
            self.client,
            ReplacementRequest(
                cluster=self.lab.cluster, member=cast.old.name, name=cast.new.name, peer_urls=(cast.new.peer_url,)
            ),
        )

        async def is_awaited() -> bool:
            progress = await replacement.query("progress", result_type=Progress)
            return bool(progress.join_configuration)

        await wait_until(is_awaited, "the new member is awaited", READY_SECONDS)
        await self.lab.start_etcd(cast.new, InitialCluster(self.lab.nodes, "existing"))
        await replacement.execute_update("recheck")
        await replacement.result()

    async def runbook(self, cast: Cast) -> None:
        """Learner, start, look until it has caught up, promote, hand over, remove."""
        stay = [node.name for node in cast.staying]
        await self._etcdctl("member", "add", cast.new.name, "--learner", f"--peer-urls={cast.new.peer_url}", via=stay)
        await self.lab.start_etcd(cast.new, InitialCluster(self.lab.nodes, "existing"))

        async def promoted() -> bool:
            statuses = await self._etcdctl("endpoint", "status", via=[*stay, cast.new.name])
            index = [status["Status"]["raftIndex"] for status in statuses]
            learner = f"{statuses[-1]['Status']['header']['member_id']:x}"
            if max(index) - index[-1] > CAUGHT_UP_ENTRIES:
                return False
            try:
                await self._etcdctl("member", "promote", learner, via=stay)
            except OSError:
                return False
            return True

        await wait_until(promoted, "the learner has caught up", READY_SECONDS)
        statuses = await self._etcdctl("endpoint", "status", via=[cast.old.name, *stay])
        target, heir, _ = (f"{status['Status']['header']['member_id']:x}" for status in statuses)
        await self._etcdctl("move-leader", heir, via=[cast.old.name])
        await self._etcdctl("endpoint", "status", via=stay)
        await self._etcdctl("member", "remove", target, via=stay)

    async def naive(self, cast: Cast) -> None:
        """The leader is removed through itself, then another voter is added and started."""
        stay = [node.name for node in cast.staying]
        await leave(self.lab, cast.old.name)

        async def added() -> bool:
            try:
                await self._etcdctl("member", "add", cast.new.name, f"--peer-urls={cast.new.peer_url}", via=stay)
            except OSError:
                return False
            return True

        await wait_until(added, "etcd takes another member", READY_SECONDS)
        await self.lab.start_etcd(cast.new, InitialCluster([*cast.staying, cast.new], "existing"))
        await self.lab.ready(Role.ETCD, cast.new.name)

    async def _etcdctl(self, *arguments: str, via: list[str]) -> Any:
        return await lab_rounds.etcdctl(self.lab, *arguments, endpoints=via)


async def run(rounds: int) -> Samples:
    """All ways in turn, so many times."""
    with tempfile.TemporaryDirectory(prefix="etcd-handoff-bench-") as name:
        options = LabOptions(nodes=4, workers=("node0", "node1", "node2", "node3"), kubernetes=False)
        async with Lab(options) as lab:
            with mock.patch.dict(os.environ, lab.environment):
                client = await connect()
            await lab_rounds.settle(lab)
            spare = lab.others(await lab.leader())[0]
            await (await start_removal(client, RemovalRequest(cluster=lab.cluster, member=spare.name))).result()
            bench = ReplaceBench(lab, client, spare)
            await bench.free(spare)
            for number in range(rounds):
                for way in (OURS, RUNBOOK, NAIVE, IDLE):
                    await bench.measure(way, Path(name))
                    print(f"round {number}: {way}: {bench.samples.gap[way][-1]:.0f} ms", flush=True)
            return bench.samples


def print_results(samples: Samples) -> None:
    """Store what was measured."""
    ways = (OURS, RUNBOOK, NAIVE)
    report.write(
        "replace",
        "Longest gap between acknowledged writes while a live leader is replaced",
        {way: samples.gap[way] for way in (*ways, IDLE)},
        "ms",
        [
            "a put every 2 ms through a member that stays; four nodes, of which three are members; no Kubernetes",
            "the new member's etcd is started as soon as it is asked for, with an empty data directory",
            "runbook: learner, start, status until it has caught up, promotion, move-leader, status, removal",
            "naive order: the leader is removed through itself, then the new member is added with a vote and started",
        ],
        figures={
            "acknowledged writes that were lost": samples.lost,
            **{f"{way}: median seconds in all": statistics.median(samples.seconds[way]) for way in ways},
            **{f"{way}: median of failed puts": statistics.median(samples.failed[way]) for way in (*ways, IDLE)},
            "naive / ours": statistics.median(samples.gap[NAIVE]) / statistics.median(samples.gap[OURS]),
        },
    )


if __name__ == "__main__":
    print_results(asyncio.run(run(int(sys.argv[1]) if len(sys.argv) > 1 else 10)))
