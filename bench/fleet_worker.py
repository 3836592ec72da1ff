"""One real worker for clusters that are simulated: `python -m bench.fleet_worker NUMBER_OF_CLUSTERS`."""

from __future__ import annotations

import asyncio
import sys

from activities.etcd import EtcdActivities
from activities.worker import WorkerActivities
from bench import simulated
from bench.dev_server import our_worker
from bench.trivial import Trivial, trivial
from etcd_handoff.client import connect
from etcd_handoff.model import TASK_QUEUE
from worker import all_activities, ensure_search_attributes, say

READY = "fleet worker ready"


async def serve(clusters: int) -> None:
    """Work until killed."""
    config = simulated.config(clusters, TASK_QUEUE)
    client = await connect()
    traits = WorkerActivities(config, search_attributes=await ensure_search_attributes(client))
    etcd = EtcdActivities(config, simulated.LEADER, gateway=simulated.simulated_etcd)
    gateways = simulated.SimulatedGateways(config)
    ours = all_activities(client, etcd, gateways, simulated.LEADER, traits)
    async with our_worker(client, TASK_QUEUE, [*ours, trivial], [Trivial]):
        say(READY)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))
