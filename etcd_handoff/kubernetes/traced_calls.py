"""Spans of requests to API servers, if traces are recorded."""

from __future__ import annotations

from typing import Any

import aiohttp

from etcd_handoff import spans


def trace_configs() -> list[aiohttp.TraceConfig]:
    """Return the trace settings of a session, or nothing if no traces are recorded."""
    if not spans.are_recorded():
        return []
    config = aiohttp.TraceConfig()
    config.on_request_start.append(_begin)
    config.on_request_end.append(_end)
    config.on_request_exception.append(_fail)
    return [config]


async def _begin(_: aiohttp.ClientSession, context: Any, request: aiohttp.TraceRequestStartParams) -> None:
    attributes: dict[str, str | int] = {"http.request.method": request.method, "url.path": request.url.path}
    attributes |= {"server.address": request.url.host or "", "server.port": request.url.port or 0}
    context.span = spans.begin_call(f"{request.method} {request.url.path}", attributes)


async def _end(_: aiohttp.ClientSession, context: Any, answered: aiohttp.TraceRequestEndParams) -> None:
    if context.span is not None:
        context.span.end(answered.response.status, failed=not answered.response.ok)


async def _fail(_: aiohttp.ClientSession, context: Any, failed: aiohttp.TraceRequestExceptionParams) -> None:
    if context.span is not None:
        context.span.end(type(failed.exception).__name__, failed=True)
