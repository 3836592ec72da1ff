"""The workers that ask for work on a task queue, by Temporal's list."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest

from etcd_handoff import time_limits

if TYPE_CHECKING:
    from temporalio.client import Client


async def pollers(
    client: Client,
    task_queue: str,
    *,
    activities: bool = False,
    fresh_seconds: float = time_limits.WORKER.fresh_seconds,
) -> list[str]:
    """Return the identities of the workers that have recently asked for work on this task queue.

    Args:
        client: Temporal's client.
        task_queue: The task queue.
        activities: Whether to ask for pollers of activities and not of workflows. A node's queue has only activities.
        fresh_seconds: How long a worker counts after its last request. A worker without a request is not listed.

    Raises:
        RPCError: Temporal does not answer.
    """
    request = DescribeTaskQueueRequest(
        namespace=client.namespace,
        task_queue=TaskQueue(name=task_queue),
        task_queue_type=(
            TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY if activities else TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW
        ),
    )
    answer = await client.workflow_service.describe_task_queue(request)
    ages = {poller.identity: time.time() - poller.last_access_time.seconds for poller in answer.pollers}
    return [identity for identity, age in ages.items() if age < fresh_seconds]
