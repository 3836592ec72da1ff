"""A new network namespace and host name, and one port through which this machine reaches it.

Run as a file, `namespace.py NAME [PORT INSIDE]`, it listens on this machine's 127.0.0.1:PORT, moves to a new namespace
with host name NAME, and forwards each connection to 127.0.0.1:INSIDE there. The kernel removes the namespace with its
last process, and its devices with their other ends. So nothing is left even after a kill.

It runs as a file, because a module would load the whole lab first.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import socket
import sys
from typing import Final

HOST: Final = "127.0.0.1"
READY: Final = "namespace ready"
_NEW_HOST_NAME: Final = 0x04000000
_NEW_NETWORK: Final = 0x40000000
"""`CLONE_NEWUTS` and `CLONE_NEWNET`; Python has `os.unshare` from 3.12 on."""
_CHUNK_BYTES: Final = 64 << 10
_WAITING: Final = 100
"""Number of connections that may wait to be accepted."""


def move_out(name: str) -> None:
    """Move this process to a new namespace; sockets that it has already stay in the old one.

    Raises:
        OSError: The kernel refuses.
    """
    if ctypes.CDLL(None, use_errno=True).unshare(_NEW_HOST_NAME | _NEW_NETWORK) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    socket.sethostname(name)


async def serve(listener: socket.socket | None, inside: int) -> None:
    """Forward connections until killed; without a listener only hold the namespace."""

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            await _forward(reader, writer, inside)
        writer.close()

    if listener is not None:
        await asyncio.start_server(forward, sock=listener)
    print(READY, flush=True)
    await asyncio.Event().wait()


async def _forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, inside: int) -> None:
    """Forward one connection, and close both sides as soon as one closes."""
    from_inside, to_inside = await asyncio.open_connection(HOST, inside)
    pumps = [asyncio.ensure_future(_pump(reader, to_inside)), asyncio.ensure_future(_pump(from_inside, writer))]
    try:
        await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for pump in pumps:
            pump.cancel()
        await asyncio.gather(*pumps, return_exceptions=True)
        to_inside.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(_CHUNK_BYTES):
        writer.write(data)
        await writer.drain()


def main(name: str, port: int = 0, inside: int = 0) -> None:
    """Hold the namespace until killed."""
    listener = None
    if port:
        listener = socket.create_server((HOST, port), backlog=_WAITING)
    move_out(name)
    asyncio.run(serve(listener, inside))


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
