"""One operation: its progress, its result, and the updates that people send to it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, Generic

from temporalio.client import (
    WorkflowFailureError,
    WorkflowUpdateFailedError,
    WorkflowUpdateRPCTimeoutOrCancelledError,
)
from temporalio.exceptions import CancelledError
from temporalio.service import RPCError, RPCStatusCode

from etcd_handoff import time_limits
from etcd_handoff.client.errors import AWAY, NotTakenError, WorkerSilentError, operation_error, temporal_errors
from etcd_handoff.client.requests import checked
from etcd_handoff.command_lines import START_A_WORKER, with_cluster
from etcd_handoff.contract import Approval, HandoffState, Pause, Progress, Recheck
from etcd_handoff.temporal.client import ResultT, progress_of, progress_or_reason
from etcd_handoff.temporal.updates import execute_update

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from datetime import timedelta

    from temporalio.client import WorkflowHandle

    from etcd_handoff.wire import Request

RETRYABLE: Final = (*AWAY, RPCStatusCode.RESOURCE_EXHAUSTED)
"""Statuses that say nothing about the operation: Temporal did not answer, or had too much to do."""


class Operation(Generic[ResultT]):
    """An operation, which goes on without this object.

    Args:
        handle: Temporal's handle on its workflow.
        noun: Its kind in messages, such as `removal`.
    """

    def __init__(self, handle: WorkflowHandle[Any, ResultT], noun: str = "operation") -> None:
        self._handle = handle
        self._noun = noun

    @property
    def workflow_id(self) -> str:
        """Its workflow ID, for `etcd-handoff describe` and for `Handoff.attach`."""
        return self._handle.id

    async def result(self) -> ResultT:
        """Wait for the operation, and return its result once it has ended well.

        Raises:
            OperationError: It has ended otherwise. The class says how.
            TemporalUnreachableError: Temporal does not answer. The operation goes on.
        """
        with temporal_errors(self.workflow_id):
            try:
                return await self._handle.result()
            except WorkflowFailureError as failure:
                raise operation_error(failure, self.workflow_id) from None

    async def progress(
        self, every: timedelta = time_limits.COMMANDS.script_poll_pause
    ) -> AsyncGenerator[Progress, None]:
        """Yield where it stands, now and at each change of state, doing, waiting_for or part, until it has ended.

        It yields nothing while no worker or no Temporal answers, and goes on once they do. It raises no
        `OperationError`: `result` reports how the operation has ended.

        Args:
            every: How long to wait between two queries. A shorter state may be missed.
        """
        ended = asyncio.ensure_future(self._end())
        seen: tuple[object, ...] = ()
        try:
            while True:
                last = ended.done()  # before the query, so that its answer includes the end
                now = await self.now()
                if now is not None and seen != (seen := _visible_state(now)):
                    yield now
                if last:
                    return
                await asyncio.wait((ended,), timeout=every.total_seconds())
        finally:
            ended.cancel()
            await asyncio.gather(ended, return_exceptions=True)

    async def now(self) -> Progress | None:
        """Return where it stands now, or None while no worker answers."""
        return await progress_of(self._handle)

    async def now_or_reason(self) -> Progress | str:
        """Return where it stands now, or a text that says why there is no answer."""
        return await progress_or_reason(self._handle)

    async def _end(self) -> None:
        """Return when it has ended in any way, also if Temporal is away meanwhile. `result` reports the failure."""
        while True:
            try:
                await self._handle.result()
            except RPCError as error:
                if error.status in RETRYABLE:
                    await asyncio.sleep(time_limits.COMMANDS.script_again_pause.total_seconds())
                    continue
            except WorkflowFailureError:
                pass
            return

    async def approve(self, by: str, comment: str = "") -> str:
        """Approve an operation that waits for it.

        Args:
            by: Who approves. The history keeps it.
            comment: Why.

        Returns:
            The operation's answer, as a text.

        Raises:
            NotTakenError: It waits for no approval.
            InvalidInputError: A text is too long.
            WorkerSilentError: No worker answers in time.
            UnknownOperationError: It has ended.
            TemporalUnreachableError: Temporal does not answer.
        """
        return await self._update("approve", checked(Approval, {"by": by, "comment": comment}))

    async def recheck(self, reason: str = "") -> str:
        """Let a waiting or queued operation look at the cluster now. It answers and raises as `approve` does."""
        return await self._update("recheck", checked(Recheck, {"reason": reason}))

    async def pause(self, by: str, reason: str = "") -> str:
        """Hold the operation before its next change, until it is resumed. It answers and raises as `approve` does."""
        return await self._update("pause", checked(Pause, {"by": by, "reason": reason}))

    async def resume(self, by: str, reason: str = "") -> str:
        """Resume a paused operation. It answers and raises as `approve` does."""
        return await self._update("resume", checked(Pause, {"by": by, "reason": reason}))

    async def cancel(self, reason: str = "", within: timedelta = time_limits.COMMANDS.script_answer_timeout) -> str:
        """Cancel the operation, and wait until it has ended as cancelled.

        Args:
            reason: Why. The history keeps it.
            within: How long to wait for its end.

        Returns:
            What is true now, as a text: what was done before it was cancelled. An operation that only had to write its
            EtcdMember has ended well then, and the text says what goes on with that.

        Raises:
            NotTakenError: Too late: its change has been proposed, or it has ended well meanwhile.
            OperationError: It has failed otherwise meanwhile.
            WorkerSilentError: No worker has cancelled it in time. Temporal keeps the request.
            UnknownOperationError: It had ended before.
            TemporalUnreachableError: Temporal does not answer.
        """
        before = await self.now()
        with temporal_errors(self.workflow_id):
            await self._handle.cancel(reason=reason)
            try:
                async with asyncio.timeout(within.total_seconds()):
                    result = await self._handle.result()
            except TimeoutError:
                raise self._goes_on(before, within) from None
            except WorkflowFailureError as failure:
                if not isinstance(failure.cause, CancelledError):
                    raise operation_error(failure, self.workflow_id) from None
                return _cancelled(await self.now())
        ended = f"has ended as {str(result.outcome)!r}"
        if before is not None and before.state == HandoffState.RECORDING and not result.status_recorded:
            shows = with_cluster("`etcd-handoff status` shows it", before.cluster)
            goes_on = f"the workflow `RecordStatus` goes on with its EtcdMember, and {shows}"
            return f"over: it {ended}; {goes_on}"
        raise NotTakenError(f"{self.workflow_id}: too late, the {self._noun} {ended}")

    async def _update(self, name: str, argument: Request) -> str:
        with temporal_errors(self.workflow_id):
            try:
                async with asyncio.timeout(time_limits.COMMANDS.script_answer_timeout.total_seconds()):
                    answer: str = await execute_update(self._handle, name, argument, result_type=str)
            except (TimeoutError, WorkflowUpdateRPCTimeoutOrCancelledError):
                text = f"no worker answers for {self.workflow_id}, so it is not known whether `{name}` was taken"
                look = f"{START_A_WORKER}, then look with `etcd-handoff describe {self.workflow_id}`"
                raise WorkerSilentError(f"{text}; {look}") from None
            except WorkflowUpdateFailedError as error:
                why = getattr(error.cause, "message", str(error.cause))
                raise NotTakenError(f"{self.workflow_id} does not take `{name}`: {why}") from None
        return answer

    def _goes_on(self, before: Progress | None, within: timedelta) -> NotTakenError | WorkerSilentError:
        """Return why it goes on after a request to cancel."""
        if before is not None and before.point_of_no_return:
            text = f"{self.workflow_id}: too late, the {self._noun} was proposed to etcd and can no longer be cancelled"
            return NotTakenError(f"{text}; it is cancelled if the proposal comes to nothing. Now: {before.doing}")
        text = f"{self.workflow_id}: Temporal has the request, and no worker has carried it out"
        return WorkerSilentError(f"{text} in {within.total_seconds():g} s; {START_A_WORKER}, and it ends")


def _cancelled(last: Progress | None) -> str:
    """Return what is true after a cancellation: the operation's own text, which names what was done before."""
    ended = last is not None and last.state == HandoffState.FAILED and last.doing.startswith("cancelled")
    return last.doing if last is not None and ended else "cancelled"


def _visible_state(now: Progress) -> tuple[object, ...]:
    """Return the fields whose change counts. The steps that have ended are in the result."""
    return now.state, now.doing, now.waiting_for, now.part
