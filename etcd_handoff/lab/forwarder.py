"""An HTTP proxy between etcd members: says to each member's requests whom they come from.

All members dial the same peer URL, so a link between two of them can't be told from the others by its address. But
etcd's peer transport asks the environment for a proxy (etcd `client/pkg/transport/transport.go`): each member gets a
port of its own here, and by that and the port that it asks for the link is known.

Runs as a file by itself: as a module it would load the whole lab first.
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
READY: Final = "forwarder ready"
HEAD_BYTES: Final = 64 << 10
REFUSED: Final = b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


async def serve(routes: dict[str, dict[str, int]]) -> None:
    """Forward until killed.

    Args:
        routes: For each port to listen on the ports that may be asked for, and the port where each is reached.
    """
    for port, ways in routes.items():
        await asyncio.start_server(functools.partial(_answer, ways), HOST, int(port), limit=HEAD_BYTES)
    print(READY, flush=True)
    await asyncio.Event().wait()


async def _answer(ways: dict[str, int], reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        await _forward(ways, reader, writer)
    writer.close()


async def _forward(ways: dict[str, int], reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One request on one connection: raft's streams never end, so there is nothing to win by keeping it."""
    line, _, rest = (await reader.readuntil(b"\r\n\r\n")).partition(b"\r\n")
    wanted = urlsplit(line.split(b" ")[1]).port
    try:
        there, to_there = await asyncio.open_connection(HOST, ways[str(wanted)])
    except (OSError, KeyError):
        writer.write(REFUSED)
        return
    to_there.write(line + b"\r\nConnection: close\r\n" + rest)
    pumps = [asyncio.ensure_future(_pump(reader, to_there)), asyncio.ensure_future(_pump(there, writer))]
    try:
        await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for pump in pumps:
            pump.cancel()
        await asyncio.gather(*pumps, return_exceptions=True)
        to_there.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(HEAD_BYTES):
        writer.write(data)
        await writer.drain()


if __name__ == "__main__":
    asyncio.run(serve(json.loads(sys.argv[1])))
