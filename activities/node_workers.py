"""Which nodes have a worker and which have none, by Temporal's list of pollers.

A task for a node without a worker would wait for its whole schedule-to-start time-out.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from temporalio.service import RPCError

from etcd_handoff import time_limits
from etcd_handoff.contract import node_queue
from etcd_handoff.merged_view import node_of
from etcd_handoff.temporal.identity import parsed
from etcd_handoff.temporal.pollers import pollers

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from temporalio.client import Client

    from etcd_handoff.cluster_view import ClusterView


class NodeWorkers:
    """What Temporal knows of the task queues of nodes, remembered for a moment.

    Args:
        client: Temporal's client.
        task_queue: The common task queue, from which those of nodes follow.
    """

    def __init__(self, client: Client, task_queue: str) -> None:
        self._client = client
        self._task_queue = task_queue
        self._known: dict[str, tuple[float, bool]] = {}

    async def missing(self, nodes: Collection[str]) -> tuple[str, ...]:
        """Return those of the nodes for which Temporal lists no worker.

        None of their workers has asked for work in the last five minutes. If Temporal does not answer soon, no node
        counts as missing.
        """
        unknown = [node for node in nodes if not self._is_known(node)]
        try:
            async with asyncio.timeout(time_limits.STEPS.pollers_seconds):
                served = await asyncio.gather(*map(self._is_served, unknown))
        except (RPCError, TimeoutError):
            return ()
        now = time.monotonic()
        self._known |= {node: (now, serves) for node, serves in zip(unknown, served, strict=True)}
        return tuple(sorted(node for node in nodes if not self._known[node][1]))

    async def idle(self, view: ClusterView, table: Mapping[str, str], own_node: str) -> tuple[str, ...]:
        """Return the nodes without a worker of members that the worker on `own_node` does not reach.

        Args:
            view: What it saw.
            table: Nodes of members whose names differ from their nodes'.
            own_node: Its node.
        """
        far = {node_of(m.name, table) for m in view.members if m.name and not m.reachable} - {own_node}
        return await self.missing(far) if far else ()

    async def serving(self, cluster: str) -> tuple[str, ...] | None:
        """Return the nodes whose workers have the profile and have asked the common task queue within about a minute.

        A worker whose identity does not name all of its profiles counts. The answer is None if Temporal gives none.

        Args:
            cluster: Name of the profile.
        """
        try:
            async with asyncio.timeout(time_limits.STEPS.workers_seconds):
                workers = map(parsed, await pollers(self._client, self._task_queue))
        except (RPCError, TimeoutError):
            return None
        return tuple(sorted({w.node for w in workers if w.node and w.may_have(cluster)}))

    def _is_known(self, node: str) -> bool:
        """Whether it had a worker a moment ago. A node without one is asked for again, to see a new worker at once."""
        checked_at, serves = self._known.get(node, (0.0, False))
        return serves and time.monotonic() - checked_at < time_limits.STEPS.pollers_known_seconds

    async def _is_served(self, node: str) -> bool:
        queue = node_queue(self._task_queue, node)
        return bool(await pollers(self._client, queue, activities=True, fresh_seconds=float("inf")))
