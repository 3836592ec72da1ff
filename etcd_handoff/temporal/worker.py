"""A worker with settings that let another one take over quickly when this one dies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from temporalio.worker import Worker

from etcd_handoff import time_limits
from etcd_handoff.temporal.senders import SenderRecordingRunner

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from temporalio.client import Client
    from temporalio.worker import Interceptor

MOST_ACTIVITIES: Final = 5_000
"""The most activities at once. Each watched cluster and each open removal has one that only waits, so with the SDK's
100 the waiting ones would block the working ones."""


def make_worker(
    client: Client,
    task_queue: str,
    workflows: Sequence[type],
    activities: Sequence[Callable[..., Any]],
    interceptors: Sequence[Interceptor],
) -> Worker:
    """Return a worker for these workflows and activities. The caller runs it."""
    settings = time_limits.WORKER
    return Worker(
        client,
        task_queue=task_queue,
        workflows=workflows,
        activities=activities,
        interceptors=interceptors,
        # The sandbox loads the workflows anew for each run and proxies every call, which costs more than all decisions
        # of a removal together. The replay tests, which run in it, find what it guards against.
        workflow_runner=SenderRecordingRunner(),
        sticky_queue_schedule_to_start_timeout=settings.sticky_timeout,
        graceful_shutdown_timeout=settings.shutdown_grace,
        max_concurrent_activities=MOST_ACTIVITIES,
        max_heartbeat_throttle_interval=settings.heartbeat_throttle,
        default_heartbeat_throttle_interval=settings.heartbeat_throttle,
    )


def skip_validation(worker: Worker) -> None:
    """Let a worker start although its credentials may not describe the namespace. The SDK would end it."""

    async def nothing() -> Any:
        return None

    worker._bridge_worker.validate = nothing  # type: ignore[method-assign]  # noqa: SLF001  # it has no option for it
