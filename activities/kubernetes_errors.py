"""The text of an error of Kubernetes, whether another attempt follows, and how long this one may continue."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.interceptor import denied
from etcd_handoff import time_limits
from etcd_handoff.contract import FailureType
from etcd_handoff.errors import (
    AdmissionError,
    KindGoneError,
    KubernetesError,
    KubernetesPermissionError,
    RejectedError,
)
from etcd_handoff.temporal.failure_converter import NOT_RECORDED

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from activities.interceptor import StepClock

ERROR_PREFIXES: Final[dict[type[KubernetesError], str]] = {
    KubernetesPermissionError: "Kubernetes does not allow it: ",
    AdmissionError: "an admission webhook or policy denies it: ",
    RejectedError: "the API server does not accept it: ",
    KindGoneError: "EtcdMembers are not installed: ",
}
"""How the text of an error begins."""


def error_text(error: Exception) -> str:
    """Return the text of an error, with its remedy."""
    prefix = next((prefix for kind, prefix in ERROR_PREFIXES.items() if isinstance(error, kind)), "")
    remedy = error.remedy if isinstance(error, KubernetesError) else ""
    return f"{prefix}{error}" + f"; {remedy}" * bool(remedy)


def final_note(error: Exception, attempts: int, pause: timedelta | None = None, *, final: bool = True) -> str:
    """Return the text of a configuration error in the last attempt, and fail the attempts before it.

    Args:
        error: What was met.
        attempts: How many attempts there are.
        pause: The pause between them. The workflow's retry policy gives the pause if it is None, and after them.
        final: Whether there is a last attempt at all.

    Raises:
        ApplicationError: Further attempts follow.
    """
    attempt = activity.info().attempt
    if attempt < attempts or not final:
        delay = pause if attempt < attempts else None
        raise ApplicationError(error_text(error), type=NOT_RECORDED, next_retry_delay=delay) from error
    return error_text(error)


def without_kubernetes(error: Exception, *, has_kubernetes: bool) -> str:
    """Return the text for a worker whose profile has no Kubernetes, after other workers were tried.

    Args:
        error: That it has none.
        has_kubernetes: Whether another worker's profile has it, so that there is no last attempt.

    Raises:
        ApplicationError: Another attempt is to be made.
    """
    times = time_limits.STEPS
    attempts = times.elsewhere_attempts if has_kubernetes else times.no_kubernetes_attempts
    return final_note(error, attempts, times.no_kubernetes_pause, final=not has_kubernetes)


def refusal(error: KubernetesPermissionError, clock: StepClock) -> Exception:
    """Return the failure for a refusal that has lasted. The last attempt's failure is final.

    Args:
        error: What was met.
        clock: Times the attempt.
    """
    info, limits = activity.info(), time_limits.STEPS
    if info.schedule_to_close_timeout is None:
        last = info.attempt >= limits.refused_attempts
    else:  # a dry run has one: it reports what is known before its end
        remaining = _until(info.schedule_to_close_timeout, info.scheduled_time, clock)
        last = remaining <= limits.refused_reserve_timeout.total_seconds()
    delay = None if last else limits.refused_pause
    text = denied("Kubernetes", error.remedy, error)
    return ApplicationError(text, type=FailureType.PERMISSION_DENIED, non_retryable=last, next_retry_delay=delay)


def remaining_seconds(clock: StepClock) -> float:
    """Return how long this attempt may go on.

    Args:
        clock: Times the attempt.
    """
    info = activity.info()
    ends = ((info.started_time, info.start_to_close_timeout), (info.scheduled_time, info.schedule_to_close_timeout))
    return min(_until(limit, begin, clock) for begin, limit in ends if limit is not None)


def _until(limit: timedelta, begin: datetime, clock: StepClock) -> float:
    """Return the seconds until a limit.

    The server's clock counts up to the attempt's start, and this machine's monotonic clock from there. The two
    machines' times of day may differ by minutes.
    """
    return (limit - (activity.info().started_time - begin)).total_seconds() - clock.seconds
