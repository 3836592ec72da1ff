"""Drive an operation: carry out the commands of `loop.decide`, and receive updates and queries meanwhile.

Commands become activities, timers and messages here (`activity_calls.py` has the time-outs and retries).
`etcd_handoff.operation` decides which commands, and why. It runs inside the workflow, so to edit it is to edit workflow
code.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError, is_cancelled_exception

with workflow.unsafe.imports_passed_through():
    from etcd_handoff.contract import HandoffState, Progress, Recheck
    from etcd_handoff.operation import current_details, ending, noticing
    from etcd_handoff.operation.commands import (
        Activity,
        AskQueue,
        AwaitNewLeader,
        Cancel,
        DescribeWorker,
        End,
        Fail,
        Finish,
        HandRecordOver,
        HashThroughNodes,
        LookThroughNodes,
        SeeDeparted,
        TransferLeadership,
        Until,
        Wait,
    )
    from etcd_handoff.operation.loop import apply, decide
    from etcd_handoff.operation.state import OperationState
    from workflows import activity_calls, continuation, notify, patches, record_status
    from workflows.approving import Approvable
    from workflows.listing import Listing
    from workflows.pause_resume import Pausable
    from workflows.transferring import Transferring

if TYPE_CHECKING:
    from collections.abc import Callable

    from etcd_handoff.operation.commands import Effect


class OperationWorkflow(Approvable, Pausable, Transferring):
    """A workflow that drives an operation. The subclass gives the first state."""

    def __init__(self, begin: Callable[[], OperationState]) -> None:
        """Take over the input or the state of the run before: updates and signals may come before `run`.

        Args:
            begin: Gives the state of a first run. If it refuses the input, the workflow fails once it runs.
        """
        patches.begin()
        self._state = OperationState(run_id="", blocked_remaining_seconds=0)
        self._refused: ApplicationError | None = None
        self._running = False
        self._listing = Listing()
        Transferring.__init__(self)
        try:
            self._state = continuation.taken_over(begin())
        except ApplicationError as error:  # raised here, it would fail the workflow's task for ever
            self._refused = error

    # --- the loop -----------------------------------------------------------------------------------------------------

    async def _drive(self) -> Any:
        """Carry out one command after the other until the operation has ended.

        Returns:
            The operation's result.

        Raises:
            ApplicationError: It has failed, or its input is refused.
            asyncio.CancelledError: It was cancelled in time.
        """
        if self._refused is not None:
            raise self._refused
        self._running = True
        self._listing.begin(lambda: self._state)
        while True:
            self._state, command = decide(self._state, workflow.time())
            self._show()
            self._state, notice = noticing.due(self._state, command, workflow.info().workflow_id)
            await notify.start_notice(notice, at_end=isinstance(command, End))
            match command:
                case Finish():
                    await workflow.wait_condition(workflow.all_handlers_finished)
                    return command.result
                case Fail():
                    failure = command.failure
                    raise ApplicationError(failure.text, type=failure.kind, non_retryable=True)
                case Cancel():
                    raise asyncio.CancelledError
            await self._carry_out(command)

    async def _carry_out(self, command: Effect) -> None:
        """Carry out a command. A cancellation interrupts it as long as nothing was proposed.

        Raises:
            asyncio.CancelledError: The worker evicts this run from its cache.
        """
        if isinstance(command, Activity | Wait) and command.resumable:
            continuation.continue_if_long(self._state)
        running = asyncio.create_task(self._result_of(command))
        while True:
            try:
                result = await asyncio.shield(running)
            except asyncio.CancelledError:
                if running.cancelled():
                    raise  # this run is evicted from the worker's cache
                self._state = self._state.changed(cancel_requested=True)
                if not self._state.point_of_no_return:
                    await _cancelled(running)
                    self._transferred = None
                    self._state = ending.cancelled(self._state)
                    return
            else:
                self._state = apply(self._state, command, result, workflow.time())
                self._take_in_transfer()
                return

    async def _result_of(self, command: Effect) -> Any:
        result: Any = None
        match command:
            case Wait():
                await self._wait(command)
            case AskQueue():
                result = await self._turn_with_transfer(command) or await self._ask_queue(command)
            case LookThroughNodes():
                result = await activity_calls.look_through_nodes(command)
            case HashThroughNodes():
                result = await activity_calls.hash_through_nodes(command)
            case SeeDeparted():
                result = await activity_calls.see_departed(command)
            case DescribeWorker():
                result = await activity_calls.describe_worker(command.cluster)
            case HandRecordOver():
                result = await record_status.hand_over(command)
            case TransferLeadership():
                result = await self._transfer(command)
            case AwaitNewLeader():
                result = await self._await_election(command)
            case _:
                result = await activity_calls.activity(command)
        return result

    async def _wait(self, command: Wait) -> None:
        seconds = command.seconds
        if command.until is Until.TIME:
            await workflow.sleep(seconds or 0, summary=command.summary)
            return
        with contextlib.suppress(TimeoutError):
            await workflow.wait_condition(
                lambda: self._state.is_over(command.until), timeout=seconds, timeout_summary=command.summary or None
            )

    # --- what people say ------------------------------------------------------------------------------------------

    @workflow.query
    def progress(self) -> Progress:
        """Return where the operation stands."""
        return current_details.progress(self._state)

    @workflow.update(
        description='Look again at once instead of waiting for the timer. Example: {"reason": "node1 is up"}'
    )
    def recheck(self, recheck: Recheck | None = None) -> str:  # noqa: ARG002  # the reason stands in the history
        """Look at the cluster again at once."""
        self._state = self._state.changed(recheck=True)
        state, noun = self._state.handoff_state, self._state.original_request.noun
        if state in (HandoffState.BLOCKED, HandoffState.QUEUED, HandoffState.AWAITING_WINDOW):
            return f"was {state}; looking again"
        return f"the {noun} is {state}, so there is nothing to look at again: {self._state.doing}"

    # --- what people see ----------------------------------------------------------------------------------------------

    def _show(self) -> None:
        """Publish where it stands: current details for the Web UI, search attributes for lists."""
        workflow.set_current_details(current_details.details(self._state))
        self._listing.show(self._state)


async def _cancelled(running: asyncio.Task[Any]) -> None:
    """Cancel the task and wait for its end. A result that it still returns does not count.

    Raises:
        ActivityError: The activity has failed otherwise.
    """
    running.cancel()
    try:
        await running
    except (asyncio.CancelledError, ActivityError) as error:
        if not is_cancelled_exception(error):
            raise
