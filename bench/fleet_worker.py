"""One real worker for clusters that are simulated: `python -m bench.fleet_worker NUMBER_OF_CLUSTERS [no-turns]`."""

from __future__ import annotations

import asyncio
import sys

from temporalio import activity

from activities.change_queue import ChangeQueueActivities
from activities.etcd import EtcdActivities
from activities.record_ahead import RecordAhead
from activities.registry import all_activities
from activities.worker_info import WorkerActivities
from bench import simulated
from bench.dev_server import our_worker
from bench.trivial import Trivial, trivial
from etcd_handoff.contract import TASK_QUEUE
from etcd_handoff.operation.queue_messages import QueuePosition, TakeTurnInput, TakeTurnResult
from etcd_handoff.temporal.client import connect
from etcd_handoff.temporal.logs import say
from etcd_handoff.temporal.search_attributes import ensure_search_attributes

READY = "fleet worker ready"
NO_TURNS = "no-turns"


@activity.defn
async def take_turn(turn: TakeTurnInput) -> TakeTurnResult:
    """The turn is given to everybody."""
    entry = turn.entry
    position = QueuePosition(granted=entry.waits, chain_id=entry.chain_id, request=entry.request)
    return TakeTurnResult(turn=position)


async def serve(clusters: int, *, turns: bool) -> None:
    """Work until killed."""
    config = simulated.config(clusters, TASK_QUEUE)
    client = await connect()
    workers = WorkerActivities(config, search_attributes=await ensure_search_attributes(client))
    gateways = simulated.simulated_gateways(config)
    queue = ChangeQueueActivities(client)
    etcd = EtcdActivities(
        config,
        simulated.LEADER,
        simulated.simulated_etcd,
        ahead=RecordAhead(gateways),
        worker_info=workers.worker_info,
        claims=gateways.claims,
        take_turn=queue.take_turn_soon if turns else take_turn,
    )
    ours = all_activities(client, config, simulated.LEADER, etcd, gateways, workers, queue)
    if not turns:
        ours = [take_turn if method.__name__ == take_turn.__name__ else method for method in ours]
    async with our_worker(client, TASK_QUEUE, [*ours, trivial], [Trivial]):
        say(READY)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), turns=NO_TURNS not in sys.argv))
