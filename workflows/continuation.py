"""How an operation begins, and how it continues as a new run once its history has grown long."""

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
"""Key in the memo: the state from the run before."""
LONGEST_HISTORY: Final = 1_000
"""Events after which a waiting operation continues as a new run. The server suggests it later. A worker that takes the
run over replays the whole history within one workflow task."""
LONGEST_QUEUE_HISTORY: Final = 4_000
"""The limit for the queue of a cluster: a worker replays so many events in about a second."""
LONGEST_WATCHER_HISTORY: Final = 400
"""The limit for a watcher, which is some two hours without news. One worker may have to take over those of all clusters
at once, and replays a hundred of them side by side within the time of one workflow task."""
LARGEST_HISTORY: Final = 8 << 20
"""Bytes after which a run continues as new. The server ends a run at 50 MB."""


def takes_input(init: Callable[..., None]) -> Callable[..., None]:
    """Decorate the `__init__` of a workflow so that too many arguments do not fail its task for ever.

    They are refused once the workflow runs (`etcd_handoff.temporal.interceptors`).
    """

    @functools.wraps(init)  # the SDK compares the signature with that of `run`
    def tolerant(self: object, *arguments: object) -> None:
        init(self, *(arguments if len(arguments) <= 1 else ()))

    return workflow.init(tolerant)


def beginning(request: OperationRequest, **known: Any) -> OperationState:
    """Return the state of an operation in its first run.

    Args:
        request: The request.
        known: Further fields of the state.
    """
    info = workflow.info()
    return OperationState(
        run_id=info.run_id,
        request=request,
        chain_id=info.first_execution_run_id,
        origin=info.original_execution_run_id,
        namespace=info.namespace,
        began=info.start_time.isoformat(timespec="seconds"),
        blocked_remaining_seconds=request.blocked_timeout_seconds,
        started_by="" if info.parent else senders.of_start(),  # a watcher has no name of its own
        **known,
    )


def is_long(events: int) -> bool:
    """Return whether the history of this run has more than `events` events or is large."""
    info = workflow.info()
    return (
        info.is_continue_as_new_suggested()
        or info.get_current_history_length() > events
        or info.get_current_history_size() > LARGEST_HISTORY
    )


def watcher_is_long() -> bool:
    """Return whether the history of a watcher is long."""
    return is_long(LONGEST_WATCHER_HISTORY)


def continue_if_long(state: OperationState) -> None:
    """End this run when its history is long, and begin the next one with the same state.

    Raises:
        ContinueAsNewError: The history is long.
    """
    if is_long(LONGEST_HISTORY) and workflow.all_handlers_finished():
        workflow.continue_as_new(state.original_request, memo={CARRIED_MEMO: step_log.within(state)})


def taken_over(state: OperationState) -> OperationState:
    """Return the state from the run before, with this run's own IDs, or `state` if there is none.

    Temporal can make a run from the run before (cron, a retry policy, a Schedule). It has the same memo, but starts
    afresh.
    """
    before = workflow.info().continued_run_id
    carried = workflow.memo_value(CARRIED_MEMO, None, type_hint=OperationState) if before else None
    if carried is None or carried.run_id != before:
        return state
    own = {"run_id": state.run_id, "chain_id": state.chain_id, "namespace": state.namespace}
    return carried.changed(**own).with_request(state.original_request)
