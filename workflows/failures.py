"""The type and the text of the failure that ended an activity, and how many attempts there were."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from temporalio import exceptions
from temporalio.exceptions import ApplicationError, TimeoutType

from etcd_handoff.operation.texts import no_worker

if TYPE_CHECKING:
    from temporalio.exceptions import ActivityError

TIME_OUTS: Final = {
    TimeoutType.START_TO_CLOSE: "it took too long",
    TimeoutType.HEARTBEAT: "the worker that ran it sent no heartbeat in time",
    TimeoutType.SCHEDULE_TO_CLOSE: "it was not done in time",
    TimeoutType.SCHEDULE_TO_START: "no worker took it",
}


def why_it_failed(error: ActivityError, node: str = "") -> tuple[str, str]:
    """Return the type and the text of the failure that ended an activity's last attempt.

    After a time-out, the text includes the report of the attempt before, if there is one.

    Args:
        error: How the activity ended.
        node: The node whose worker it was for; empty when it was for any.
    """
    cause: BaseException | None = error.cause
    time_out = ""
    while isinstance(cause, exceptions.TimeoutError):
        time_out = time_out or TIME_OUTS.get(cause.type or TimeoutType.START_TO_CLOSE, str(cause))
        if node and cause.type is TimeoutType.SCHEDULE_TO_START:
            time_out = no_worker(node)
        cause = cause.__cause__
    if isinstance(cause, ApplicationError):
        return cause.type or "", f"{time_out}; before that: {cause.message}" if time_out else cause.message
    return "", time_out or str(cause or error)


def was_taken(error: ActivityError) -> bool:
    """Return whether a worker has taken the last attempt of the activity."""
    return not (isinstance(error.cause, exceptions.TimeoutError) and error.cause.type is TimeoutType.SCHEDULE_TO_START)


def was_tried(error: ActivityError) -> bool:
    """Return whether a worker has taken any attempt of the activity.

    The server reports the end of the attempt before as the cause of a time-out (temporal
    `service/history/workflow/mutable_state_impl.go`, AddActivityTaskTimedOutEvent). Without a cause there was no
    attempt.
    """
    return was_taken(error) or (error.cause is not None and error.cause.__cause__ is not None)


def attempts_of(error: ActivityError) -> int:
    """Return how many attempts an activity had, or 1 if the last one has not reported it."""
    cause = error.cause
    attempts = cause.details[0] if isinstance(cause, ApplicationError) and cause.details else 1
    return attempts if isinstance(attempts, int) else 1
