"""Answers of API servers that may be otherwise a moment later: they are the last word once they have lasted.

A kube-apiserver that has just been started refuses everybody until its informers are filled
(kubernetes/kubernetes#65785), and serves no EtcdMembers until it has read their definition. So it is asked again in the
same attempt. Attempts that something else has failed say nothing about that.
"""

from __future__ import annotations

import asyncio
import math
import time
from typing import TYPE_CHECKING, TypeVar

from temporalio.exceptions import ApplicationError

from activities.kubernetes_errors import NOT_RECORDED, error_text, seconds_left
from etcd_handoff import time_limits
from etcd_handoff.errors import (
    KindGoneError,
    KubernetesError,
    KubernetesPermissionError,
    ObjectGoneError,
    RejectedError,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from activities.interceptor import StepClock

T = TypeVar("T")


def absence_seconds(error: KubernetesError, *, optional: bool = False) -> float:
    """How long a 404 has to last: not at all where all API servers say so, and for ever where others may know better.

    Args:
        error: What was met; anything else does not get better by being asked again here.
        optional: EtcdMembers need not be installed.
    """
    if not isinstance(error, ObjectGoneError):
        return 0.0
    if not isinstance(error, KindGoneError):
        return 0.0 if error.certain else time_limits.STEPS.absent_seconds
    if error.certain:
        return 0.0 if optional else time_limits.STEPS.absent_seconds
    return time_limits.STEPS.absent_seconds if optional else math.inf


def denial_seconds(error: KubernetesError, *, optional: bool = False) -> float:
    """The same, and how long a refusal has to last."""
    if isinstance(error, KubernetesPermissionError):
        return time_limits.STEPS.refused_seconds
    return absence_seconds(error, optional=optional)


def trouble_seconds(error: KubernetesError) -> float:
    """How long anything has to last that keeps `spec.leave` from being set: it is worth only so much time."""
    return 0.0 if isinstance(error, RejectedError) else time_limits.STEPS.refused_seconds


async def lasting(
    ask: Callable[[], Awaitable[T]], seconds_of: Callable[[KubernetesError], float], clock: StepClock
) -> T:
    """What is answered; an error that has to last is raised once it was met for so long, and nothing else meanwhile.

    Args:
        ask: Asks.
        seconds_of: How long an error has to last; 0 for one that is raised at once.
        clock: Times the attempt.

    Raises:
        KubernetesError: One that has lasted, or need not; a refusal too for which the call has no time.
        ApplicationError: The call has no time for it, or it never lasts long enough: there is another attempt.
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
            if math.isinf(seconds) or seconds_left(clock) < seconds - (now - since):
                if isinstance(error, KubernetesPermissionError):
                    raise
                raise ApplicationError(error_text(error), type=NOT_RECORDED) from error
        await asyncio.sleep(time_limits.STEPS.lasting_pause_seconds)
