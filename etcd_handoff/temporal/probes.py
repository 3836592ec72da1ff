"""The address for probes: `/livez` and `/readyz` over plain HTTP, with the reason as the body.

A web framework would be a dependency for two requests without a body. asyncio's own server is enough.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Final

from etcd_handoff import time_limits
from etcd_handoff.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from etcd_handoff.temporal.readiness import Verdict

MOST_BYTES: Final = 4096
"""The most bytes of a request. A probe's is far shorter."""
PHRASES: Final = {
    200: "OK",
    400: "Bad Request",
    404: "Not Found",
    405: "Method Not Allowed",
    503: "Service Unavailable",
}
HIGHEST_PORT: Final = 65535


def parsed_address(address: str) -> tuple[str | None, int]:
    """Return host and port of `<IP address>:<port>`. Without a host, it means all addresses of this machine.

    Raises:
        ConfigError: It is no such text.
    """
    host, colon, port = address.rpartition(":")
    if not (colon and port.isascii() and port.isdecimal() and 0 < int(port) <= HIGHEST_PORT):
        msg = f"--probe-address {address}: is no address; give IP address and port, such as 127.0.0.1:9465"
        raise ConfigError(msg)
    return host.removeprefix("[").removesuffix("]") or None, int(port)


@contextlib.asynccontextmanager
async def answering(address: str, questions: Mapping[str, Callable[[], Verdict]]) -> AsyncIterator[None]:
    """Answer probes during the block.

    Args:
        address: Where to listen, `<IP address>:<port>`; empty for nowhere.
        questions: What answers each path.

    Raises:
        ConfigError: It is no address, or this machine does not let us listen there.
    """
    if not address:
        yield
        return
    host, port = parsed_address(address)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(time_limits.WORKER.probe_timeout.total_seconds()):
                status, text = _answer(await _request_line(reader), questions)
                writer.write(_response(status, text))
                await writer.drain()
        writer.close()

    try:
        server = await asyncio.start_server(serve, host, port, limit=MOST_BYTES)
    except OSError as error:
        msg = f"--probe-address {address}: {error.strerror or error}; give an address of this machine that is free"
        raise ConfigError(msg) from None
    try:
        yield
    finally:
        server.close()


async def _request_line(reader: asyncio.StreamReader) -> str:
    """Read a request to the end of its headers, and return its first line, or "" if there is none."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        return ""
    return head.partition(b"\r\n")[0].decode("latin-1")


def _answer(line: str, questions: Mapping[str, Callable[[], Verdict]]) -> tuple[int, str]:
    words = line.split(" ")
    if len(words) != 3:
        return 400, "this is no HTTP request"
    method, target, _ = words
    question = questions.get(target.partition("?")[0])
    if question is None:
        return 404, f"there are {' and '.join(questions)}"
    if method != "GET":
        return 405, "ask with GET"
    verdict = question()
    return 200 if verdict.good else 503, verdict.text


def _response(status: int, text: str) -> bytes:
    body = f"{text}\n".encode()
    head = (
        f"HTTP/1.1 {status} {PHRASES[status]}\r\nContent-Type: text/plain; charset=utf-8\r\n"
        f"Content-Length: {len(body)}\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + body
