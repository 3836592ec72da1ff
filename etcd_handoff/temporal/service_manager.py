"""Notify systemd of this process's state, by the protocol of its `sd_notify`: one datagram for each state."""

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
    """Return the text that `systemctl status` shows of this process, as a state for `tell`."""
    return f"STATUS={' '.join(text.split())}"


def notify_systemd(state: str) -> None:
    """Send a state to the service manager, if one listens.

    It is only information: a failure to send it stops no work.
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
