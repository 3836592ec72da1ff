"""The calls of a removal's activities: time-outs, retries, and what the Web UI shows beside each.

No call goes on for ever: each has a bounded number of attempts or a bounded time, and what is left then is a
`StepFailedError`, which the removal turns into a reason that people can read.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, is_cancelled_exception

with workflow.unsafe.imports_passed_through():
    from activities.etcd import EtcdActivities
    from activities.member_status import KubernetesActivities
    from activities.worker_info import WorkerActivities
    from workflows.outcome import attempts_of, why_it_failed

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable, Callable

    from etcd_handoff.model import (
        Act,
        FoundResource,
        LeaveRequest,
        LeaveState,
        Look,
        Record,
        Recorded,
        Report,
        ResourceQuery,
        Step,
        WorkerTraits,
    )

HEARTBEAT_TIMEOUT: Final = timedelta(milliseconds=700)
"""After this a killed worker's step starts elsewhere.

The server's timers fire up to a second late (its `history.timerProcessorMaxTimeShift`), so less would gain little.
"""
LONG_HEARTBEAT_TIMEOUT: Final = timedelta(seconds=10)
"""A snapshot takes minutes: to begin anew for a hiccup of half a second would cost more than a late takeover."""
LOOK_TIMEOUT: Final = timedelta(minutes=4)
CHANGE_TIMEOUT: Final = timedelta(minutes=10)
"""Never reached: an attempt ends by itself in a time that follows from its profile's `call_timeout_seconds` and
`change_timeout_seconds`, each at most 60 s, and a worker that is lost is missed by its heartbeats."""
RECORD_TIMEOUT: Final = timedelta(seconds=60)
HASH_TIMEOUT: Final = timedelta(minutes=25)
"""Two rounds of hashes, each up to the longest `hash_timeout_seconds`."""
SNAPSHOT_TIMEOUT: Final = timedelta(hours=1)
DRY_RUN_SECONDS: Final = 10.0
"""How long a dry run looks for an EtcdMember."""
ATTEMPTS: Final = 15
RETRY: Final = RetryPolicy(
    initial_interval=timedelta(milliseconds=10),
    backoff_coefficient=2,
    maximum_interval=timedelta(seconds=5),
    maximum_attempts=ATTEMPTS,
)
RETRY_LONG: Final = RetryPolicy(maximum_attempts=3)
"""For what may take minutes, and makes members read their whole keyspace each time."""
UNTIL_TIME_IS_UP: Final = RetryPolicy(
    initial_interval=timedelta(milliseconds=10), backoff_coefficient=2, maximum_interval=timedelta(seconds=5)
)


class StepFailedError(Exception):
    """An activity has failed in all its attempts; it never leaves the workflow.

    Attributes:
        step: Activity type.
        kind: Type of the failure, one of the contract's or another; empty when no attempt has answered.
        text: What is known about the cause.
        attempts: How many attempts there were, as far as the last one has said so.
    """

    def __init__(self, step: str, kind: str, text: str, attempts: int = 1) -> None:
        super().__init__(f"{step}: {text}")
        self.step, self.kind, self.text, self.attempts = step, kind, text, attempts


async def look(ask: Look) -> Report:
    """What `check_leader` sees."""
    report: Report = await _run(
        EtcdActivities.check_leader, ask, f"members, leader and health of {ask.cluster}", LOOK_TIMEOUT
    )
    return report


async def act(method: Callable[..., Awaitable[Report]], ask: Act, summary: str, timeout: timedelta) -> Report:
    """Run one of the activities that change or check the cluster."""
    if timeout <= CHANGE_TIMEOUT:
        report: Report = await _run(method, ask, summary, timeout)
    else:
        report = await _run(
            method, ask, summary, timeout, heartbeat_timeout=LONG_HEARTBEAT_TIMEOUT, retry_policy=RETRY_LONG
        )
    return report


async def find(query: ResourceQuery, *, patient: bool) -> FoundResource:
    """The EtcdMember that remembers a member that etcd does not list.

    Args:
        query: Which one.
        patient: False ends it after `DRY_RUN_SECONDS`.
    """
    found: FoundResource = await _run(
        KubernetesActivities.find_resource,
        query,
        f"does an EtcdMember remember {query.member}?",
        RECORD_TIMEOUT,
        schedule_to_close_timeout=None if patient else timedelta(seconds=DRY_RUN_SECONDS),
    )
    return found


async def read_leave(ask: LeaveRequest) -> LeaveState:
    """Whether the order to k0s stands, and who wrote it last."""
    state: LeaveState = await _run(
        KubernetesActivities.read_leave,
        ask,
        f"does the EtcdMember of {ask.member_name or ask.member_id} ask to leave?",
        RECORD_TIMEOUT,
    )
    return state


async def request_leave(ask: LeaveRequest) -> Step:
    """Ask k0s for the removal, or take that back."""
    what = "ask k0s to remove" if ask.leave else "take the order back to remove"
    step: Step = await _run(
        KubernetesActivities.request_leave, ask, f"{what} {ask.member_name or ask.member_id}", RECORD_TIMEOUT
    )
    return step


async def describe_worker(cluster: str) -> WorkerTraits:
    """What the worker that runs this knows of a cluster profile, as a local activity."""
    return await workflow.execute_local_activity_method(
        WorkerActivities.describe_worker, cluster, start_to_close_timeout=timedelta(seconds=5)
    )


async def record(wanted: Record, most_seconds: float, summary: str) -> Recorded:
    """Write the EtcdMember.

    Args:
        wanted: What is true.
        most_seconds: How long it is tried.
        summary: For the Web UI.

    Raises:
        StepFailedError: It could not be written within that time.
    """
    recorded: Recorded = await _run(
        KubernetesActivities.update_status,
        wanted,
        summary,
        RECORD_TIMEOUT,
        schedule_to_close_timeout=timedelta(seconds=most_seconds),
        retry_policy=UNTIL_TIME_IS_UP,
    )
    return recorded


async def _run(  # noqa: PLR0913  # each is an option of Temporal's own call
    method: Callable[..., Awaitable[Any]],
    ask: object,
    summary: str,
    start_to_close_timeout: timedelta,
    *,
    heartbeat_timeout: timedelta = HEARTBEAT_TIMEOUT,
    schedule_to_close_timeout: timedelta | None = None,
    retry_policy: RetryPolicy = RETRY,
) -> Any:
    """Run an activity.

    Raises:
        StepFailedError: All its attempts have failed, or its time is over.
        ActivityError: It was cancelled.
    """
    try:
        return await workflow.execute_activity_method(
            method,
            ask,
            start_to_close_timeout=start_to_close_timeout,
            schedule_to_close_timeout=schedule_to_close_timeout,
            heartbeat_timeout=heartbeat_timeout,
            retry_policy=retry_policy,
            summary=summary,
        )
    except ActivityError as error:
        if is_cancelled_exception(error):
            raise
        kind, text = why_it_failed(error)
        raise StepFailedError(error.activity_type, kind, text, attempts_of(error)) from error


def may_be_left(started: asyncio.Task[Any]) -> None:
    """Mark the task's exception as retrieved, so that asyncio does not log it when nobody awaits the task."""
    started.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
