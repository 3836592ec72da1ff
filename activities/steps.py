"""What all activities share: the step they report, their heartbeat, their failures, their failpoints."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from temporalio import activity
from temporalio.exceptions import ApplicationError
from temporalio.worker import ActivityInboundInterceptor, Interceptor

from etcd_handoff import failpoints
from etcd_handoff.errors import (
    ConfigError,
    EtcdPermissionError,
    KubernetesPermissionError,
    UnknownClusterError,
)
from etcd_handoff.model import FailureType, Step, StepOutcome

if TYPE_CHECKING:
    from datetime import timedelta

    from temporalio.worker import ExecuteActivityInput

BEATS: Final = 3
"""Heartbeats within one heartbeat time-out. Each is a request to Temporal, and an activity that waits for hours, as one
does for each watched cluster, makes them all the time."""
HEARTBEAT_SECONDS: Final = 0.25
"""Pause between heartbeats that nobody would miss; they bring cancellations."""


def now() -> str:
    """UTC time in ISO 8601 with milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class StepClock:
    """Times one attempt of the running activity.

    Args:
        node: The node that this worker runs on.
    """

    def __init__(self, node: str) -> None:
        self._node = node
        self._started, self._began = now(), time.perf_counter()

    def step(self, outcome: StepOutcome, note: str = "") -> Step:
        """The step as it ends now."""
        info = activity.info()
        return Step(
            name=info.activity_type,
            started=self._started,
            milliseconds=round((time.perf_counter() - self._began) * 1000, 3),
            attempts=info.attempt,
            node=self._node,
            outcome=outcome,
            note=note,
        )


def failure(error: Exception) -> ApplicationError | None:
    """The contract's failure for errors that no retry can mend; None for all others, which Temporal retries."""
    if isinstance(error, UnknownClusterError):
        return ApplicationError(str(error), type=FailureType.UNKNOWN_CLUSTER, non_retryable=True)
    if isinstance(error, EtcdPermissionError):
        text = f"etcd does not allow it: {error}; give the profile a user with the root role"
        return ApplicationError(text, type=FailureType.PERMISSION_DENIED, non_retryable=True)
    if isinstance(error, KubernetesPermissionError):
        text = f"Kubernetes does not allow it: {error}; {error.remedy}"
        return ApplicationError(text, type=FailureType.PERMISSION_DENIED, non_retryable=True)
    if isinstance(error, ConfigError):
        return ApplicationError(str(error), type=FailureType.INVALID_INPUT, non_retryable=True)
    return None


class ActivityFrame(Interceptor):
    """Puts heartbeat, failpoints and the translation of failures round every activity."""

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:  # noqa: A002
        """Called by the SDK once for each activity execution."""
        return _Frame(next)


class _Frame(ActivityInboundInterceptor):
    async def execute_activity(self, input: ExecuteActivityInput) -> Any:  # noqa: A002
        info = activity.info()
        if info.is_local:
            return await self.next.execute_activity(input)
        beating = asyncio.create_task(_heartbeat(info.heartbeat_timeout))
        try:
            await failpoints.reach(f"{info.activity_type}.before")
            answer = await self.next.execute_activity(input)
            await failpoints.reach(f"{info.activity_type}.after")
        except Exception as error:
            translated = failure(error)
            if translated is None:
                raise
            raise translated from error
        finally:
            beating.cancel()
        return answer


async def _heartbeat(timeout: timedelta | None) -> None:
    """Beat, but not before the first pause.

    The server looks at a heartbeat time-out with a timer, and each beat before it fires costs another timer of the
    whole length. A step that takes milliseconds is missed soonest when it never beat.
    """
    pause = timeout.total_seconds() / BEATS if timeout else HEARTBEAT_SECONDS
    while True:
        await asyncio.sleep(pause)
        activity.heartbeat()
