"""The activity that follows a removal from outside, through Temporal."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from temporalio import activity
from temporalio.client import WorkflowFailureError, WorkflowQueryFailedError, WorkflowQueryRejectedError
from temporalio.converter import decode_typed_search_attributes
from temporalio.exceptions import ApplicationError, CancelledError, TerminatedError
from temporalio.service import RPCError

from activities.workflow_descriptions import describe
from etcd_handoff import time_limits
from etcd_handoff.contract import BRIEF_STATES, HandoffState, Progress, RemovalResult
from etcd_handoff.reconciler.removal_progress import FollowRemovalInput, FollowRemovalResult
from etcd_handoff.temporal.search_attributes import STATE_KEY
from etcd_handoff.unawaited import mark_exception_retrieved

if TYPE_CHECKING:
    from temporalio.api.workflowservice.v1 import DescribeWorkflowExecutionResponse
    from temporalio.client import Client, WorkflowHandle

POLLS_PER_QUERY: Final = 4
"""After so many polls the query `progress` is sent too, although the state is the same."""


class RemovalProgressActivities:
    """The activity that follows removals.

    Args:
        client: Connected to the server that the worker works for.
    """

    def __init__(self, client: Client) -> None:
        self._client = client

    @activity.defn
    async def follow_removal(self, follow: FollowRemovalInput) -> FollowRemovalResult:
        """Wait for news of a removal: another state, another text, or its end. It changes nothing.

        Raises:
            ApplicationError: This worker stops, so another one continues.
        """
        handle = self._client.get_workflow_handle(follow.workflow_id, result_type=RemovalResult)
        ended = _result(handle)
        stopping = asyncio.ensure_future(activity.wait_for_worker_shutdown())
        try:
            polls, pause = 0, time_limits.STEPS.progress_poll_seconds
            while True:
                described = await describe(self._client, follow.workflow_id)
                if described is None:
                    return _unknown_end("Temporal does not know the removal any more")
                if (end := await self._ended(follow, described)) is not None:
                    return end
                state = decode_typed_search_attributes(described.workflow_execution_info.search_attributes).get(
                    STATE_KEY
                )
                polls += 1
                if follow.to_the_end:
                    activity.heartbeat(state or "")
                elif _may_have_changed(follow, state, polls):
                    progress = await _progress(handle, ended)
                    if progress is not None and (progress.state, progress.doing) != (follow.state, follow.doing):
                        return _under_way(progress)
                if ended.done():  # only the description counts, and it says that the removal runs
                    ended = _result(handle)
                await asyncio.wait({ended, stopping}, timeout=pause, return_when=asyncio.FIRST_COMPLETED)
                pause = min(2 * pause, time_limits.STEPS.progress_longest_poll_seconds)
                if stopping.done():
                    text = "the worker stops; another one goes on"
                    raise ApplicationError(text)
        finally:
            for task in (ended, stopping):
                task.cancel()
            await asyncio.gather(ended, stopping, return_exceptions=True)

    async def _ended(
        self, follow: FollowRemovalInput, described: DescribeWorkflowExecutionResponse
    ) -> FollowRemovalResult | None:
        """Return how the removal ended, or None while it runs."""
        run = described.workflow_execution_info
        if follow.chain_id and run.first_run_id not in {"", follow.chain_id}:
            return _unknown_end("another removal runs in its place")
        return await self._end(follow.workflow_id, run.execution.run_id) if run.HasField("close_time") else None

    async def _end(self, workflow_id: str, run_id: str) -> FollowRemovalResult:
        """Return how this run of a removal ended."""
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
            return FollowRemovalResult(
                open=False, state=state, doing=doing, failed=True, cancelled=cancelled, member_id=member_id
            )
        except ApplicationError:  # a worker of a later version wrote it
            return _unknown_end("this worker cannot read the removal's result")
        return FollowRemovalResult(
            open=False,
            state=HandoffState.DONE,
            doing=result.outcome,
            outcome=result.outcome,
            member_id=result.member_id,
        )


def _may_have_changed(follow: FollowRemovalInput, state: str | None, polls: int) -> bool:
    """Whether the removal is worth a query.

    Args:
        follow: What is known.
        state: Its search attribute; None where there are none.
        polls: How many times it has been polled.
    """
    # A brief state is not reported yet: only one that lasts is.
    brief = state in BRIEF_STATES and not follow.doing
    return state is None or (state != follow.state and not brief) or polls % POLLS_PER_QUERY == 0


def _under_way(progress: Progress) -> FollowRemovalResult:
    """Return what a running removal does now."""
    return FollowRemovalResult(
        open=True,
        state=progress.state,
        doing=progress.doing,
        waiting_for=progress.waiting_for,
        member_id=progress.member_id,
    )


def _unknown_end(doing: str) -> FollowRemovalResult:
    """Return the result of a removal that has ended in an unknown way."""
    return FollowRemovalResult(open=False, state="", doing=f"{doing}; how it ended is not known", unknown=True)


def _result(handle: WorkflowHandle[Any, RemovalResult]) -> asyncio.Task[RemovalResult]:
    """Return a task for the removal's result. It may be a failure that no caller reads."""
    result = asyncio.create_task(handle.result())
    mark_exception_retrieved(result)
    return result


async def _progress(handle: WorkflowHandle[Any, RemovalResult], ended: asyncio.Future[Any] | None) -> Progress | None:
    """Return where the removal stands, or None if it ends first or its worker does not answer."""
    asking = asyncio.ensure_future(
        handle.query(
            "progress", result_type=Progress, rpc_timeout=timedelta(seconds=time_limits.STEPS.progress_query_seconds)
        )
    )
    try:
        await asyncio.wait({asking, ended} if ended else {asking}, return_when=asyncio.FIRST_COMPLETED)
        return asking.result() if asking.done() else None
    except (RPCError, WorkflowQueryFailedError, WorkflowQueryRejectedError, ApplicationError):
        return None
    finally:
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
