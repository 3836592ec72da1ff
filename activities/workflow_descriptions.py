"""What Temporal itself knows of a workflow, whether or not a worker answers for it."""

from __future__ import annotations

import json
from datetime import UTC
from typing import TYPE_CHECKING, Any

from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import PendingWorkflowTaskState
from temporalio.api.workflowservice.v1 import DescribeWorkflowExecutionRequest, DescribeWorkflowExecutionResponse
from temporalio.service import RPCError, RPCStatusCode

if TYPE_CHECKING:
    from temporalio.client import Client


async def describe(client: Client, workflow_id: str) -> DescribeWorkflowExecutionResponse | None:
    """Return what Temporal knows of the last run under an ID, or None if it knows none.

    The SDK's own description cannot be read for a status that it does not know, such as paused.

    Raises:
        RPCError: Temporal does not answer.
    """
    request = DescribeWorkflowExecutionRequest(
        namespace=client.namespace, execution=WorkflowExecution(workflow_id=workflow_id)
    )
    try:
        return await client.workflow_service.describe_workflow_execution(request, retry=True)
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            return None
        raise


def memo_value(described: DescribeWorkflowExecutionResponse, key: str) -> Any:
    """Return the value of this key in a workflow's memo, or None."""
    fields = described.workflow_execution_info.memo.fields
    return json.loads(fields[key].data) if key in fields else None


def why_silent(described: DescribeWorkflowExecutionResponse | None, ours: str) -> str:
    """Return what keeps a queue from answering, as far as Temporal knows.

    Args:
        described: The queue.
        ours: Task queue of the removal that asks.
    """
    if described is None:
        return "Temporal does not know it any more"
    theirs, task = described.execution_config.task_queue.name, described.pending_workflow_task
    apart = "" if theirs == ours else f", while this removal runs on task queue {ours}"
    if not described.HasField("pending_workflow_task"):
        return f"Temporal reports no pending work for it, on task queue {theirs}{apart}"
    since = task.original_scheduled_time if task.HasField("original_scheduled_time") else task.scheduled_time
    when = since.ToDatetime(UTC).isoformat(timespec="seconds")
    if task.attempt > 1:
        return f"its last workflow task failed, attempt {task.attempt} of it is due on task queue {theirs}{apart}"
    if task.state == PendingWorkflowTaskState.PENDING_WORKFLOW_TASK_STATE_STARTED:
        return f"a worker on task queue {theirs} has its workflow task since {when} and does not end it{apart}"
    return f"no worker serves its task queue {theirs}: a workflow task has waited there since {when}{apart}"
