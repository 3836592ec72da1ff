"""`approve`, `pause`, `resume`, `recheck`, `cancel`: what people say to an operation that runs."""
# ruff: noqa: PLC0415
# Commands import what they need when they run: `--help` answers at once, without gRPC and Temporal.

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from etcd_handoff.cli.configuration import wrong_options
from etcd_handoff.cli.connections import connect_temporal
from etcd_handoff.cli.errors import CommandError, temporal_error
from etcd_handoff.cli.find_operation import progress_of, running_operation
from etcd_handoff.cli.terminal import print_json, print_lines
from etcd_handoff.exit_status import EXIT_DONE, EXIT_FAILED, EXIT_REFUSED

if TYPE_CHECKING:
    import argparse
    from collections.abc import Awaitable, Callable

    from temporalio.client import Client, WorkflowHandle

    from etcd_handoff.cli.find_operation import FoundOperation
    from etcd_handoff.contract import Progress
    from etcd_handoff.wire import Request

UPDATE_SECONDS: Final = 10.0
CANCEL_SECONDS: Final = 10.0
"""How long a cancellation is waited for: a worker that has died is missed by then."""


def approve_command(args: argparse.Namespace) -> int:
    """Send the update `approve`; exit 0 if it was taken, 3 if the operation does not wait for an approval."""
    from etcd_handoff.contract import Approval
    from etcd_handoff.temporal.identity import shell_user

    fields = {"by": args.by or shell_user(), "comment": args.comment}
    return _run(args, lambda client: _update(client, args, "approve", Approval, fields))


def recheck_command(args: argparse.Namespace) -> int:
    """Send the update `recheck`; exit 0 if it was taken."""
    from etcd_handoff.contract import Recheck

    return _run(args, lambda client: _update(client, args, "recheck", Recheck, {"reason": args.reason}))


def pause_command(args: argparse.Namespace) -> int:
    """Send the update `pause` or `resume`; exit 0 if it was taken, 3 if it is too late or nothing is paused."""
    from etcd_handoff.contract import Pause
    from etcd_handoff.temporal.identity import shell_user

    fields = {"by": args.by or shell_user(), "reason": args.reason}
    return _run(args, lambda client: _update(client, args, args.update, Pause, fields))


def cancel_command(args: argparse.Namespace) -> int:
    """Cancel an operation; exit 0 if it has ended so, 3 if that is too late, 1 if no worker takes the request."""
    return _run(args, lambda client: _cancel(client, args))


def _run(args: argparse.Namespace, command: Callable[[Client], Awaitable[dict[str, Any]]]) -> int:
    import asyncio

    from temporalio.service import RPCError

    from etcd_handoff.temporal.connection_failures import is_unknown_workflow

    async def run() -> dict[str, Any]:
        return await command(await connect_temporal())

    try:
        told = asyncio.run(run())
    except RPCError as error:
        if is_unknown_workflow(error):
            text = f"the operation has ended meanwhile; `etcd-handoff describe {args.operation}` shows how"
            raise CommandError(EXIT_FAILED, text) from None
        raise temporal_error(error) from None
    if args.output == "json":
        from etcd_handoff.cli.shapes.operations import InterventionOutput

        print_json(InterventionOutput, told)
    else:
        print_lines([f"{told['workflow_id']}: {told['answer']}"])
    return EXIT_DONE


async def _update(
    client: Client, args: argparse.Namespace, name: str, model: type[Request], fields: dict[str, str]
) -> dict[str, Any]:
    """Send an update to the operation, and return what became of it.

    Raises:
        CommandError: The operation does not take it, or no worker answers.
    """
    import asyncio

    from pydantic import ValidationError
    from temporalio.client import WorkflowUpdateFailedError, WorkflowUpdateRPCTimeoutOrCancelledError

    try:
        argument = model.model_validate(fields)
    except ValidationError as error:
        raise wrong_options(error) from None
    operation = await running_operation(client, args)
    try:
        async with asyncio.timeout(UPDATE_SECONDS):
            answer = await operation.handle(client).execute_update(name, argument, result_type=str)
    except (TimeoutError, WorkflowUpdateRPCTimeoutOrCancelledError):
        text = f"no worker answers for {operation.workflow_id}, so it is not known whether `{name}` was taken"
        text = f"{text}; run `etcd-handoff worker`, then look with `etcd-handoff describe {operation.workflow_id}`"
        raise CommandError(EXIT_FAILED, text) from None
    except WorkflowUpdateFailedError as error:
        text = getattr(error.cause, "message", str(error.cause))
        raise CommandError(EXIT_REFUSED, f"{operation.workflow_id} does not take `{name}`: {text}") from None
    return {**_about(operation, name), **argument.model_dump(mode="json"), "answer": answer}


async def _cancel(client: Client, args: argparse.Namespace) -> dict[str, Any]:
    """Cancel the operation, and return what became of it.

    Raises:
        CommandError: It can't be cancelled any more, or nobody takes the request.
    """
    operation = await running_operation(client, args)
    handle = operation.handle(client)
    before = await progress_of(handle)
    await handle.cancel(reason=args.reason)
    answer = await _end_of_cancelled(handle, operation, before)
    return {**_about(operation, "cancel"), "reason": args.reason, "answer": answer}


async def _end_of_cancelled(
    handle: WorkflowHandle[Any, Any], operation: FoundOperation, before: Progress | None
) -> str:
    """How an operation has ended after it was cancelled.

    Raises:
        CommandError: Otherwise than by that, or not in time.
    """
    import asyncio

    from temporalio.client import WorkflowFailureError
    from temporalio.exceptions import ApplicationError, CancelledError

    noun, name = operation.kind.noun, operation.workflow_id
    try:
        async with asyncio.timeout(CANCEL_SECONDS):
            result = await handle.result()
    except TimeoutError:
        raise CommandError(*_not_ended(operation, before)) from None
    except WorkflowFailureError as failure:
        if isinstance(failure.cause, CancelledError):
            return _cancelled(noun, await progress_of(handle))
        cause = failure.cause
        text = f"{cause.type}: {cause.message}" if isinstance(cause, ApplicationError) else str(cause)
        raise CommandError(EXIT_FAILED, f"{name} has failed instead: {text}") from None
    outcome = result.get("outcome", "done") if isinstance(result, dict) else "done"
    raise CommandError(EXIT_REFUSED, f"{name}: too late, the {noun} has ended as {outcome!r}")


def _cancelled(noun: str, last: Progress | None) -> str:
    """What is true after a cancellation: by the operation's own word, which names what was done before."""
    from etcd_handoff.contract import HandoffState

    ended = last is not None and last.state == HandoffState.FAILED and last.doing.startswith("cancelled")
    return f"the {noun} is {last.doing if last is not None and ended else 'cancelled'}"


def _not_ended(operation: FoundOperation, before: Progress | None) -> tuple[int, str]:
    """Exit status and text for an operation that goes on after it was cancelled."""
    name, noun = operation.workflow_id, operation.kind.noun
    if before is not None and before.point_of_no_return:
        text = f"{name}: too late, the {noun} has been proposed to etcd and only rolls forward"
        return EXIT_REFUSED, f"{text}; it is cancelled if the proposal comes to nothing. Now: {before.doing}"
    text = f"{name}: Temporal has the request, and no worker has carried it out in {CANCEL_SECONDS:g} s"
    return EXIT_FAILED, f"{text}; run `etcd-handoff worker`, and it ends"


def _about(operation: FoundOperation, action: str) -> dict[str, Any]:
    """What every answer for JSON begins with."""
    return {
        "action": action,
        "workflow_id": operation.workflow_id,
        "run_id": operation.run_id,
        "operation": operation.kind.noun,
        "cluster": operation.cluster,
        "member": operation.member,
    }
