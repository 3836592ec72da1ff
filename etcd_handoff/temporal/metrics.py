"""What a worker exports to Prometheus beside the SDK's own metrics.

Steps and the ends of operations are counted by the worker that carries them out: sum them over workers. What lasts
(open operations, certificates) is read by each worker again and again: all tell the same, so take the maximum.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final

from temporalio import activity, workflow
from temporalio.exceptions import ApplicationError, is_cancelled_exception
from temporalio.runtime import PrometheusConfig, Runtime, TelemetryConfig
from temporalio.service import RPCError
from temporalio.worker import (
    ActivityInboundInterceptor,
    ExecuteActivityInput,
    ExecuteWorkflowInput,
    Interceptor,
    WorkflowInboundInterceptor,
    WorkflowInterceptorClassInput,
)

from etcd_handoff import __version__, time_limits
from etcd_handoff.contract import OPERATIONS, HandoffState
from etcd_handoff.errors import ConfigError, EtcdError, HandoffError
from etcd_handoff.temporal.credential_ends import first_ends
from etcd_handoff.temporal.gauges import Gauge, Labels
from etcd_handoff.temporal.search_attributes import CLUSTER_KEY, STATE_KEY
from etcd_handoff.temporal.server_errors import count_etcd_error
from etcd_handoff.temporal.waiting_metrics import WAITS, WaitingMetrics

if TYPE_CHECKING:
    from collections.abc import Mapping

    from temporalio.client import Client, WorkflowExecution
    from temporalio.common import MetricMeter
    from temporalio.runtime import LoggingConfig

    from etcd_handoff.config import Config

METRICS_VARIABLE: Final = "ETCD_HANDOFF_METRICS_ADDRESS"
STEPS: Final = "etcd_handoff_steps"
STEP_DURATION: Final = "etcd_handoff_step_duration"
STEP_FAILURES: Final = "etcd_handoff_step_failures"
LAST_LOOK: Final = "etcd_handoff_last_look_timestamp_seconds"
COMPARED: Final = "etcd_handoff_last_comparison_timestamp_seconds"
CORRECTIONS: Final = "etcd_handoff_corrections"
OPERATIONS_ENDED: Final = "etcd_handoff_operations"
OPEN: Final = "etcd_handoff_open_workflows"
OLDEST: Final = "etcd_handoff_oldest_workflow_age_seconds"
CERTIFICATE: Final = "etcd_handoff_certificate_expiry_timestamp_seconds"
BUILD: Final = "etcd_handoff_build"
STEP_BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 120.0)
"""Upper ends in seconds: a look takes milliseconds, a snapshot minutes."""
OPEN_TYPES: Final = (*(request.workflow_type for request in OPERATIONS), "RecordStatus", "ReconcileEtcdMembers")
"""Workflows that are counted while they run."""
MOST_OPEN: Final = 1_000
"""So many open workflows are counted at most: each look at them costs Temporal a query."""

log = logging.getLogger(__name__)


def make_runtime(address: str, logs: LoggingConfig) -> Runtime:
    """The SDK's runtime; one for the whole process.

    Args:
        address: Where it serves `http://<address>/metrics`, such as `127.0.0.1:9464`; nowhere when it is empty.
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
    """Counts steps and the ends of operations. It belongs inside of what translates failures."""

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:  # noqa: A002
        """Called by the SDK once for each activity execution."""
        return _CountedActivity(next)

    def workflow_interceptor_class(
        self,
        input: WorkflowInterceptorClassInput,  # noqa: A002, ARG002  # the SDK's signature
    ) -> type[WorkflowInboundInterceptor]:
        """Called by the SDK once for each workflow type."""
        return _CountedWorkflow


class _CountedActivity(ActivityInboundInterceptor):
    async def execute_activity(self, input: ExecuteActivityInput) -> Any:  # noqa: A002
        if activity.info().is_local:
            return await self.next.execute_activity(input)
        cluster = str(getattr(input.args[0], "cluster", "")) if input.args else ""
        labels = {"cluster": cluster, "step": activity.info().activity_type}
        meter, began = activity.metric_meter(), time.perf_counter()
        try:
            result = await self.next.execute_activity(input)
        except Exception as error:
            count_failure(meter, labels, error)
            raise
        seconds = time.perf_counter() - began
        duration = meter.create_histogram_float(STEP_DURATION, "Length of a step's attempt that has ended", "seconds")
        duration.record(seconds, labels)
        count_result(meter, labels, result)
        return result


def count_failure(meter: MetricMeter, labels: Mapping[str, str], error: Exception) -> None:
    """Count an attempt that has failed, by the class of what went wrong."""
    if isinstance(error, EtcdError):
        count_etcd_error(labels["cluster"], error)
    kind = (error.type if isinstance(error, ApplicationError) else "") or type(error).__name__
    known = isinstance(error, HandoffError | ApplicationError | ConfigError)
    meter.create_counter(STEP_FAILURES, "Attempts of steps that have failed").add(
        1, {**labels, "error": kind if known else "Unexpected"}
    )


def count_result(meter: MetricMeter, labels: Mapping[str, str], result: object) -> None:
    """Count an attempt that has ended, and what it shows."""
    outcome = getattr(getattr(result, "step", None), "outcome", "ended")
    meter.create_counter(STEPS, "Attempts of steps that have ended").add(1, {**labels, "outcome": str(outcome)})
    cluster = {"cluster": labels["cluster"]}
    if getattr(result, "view", None) is not None:
        look = meter.create_gauge_float(LAST_LOOK, "When a linearizable member list was last read")
        look.set(time.time(), cluster)
    if labels["step"] == "sync_members" and not (
        getattr(result, "doubt", None) or getattr(result, "retry_soon", False)
    ):
        compared = meter.create_gauge_float(COMPARED, "When the watcher last compared all EtcdMembers with the list")
        compared.set(time.time(), cluster)
    if repairs := getattr(result, "repairs", ()):
        meter.create_counter(CORRECTIONS, "EtcdMembers that the watcher has corrected").add(len(repairs), cluster)


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
            if outcome:  # what continues as a new run, or is evicted from a worker's cache, has not ended
                cluster = str(getattr(input.args[0], "cluster", "")) if input.args else ""
                labels = {"cluster": cluster, "operation": workflow.info().workflow_type, "outcome": outcome}
                counter = workflow.metric_meter().create_counter(OPERATIONS_ENDED, "Operations that have ended")
                counter.add(1, labels)
        return result


def _asked_to_cancel() -> bool:
    return workflow.cancellation_reason() is not None


class StandingMetrics:
    """What lasts: open workflows by state, and when certificates expire.

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
        """Read it again and again, until cancelled."""
        while True:
            ends = await asyncio.to_thread(first_ends, self._config)
            self._certificates.set({(("cluster", c), ("server", s)): end for (c, s), end in ends.items()})
            with contextlib.suppress(RPCError):  # the SDK's own metrics tell that Temporal does not answer
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
    # The watcher and `RecordStatus` have no search attributes; their IDs name the cluster.
    cluster = attributes.get(CLUSTER_KEY) or found.id.partition("/")[2].partition("/")[0]
    return ("workflow", found.workflow_type), ("cluster", cluster), ("state", attributes.get(STATE_KEY) or "")
