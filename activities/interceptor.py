"""What all activities share: the step that they report, their heartbeats, their failures and their failpoints."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from temporalio import activity
from temporalio.exceptions import ApplicationError, FailureError, is_cancelled_exception
from temporalio.worker import ActivityInboundInterceptor, Interceptor

from etcd_handoff import failpoints, time_limits
from etcd_handoff.contract import FailureType, Step, StepOutcome
from etcd_handoff.errors import (
    ADDRESS,
    ConfigError,
    EtcdPermissionError,
    HandoffError,
    KubernetesError,
    KubernetesPermissionError,
    UnknownClusterError,
)
from etcd_handoff.planning import Reason
from etcd_handoff.secret_words import without_secrets
from etcd_handoff.temporal.logs import log_failure

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from temporalio.worker import ExecuteActivityInput

HEARTBEATS_PER_TIMEOUT: Final = 3
"""Heartbeats within one heartbeat time-out. Each is a request to Temporal. An activity that waits for hours, such as
the one for each watched cluster, sends them all the time."""


def now() -> str:
    """Return the UTC time in ISO 8601 with milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class StepClock:
    """Times one attempt of the running activity.

    Args:
        node: The node that this worker runs on.
    """

    def __init__(self, node: str) -> None:
        self._node = node
        self._started, self._began = now(), time.perf_counter()

    @property
    def seconds(self) -> float:
        """How long the attempt has taken until now. A wrong time of day on this machine does not matter."""
        return time.perf_counter() - self._began

    def step(self, outcome: StepOutcome, note: str = "") -> Step:
        """Return the step as it ends now."""
        info = activity.info()
        return Step(
            name=info.activity_type,
            started=self._started,
            milliseconds=round(self.seconds * 1000, 3),
            attempts=info.attempt,
            node=self._node,
            outcome=outcome,
            note=note,
        )


STEP_FAILS: Final = Reason.STEP_FAILS.value
"""Type of a failure that has no other type. An operation that such a failure blocks has the same word as its reason."""
LONGEST_TEXT: Final = 200


def failure(error: Exception, attempt: int) -> FailureError:
    """Translate any exception into the failure that Temporal records, in words without an address.

    A failure that another worker may avoid is tried again elsewhere for a while. A failure of Kubernetes is tried again
    for as long as the workflow waits. An unexpected exception is tried again a few times.

    Args:
        error: What was raised.
        attempt: Which attempt raised it, the first one being 1.
    """
    if isinstance(error, FailureError):
        return error
    contract = _contract_failure(error)
    if contract is not None:
        text, kind, final = contract
        last = attempt >= final
        pause = None if last else time_limits.STEPS.elsewhere_pause
        # The workflow needs the attempt: an earlier one may have done what this one is not allowed to.
        return ApplicationError(text, attempt, type=kind, non_retryable=last, next_retry_delay=pause)
    text = str(error)[:LONGEST_TEXT] if isinstance(error, HandoffError) else safe_text(error)
    last = attempt >= time_limits.STEPS.unexpected_attempts and not isinstance(error, KubernetesError)
    return ApplicationError(text, type=STEP_FAILS, non_retryable=last)


def _contract_failure(error: Exception) -> tuple[str, FailureType, int] | None:
    """Return text, type and last attempt of a failure that the contract names."""
    if isinstance(error, UnknownClusterError):
        return str(error), FailureType.UNKNOWN_CLUSTER, time_limits.STEPS.elsewhere_attempts
    if isinstance(error, ConfigError):
        return str(error), FailureType.INVALID_INPUT, time_limits.STEPS.elsewhere_attempts
    if isinstance(error, EtcdPermissionError):
        text = denied("etcd", error.remedy, error)
        return text, FailureType.PERMISSION_DENIED, time_limits.STEPS.elsewhere_attempts if error.by_files else 1
    if isinstance(error, KubernetesPermissionError):
        text = denied("Kubernetes", error.remedy, error)
        return text, FailureType.PERMISSION_DENIED, time_limits.STEPS.elsewhere_attempts
    return None


def denied(server: str, remedy: str, error: Exception) -> str:
    """Return the text of `PermissionDenied`: the remedy comes before the server's words, as in all failures."""
    return f"{server} does not allow it: {remedy}. Seen: {error}"


def safe_text(error: Exception) -> str:
    """Return class and words of an exception that has no message for people.

    They are on one line, without addresses and secrets.
    """
    words = ADDRESS.sub("...", " ".join(without_secrets(str(error)).split()))
    return f"{type(error).__name__}{f': {words}' if words else ''}"[:LONGEST_TEXT]


def no_answer(seconds: float) -> ApplicationError:
    """Return the failure of a step that has used up its time."""
    last = activity.in_activity() and activity.info().attempt >= time_limits.STEPS.unexpected_attempts
    return ApplicationError(f"gave no answer within {seconds:g} s", type=STEP_FAILS, non_retryable=last)


class _Progress:
    """What the heartbeats of the running activity carry."""

    def __init__(self) -> None:
        self.details: tuple[Any, ...] = ()


_PROGRESS: ContextVar[_Progress | None] = ContextVar("progress", default=None)


def report_progress(*details: object) -> None:
    """Let the next heartbeats of the running activity carry these details."""
    if (progress := _PROGRESS.get()) is not None:
        progress.details = details


class ActivityInterceptor(Interceptor):
    """Adds heartbeats, failpoints and the translation of failures to every activity."""

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:  # noqa: A002
        """Return the interceptor of one activity execution. The SDK calls this once for each."""
        return _ActivityInbound(next)


class _ActivityInbound(ActivityInboundInterceptor):
    async def execute_activity(self, input: ExecuteActivityInput) -> Any:  # noqa: A002
        info, progress = activity.info(), _Progress()
        _PROGRESS.set(progress)
        failpoints.ATTEMPT.set(info.attempt)
        failpoints.WORKFLOW.set(info.workflow_type or "")
        heartbeats = None if info.is_local else asyncio.create_task(_heartbeat(info.heartbeat_timeout, progress))
        try:
            async with _deadline(info.start_to_close_timeout):
                await failpoints.reach(f"{info.activity_type}.before")
                answer = await self.next.execute_activity(input)
                await failpoints.reach(f"{info.activity_type}.after")
        except Exception as error:  # noqa: BLE001  # the SDK's control flow and cancellations are no Exception
            temporal_error = failure(error, info.attempt)
            if not is_cancelled_exception(error):
                log_failure(info.activity_type, error, temporal_error)
            # Without a cause: that would carry the words of libraries, which may contain addresses.
            raise temporal_error from None
        finally:
            if heartbeats is not None:
                heartbeats.cancel()
        return answer


@asynccontextmanager
async def _deadline(limit: timedelta | None) -> AsyncIterator[None]:
    """End an attempt shortly before Temporal would time it out without an answer."""
    if limit is None:
        yield
        return
    seconds = limit.total_seconds()
    seconds -= min(time_limits.STEPS.deadline_margin_seconds, seconds / 10)
    ends = asyncio.timeout(seconds)
    try:
        async with ends:
            yield
    except TimeoutError:
        if not ends.expired():
            raise
        raise no_answer(seconds) from None


async def _heartbeat(timeout: timedelta | None, progress: _Progress) -> None:
    """Send heartbeats, the first one after the first pause.

    The server checks a heartbeat time-out with a timer. Each heartbeat before it fires costs another timer of the whole
    length. In a step that takes milliseconds, a lost worker is noticed soonest without any heartbeat.
    """
    pause = timeout.total_seconds() / HEARTBEATS_PER_TIMEOUT if timeout else time_limits.STEPS.heartbeat_seconds
    while True:
        await asyncio.sleep(pause)
        activity.heartbeat(*progress.details)
