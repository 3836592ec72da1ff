"""Errors that end a command, with exit status and text."""
# ruff: noqa: PLC0415
# Commands import what they need when they run: `--help` answers at once, without gRPC and Temporal.

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final, TypeVar

from etcd_handoff.exit_status import EXIT_FAILED, EXIT_UNREACHABLE, EXIT_USAGE

if TYPE_CHECKING:
    import argparse
    from collections.abc import Awaitable

    from etcd_handoff.client import ClientError

T = TypeVar("T")
ASK_DOCTOR: Final = "asks each endpoint, and says what to do"


class CommandError(Exception):
    """Ends the command with an exit status and a text for the terminal."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


def temporal_error(error: Any) -> CommandError:
    """Return the command's error for an `RPCError`, when Temporal refused a call or did not answer."""
    from etcd_handoff.temporal.connection_failures import rpc_failure

    return CommandError(*rpc_failure(error))


def client_error(error: ClientError) -> CommandError:
    """Return the command's error for an error of the Python client."""
    return CommandError(error.exit_status, str(error))


async def result_or_error(reading: Awaitable[T]) -> T | Exception:
    """Return the result, or the error as a value, so that the command can show it beside other results."""
    try:
        return await reading
    except Exception as error:  # noqa: BLE001  # each becomes a text through `status_and_text`
        return error


def status_and_advice(error: Exception, args: argparse.Namespace) -> tuple[int, str]:
    """Return exit status and text; if etcd cannot be read, the text names `doctor`."""
    import shlex

    from etcd_handoff.cli.configuration import common_options
    from etcd_handoff.errors import UnreachableError

    status, text = status_and_text(error)
    if not isinstance(error, UnreachableError):
        return status, text
    doctor = shlex.join(["etcd-handoff", "doctor", *common_options(args)])
    return status, f"{text}; `{doctor}` {ASK_DOCTOR}"


def status_and_text(error: Exception) -> tuple[int, str]:
    """Return exit status and text for any error that ended a command or a part of it."""
    from etcd_handoff import errors

    if isinstance(error, getattr(sys.modules.get("temporalio.service"), "RPCError", ())):
        error = temporal_error(error)
    remedy = getattr(error, "remedy", "")  # refusals have their own
    kinds: tuple[tuple[type[Exception], int, str], ...] = (
        (CommandError, getattr(error, "status", EXIT_FAILED), ""),
        (errors.ConfigError, EXIT_USAGE, ""),
        (errors.EtcdPermissionError, EXIT_FAILED, "etcd does not allow it: "),
        (errors.UnreachableError, EXIT_UNREACHABLE, "etcd cannot be read: "),
        (errors.ApiUnavailableError, EXIT_UNREACHABLE, "Kubernetes cannot be read: "),
        (errors.KubernetesPermissionError, EXIT_FAILED, "Kubernetes does not allow it: "),
        (errors.HandoffError, EXIT_FAILED, ""),
    )
    for kind, status, prefix in kinds:
        if isinstance(error, kind):
            return status, f"{prefix}{error}{f'; {remedy}' if remedy else ''}"
    if isinstance(error, OSError) and error.filename:
        return EXIT_USAGE, f"{error.filename}: {error.strerror}; correct the path or its permissions"
    return EXIT_FAILED, f"unexpected {type(error).__name__}: {error}; please report it, with what you did"
