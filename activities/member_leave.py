"""`spec.leave` of the EtcdMember of a member that k0s runs: once it is out, and as what makes k0s stop its node."""

from __future__ import annotations

import asyncio
import contextlib
from functools import partial
from typing import TYPE_CHECKING, Any

from activities.kubernetes_errors import error_text
from activities.lasting_answers import lasting, trouble_seconds
from activities.member_resource import CONFLICT_TRIES
from etcd_handoff import time_limits
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
from etcd_handoff.etcdmember_messages import LEAVE_ANNOTATION

if TYPE_CHECKING:
    from activities.interceptor import StepClock
    from etcd_handoff.activity_io import LeaveInput, UpdateStatusInput
    from etcd_handoff.kubernetes.port import KubernetesPort

Resource = dict[str, Any]


async def try_to_set_leave(
    gateway: KubernetesPort, record: UpdateStatusInput, resource: Resource, clock: StepClock
) -> str:
    """Nothing once `spec.leave` is as it should be; otherwise why it is not, which is worth only so much time.

    Args:
        gateway: Of the cluster.
        record: What is true of the member.
        resource: Its EtcdMember as it was stored last.
        clock: Times the attempt.
    """
    if not record.leave or record.joined is not False:
        return ""
    try:
        return await lasting(partial(set_leave, gateway, record, resource), trouble_seconds, clock)
    except KubernetesError as error:
        return f"spec.leave was not set: {error_text(error)}"


async def set_leave(gateway: KubernetesPort, record: UpdateStatusInput, resource: Resource) -> str:
    """Nothing once `spec.leave` is true on the EtcdMember of a member that is out; otherwise why it was left alone.

    The annotation that may have asked for the removal goes with the same write: it has been followed, and is not to
    mean whoever carries the name next.

    Args:
        gateway: Of the cluster.
        record: What is true of the member.
        resource: Its EtcdMember as it was stored last.
    """
    for _ in range(CONFLICT_TRIES):
        name = resource["metadata"]["name"]
        if member_id_of(resource) != record.member_id or joined_condition(resource) != "False":
            return f"EtcdMember {name} has changed since; its spec.leave was left alone"
        if name in {resource_name(present) for present in record.present_names}:
            return f"a member of the name {name} is in the cluster; spec.leave was left alone"
        followed = LEAVE_ANNOTATION if annotation_of(resource) in ("true", record.member_id) else ""
        if asks_to_leave(resource) and not followed:
            return ""
        with contextlib.suppress(ConflictError):
            await gateway.patch_spec(resource, {"leave": True}, departing=record.member_name, without=followed)
            return ""
        resource = await gateway.get(name, departing=record.member_name)
    msg = f"the EtcdMember changed {CONFLICT_TRIES} times while its spec was written"
    raise ConflictError(msg)


async def await_mark(gateway: KubernetesPort, ask: LeaveInput, resource: Resource) -> str:
    """Whether k0s has told the node to stop, as the end of a sentence; it is waited for where that was asked for.

    k0s's lease holder puts a label with the present start of that node's k0s on the EtcdMember, which k0s there
    watches (k0s `pkg/component/controller/etcd_member_reconciler.go`, reconcileMember and shutdownIfMarked, v1.36).
    Releases before that have no such label.

    Args:
        gateway: Of the cluster.
        ask: What was asked for.
        resource: The EtcdMember as it was stored.
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
