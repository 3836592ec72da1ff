"""Update a worker's identity in Temporal's lists once its certificates have been renewed."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from temporalio.service import RPCError

from etcd_handoff import time_limits
from etcd_handoff.errors import ConfigError
from etcd_handoff.temporal.client import connect
from etcd_handoff.temporal.identity import worker_identity

if TYPE_CHECKING:
    from temporalio.runtime import Runtime
    from temporalio.worker import Worker

    from etcd_handoff.config import Config


async def keep_identity(workers: tuple[Worker, ...], runtime: Runtime, config: Config, node: str) -> None:
    """Check repeatedly whether the identity is still true, and update it, until cancelled.

    Args:
        workers: The workers of this process.
        runtime: Of their client.
        config: The clusters.
        node: The node that they run on.
    """
    last_identity = workers[0].client.identity
    while True:
        await asyncio.sleep(time_limits.WORKER.identity_pause_seconds)
        now = await asyncio.to_thread(worker_identity, node, config)
        if now == last_identity:
            continue
        try:
            client = await connect(identity=now, runtime=runtime)
        except (RuntimeError, RPCError, ConfigError):  # Temporal does not answer: try again after the pause
            continue
        for worker in workers:
            worker.client = client
        last_identity = now
