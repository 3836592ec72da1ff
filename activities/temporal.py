"""What is done through Temporal itself: a removal is looked at from outside, or put into its cluster's queue."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from temporalio import activity
from temporalio.client import (
    WorkflowExecutionStatus,
    WorkflowFailureError,
    WorkflowQueryFailedError,
    WorkflowQueryRejectedError,
    WorkflowUpdateFailedError,
    WorkflowUpdateRPCTimeoutOrCancelledError,
)
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import ApplicationError, CancelledError, TerminatedError, WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from etcd_handoff.change_queue import Turns, keeps_still, turns_id
from etcd_handoff.model import PASSING, TASK_TIMEOUT, HandoffState, Progress, RemovalResult
from etcd_handoff.payloads import STATE_KEY
from etcd_handoff.removal_progress import Follow, Followed

if TYPE_CHECKING:
    from temporalio.client import Client, WorkflowExecutionDescription, WorkflowHandle

LOOK_SECONDS, LONGEST_LOOK_SECONDS = 2.0, 10.0
"""Pause between looks at a removal that is under way, which doubles as long as there is no news; its end is told at
once. A thousand removals that are open for a minute would otherwise cost more to look at than to do."""
QUERY_SECONDS: Final = 5.0
"""How long a removal may take to say where it stands: its worker may just have died."""
WORDS_LOOKS: Final = 4
"""Every so many looks the words are read too, though the state is the same."""
TURNS_TYPE: Final = "ClusterTurns"
LATELY_SECONDS: Final = 10.0
"""Removals that have begun within that time are under way as a rule, where there are many."""
JOIN, WAKE = "join", "wake"
WAKE_SECONDS: Final = 0.5


class TemporalActivities:
    """The activities on workflows.

    Args:
        client: Connected to the server that the worker works for.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._begun: deque[float] = deque()

    @activity.defn
    async def take_turn(self, turns: Turns) -> bool:
        """The removal of the one ticket stands in its cluster's queue.

        Done again after a lost answer, it finds the queue that it started itself and joins it, which changes nothing
        but makes the queue tell whose turn it is.

        Returns:
            Whether there was no queue, so that starting it gave the turn.
        """
        (ticket,), queue_id, still = turns.tickets, turns_id(turns.cluster_id), keeps_still(self._begun_lately())
        while True:
            try:
                await self._client.start_workflow(
                    TURNS_TYPE,
                    turns,
                    id=queue_id,
                    task_queue=activity.info().task_queue,
                    id_conflict_policy=WorkflowIDConflictPolicy.FAIL,
                    id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
                    task_timeout=TASK_TIMEOUT,
                    start_delay=still if ticket.waits else None,
                    static_summary=f"One change at a time to etcd cluster {turns.cluster_id}",
                )
            except WorkflowAlreadyStartedError:
                queue = self._client.get_workflow_handle(queue_id)
                try:
                    await queue.signal(JOIN, ticket)
                except RPCError as error:
                    if error.status is not RPCStatusCode.NOT_FOUND:
                        raise
                    continue  # it ended in between
                await _wake(queue)
                return False
            return True

    def _begun_lately(self) -> int:
        """How many removals have begun here of late, but for the one that begins now."""
        now = time.monotonic()
        while self._begun and self._begun[0] < now - LATELY_SECONDS:
            self._begun.popleft()
        self._begun.append(now)
        return len(self._begun) - 1

    @activity.defn
    async def follow_removal(self, ask: Follow) -> Followed:
        """What is new about a removal: another state, other words, or its end."""
        handle = self._client.get_workflow_handle(ask.workflow_id, result_type=RemovalResult)
        ended = _result(handle)
        stopping = asyncio.ensure_future(activity.wait_for_worker_shutdown())
        try:
            looks, pause = 0, LOOK_SECONDS
            while True:
                described = await _describe(handle)
                if described is None or (ask.chain_id and described.raw_info.first_run_id != ask.chain_id):
                    return Followed(open=False, state="", doing="it has ended", cancelled=True)
                if described.status is not WorkflowExecutionStatus.RUNNING:
                    return await _end(handle)
                state = described.typed_search_attributes.get(STATE_KEY)
                # As long as nothing was told yet, what is done in a passing state is told when it lasts.
                passing = state in PASSING and not ask.doing
                if ask.to_the_end:
                    activity.heartbeat(state or "")
                elif state is None or (state != ask.state and not passing) or looks % WORDS_LOOKS == WORDS_LOOKS - 1:
                    progress = await _progress(handle, ended)
                    if progress is not None and (progress.state, progress.doing) != (ask.state, ask.doing):
                        return Followed(
                            open=True, state=progress.state, doing=progress.doing, waiting_for=progress.waiting_for
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


async def _wake(queue: WorkflowHandle[Any, Any]) -> None:
    """A queue that keeps still goes on at once; where that cannot be had, it does so when its time is over.

    A signal alone does not end a start delay (seen on Temporal Server 1.32), an update does.
    """
    with contextlib.suppress(RPCError, WorkflowUpdateFailedError, WorkflowUpdateRPCTimeoutOrCancelledError):
        await queue.execute_update(WAKE, rpc_timeout=timedelta(seconds=WAKE_SECONDS))


def _result(handle: WorkflowHandle[Any, RemovalResult]) -> asyncio.Task[RemovalResult]:
    """A removal's result when it comes; where it is a failure that nobody asks for, asyncio is not to log it."""
    result = asyncio.create_task(handle.result())
    result.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
    return result


async def _describe(handle: WorkflowHandle[Any, RemovalResult]) -> WorkflowExecutionDescription | None:
    try:
        return await handle.describe()
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            return None
        raise


async def _progress(handle: WorkflowHandle[Any, RemovalResult], ended: asyncio.Future[Any]) -> Progress | None:
    """Where the removal stands; None when it ends before it has answered, or its worker does not answer."""
    asking = asyncio.ensure_future(
        handle.query("progress", result_type=Progress, rpc_timeout=timedelta(seconds=QUERY_SECONDS))
    )
    try:
        await asyncio.wait({asking, ended}, return_when=asyncio.FIRST_COMPLETED)
        return asking.result() if asking.done() else None
    except (RPCError, WorkflowQueryFailedError, WorkflowQueryRejectedError):
        return None
    finally:
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)


async def _end(handle: WorkflowHandle[Any, RemovalResult]) -> Followed:
    try:
        result = await handle.result()
    except WorkflowFailureError as error:
        cause = error.cause
        if isinstance(cause, CancelledError | TerminatedError):
            doing = "the removal was " + ("cancelled" if isinstance(cause, CancelledError) else "terminated")
            return Followed(open=False, state=HandoffState.FAILED, doing=doing, failed=True, cancelled=True)
        said = cause.message if isinstance(cause, ApplicationError) else str(cause)
        return Followed(open=False, state=HandoffState.FAILED, doing=said, failed=True)
    return Followed(open=False, state=HandoffState.DONE, doing=result.outcome)
