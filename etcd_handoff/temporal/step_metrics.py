"""The metrics of steps: how they end, how long their attempts take, and what they show."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, Final

from temporalio import activity
from temporalio.exceptions import ApplicationError, is_cancelled_exception
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput

from etcd_handoff.errors import ConfigError, EtcdError, HandoffError
from etcd_handoff.temporal.server_errors import count_etcd_error

if TYPE_CHECKING:
    from collections.abc import Mapping

    from temporalio.common import MetricMeter

STEPS: Final = "etcd_handoff_steps"
STEP_DURATION: Final = "etcd_handoff_step_duration"
STEP_FAILURES: Final = "etcd_handoff_step_failures"
LAST_LOOK: Final = "etcd_handoff_last_look_timestamp_seconds"
COMPARED: Final = "etcd_handoff_last_comparison_timestamp_seconds"
CORRECTIONS: Final = "etcd_handoff_corrections"
STEP_BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 120.0)
"""Upper ends in seconds: a look takes milliseconds, a snapshot minutes."""
ENDED: Final = "ended"
FAILED: Final = "failed"
TIMED_OUT: Final = "timed-out"
CANCELLED: Final = "cancelled"
"""The ends of an attempt in the histogram of its length. Each has its own buckets, so they are few."""
NO_ANSWER: Final = "NoAnswer"
"""The error of an attempt that has used up its time."""


class CountedActivity(ActivityInboundInterceptor):
    """Counts the attempts of steps. A local activity is no step."""

    async def execute_activity(self, input: ExecuteActivityInput) -> Any:  # noqa: A002
        """Run one attempt and count it. The SDK calls this for each attempt."""
        if activity.info().is_local:
            return await self.next.execute_activity(input)
        cluster = str(getattr(input.args[0], "cluster", "")) if input.args else ""
        labels = {"cluster": cluster, "step": activity.info().activity_type}
        meter, began, outcome = activity.metric_meter(), time.perf_counter(), ENDED
        try:
            result = await self.next.execute_activity(input)
        except BaseException as error:
            outcome = outcome_of(error)
            if outcome == TIMED_OUT:
                count_failure(meter, labels, ApplicationError("it has used up its time", type=NO_ANSWER))
            elif isinstance(error, Exception) and outcome == FAILED:
                count_failure(meter, labels, error)
            raise
        finally:
            # With any end: otherwise a step that only fails, slowly, would look healthy.
            duration = meter.create_histogram_float(STEP_DURATION, "Length of a step's attempt", "seconds")
            duration.record(time.perf_counter() - began, {**labels, "outcome": outcome})
        count_result(meter, labels, result)
        return result


def outcome_of(error: BaseException) -> str:
    """Return how an attempt that raised this ended, as a label for its length.

    The end of its time cancels an attempt without cancellation details from Temporal. Any other cancellation has them.
    """
    if not is_cancelled_exception(error):
        return FAILED
    why = activity.cancellation_details()
    out_of_time = why is None and isinstance(error, asyncio.CancelledError)
    return TIMED_OUT if out_of_time or (why is not None and why.timed_out) else CANCELLED


def count_failure(meter: MetricMeter, labels: Mapping[str, str], error: Exception) -> None:
    """Count an attempt that has failed, by the class of its error."""
    if isinstance(error, EtcdError):
        count_etcd_error(labels["cluster"], error)
    kind = (error.type if isinstance(error, ApplicationError) else "") or type(error).__name__
    known = isinstance(error, HandoffError | ApplicationError | ConfigError)
    meter.create_counter(STEP_FAILURES, "Attempts of steps that have failed").add(
        1, {**labels, "error": kind if known else "Unexpected"}
    )


def count_result(meter: MetricMeter, labels: Mapping[str, str], result: object) -> None:
    """Count an attempt that has ended, and what its result shows."""
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
