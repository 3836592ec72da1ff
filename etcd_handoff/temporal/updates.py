"""Updates of a workflow, asked again where no worker has looked at them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from temporalio.client import WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError

if TYPE_CHECKING:
    from temporalio.client import WorkflowHandle

UNPROCESSED: Final = "UnprocessedUpdate"
"""Type of the failure with which Temporal turns an update down that went to a worker with a workflow task and was not
answered with it, as happens on a busy worker (Temporal server `service/history/workflow/update/registry.go`,
RejectUnprocessed). Nothing has become of such an update."""
AGAIN_SECONDS: Final = 0.2


async def execute_update(
    handle: WorkflowHandle[Any, Any], name: str, *arguments: Any, result_type: type | None = None
) -> Any:
    """Ask a workflow for an update until a worker has looked at it; whoever calls this bounds the time.

    Args:
        handle: The workflow.
        name: Name of the update.
        arguments: Its argument, if it has one.
        result_type: What the answer is.

    Returns:
        The workflow's answer.

    Raises:
        WorkflowUpdateFailedError: The workflow does not take it.
        WorkflowUpdateRPCTimeoutOrCancelledError: No worker answers.
        RPCError: Temporal does not, or knows no such workflow.
    """
    while True:
        try:
            return await handle.execute_update(name, *arguments, result_type=result_type)
        except WorkflowUpdateFailedError as error:
            if not (isinstance(error.cause, ApplicationError) and error.cause.type == UNPROCESSED):
                raise
        await asyncio.sleep(AGAIN_SECONDS)
