"""Exit status and text for a connection to Temporal that cannot be made or that breaks."""

from __future__ import annotations

import os
import re
from typing import Final

from temporalio.envconfig import ClientConfig
from temporalio.service import RPCError, RPCStatusCode

from etcd_handoff.exit_status import EXIT_FAILED, EXIT_UNREACHABLE, EXIT_USAGE

DEFAULT_ADDRESS: Final = "localhost:7233"
"""Temporal's address when the environment names none."""


def temporal_address() -> str:
    """Return Temporal's address, for messages."""
    try:
        return ClientConfig.load_client_connect_config().get("target_host") or DEFAULT_ADDRESS
    except (RuntimeError, ValueError, OSError):
        return os.environ.get("TEMPORAL_ADDRESS", "an address that the environment does not tell")


def connection_failure(error: Exception) -> tuple[int, str]:
    """Return exit status and text for a connection to Temporal that could not be made or that broke.

    The SDK's own errors of a connection are RuntimeErrors with all their causes in one text.
    """
    if isinstance(error, RPCError):
        return rpc_failure(error)
    error_text = str(error)
    if any(code in error_text for code in ("code: Unauthenticated", "code: PermissionDenied")):
        return EXIT_FAILED, refused_note(connection_note(error_text))
    connecting = error_text.startswith(("Failed client connect", "Server connection error")) or not error_text
    if connecting or not isinstance(error, RuntimeError):
        return EXIT_UNREACHABLE, unreachable_note(error)
    return EXIT_FAILED, f"the connection to Temporal at {temporal_address()} ended: {error_text.splitlines()[0][:500]}"


def rpc_failure(error: RPCError) -> tuple[int, str]:
    """Return exit status and text for a call that Temporal refused or did not answer."""
    error_text = error.message.rstrip(".")
    if error.status in (RPCStatusCode.UNAVAILABLE, RPCStatusCode.DEADLINE_EXCEEDED, RPCStatusCode.CANCELLED):
        return EXIT_UNREACHABLE, f"Temporal at {temporal_address()} (TEMPORAL_ADDRESS) does not answer: {error_text}"
    if error.status in (RPCStatusCode.UNAUTHENTICATED, RPCStatusCode.PERMISSION_DENIED):
        return EXIT_FAILED, refused_note(f"{error.status.name}: {error_text}")
    text = f"Temporal at {temporal_address()} refuses: {error.status.name}: {error_text}"
    if error.status is RPCStatusCode.NOT_FOUND:
        return EXIT_USAGE, f"{text}; set TEMPORAL_NAMESPACE to one that it has"
    return EXIT_FAILED, text


def is_unknown_workflow(error: RPCError) -> bool:
    """Return whether Temporal has no such workflow, or no running one.

    A missing namespace is NOT_FOUND too, but no unknown workflow.
    """
    return error.status is RPCStatusCode.NOT_FOUND and "amespace" not in error.message


def refused_note(error_text: str) -> str:
    """Return the text for credentials that Temporal refuses, with the remedy."""
    return (
        f"Temporal at {temporal_address()} refuses the credentials: {error_text}; renew TEMPORAL_API_KEY or the client"
        " certificate (TEMPORAL_TLS_*), and check that it may use the namespace"
    )


def unreachable_note(error: Exception) -> str:
    """Return the text for a connection to Temporal that failed, with the remedy."""
    error_text = connection_note(str(error))
    return f"Temporal cannot be reached at {temporal_address()}: {error_text}; set TEMPORAL_ADDRESS to a running server"


def connection_note(error_text: str) -> str:
    """Return the part of the SDK's connection error that people need."""
    quoted = re.findall(r'(?:message|error): "([^"]+)"', error_text)
    return (quoted[-1] if quoted else error_text.removeprefix("Failed client connect: "))[:200] or "no answer in time"
