"""The metrics that a worker exports to Prometheus beside the SDK's own.

The worker that carries them out counts steps and the ends of operations: add them up over workers. Each worker reads
lasting values (open operations, certificates) repeatedly. All have the same values, so take the maximum.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final

from temporalio import workflow
from temporalio.exceptions import ApplicationError, is_cancelled_exception
from temporalio.runtime import PrometheusConfig, Runtime, TelemetryConfig
from temporalio.service import RPCError
from temporalio.worker import (
    ActivityInboundInterceptor,
    ExecuteWorkflowInput,
    Interceptor,
    WorkflowInboundInterceptor,
    WorkflowInterceptorClassInput,
)

from etcd_handoff import __version__, time_limits
from etcd_handoff.contract import OPERATIONS, HandoffState, names_in
from etcd_handoff.errors import ConfigError
from etcd_handoff.temporal.credential_ends import first_ends
from etcd_handoff.temporal.gauges import Gauge, Labels
from etcd_handoff.temporal.search_attributes import CLUSTER_KEY, STATE_KEY
from etcd_handoff.temporal.step_metrics import STEP_BUCKETS, STEP_DURATION, CountedActivity
from etcd_handoff.temporal.waiting_metrics import WAITS, WaitingMetrics

if TYPE_CHECKING:
    from temporalio.client import Client, WorkflowExecution
    from temporalio.common import MetricMeter
    from temporalio.runtime import LoggingConfig

    from etcd_handoff.config import Config

OPERATIONS_ENDED: Final = "etcd_handoff_operations"
OPEN: Final = "etcd_handoff_open_workflows"
OLDEST: Final = "etcd_handoff_oldest_workflow_age_seconds"
CERTIFICATE: Final = "etcd_handoff_certificate_expiry_timestamp_seconds"
BUILD: Final = "etcd_handoff_build"
OPEN_TYPES: Final = (*(request.workflow_type for request in OPERATIONS), "RecordStatus", "ReconcileEtcdMembers")
"""Workflows that are counted while they run."""
MOST_OPEN: Final = 1_000
"""The most open workflows that are counted: each look at them costs Temporal a query."""

log = logging.getLogger(__name__)


def make_runtime(address: str, logs: LoggingConfig) -> Runtime:
    """Return the SDK's runtime, one for the whole process.

    Args:
        address: Where it serves `http://<address>/metrics`, such as `127.0.0.1:9464`; empty for nowhere.
        logs: How its native part logs.

    Raises:
        ConfigError: It is no address, or this machine does not let us listen there.
    """
    if not address:
        return Runtime(telemetry=TelemetryConfig(logging=logs))
    prometheus = PrometheusConfig(
        bind_address=address,
        counters_total_suffix=True,
        unit_suffix=True,
        durations_as_seconds=True,
        histogram_bucket_overrides={f"{STEP_DURATION}_seconds": STEP_BUCKETS},
    )
    try:
        return Runtime(telemetry=TelemetryConfig(logging=logs, metrics=prometheus, attach_service_name=False))
    except ValueError as error:
        msg = f"--metrics-address {address}: {error}; give IP address and port, such as 127.0.0.1:9464"
        raise ConfigError(msg) from None


class MetricsInterceptor(Interceptor):
    """Counts steps and the ends of operations. It must be inside of what translates failures."""

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:  # noqa: A002
        """Return the interceptor of one activity execution. The SDK calls this once for each."""
        return CountedActivity(next)

    def workflow_interceptor_class(
        self,
        input: WorkflowInterceptorClassInput,  # noqa: A002, ARG002  # the SDK's signature
    ) -> type[WorkflowInboundInterceptor]:
        """Return the interceptor of a workflow type. The SDK calls this once for each."""
        return _CountedWorkflow


class _CountedWorkflow(WorkflowInboundInterceptor):
    async def execute_workflow(self, input: ExecuteWorkflowInput) -> Any:  # noqa: A002
        outcome = ""
        try:
            result = await self.next.execute_workflow(input)
            outcome = str(getattr(result, "outcome", ""))
        except ApplicationError as error:
            outcome = error.type or "Failed"
            raise
        except BaseException as error:
            outcome = "cancelled" if is_cancelled_exception(error) and _asked_to_cancel() else ""
            raise
        finally:
            if outcome:  # empty for a run that continues as new or is evicted from a worker's cache
                cluster = str(getattr(input.args[0], "cluster", "")) if input.args else ""
                labels = {"cluster": cluster, "operation": workflow.info().workflow_type, "outcome": outcome}
                counter = workflow.metric_meter().create_counter(OPERATIONS_ENDED, "Operations that have ended")
                counter.add(1, labels)
        return result


def _asked_to_cancel() -> bool:
    return workflow.cancellation_reason() is not None


class StandingMetrics:
    """Lasting values: open workflows by state, and when certificates expire.

    Args:
        client: The worker's client.
        meter: Of the runtime that exports.
        config: The clusters.
        node: The node that this worker runs on.
    """

    def __init__(self, client: Client, meter: MetricMeter, config: Config, node: str) -> None:
        self._client = client
        self._config = config
        self._open = Gauge(meter.create_gauge_float(OPEN, "Workflows that run"))
        self._oldest = Gauge(meter.create_gauge_float(OLDEST, "Age of the oldest of them"))
        self._certificates = Gauge(meter.create_gauge_float(CERTIFICATE, "When a certificate ends"))
        self._waiting = WaitingMetrics(client, meter, config.clusters)
        meter.create_gauge(BUILD, "1, labelled with the worker's build and node").set(
            1, {"version": __version__, "node": node}
        )

    async def keep(self) -> None:
        """Export the values repeatedly, until cancelled."""
        while True:
            ends = await asyncio.to_thread(first_ends, self._config)
            self._certificates.set({(("cluster", c), ("server", s)): end for (c, s), end in ends.items()})
            with contextlib.suppress(RPCError):  # the SDK's own metrics show that Temporal does not answer
                await self._count_open()
            await asyncio.sleep(time_limits.WORKER.metrics_pause_seconds)

    async def _count_open(self) -> None:
        types = ", ".join(f'"{name}"' for name in OPEN_TYPES)
        query = f'ExecutionStatus = "Running" AND WorkflowType IN ({types})'
        counts: dict[Labels, float] = defaultdict(float)
        ages: dict[Labels, float] = {}
        waiting: list[tuple[str, HandoffState, WorkflowExecution]] = []
        async for found in self._client.list_workflows(query, limit=MOST_OPEN):
            labels = _labels_of(found)
            _, (_, cluster), (_, state) = labels
            if state in WAITS:
                waiting.append((cluster, HandoffState(state), found))
            counts[labels] += 1
            ages[labels] = max(ages.get(labels, 0.0), time.time() - found.start_time.timestamp())
        self._open.set(counts)
        self._oldest.set(ages)
        await self._waiting.count(waiting)


def _labels_of(found: WorkflowExecution) -> Labels:
    attributes = found.typed_search_attributes
    # The watcher and `RecordStatus` have no search attributes, but the cluster in their IDs.
    cluster = attributes.get(CLUSTER_KEY) or names_in(found.id)[0]
    return ("workflow", found.workflow_type), ("cluster", cluster), ("state", attributes.get(STATE_KEY) or "")
