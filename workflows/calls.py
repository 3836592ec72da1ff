"""The calls of a removal's activities: time-outs, retries, and what the Web UI shows beside each."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, is_cancelled_exception

with workflow.unsafe.imports_passed_through():
    from activities.etcd import EtcdActivities
    from activities.kubernetes import KubernetesActivities
    from etcd_handoff.model import (
        Act,
        FoundResource,
        LeaveRequest,
        Look,
        Record,
        Recorded,
        Report,
        ResourceQuery,
        Step,
        StepOutcome,
    )

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable, Callable

HEARTBEAT_TIMEOUT: Final = timedelta(milliseconds=700)
"""After this a killed worker's step starts elsewhere.

The server's timers fire up to a second late (its `history.timerProcessorMaxTimeShift`), so less would gain little.
"""
LOOK_TIMEOUT: Final = timedelta(seconds=10)
CHANGE_TIMEOUT: Final = timedelta(seconds=20)
RECORD_TIMEOUT: Final = timedelta(seconds=60)
SNAPSHOT_TIMEOUT: Final = timedelta(hours=1)
RETRY: Final = RetryPolicy(
    initial_interval=timedelta(milliseconds=10), backoff_coefficient=2, maximum_interval=timedelta(seconds=5)
)


async def look(ask: Look) -> Report:
    """What `check_leader` sees."""
    return await workflow.execute_activity_method(
        EtcdActivities.check_leader,
        ask,
        start_to_close_timeout=LOOK_TIMEOUT,
        heartbeat_timeout=HEARTBEAT_TIMEOUT,
        retry_policy=RETRY,
        summary=f"members, leader and health of {ask.cluster}",
    )


async def act(method: Callable[..., Awaitable[Report]], ask: Act, summary: str, timeout: timedelta) -> Report:
    """What one of the activities answers that change or check the pinned cluster."""
    report: Report = await workflow.execute_activity_method(
        method,
        ask,
        start_to_close_timeout=timeout,
        heartbeat_timeout=HEARTBEAT_TIMEOUT,
        retry_policy=RETRY,
        summary=summary,
    )
    return report


async def find(query: ResourceQuery, patience_seconds: float) -> FoundResource:
    """The EtcdMember that remembers a member that etcd does not list."""
    return await workflow.execute_activity_method(
        KubernetesActivities.find_resource,
        query,
        start_to_close_timeout=RECORD_TIMEOUT,
        heartbeat_timeout=HEARTBEAT_TIMEOUT,
        schedule_to_close_timeout=timedelta(seconds=patience_seconds),
        retry_policy=RETRY,
        summary=f"does an EtcdMember remember {query.member}?",
    )


async def request_leave(ask: LeaveRequest) -> Step:
    """Ask k0s for the removal."""
    return await workflow.execute_activity_method(
        KubernetesActivities.request_leave,
        ask,
        start_to_close_timeout=RECORD_TIMEOUT,
        heartbeat_timeout=HEARTBEAT_TIMEOUT,
        retry_policy=RETRY,
        summary=f"ask k0s to remove {ask.member_name or ask.member_id}",
    )


async def record(wanted: Record, patience_seconds: float, summary: str) -> Recorded:
    """Write the EtcdMember; an API that stays away ends as a note, since what etcd says is true all the same."""
    try:
        return await workflow.execute_activity_method(
            KubernetesActivities.update_status,
            wanted,
            start_to_close_timeout=RECORD_TIMEOUT,
            heartbeat_timeout=HEARTBEAT_TIMEOUT,
            schedule_to_close_timeout=timedelta(seconds=patience_seconds),
            retry_policy=RETRY,
            summary=summary,
        )
    except ActivityError as error:
        if is_cancelled_exception(error):
            raise
        note = f"the EtcdMember could not be written within {patience_seconds:g} s: {error.cause or error}"
        step = Step(
            name="update_status",
            started=workflow.now().isoformat(timespec="milliseconds"),
            milliseconds=patience_seconds * 1000,
            attempts=0,
            node="",
            outcome=StepOutcome.FAILED,
            note=note,
        )
        return Recorded(step=step, recorded=False, note=note)


def may_be_left(started: asyncio.Task[Any]) -> None:
    """Nobody may wait for its end, and asyncio would log a failure that nobody has looked at."""
    started.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
