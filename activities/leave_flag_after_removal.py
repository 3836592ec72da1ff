"""`spec.leave` on the EtcdMember of a member that k0s runs: set it once the member has left, and await its effect.

The order by which k0s itself removes a member is `request_leave` in `activities.member_status`.
"""

from __future__ import annotations

import asyncio
import contextlib
from functools import partial
from typing import TYPE_CHECKING, Any

from activities.kubernetes_errors import error_text
from activities.lasting_answers import lasting, trouble_seconds
from etcd_handoff import time_limits
from etcd_handoff.annotations import LEAVE_ANNOTATION
from etcd_handoff.errors import ConflictError, KubernetesError
from etcd_handoff.etcdmember import (
    SHUTDOWN_LABEL,
    SHUTDOWN_ON_LEAVE_LABEL,
    annotation_of,
    asks_to_leave,
    joined_condition,
    labels_of,
    member_id_of,
    resource_name,
)

if TYPE_CHECKING:
    from activities.interceptor import StepClock
    from etcd_handoff.activity_io import LeaveInput, UpdateStatusInput
    from etcd_handoff.kubernetes.port import KubernetesPort

Resource = dict[str, Any]


async def try_to_set_leave(
    gateway: KubernetesPort, record: UpdateStatusInput, resource: Resource, clock: StepClock
) -> str:
    """Set `spec.leave` if the record asks for that, for a limited time.

    Args:
        gateway: Of the cluster.
        record: What is true of the member.
        resource: Its EtcdMember as it was stored last.
        clock: Times the attempt.

    Returns:
        Why the flag was not set, or "" if it is as it should be.
    """
    if not record.leave or record.joined is not False:
        return ""
    try:
        return await lasting(partial(set_leave, gateway, record, resource), trouble_seconds, clock)
    except KubernetesError as error:
        return f"spec.leave was not set: {error_text(error)}"


async def set_leave(gateway: KubernetesPort, record: UpdateStatusInput, resource: Resource) -> str:
    """Set `spec.leave` on the EtcdMember of a member that has left.

    The same write removes the annotation that may have requested the removal. The request was followed, and must not
    apply to the next member with that name.

    Args:
        gateway: Of the cluster.
        record: What is true of the member.
        resource: Its EtcdMember as it was stored last.

    Returns:
        Why the EtcdMember was not changed, or "" once the flag is set.

    Raises:
        ConflictError: The EtcdMember kept changing while it was written.
    """
    for _ in range(time_limits.STEPS.conflict_attempts):
        name = resource["metadata"]["name"]
        if member_id_of(resource) != record.member_id or joined_condition(resource) != "False":
            return f"EtcdMember {name} has changed since; its spec.leave was not changed"
        if name in {resource_name(present) for present in record.present_names}:
            return f"a member of the name {name} is in the cluster; spec.leave was not changed"
        followed = LEAVE_ANNOTATION if annotation_of(resource) in ("true", record.member_id) else ""
        if asks_to_leave(resource) and not followed:
            return ""
        with contextlib.suppress(ConflictError):
            await gateway.patch_spec(resource, {"leave": True}, departing=record.member_name, without=followed)
            return ""
        resource = await gateway.get(name, departing=record.member_name)
    msg = f"the EtcdMember changed {time_limits.STEPS.conflict_attempts} times while its spec was written"
    raise ConflictError(msg)


async def await_mark(gateway: KubernetesPort, ask: LeaveInput, resource: Resource) -> str:
    """Wait until k0s has marked the node to stop, if that was asked for.

    k0s's lease holder puts a label with the present start of that node's k0s on the EtcdMember. k0s on that node
    watches it (k0s `pkg/component/controller/etcd_member_reconciler.go`, reconcileMember and shutdownIfMarked, v1.36).
    Earlier releases have no such label.

    Args:
        gateway: Of the cluster.
        ask: What was asked for.
        resource: The EtcdMember as it was stored.

    Returns:
        What was seen, as the end of a sentence.
    """
    if not (ask.until_marked and ask.leave):
        return ""
    with contextlib.suppress(TimeoutError, KubernetesError):
        async with asyncio.timeout(time_limits.STEPS.marked_seconds):
            while True:
                labels = labels_of(resource)
                start = labels.get(SHUTDOWN_ON_LEAVE_LABEL)
                if not start:
                    return "; its k0s does not stop when asked"
                if labels.get(SHUTDOWN_LABEL) == start:
                    return "; k0s has told the node to stop"
                await asyncio.sleep(time_limits.STEPS.mark_pause_seconds)
                resource = await gateway.get(resource["metadata"]["name"], departing=ask.member_name)
    return "; k0s has not told the node to stop in time"
