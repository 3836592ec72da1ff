"""How long a learner of a database of 1 GB takes to get its vote, against etcd's own catch-up alone.

Run as `python -m bench.catch_up [ROUNDS]`. Both ways take turns on one lab of four nodes, of which three are members.
Each begins when the new member's etcd starts, on an empty data directory. etcd's own way ends when the learner, which
nobody promotes, has applied what the leader had committed by then. Ours ends when the leader's list shows its vote.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import sys
import time
from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final
from unittest import mock

from bench import lab_rounds, report
from etcd_handoff.contract import AdditionRequest, AdditionResult, Progress, RemovalRequest
from etcd_handoff.lab import Lab, LabOptions, http, wait_until
from etcd_handoff.lab.cluster import HEALTH_INTERVAL_SECONDS
from etcd_handoff.lab.nodes import InitialCluster
from etcd_handoff.temporal.client import connect, start_operation, start_removal

if TYPE_CHECKING:
    from temporalio.client import Client

    from etcd_handoff.lab.nodes import Node

OURS, ETCD_ALONE = "etcd-handoff: start until it has its vote", "etcd alone: start until it has caught up"
VALUES: Final = 1024
VALUE_BYTES: Final = 1024 * 1024
QUOTA: Final = "--quota-backend-bytes=4294967296"
REQUEST: Final = "--max-request-bytes=2097152"
READY_SECONDS: Final = 600.0
CALL_SECONDS: Final = 30.0


async def status(url: str) -> dict[str, Any]:
    """A member's own status."""
    return await http.post(f"{url}/v3/maintenance/status", {}, timeout_seconds=CALL_SECONDS)


class CatchUpBench:
    """Both ways, on one lab.

    Args:
        lab: It runs.
        client: Of its Temporal server.
        spare: The node that is no member.
    """

    def __init__(self, lab: Lab, client: Client, spare: Node) -> None:
        self.lab, self.client, self.spare = lab, client, spare
        self.seconds: dict[str, list[float]] = defaultdict(list)

    async def etcd_alone(self) -> None:
        """A learner that nobody promotes."""
        via = [(await self._leader()).name]
        await lab_rounds.etcdctl(
            self.lab, "member", "add", self.spare.name, "--learner", f"--peer-urls={self.spare.peer_url}", endpoints=via
        )
        began = time.monotonic()
        await self.lab.start_etcd(self.spare, InitialCluster(self.lab.nodes, "existing"))
        until = int((await status((await self._leader()).etcd_url))["raftIndex"])

        async def caught_up() -> bool:
            try:
                return int((await status(self.spare.etcd_url)).get("raftAppliedIndex", 0)) >= until
            except http.FAILURES:
                return False

        await wait_until(caught_up, "the learner has caught up", READY_SECONDS)
        self.seconds[ETCD_ALONE].append(time.monotonic() - began)
        await self._remove(await self.lab.member_id(self.spare.name))

    async def ours(self) -> None:
        """The workflow, whose member is started as soon as it asks for that."""
        request = AdditionRequest(cluster=self.lab.cluster, name=self.spare.name, peer_urls=(self.spare.peer_url,))
        addition = await start_operation(self.client, request, AdditionResult)

        async def asked_for() -> bool:
            return bool((await addition.query("progress", result_type=Progress)).join_configuration)

        await wait_until(asked_for, "the new member is awaited", READY_SECONDS)
        began = time.monotonic()
        await self.lab.start_etcd(self.spare, InitialCluster(self.lab.nodes, "existing"))
        leader = await self._leader()

        async def has_vote() -> bool:
            listed = await http.post(f"{leader.etcd_url}/v3/cluster/member/list", {}, timeout_seconds=CALL_SECONDS)
            return any(m.get("name") == self.spare.name and not m.get("isLearner") for m in listed["members"])

        await wait_until(has_vote, "the new member has its vote", READY_SECONDS)
        self.seconds[OURS].append(time.monotonic() - began)
        result = await addition.result()
        await self._remove(result.member_id)

    async def _leader(self) -> Node:
        return self.lab.node(await self.lab.leader())

    async def _remove(self, member_id: str) -> None:
        """The spare node is none again: its member has left, its process has ended, its data are gone."""
        stay = [node.name for node in self.lab.others(self.spare.name)]
        await lab_rounds.etcdctl(self.lab, "member", "remove", member_id, endpoints=stay)
        await lab_rounds.clear(self.lab, self.spare)
        await asyncio.sleep(HEALTH_INTERVAL_SECONDS)


async def run(rounds: int) -> tuple[dict[str, list[float]], float]:
    """Seconds of both ways, and the size of the database in MB."""
    options = LabOptions(
        nodes=4, workers=("node0", "node1", "node2", "node3"), kubernetes=False, etcd_flags=(QUOTA, REQUEST)
    )
    async with Lab(options) as lab:
        with mock.patch.dict(os.environ, lab.environment):
            client = await connect()
        await lab_rounds.settle(lab)
        spare = lab.others(await lab.leader())[0]
        await (await start_removal(client, RemovalRequest(cluster=lab.cluster, member=spare.name))).result()
        await lab_rounds.clear(lab, spare)
        leader = lab.node(await lab.leader())
        await lab_rounds.fill(leader.etcd_url, VALUES, VALUE_BYTES)
        size = int((await status(leader.etcd_url))["dbSize"]) / 1e6
        bench = CatchUpBench(lab, client, spare)
        for number in range(rounds):
            await bench.etcd_alone()
            await bench.ours()
            print(f"round {number}: { ({way: round(s[-1], 1) for way, s in bench.seconds.items()}) }", flush=True)
        return bench.seconds, size


if __name__ == "__main__":
    found, megabytes = asyncio.run(run(int(sys.argv[1]) if len(sys.argv) > 1 else 5))
    report.write(
        "catch_up",
        "A new member of a database of 1 GB",
        found,
        "s",
        [
            "both begin when the new member's etcd starts, on an empty data directory; no writer; no Kubernetes",
            "etcd alone ends when the learner has applied what the leader had committed when it started",
            "ours ends when the leader's list shows its vote",
        ],
        figures={
            "database in MB": megabytes,
            "ours / etcd alone": statistics.median(found[OURS]) / statistics.median(found[ETCD_ALONE]),
        },
    )
