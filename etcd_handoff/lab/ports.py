"""Ports for a lab's processes that no other process takes."""

from __future__ import annotations

import fcntl
import os
import secrets
import socket
import tempfile
from pathlib import Path
from typing import IO, Final

FIRST_PORT: Final = 20_000
PORT_COUNT: Final = 12_000
"""Below the kernel's range for outgoing connections, which could take a port first."""


class Ports:
    """Ports leased until `close`, or until this process ends.

    A killed process frees its port until its restart, so a check for free ports is not enough if several labs run. Each
    port has a lock file, and the kernel drops the lock with its owner.

    Args:
        host: The ports' address.
    """

    def __init__(self, host: str) -> None:
        self._host = host
        self._folder = Path(tempfile.gettempdir()) / f"etcd-handoff-ports-{os.getuid()}"
        self._leases: list[IO[bytes]] = []

    def take(self, count: int) -> list[int]:
        """Lease this many ports on which no process listens."""
        self._folder.mkdir(exist_ok=True)
        ports: list[int] = []
        while len(ports) < count:
            port = FIRST_PORT + secrets.randbelow(PORT_COUNT)
            if self._lease(port):
                ports.append(port)
        return ports

    def close(self) -> None:
        """Return all ports."""
        while self._leases:
            self._leases.pop().close()

    def _lease(self, port: int) -> bool:
        lease = (self._folder / str(port)).open("ab")
        try:
            fcntl.flock(lease, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
                probe.bind((self._host, port))
        except OSError:
            lease.close()
            return False
        self._leases.append(lease)
        return True
