"""Metrics of operations that wait: why they are blocked, and the queue of each cluster."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import defaultdict
from datetime import datetime
from typing import TYPE_CHECKING, Final

from etcd_handoff.contract import HandoffState
from etcd_handoff.temporal.client import progress_of
from etcd_handoff.temporal.gauges import Gauge, Labels

if TYPE_CHECKING:
    from collections.abc import Iterable

    from temporalio.client import Client, WorkflowExecution
    from temporalio.common import MetricMeter

    from etcd_handoff.contract import Progress

BLOCKED: Final = "etcd_handoff_blocked_seconds"
QUEUE_LENGTH: Final = "etcd_handoff_queue_length"
QUEUE_WAIT: Final = "etcd_handoff_queue_wait_seconds"
WAITS: Final = frozenset({HandoffState.BLOCKED, HandoffState.QUEUED})
"""States for which operations are asked how long they have been in them."""
MOST_ASKED: Final = 20
"""The most operations that are asked, the oldest ones: each query costs a worker a workflow task."""


class WaitingMetrics:
    """Metrics of operations that wait, by their own answers.

    Args:
        client: The worker's client.
        meter: Of the runtime that exports.
        clusters: The profiles. The queue of each is exported, also an empty one.
    """

    def __init__(self, client: Client, meter: MetricMeter, clusters: Iterable[str]) -> None:
        self._client = client
        self._clusters = tuple(clusters)
        self._blocked = Gauge(
            meter.create_gauge_float(BLOCKED, "Longest time that an operation has been blocked so far")
        )
        self._length = Gauge(meter.create_gauge_float(QUEUE_LENGTH, "Operations that wait for their turn"))
        self._wait = Gauge(
            meter.create_gauge_float(QUEUE_WAIT, "Longest time that an operation has waited in the queue so far")
        )

    async def count(self, waiting: Iterable[tuple[str, HandoffState, WorkflowExecution]]) -> None:
        """Ask operations how long they have waited, and export it.

        Args:
            waiting: Cluster, state and workflow of each that lists show in a state of `WAITS`.
        """
        found = sorted(waiting, key=lambda each: each[2].start_time)
        answers = await asyncio.gather(
            *(
                progress_of(self._client.get_workflow_handle(each.id, run_id=each.run_id))
                for *_, each in found[:MOST_ASKED]
            )
        )
        clusters = dict.fromkeys((*self._clusters, *(cluster for cluster, *_ in found)), 0.0)
        length, wait, blocked = dict(clusters), dict(clusters), defaultdict[Labels, float](float)
        for cluster, state, _ in found:
            length[cluster] += state is HandoffState.QUEUED
        for (cluster, state, _), progress in zip(found, answers, strict=False):
            seconds = _seconds(progress)
            if state is HandoffState.QUEUED:
                wait[cluster] = max(wait[cluster], seconds)
            elif progress is not None and progress.blocked_reason:
                labels = (("cluster", cluster), ("reason", progress.blocked_reason))
                blocked[labels] = max(blocked[labels], seconds)
        self._blocked.set(blocked)
        self._length.set({(("cluster", cluster),): value for cluster, value in length.items()})
        self._wait.set({(("cluster", cluster),): value for cluster, value in wait.items()})


def _seconds(progress: Progress | None) -> float:
    """Return how long an operation has been in its state, or 0 if that is not known."""
    with contextlib.suppress(ValueError):
        if progress is not None and progress.since:
            return max(0.0, time.time() - datetime.fromisoformat(progress.since).timestamp())
    return 0.0
