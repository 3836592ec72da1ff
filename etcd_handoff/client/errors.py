"""Errors for scripts, one class for each case that a script treats differently.

Each has the exit status of the command line: `sys.exit(error.exit_status)`.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Final

from temporalio import exceptions
from temporalio.service import RPCError, RPCStatusCode

from etcd_handoff.command_lines import with_cluster
from etcd_handoff.contract import FailureType, names_in
from etcd_handoff.errors import HandoffError
from etcd_handoff.exit_status import EXIT_FAILED, EXIT_REFUSED, EXIT_UNREACHABLE, EXIT_USAGE
from etcd_handoff.temporal.connection_failures import is_unknown_workflow, rpc_failure

if TYPE_CHECKING:
    from collections.abc import Iterator

    from temporalio.client import WorkflowFailureError

AWAY: Final = (RPCStatusCode.UNAVAILABLE, RPCStatusCode.DEADLINE_EXCEEDED, RPCStatusCode.CANCELLED)
"""Statuses that mean that Temporal did not answer. They say nothing about the request."""


class ClientError(HandoffError):
    """Base of all errors that `etcd_handoff.client` raises. The message says what happened and what to do."""

    exit_status: int = EXIT_FAILED


class TemporalUnreachableError(ClientError):
    """Temporal does not answer. An operation that was started goes on without this script."""

    exit_status = EXIT_UNREACHABLE


class TemporalRefusedError(ClientError):
    """Temporal does not accept the credentials, or does not have the namespace."""


class UnknownOperationError(ClientError):
    """No operation has this workflow ID, or that operation has ended."""


class NotTakenError(ClientError):
    """The operation does not accept the message: it does not wait for it, wants something else, or it is too late."""

    exit_status = EXIT_REFUSED


class WorkerSilentError(ClientError):
    """No worker answers in time. It is not known whether the operation has accepted the message."""


class OperationError(ClientError):
    """An operation has not ended well.

    Attributes:
        workflow_id: Its workflow ID; empty if none was started.
        failure_type: The failure's type, as `etcd-handoff ... -o json` shows it in `failure`.
    """

    def __init__(self, message: str, workflow_id: str = "", failure_type: str = "Failed") -> None:
        super().__init__(message)
        self.workflow_id = workflow_id
        self.failure_type = failure_type


class RefusedError(OperationError):
    """The operation would be unsafe, or is impossible for good."""

    exit_status = EXIT_REFUSED


class BlockedTooLongError(OperationError):
    """The operation waited longer than `blocked_timeout_seconds`."""

    exit_status = EXIT_REFUSED


class TooLateError(OperationError):
    """It could not begin before the request's `not_after`. No change is half done.

    A removal or an addition has not changed the members. A replacement or a membership change may have completed some
    of its parts, which the message names. The same start with a later `not_after` does the rest.
    """

    exit_status = EXIT_REFUSED


class InvalidInputError(OperationError):
    """A field of the request is wrong. The message names it."""

    exit_status = EXIT_USAGE


class UnknownClusterError(OperationError):
    """The workers have no such cluster profile."""

    exit_status = EXIT_USAGE


class UnknownMemberError(OperationError):
    """The cluster has no such member, and no EtcdMember describes one."""

    exit_status = EXIT_USAGE


class PermissionDeniedError(OperationError):
    """etcd or Kubernetes does not allow the workers to do it."""


class OperationCancelledError(OperationError):
    """The operation was cancelled."""


class OperationTerminatedError(OperationError):
    """Its workflow was terminated: look at the cluster before you start anything else."""


class OperationTimedOutError(OperationError):
    """Its workflow has timed out: look at the cluster before you start anything else."""


BY_TYPE: Final[dict[str, type[OperationError]]] = {
    FailureType.REMOVAL_REFUSED: RefusedError,
    FailureType.CHANGE_REFUSED: RefusedError,
    FailureType.BLOCKED_TOO_LONG: BlockedTooLongError,
    FailureType.TOO_LATE: TooLateError,
    FailureType.INVALID_INPUT: InvalidInputError,
    FailureType.UNKNOWN_CLUSTER: UnknownClusterError,
    FailureType.UNKNOWN_MEMBER: UnknownMemberError,
    FailureType.PERMISSION_DENIED: PermissionDeniedError,
}
LOOK: Final = "`etcd-handoff status` shows what is there"


def operation_error(failure: WorkflowFailureError, workflow_id: str) -> OperationError:
    """Return the error for an operation's failure. A type that only a newer worker knows is an `OperationError`."""
    cause = failure.cause
    if isinstance(cause, exceptions.ApplicationError):
        kind = cause.type or "Failed"
        return BY_TYPE.get(kind, OperationError)(cause.message, workflow_id, kind)
    if isinstance(cause, exceptions.CancelledError):
        return OperationCancelledError(f"{workflow_id} was cancelled", workflow_id, "Cancelled")
    if isinstance(cause, exceptions.TerminatedError):
        return OperationTerminatedError(f"{workflow_id} was terminated; {LOOK}", workflow_id, "Terminated")
    if isinstance(cause, exceptions.TimeoutError):
        return OperationTimedOutError(f"{workflow_id} timed out; {LOOK}", workflow_id, "TimedOut")
    return OperationError(str(cause), workflow_id)


@contextlib.contextmanager
def temporal_errors(workflow_id: str = "") -> Iterator[None]:
    """Translate errors of Temporal in the block into those of this module.

    Raises:
        UnknownOperationError: Temporal has no running operation with this workflow ID.
        TemporalUnreachableError: Temporal does not answer.
        TemporalRefusedError: Temporal answers with another error.
    """
    try:
        yield
    except RPCError as error:
        if workflow_id and is_unknown_workflow(error):
            text = f"Temporal has no operation {workflow_id} that runs"
            lists = with_cluster("`etcd-handoff history` lists those that have ended", names_in(workflow_id)[0])
            raise UnknownOperationError(f"{text}; {lists}") from None
        status, text = rpc_failure(error)
        stopped = (TemporalUnreachableError if error.status in AWAY else TemporalRefusedError)(text)
        stopped.exit_status = status
        raise stopped from None
