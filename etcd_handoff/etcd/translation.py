"""Translate the exceptions of etcd3aio and gRPC, none of which leaves this package, into our errors."""

from __future__ import annotations

from typing import Final

import grpc
import grpc.aio
from etcd3aio.errors import EtcdError as LibraryError

from etcd_handoff.errors import EtcdError, EtcdPermissionError, UnknownOutcomeError, UnreachableError
from etcd_handoff.etcd.classify import classify, permission_remedy, readable

FAILURES: Final = (LibraryError, grpc.aio.AioRpcError, TimeoutError)


def translated(error: BaseException, *, change: bool, timeout_seconds: float | None = None) -> EtcdError:
    """Return our error for any exception. Its message has no endpoint, since messages reach workflow histories.

    Args:
        error: What was raised.
        change: Whether the call was to change something and may have been sent.
        timeout_seconds: The call's deadline.
    """
    if isinstance(error, EtcdError):
        return error
    if isinstance(error, FAILURES):
        words, code = _words(error), code_of(error)
        text = readable(words, code, timeout_seconds)
        failure = classify(words, code, change=change)(text)
        if isinstance(failure, EtcdPermissionError):
            failure.remedy = permission_remedy(text)
        return failure
    kind = UnknownOutcomeError if change else UnreachableError
    if isinstance(error, OSError):
        why = error.strerror or type(error).__name__
        return kind(f"{error.filename} cannot be read: {why}" if error.filename else f"no connection: {why}")
    return kind(f"the call could not be made ({type(error).__name__})")


def _source(error: BaseException) -> grpc.aio.AioRpcError | None:
    source = error if isinstance(error, grpc.aio.AioRpcError) else error.__cause__
    return source if isinstance(source, grpc.aio.AioRpcError) else None


def _words(error: BaseException) -> str:
    """Return the server's or gRPC's own message."""
    source = _source(error)
    return (source.details() or "") if source else str(error)


def code_of(error: BaseException) -> str:
    """Return the name of the gRPC status code. Our own time-out has the code of a deadline."""
    source = _source(error)
    if source is not None:
        return str(source.code().name)
    return "DEADLINE_EXCEEDED" if isinstance(error, TimeoutError) else "UNKNOWN"
