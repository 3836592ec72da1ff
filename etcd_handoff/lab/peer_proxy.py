"""An HTTP proxy between etcd members, which knows from the port which member a request comes from.

All members dial the same peer URL, so the address alone does not identify a link between two of them. But etcd's peer
transport takes its proxy from the environment (etcd `client/pkg/transport/transport.go`). Each member gets its own port
here. That port and the dialled port identify the link.

It runs as a file, because a module would load the whole lab first.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import sys
from typing import Final
from urllib.parse import urlsplit

HOST: Final = "127.0.0.1"
READY: Final = "peer proxy ready"
HEAD_BYTES: Final = 64 << 10
REFUSED: Final = b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


async def serve(routes: dict[str, dict[str, int]]) -> None:
    """Forward connections until killed.

    Args:
        routes: For each port to listen on: the ports that may be dialled, and the real port behind each.
    """
    for port, links in routes.items():
        await asyncio.start_server(functools.partial(_answer, links), HOST, int(port), limit=HEAD_BYTES)
    print(READY, flush=True)
    await asyncio.Event().wait()


async def _answer(links: dict[str, int], reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        await _forward(links, reader, writer)
    writer.close()


async def _forward(links: dict[str, int], reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Forward one request on one connection, which is not reused, because raft's streams never end."""
    line, _, rest = (await reader.readuntil(b"\r\n\r\n")).partition(b"\r\n")
    dialled = urlsplit(line.split(b" ")[1]).port
    try:
        upstream, to_upstream = await asyncio.open_connection(HOST, links[str(dialled)])
    except (OSError, KeyError):
        writer.write(REFUSED)
        return
    to_upstream.write(line + b"\r\nConnection: close\r\n" + rest)
    pumps = [asyncio.ensure_future(_pump(reader, to_upstream)), asyncio.ensure_future(_pump(upstream, writer))]
    try:
        await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for pump in pumps:
            pump.cancel()
        await asyncio.gather(*pumps, return_exceptions=True)
        to_upstream.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(HEAD_BYTES):
        writer.write(data)
        await writer.drain()


if __name__ == "__main__":
    asyncio.run(serve(json.loads(sys.argv[1])))
