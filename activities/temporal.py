"""A removal looked at from outside, through Temporal itself."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from temporalio import activity
from temporalio.api.enums.v1 import WorkflowExecutionStatus
from temporalio.client import WorkflowFailureError, WorkflowQueryFailedError, WorkflowQueryRejectedError
from temporalio.converter import decode_typed_search_attributes
from temporalio.exceptions import ApplicationError, CancelledError, TerminatedError
from temporalio.service import RPCError

from activities.turns import describe
from etcd_handoff.model import PASSING, HandoffState, Progress, RemovalResult
from etcd_handoff.removal_progress import Follow, Followed
from etcd_handoff.temporal.search_attributes import STATE_KEY

if TYPE_CHECKING:
    from temporalio.api.workflowservice.v1 import DescribeWorkflowExecutionResponse
    from temporalio.client import Client, WorkflowHandle

LOOK_SECONDS, LONGEST_LOOK_SECONDS = 2.0, 10.0
"""Pause between looks at a removal that is under way, which doubles as long as there is no news; its end is told at
once. A thousand removals that are open for a minute would otherwise cost more to look at than to do."""
QUERY_SECONDS: Final = 5.0
"""How long a removal may take to say where it stands: its worker may just have died."""
WORDS_LOOKS: Final = 4
"""Every so many looks the words are read too, though the state is the same."""
CONTINUED: Final = WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_CONTINUED_AS_NEW


class TemporalActivities:
    """The activities on workflows.

    Args:
        client: Connected to the server that the worker works for.
    """

    def __init__(self, client: Client) -> None:
        self._client = client

    @activity.defn
    async def follow_removal(self, ask: Follow) -> Followed:
        """What is new about a removal: another state, other words, or its end."""
        handle = self._client.get_workflow_handle(ask.workflow_id, result_type=RemovalResult)
        ended = _result(handle)
        stopping = asyncio.ensure_future(activity.wait_for_worker_shutdown())
        try:
            looks, pause = 0, LOOK_SECONDS
            while True:
                described = await self._describe(ask)
                if described is None:
                    return _unknown("Temporal does not know the removal any more")
                if (followed := await self._ended(ask, described)) is not None:
                    return followed
                run = described.workflow_execution_info
                state = decode_typed_search_attributes(run.search_attributes).get(STATE_KEY)
                # As long as nothing was told yet, what is done in a passing state is told when it lasts.
                passing = state in PASSING and not ask.doing
                if ask.to_the_end:
                    activity.heartbeat(state or "")
                elif state is None or (state != ask.state and not passing) or looks % WORDS_LOOKS == WORDS_LOOKS - 1:
                    progress = await _progress(handle, ended)
                    if progress is not None and (progress.state, progress.doing) != (ask.state, ask.doing):
                        return Followed(
                            open=True,
                            state=progress.state,
                            doing=progress.doing,
                            waiting_for=progress.waiting_for,
                            member_id=progress.member_id,
                        )
                looks += 1
                if ended.done():  # it is the server's word that counts, and that says it runs
                    ended = _result(handle)
                await asyncio.wait({ended, stopping}, timeout=pause, return_when=asyncio.FIRST_COMPLETED)
                pause = min(2 * pause, LONGEST_LOOK_SECONDS)
                if stopping.done():
                    text = "the worker stops; another one goes on"
                    raise ApplicationError(text)
        finally:
            for task in (ended, stopping):
                task.cancel()
            await asyncio.gather(ended, stopping, return_exceptions=True)

    async def _describe(self, ask: Follow) -> DescribeWorkflowExecutionResponse | None:
        """The last run of the removal.

        Temporal before 1.25 does not tell a run's first one. What it says of the chain's first run itself is enough,
        as long as that did not continue as new; else only the last run under the workflow ID is known.
        """
        described = await describe(self._client, ask.workflow_id)
        if described is None or not ask.chain_id or described.workflow_execution_info.first_run_id:
            return described
        first = await describe(self._client, ask.workflow_id, ask.chain_id)
        return described if first is None or first.workflow_execution_info.status == CONTINUED else first

    async def _ended(self, ask: Follow, described: DescribeWorkflowExecutionResponse) -> Followed | None:
        """How the removal ended; None while it runs."""
        run = described.workflow_execution_info
        if ask.chain_id and run.first_run_id not in {"", ask.chain_id}:
            return _unknown("another removal runs in its place")
        return await self._end(ask.workflow_id, run.execution.run_id) if run.HasField("close_time") else None

    async def _end(self, workflow_id: str, run_id: str) -> Followed:
        """How this run of a removal ended."""
        handle = self._client.get_workflow_handle(workflow_id, run_id=run_id, result_type=RemovalResult)
        try:
            result = await handle.result()
        except WorkflowFailureError as error:
            cause = error.cause
            cancelled = isinstance(cause, CancelledError | TerminatedError)
            if cancelled:
                doing = "the removal was " + ("cancelled" if isinstance(cause, CancelledError) else "terminated")
            else:
                doing = cause.message if isinstance(cause, ApplicationError) else str(cause)
            progress = await _progress(handle, None)
            member_id = progress.member_id if progress else ""
            state = HandoffState.FAILED
            return Followed(open=False, state=state, doing=doing, failed=True, cancelled=cancelled, member_id=member_id)
        except ApplicationError:  # a worker of a later version wrote it
            return _unknown("this worker cannot read the removal's result")
        return Followed(
            open=False,
            state=HandoffState.DONE,
            doing=result.outcome,
            outcome=result.outcome,
            member_id=result.member_id,
        )


def _unknown(doing: str) -> Followed:
    """It has ended, and how is not known."""
    return Followed(open=False, state="", doing=f"{doing}; how it ended is not known", unknown=True)


def _result(handle: WorkflowHandle[Any, RemovalResult]) -> asyncio.Task[RemovalResult]:
    """A removal's result when it comes; where it is a failure that nobody asks for, asyncio is not to log it."""
    result = asyncio.create_task(handle.result())
    result.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
    return result


async def _progress(handle: WorkflowHandle[Any, RemovalResult], ended: asyncio.Future[Any] | None) -> Progress | None:
    """Where the removal stands; None when it ends before it has answered, or its worker does not answer."""
    asking = asyncio.ensure_future(
        handle.query("progress", result_type=Progress, rpc_timeout=timedelta(seconds=QUERY_SECONDS))
    )
    try:
        await asyncio.wait({asking, ended} if ended else {asking}, return_when=asyncio.FIRST_COMPLETED)
        return asking.result() if asking.done() else None
    except (RPCError, WorkflowQueryFailedError, WorkflowQueryRejectedError, ApplicationError):
        return None
    finally:
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
