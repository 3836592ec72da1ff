"""Send updates to a workflow once it has handled all events, and again if no worker has looked at them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from temporalio.client import WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError

from etcd_handoff import time_limits

if TYPE_CHECKING:
    from temporalio.client import WorkflowHandle

UNPROCESSED: Final = "UnprocessedUpdate"
"""Type of the failure with which Temporal rejects an update that a worker got with a workflow task and did not answer
with it. That happens on a busy worker (Temporal server `service/history/workflow/update/registry.go`,
RejectUnprocessed). Such an update had no effect."""


async def execute_update(
    handle: WorkflowHandle[Any, Any], name: str, *arguments: Any, result_type: type | None = None
) -> Any:
    """Send an update to a workflow until a worker has looked at it. The caller bounds the time.

    Args:
        handle: The workflow.
        name: Name of the update.
        arguments: Its argument, if it has one.
        result_type: The type of the answer.

    Returns:
        The workflow's answer.

    Raises:
        WorkflowUpdateFailedError: The workflow does not accept it.
        WorkflowUpdateRPCTimeoutOrCancelledError: No worker answers.
        RPCError: Temporal does not answer, or knows no such workflow.
    """
    await _taken_in(handle)
    while True:
        try:
            return await handle.execute_update(name, *arguments, result_type=result_type)
        except WorkflowUpdateFailedError as error:
            if not (isinstance(error.cause, ApplicationError) and error.cause.type == UNPROCESSED):
                raise
        await asyncio.sleep(time_limits.COMMANDS.update_again_seconds)


async def _taken_in(handle: WorkflowHandle[Any, Any]) -> None:
    """Wait for a moment, until no workflow task is due.

    On a busy worker, a query can show a step's result before the workflow task that brings it. An update that comes
    with that task is handled after the result. In a replay it would be handled before, and the workflow task would fail
    for ever (TMPRL1100).
    """
    for _ in range(time_limits.COMMANDS.update_ready_attempts):
        try:
            described = await handle.describe()
        except RPCError:
            return  # the update will raise the error
        if not described.raw_description.HasField("pending_workflow_task"):
            return
        await asyncio.sleep(time_limits.COMMANDS.update_again_seconds / 2)
