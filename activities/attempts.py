"""Whether Temporal still counts on the running attempt of an activity.

Temporal gives up an attempt whose heartbeats do not come, and starts another one elsewhere. The first attempt learns
that from the answer to its next heartbeat at the earliest. A virtual machine that was stopped for a while continues at
once. An answer of Temporal's that lay in its socket can then begin an attempt that was given up long ago. By then the
operation may have been cancelled, and other operations may have had their turn.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from temporalio import activity
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import DescribeWorkflowExecutionRequest
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError, RPCStatusCode

from activities.interceptor import STEP_FAILS
from etcd_handoff import time_limits

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from temporalio.client import Client

    WhyVoid = Callable[[], Awaitable[str]]

GIVEN_UP: Final = "Temporal has given this attempt up: another one may run, or the operation has ended"


class Attempts:
    """Attempts of activities, as Temporal knows them.

    Args:
        client: Connected to the server that the worker works for.
    """

    def __init__(self, client: Client) -> None:
        self._client = client

    async def why_void(self) -> str:
        """Return why the running attempt must change nothing any more, or "" while Temporal counts on it.

        The attempt changes nothing either while Temporal does not answer. Temporal would not expect what such an
        attempt has done.
        """
        info = activity.info()
        if info.is_local:
            return ""
        run = WorkflowExecution(workflow_id=info.workflow_id or "", run_id=info.workflow_run_id or "")
        request = DescribeWorkflowExecutionRequest(namespace=self._client.namespace, execution=run)
        try:
            described = await self._client.workflow_service.describe_workflow_execution(
                request, timeout=time_limits.STEPS.attempt_timeout
            )
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                return GIVEN_UP
            why = error.status.name.lower().replace("_", " ")  # its words may have an address in them
            return f"Temporal does not say whether this attempt still counts: {why}"
        if described.workflow_execution_info.HasField("close_time"):
            return GIVEN_UP  # Temporal goes on listing activities of a run that was terminated or reset
        pending = (p.attempt for p in described.pending_activities if p.activity_id == info.activity_id)
        return "" if info.attempt in pending else GIVEN_UP


async def require_timely(why_void: WhyVoid | None) -> None:
    """Check that an order to k0s may be given now: k0s follows it without asking who takes part.

    The order was decided on a look that is as old as the activity, which may have waited for a worker for hours. Both
    times are the server's.

    Raises:
        ApplicationError: The order is so old that the cluster has to be looked at again, or this attempt does not
            count.
    """
    info = activity.info()
    waited = info.started_time - info.scheduled_time
    if waited > time_limits.STEPS.order_timeout:
        text = f"it was ordered {waited.total_seconds():.0f} s ago: the cluster is to be looked at again before"
        raise ApplicationError(text, type=STEP_FAILS, non_retryable=True)
    if why_void is not None and (why := await why_void()):
        raise ApplicationError(why, type=STEP_FAILS)


def was_given_up() -> bool:
    """Return whether the running attempt was cancelled because Temporal does not know it any more."""
    details = activity.cancellation_details()
    return details is not None and (details.not_found or details.timed_out)


def is_cancelling() -> bool:
    """Return whether the running task is to end: its activity was cancelled, or its time is up."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
