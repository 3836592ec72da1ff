"""A gRPC proxy before a real server: refuses calls, as managed Temporal does, loses answers, changes the version."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import grpc
import grpc.aio
from temporalio.api.workflowservice.v1 import GetSystemInfoResponse

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

VERSION_CALL: Final = "GetSystemInfo"


def _raw(data: bytes) -> bytes:
    return data


@dataclass
class Proxy:
    """What the proxy lets through.

    Attributes:
        address: Host and port for clients.
        refused: Calls that are refused, by service or method name, with the status that they end with.
        lost: Methods whose answer is lost although the call went through, and what comes instead; once each.
        version: Server version that it reports instead of the true one; empty for the true one.
        calls: How often each method was called.
    """

    address: str = ""
    refused: dict[str, grpc.StatusCode] = field(default_factory=dict)
    lost: dict[str, grpc.StatusCode] = field(default_factory=dict)
    version: str = ""
    calls: dict[str, int] = field(default_factory=dict)

    def refuses(self, path: str) -> grpc.StatusCode | None:
        """The status for `/temporal.api.workflowservice.v1.WorkflowService/StartWorkflowExecution`."""
        _, service, method = path.split("/")
        self.calls[method] = self.calls.get(method, 0) + 1
        names = (method, service.rpartition(".")[2])
        return next((self.refused[name] for name in names if name in self.refused), None)


class _Handler(grpc.GenericRpcHandler):
    def __init__(self, proxy: Proxy, channel: grpc.aio.Channel) -> None:
        self._proxy, self._channel = proxy, channel

    def service(self, handler_call_details: Any) -> Any:
        """The handler of one call, whatever it is: bytes go through as they are."""
        path = handler_call_details.method

        async def forward(request: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
            if status := self._proxy.refuses(path):
                await context.abort(status, "Request unauthorized.")
            call = self._channel.unary_unary(path, request_serializer=_raw, response_deserializer=_raw)
            metadata = [pair for pair in context.invocation_metadata() or () if not str(pair[0]).startswith("grpc-")]
            try:
                answer = bytes(await call(request, timeout=context.time_remaining(), metadata=metadata))
            except grpc.aio.AioRpcError as error:
                context.set_trailing_metadata(error.trailing_metadata())
                await context.abort(error.code(), error.details() or "")
            if status := self._proxy.lost.pop(path.rpartition("/")[2], None):
                await context.abort(status, "the connection broke")
            if self._proxy.version and path.endswith(VERSION_CALL):
                info = GetSystemInfoResponse.FromString(answer)
                info.server_version = self._proxy.version
                return bytes(info.SerializeToString())
            return answer

        return grpc.unary_unary_rpc_method_handler(forward, request_deserializer=_raw, response_serializer=_raw)


@asynccontextmanager
async def proxy_to(address: str) -> AsyncIterator[Proxy]:
    """A proxy before the server at this address."""
    proxy = Proxy()
    async with grpc.aio.insecure_channel(address) as channel:
        server = grpc.aio.server()
        server.add_generic_rpc_handlers([_Handler(proxy, channel)])
        proxy.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
        await server.start()
        try:
            yield proxy
        finally:
            await server.stop(grace=None)
