"""How commands are carried out as activities: one table of time-outs and retries (`retries.py` has the policies).

Every call ends: each has a limited number of attempts or a limited time. After that the result is a `StepFailure`,
which the operation turns into a reason that people can read.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from temporalio import workflow
from temporalio.exceptions import ActivityError, is_cancelled_exception

with workflow.unsafe.imports_passed_through():
    from activities.departed import DepartedActivities
    from activities.etcd import EtcdActivities
    from activities.etcdmembers import EtcdMemberActivities
    from activities.hash_and_snapshot import HashAndSnapshotActivities
    from activities.member_process import MemberProcessActivities
    from activities.member_status import KubernetesActivities
    from activities.worker_info import WorkerActivities
    from etcd_handoff import time_limits
    from etcd_handoff.contract import node_queue
    from etcd_handoff.operation.commands import (
        AddTarget,
        AwaitNewLeader,
        CheckHash,
        FindResource,
        HashThroughNodes,
        LookThroughNodes,
        Observe,
        PromoteTarget,
        ReadLeave,
        ReleaseLock,
        RemoveTarget,
        RequestLeave,
        SeeDeparted,
        StepFailure,
        TakeSnapshot,
        TransferLeadership,
        TransferOnceGranted,
        WriteStatus,
    )
    from etcd_handoff.operation.learner import AwaitSync
    from etcd_handoff.operation.learner_removal import RemoveLearner
    from etcd_handoff.operation.member_process import (
        ArchiveMember,
        PreflightMember,
        StartMember,
        StopLearner,
        StopMember,
    )
    from etcd_handoff.operation.resource_progress import WriteProgress
    from workflows import patches, retries
    from workflows.failures import attempts_of, was_taken, was_tried, why_it_failed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from temporalio.common import RetryPolicy

    from etcd_handoff.activity_io import WorkerInfo
    from etcd_handoff.operation.commands import Activity

LATER: Final[dict[type[Activity], str]] = {
    **dict.fromkeys((PreflightMember, StartMember), patches.MEMBER_PROCESSES),
    **dict.fromkeys((StopMember, ArchiveMember), patches.MEMBER_ENDS),
    StopLearner: patches.PUT_OFF_ENDS,
    ReleaseLock: patches.LEFT_LOCKS,
    WriteProgress: patches.WAITS_TOLD,
}
"""The patches from which on these activities are called."""
LIMITS: Final = time_limits.WORKFLOWS
"""The values at import time, since the table below is made then."""


class Call(NamedTuple):
    """How a command's activity is called.

    Attributes:
        method: The activity.
        timeout: How long one attempt may take.
        takes_minutes: Whether it may take minutes. Then its heartbeat time-out is longer, and it is tried less often.
        retry: Which failures are tried again.
        heartbeat: How long its worker may send no heartbeat.
        start: How long the worker of a node may take to begin.
    """

    method: Callable[..., Any]
    timeout: timedelta
    takes_minutes: bool = False
    retry: RetryPolicy = retries.STEP
    heartbeat: timedelta = LIMITS.step_heartbeat_timeout
    start: timedelta = LIMITS.node_start_timeout


def _on_node(method: Callable[..., Any]) -> Call:
    return Call(method, LIMITS.process_timeout, takes_minutes=True, retry=retries.LONG)


CALLS: Final[dict[type[Activity], Call]] = {
    Observe: Call(EtcdActivities.check_leader, LIMITS.look_timeout),
    CheckHash: Call(HashAndSnapshotActivities.check_hash, LIMITS.hash_timeout, takes_minutes=True, retry=retries.LONG),
    TakeSnapshot: Call(
        HashAndSnapshotActivities.take_snapshot, LIMITS.snapshot_timeout, takes_minutes=True, retry=retries.SNAPSHOT
    ),
    **dict.fromkeys((TransferLeadership, TransferOnceGranted), Call(EtcdActivities.move_leader, LIMITS.change_timeout)),
    AwaitNewLeader: Call(EtcdActivities.await_election, LIMITS.change_timeout),
    AddTarget: Call(EtcdActivities.add_learner, LIMITS.change_timeout),
    AwaitSync: Call(EtcdActivities.await_sync, LIMITS.look_timeout, heartbeat=LIMITS.wait_heartbeat_timeout),
    PromoteTarget: Call(EtcdActivities.promote_member, LIMITS.change_timeout),
    RemoveTarget: Call(EtcdActivities.remove_member, LIMITS.change_timeout),
    RemoveLearner: Call(EtcdActivities.remove_member, LIMITS.change_timeout),
    ReleaseLock: Call(EtcdActivities.release_lock, LIMITS.look_timeout, retry=retries.ONCE),
    FindResource: Call(KubernetesActivities.find_resource, LIMITS.record_timeout),
    ReadLeave: Call(KubernetesActivities.read_leave, LIMITS.record_timeout),
    RequestLeave: Call(KubernetesActivities.request_leave, LIMITS.record_timeout),
    PreflightMember: _on_node(MemberProcessActivities.preflight_member),
    StartMember: _on_node(MemberProcessActivities.start_member),
    **dict.fromkeys((StopMember, StopLearner), _on_node(MemberProcessActivities.stop_member)),
    ArchiveMember: _on_node(MemberProcessActivities.archive_member),
    SeeDeparted: Call(
        DepartedActivities.see_departed,
        LIMITS.departed_timeout,
        retry=retries.ONCE,
        start=LIMITS.node_look_start_timeout,
    ),
    WriteProgress: Call(EtcdMemberActivities.note_progress, LIMITS.queue_note_timeout, retry=retries.NOTE),
    WriteStatus: Call(KubernetesActivities.update_status, LIMITS.record_timeout, retry=retries.UNTIL_TIME_IS_UP),
}


async def activity(command: Activity) -> Any:
    """Carry out a command as an activity.

    Returns:
        What the activity answers, or a `StepFailure` when all its attempts have failed or its time is over.

    Raises:
        ActivityError: It was cancelled.
    """
    call = CALLS[type(command)]
    if (patch := LATER.get(type(command))) and not patches.is_on(patch):
        return StepFailure(call.method.__name__, "", "this run began before that was done", taken=False)
    return await _called(command, call)


async def see_departed(command: SeeDeparted) -> Any:
    """Return whether the etcd of a removed member still runs.

    Return None if that is not known, or if this run began before that was asked.
    """
    result = await activity(command) if patches.is_on(patches.DEPARTED) else None
    return None if isinstance(result, StepFailure) else result


async def look_through_nodes(command: LookThroughNodes) -> tuple[Any, ...]:
    """Return what the workers of several nodes see, side by side and in the order of the nodes.

    Returns:
        A `StepResult` or a `StepFailure` for each; nothing in a run that began before nodes were asked.
    """
    if not patches.is_on(patches.NODE_QUEUES):
        return ()
    call = CALLS[Observe]._replace(retry=retries.NODE_LOOK, start=LIMITS.node_look_start_timeout)
    return await _side_by_side(command.looks, call)


async def hash_through_nodes(command: HashThroughNodes) -> Any:
    """Return members' hashes through the workers of their own nodes, side by side and in the order of the members.

    Returns:
        A `StepResult` or a `StepFailure` for each; one for all in a run that began before nodes were asked for hashes.
    """
    if not patches.is_on(patches.NODE_HASHES):
        return await activity(command.whole)
    return await _side_by_side(command.checks, CALLS[CheckHash])


async def _side_by_side(commands: Sequence[Activity], call: Call) -> tuple[Any, ...]:
    started = [asyncio.create_task(_called(command, call)) for command in commands]
    try:
        return tuple(await asyncio.gather(*started))
    finally:
        for one in started:
            one.cancel()


async def _called(command: Activity, call: Call) -> Any:
    most: float | None = getattr(command, "most_seconds", None)
    try:
        return await workflow.execute_activity_method(
            call.method,
            command.ask,
            task_queue=node_queue(workflow.info().task_queue, command.node) if command.node else None,
            start_to_close_timeout=call.timeout,
            schedule_to_start_timeout=call.start if command.node else None,
            schedule_to_close_timeout=None if most is None else timedelta(seconds=most),
            heartbeat_timeout=LIMITS.long_heartbeat_timeout if call.takes_minutes else call.heartbeat,
            retry_policy=call.retry,
            summary=command.summary,
        )
    except ActivityError as error:
        if is_cancelled_exception(error):
            raise
        kind, text = why_it_failed(error, command.node)
        return StepFailure(error.activity_type, kind, text, attempts_of(error), was_taken(error), was_tried(error))


async def describe_worker(cluster: str) -> WorkerInfo:
    """Return what the worker of this workflow task knows of a cluster profile, through a local activity."""
    return await workflow.execute_local_activity_method(
        WorkerActivities.describe_worker,
        cluster,
        start_to_close_timeout=LIMITS.describe_timeout,
        summary=f"read this worker's settings for cluster {cluster}",
    )
