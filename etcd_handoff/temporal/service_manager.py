"""What systemd is told of this process, by the protocol of its `sd_notify`: one datagram for each state."""

from __future__ import annotations

import contextlib
import os
import socket
from typing import Final

SOCKET_VARIABLE: Final = "NOTIFY_SOCKET"
READY: Final = "READY=1"
ALIVE: Final = "WATCHDOG=1"
STOPPING: Final = "STOPPING=1"


def status(text: str) -> str:
    """What `systemctl status` shows of this process, as a state for `tell`."""
    return f"STATUS={' '.join(text.split())}"


def tell(state: str) -> None:
    """Tell the service manager a state; nothing where no service manager listens.

    It is news for somebody else: that it cannot be told stops no work.
    """
    address = os.environ.get(SOCKET_VARIABLE, "")
    if not address.startswith(("/", "@")):
        return
    if address.startswith("@"):  # a name without a file
        address = f"\0{address[1:]}"
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.settimeout(0)
        channel.connect(address)
        channel.send(state.encode())
