"""How an operation begins, and how it goes on as a new run once its history has grown long."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Final

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from etcd_handoff.operation import step_log
    from etcd_handoff.operation.state import OperationState
    from etcd_handoff.temporal import senders

if TYPE_CHECKING:
    from collections.abc import Callable

    from etcd_handoff.contract import OperationRequest

CARRIED_MEMO: Final = "etcd-handoff-carried"
"""Key in the memo: the state that the run before has handed on."""
LONGEST_HISTORY: Final = 1_000
"""Events after which an operation that waits continues as a new run. The server suggests it later, and whoever takes
it over replays the whole history within one workflow task."""
LONGEST_QUEUE_HISTORY: Final = 4_000
"""The same for the queue of a cluster: a worker replays so many events in about a second."""
LONGEST_WATCHER_HISTORY: Final = 400
"""The same for a watcher, some two hours without news. One worker may have to take over those of all clusters at once,
and replays a hundred of them side by side within the time of one workflow task."""
LARGEST_HISTORY: Final = 8 << 20
"""Bytes after which a run continues as new; the server ends one at 50 MB."""


def takes_input(init: Callable[..., None]) -> Callable[..., None]:
    """Decorate the `__init__` of a workflow, which takes its input: too many arguments do not fail the task for ever.

    They are refused once the workflow runs (`etcd_handoff.temporal.interceptors`).
    """

    @functools.wraps(init)  # the SDK compares the signature with that of `run`
    def tolerant(self: object, *arguments: object) -> None:
        init(self, *(arguments if len(arguments) <= 1 else ()))

    return workflow.init(tolerant)


def beginning(request: OperationRequest, **known: Any) -> OperationState:
    """The state of an operation in its first run.

    Args:
        request: What was asked for.
        known: What this operation knows besides.
    """
    info = workflow.info()
    return OperationState(
        run_id=info.run_id,
        request=request,
        chain_id=info.first_execution_run_id,
        origin=info.original_execution_run_id,
        namespace=info.namespace,
        began=info.start_time.isoformat(timespec="seconds"),
        blocked_seconds_left=request.blocked_timeout_seconds,
        started_by="" if info.parent else senders.of_start(),  # a watcher has no name of its own
        **known,
    )


def is_long(events: int) -> bool:
    """Whether the history of this run has more events than these, or is large, so that it should continue as new."""
    info = workflow.info()
    return (
        info.is_continue_as_new_suggested()
        or info.get_current_history_length() > events
        or info.get_current_history_size() > LARGEST_HISTORY
    )


def watcher_is_long() -> bool:
    """The same for a watcher."""
    return is_long(LONGEST_WATCHER_HISTORY)


def continue_if_long(state: OperationState) -> None:
    """End this run and begin the next, which takes the state over, when the history is long.

    Raises:
        ContinueAsNewError: It is.
    """
    if is_long(LONGEST_HISTORY) and workflow.all_handlers_finished():
        workflow.continue_as_new(state.original_request, memo={CARRIED_MEMO: step_log.within(state)})


def taken_over(state: OperationState) -> OperationState:
    """The state that the run before has handed on, with what each run knows by itself; `state` when it has not.

    A run that Temporal made from it (cron, a retry policy, a Schedule) sees the memo too, and starts afresh.
    """
    before = workflow.info().continued_run_id
    carried = workflow.memo_value(CARRIED_MEMO, None, type_hint=OperationState) if before else None
    if carried is None or carried.run_id != before:
        return state
    own = {"run_id": state.run_id, "chain_id": state.chain_id, "namespace": state.namespace}
    return carried.changed(**own).with_request(state.original_request)
