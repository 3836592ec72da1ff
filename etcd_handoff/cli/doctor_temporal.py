"""`doctor`'s look at Temporal: server, workers, search attributes, the queue of changes."""
# ruff: noqa: PLC0415
# Commands import what they need when they run: `--help` answers at once, without gRPC and Temporal.

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from etcd_handoff.cli.common import attempt, connected, explain
from etcd_handoff.exit_status import EXIT_FAILED

if TYPE_CHECKING:
    from temporalio.client import Client

    from etcd_handoff.cli.findings import Finding

POLLER_FRESH_SECONDS: Final = 75.0
"""A worker asks for work at least once a minute; Temporal lists it five minutes after its last request."""


async def examine_temporal(task_queue: str, cluster_id: str) -> list[Finding]:
    """Whether Temporal answers, who asks for work there, and whether our search attributes can be used.

    Args:
        task_queue: The configuration's.
        cluster_id: The etcd cluster; empty when it is not known.
    """
    import asyncio

    from etcd_handoff.cli.findings import Finding

    client = await attempt(connected())
    if isinstance(client, Exception):
        status, text = explain(client)
        return [Finding("temporal", text, status=status)]
    checks = {
        "temporal": _server(client),
        "workers": _workers(client, task_queue),
        "queue of changes": _queue(client, task_queue, cluster_id),
        "search attributes": _attributes(client),
    }
    findings = []
    for check, found in zip(checks, await asyncio.gather(*map(attempt, checks.values())), strict=True):
        if isinstance(found, Exception):
            status, text = explain(found)
            findings.append(Finding(check, text, status=status))
        elif found is not None:
            findings.append(found)
    return findings


async def _server(client: Client) -> Finding:
    from etcd_handoff.cli.findings import Finding
    from etcd_handoff.temporal_setup import check_namespace, check_server

    await check_server(client)
    await check_namespace(client)
    return Finding("temporal", f"{client.service_client.config.target_host}, namespace {client.namespace} answers")


async def _workers(client: Client, task_queue: str) -> Finding:
    from etcd_handoff.cli.findings import judge_pollers

    return judge_pollers(task_queue, await _pollers(client, task_queue))


async def _pollers(client: Client, task_queue: str) -> list[str]:
    """Who has asked for work on this task queue of late."""
    from temporalio.api.enums.v1 import TaskQueueType
    from temporalio.api.taskqueue.v1 import TaskQueue
    from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest

    asked = DescribeTaskQueueRequest(
        namespace=client.namespace,
        task_queue=TaskQueue(name=task_queue),
        task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW,
    )
    answer = await client.workflow_service.describe_task_queue(asked)
    ages = {poller.identity: time.time() - poller.last_access_time.seconds for poller in answer.pollers}
    return [who for who, age in ages.items() if age < POLLER_FRESH_SECONDS]


async def _queue(client: Client, own_task_queue: str, cluster_id: str) -> Finding | None:
    """Whether the open queue of this etcd cluster is served; None where there is none."""
    from temporalio.client import WorkflowExecutionStatus
    from temporalio.service import RPCError, RPCStatusCode

    from etcd_handoff.cli.findings import judge_queue
    from etcd_handoff.operation.queue_state import change_queue_id

    if not cluster_id:
        return None
    name = change_queue_id(cluster_id)
    try:
        described = await client.get_workflow_handle(name).describe()
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            return None
        raise
    if described.status is not WorkflowExecutionStatus.RUNNING:
        return None
    return judge_queue(name, described.task_queue, own_task_queue, await _pollers(client, described.task_queue))


async def _attributes(client: Client) -> Finding:
    from temporalio.service import RPCError

    from etcd_handoff.cli.findings import Finding, judge_attributes
    from etcd_handoff.payloads import attributes_of_another_type
    from etcd_handoff.temporal_setup import NOT_FOR_US, REGISTER, registered, unusable

    try:
        known = await registered(client)
    except RPCError as error:
        if error.status not in NOT_FOR_US:
            raise
    else:
        return judge_attributes(known, attributes_of_another_type(known))
    if why := await unusable(client):
        return Finding("search attributes", f"cannot be used: {why}", REGISTER, EXIT_FAILED)
    return Finding("search attributes", "a query that names them is answered; their list is not for these credentials")
