"""`approve`, `pause`, `resume`, `recheck`, `cancel`: requests to a running operation."""
# ruff: noqa: PLC0415
# Commands import what they need when they run: `--help` answers at once, without gRPC and Temporal.

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from etcd_handoff.cli.configuration import common_options, wrong_options
from etcd_handoff.cli.connections import connect_temporal
from etcd_handoff.cli.errors import CommandError, client_error
from etcd_handoff.cli.find_operation import running_operation
from etcd_handoff.cli.terminal import print_json, print_lines
from etcd_handoff.exit_status import EXIT_DONE, EXIT_FAILED

if TYPE_CHECKING:
    import argparse
    from collections.abc import Awaitable, Callable

    from temporalio.client import Client

    from etcd_handoff.cli.find_operation import FoundOperation
    from etcd_handoff.wire import Request


def approve_command(args: argparse.Namespace) -> int:
    """Send the update `approve`.

    Returns:
        The exit status: 0 if it was accepted, 3 if the operation does not wait for an approval.
    """
    from etcd_handoff.contract import Approval
    from etcd_handoff.temporal.identity import shell_user

    fields = {"by": args.by or shell_user(), "comment": args.comment}
    return _run(args, lambda client: _update(client, args, "approve", Approval, fields))


def recheck_command(args: argparse.Namespace) -> int:
    """Send the update `recheck`; return 0 if it was accepted."""
    from etcd_handoff.contract import Recheck

    return _run(args, lambda client: _update(client, args, "recheck", Recheck, {"reason": args.reason}))


def pause_command(args: argparse.Namespace) -> int:
    """Send the update `pause` or `resume`.

    Returns:
        The exit status: 0 if it was accepted, 3 if it is too late or if nothing is paused.
    """
    from etcd_handoff.contract import Pause
    from etcd_handoff.temporal.identity import shell_user

    fields = {"by": args.by or shell_user(), "reason": args.reason}
    return _run(args, lambda client: _update(client, args, args.update, Pause, fields))


def cancel_command(args: argparse.Namespace) -> int:
    """Cancel an operation.

    Returns:
        The exit status: 0 if it ended cancelled, 3 if it is too late for that, 1 if no worker takes the request.
    """
    return _run(args, lambda client: _cancel(client, args))


def _run(args: argparse.Namespace, command: Callable[[Client], Awaitable[dict[str, Any]]]) -> int:
    import asyncio
    import shlex

    from etcd_handoff.client import ClientError, NotTakenError, UnknownOperationError

    async def run() -> dict[str, Any]:
        return await command(await connect_temporal())

    describe = shlex.join(["etcd-handoff", "describe", args.operation, *common_options(args)])
    try:
        answer = asyncio.run(run())
    except UnknownOperationError:
        raise CommandError(EXIT_FAILED, f"the operation has ended meanwhile; `{describe}` shows how") from None
    except NotTakenError as error:
        raise CommandError(error.exit_status, f"{error}; `{describe}` shows where it stands") from None
    except ClientError as error:
        raise client_error(error) from None
    if args.output == "json":
        from etcd_handoff.cli.shapes.operations import InterventionOutput

        print_json(InterventionOutput, answer)
    else:
        print_lines([f"{answer['workflow_id']}: {answer['answer']}"])
    return EXIT_DONE


async def _update(
    client: Client, args: argparse.Namespace, name: str, model: type[Request], fields: dict[str, str]
) -> dict[str, Any]:
    """Send an update to the operation, and return its answer.

    Raises:
        CommandError: No operation is meant, or an option is wrong.
        ClientError: The operation does not take it, or no worker answers.
    """
    from pydantic import ValidationError

    try:
        argument = model.model_validate(fields)
    except ValidationError as error:
        raise wrong_options(error) from None
    found = await running_operation(client, args)
    operation = found.operation(client)
    updates: dict[str, Callable[..., Awaitable[str]]] = {
        "approve": operation.approve,
        "recheck": operation.recheck,
        "pause": operation.pause,
        "resume": operation.resume,
    }
    answer = await updates[name](**fields)
    return {**_about(found, name), **argument.model_dump(mode="json"), "answer": answer}


async def _cancel(client: Client, args: argparse.Namespace) -> dict[str, Any]:
    """Cancel the operation, and return its end.

    Raises:
        CommandError: No operation is meant, or it has failed in another way meanwhile.
        ClientError: It can't be cancelled any more, or no worker takes the request.
    """
    from etcd_handoff.client import OperationError

    found = await running_operation(client, args)
    try:
        truth = await found.operation(client).cancel(args.reason)
    except OperationError as error:
        text = f"{found.workflow_id} has failed instead: {error.failure_type}: {error}"
        raise CommandError(EXIT_FAILED, text) from None
    answer = f"the {found.kind.noun} is {truth}"
    return {**_about(found, "cancel"), "reason": args.reason, "answer": answer}


def _about(operation: FoundOperation, action: str) -> dict[str, Any]:
    """Return the fields that start every answer for JSON."""
    return {
        "action": action,
        "workflow_id": operation.workflow_id,
        "run_id": operation.run_id,
        "operation": operation.kind.noun,
        "cluster": operation.cluster,
        "member": operation.member,
    }
