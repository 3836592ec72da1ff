"""Repeat calls whose error may pass a moment later, until the error has lasted long enough to count.

A kube-apiserver that was just started refuses every user until its informers are filled (kubernetes/kubernetes#65785).
It serves no EtcdMembers until it has read their definition. So it is asked again in the same attempt. Attempts that
failed for another reason are no evidence that such an error has lasted.
"""

from __future__ import annotations

import asyncio
import math
import time
from typing import TYPE_CHECKING, TypeVar

from temporalio.exceptions import ApplicationError

from activities.kubernetes_errors import error_text, remaining_seconds
from etcd_handoff import time_limits
from etcd_handoff.errors import (
    KindGoneError,
    KubernetesError,
    KubernetesPermissionError,
    ObjectGoneError,
    RejectedError,
)
from etcd_handoff.temporal.failure_converter import NOT_RECORDED

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from activities.interceptor import StepClock

T = TypeVar("T")


def absence_seconds(error: KubernetesError, *, optional: bool = False) -> float:
    """Return how long a 404 has to last before it counts.

    It counts at once if all API servers agree, and never if others may know better.

    Args:
        error: What was met. For anything but a 404 the answer is 0, since asking again does not help.
        optional: Whether EtcdMembers need not be installed.
    """
    if not isinstance(error, ObjectGoneError):
        return 0.0
    if not isinstance(error, KindGoneError):
        return 0.0 if error.certain else time_limits.STEPS.absent_seconds
    if error.certain:
        return 0.0 if optional else time_limits.STEPS.absent_seconds
    return time_limits.STEPS.absent_seconds if optional else math.inf


def denial_seconds(error: KubernetesError, *, optional: bool = False) -> float:
    """Return how long a 404 or a refusal has to last before it counts."""
    if isinstance(error, KubernetesPermissionError):
        return time_limits.STEPS.refused_seconds
    return absence_seconds(error, optional=optional)


def trouble_seconds(error: KubernetesError) -> float:
    """Return how long an error that keeps `spec.leave` from being set has to last before it counts.

    The flag is worth only that much time.
    """
    return 0.0 if isinstance(error, RejectedError) else time_limits.STEPS.refused_seconds


async def lasting(
    ask: Callable[[], Awaitable[T]], seconds_of: Callable[[KubernetesError], float], clock: StepClock
) -> T:
    """Call `ask` until it succeeds, or until the same error has lasted long enough to be raised.

    Args:
        ask: The call.
        seconds_of: Gives how long an error has to last; 0 for one that is raised at once.
        clock: Times the attempt.

    Raises:
        KubernetesError: It has lasted or need not, or it is a refusal that the attempt has no time to wait for.
        ApplicationError: The attempt has no time to wait, or the error never lasts long enough: another attempt
            follows.
    """
    kind, since, answers = KubernetesError, 0.0, 0
    while True:
        try:
            return await ask()
        except KubernetesError as error:
            seconds, now = seconds_of(error), time.monotonic()
            if type(error) is not kind:
                kind, since, answers = type(error), now, 0
            answers += 1
            if seconds <= now - since and (answers >= time_limits.STEPS.lasting_answers or not seconds):
                raise
            if math.isinf(seconds) or remaining_seconds(clock) < seconds - (now - since):
                if isinstance(error, KubernetesPermissionError):
                    raise
                raise ApplicationError(error_text(error), type=NOT_RECORDED) from error
        await asyncio.sleep(time_limits.STEPS.lasting_pause_seconds)
