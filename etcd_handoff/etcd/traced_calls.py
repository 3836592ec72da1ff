"""Spans of gRPC calls to etcd, if traces are recorded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio

from etcd_handoff import spans

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence


class TracedCalls(grpc.aio.UnaryUnaryClientInterceptor):
    """Makes a span of each call that has one answer.

    Args:
        host: Host of the server.
        port: Port of the server.
    """

    def __init__(self, host: str, port: int) -> None:
        self._server: dict[str, str | int] = {"server.address": host, "server.port": port}

    async def intercept_unary_unary(
        self, continuation: Callable[[Any, Any], Awaitable[Any]], client_call_details: Any, request: Any
    ) -> Any:
        """Make the call and its span. gRPC calls this once for each call."""
        method = client_call_details.method
        method = (method.decode() if isinstance(method, bytes) else method).removeprefix("/")
        span = spans.begin_call(method, {"rpc.system": "grpc", "rpc.method": method, **self._server})
        if span is None:
            return await continuation(client_call_details, request)
        status, call = grpc.StatusCode.CANCELLED, None
        try:
            call = await continuation(client_call_details, request)
            status = await call.code()
        finally:
            if status is grpc.StatusCode.CANCELLED and call is not None:
                call.cancel()  # gRPC has cancelled only this method
            span.end(status.name, failed=status is not grpc.StatusCode.OK)
        return call


def interceptors(host: str, port: int) -> Sequence[grpc.aio.ClientInterceptor] | None:
    """Return the interceptors of a channel to this server, or None if no traces are recorded."""
    return [TracedCalls(host, port)] if spans.are_recorded() else None
