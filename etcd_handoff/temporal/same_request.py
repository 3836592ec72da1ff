"""Check that the operation that a start has joined has the same goal as the request."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

from temporalio.exceptions import FailureError
from temporalio.service import RPCError

from etcd_handoff.errors import RunsAlreadyError

if TYPE_CHECKING:
    from temporalio.client import Client, WorkflowHandle

    from etcd_handoff.contract import OperationRequest


async def require_same_request(client: Client, started: WorkflowHandle[Any, Any], request: OperationRequest) -> None:
    """Check that the operation under this workflow ID has the request's goal.

    A workflow ID names a member or a cluster. A start may join an operation that applies another list. Its caller would
    mistake that operation's end for its own, and may stop members that are needed.

    Raises:
        RunsAlreadyError: The running operation has another goal.
    """
    if not request.distinguishing_options:
        return
    running = await _request_of(client, started, request)
    if running is None or running.distinguishing_options == request.distinguishing_options:
        return
    command = f"etcd-handoff cancel {shlex.quote(started.id)}"
    options = "; ".join(running.distinguishing_options)
    text = f"{started.id} runs already, for something else: {running.summary} ({options})"
    raise RunsAlreadyError(f"{text}. Wait for its end, or cancel it (`{command}`), then start this again")


async def _request_of(
    client: Client, started: WorkflowHandle[Any, Any], request: OperationRequest
) -> OperationRequest | None:
    """Return the input of the run, or None if it cannot be read: the workflow itself judges its input."""
    # Each run of a chain has the input, and the first one may be past its retention.
    run = client.get_workflow_handle(started.id, run_id=started.result_run_id)
    try:
        async for event in run.fetch_history_events(page_size=1):
            payloads = event.workflow_execution_started_event_attributes.input.payloads
            return (await client.data_converter.decode(payloads, [type(request)]))[0] if payloads else None
    except (RPCError, FailureError, ValueError):
        return None
    return None
