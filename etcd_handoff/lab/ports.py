"""Ports for a lab's processes that no other process takes meanwhile."""

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
"""Below the range that the kernel hands out for outgoing connections: one could take a port first."""


class Ports:
    """Ports leased until `close`, or until this process ends.

    A killed process frees its port until it is started again, so looking which ports are free is not enough
    where several labs run: each port has a lock file, and the kernel drops the lock with its owner.

    Args:
        host: The address that they are for.
    """

    def __init__(self, host: str) -> None:
        self._host = host
        self._folder = Path(tempfile.gettempdir()) / f"etcd-handoff-ports-{os.getuid()}"
        self._leases: list[IO[bytes]] = []

    def take(self, count: int) -> list[int]:
        """As many ports that nobody listens on and no other lab has leased."""
        self._folder.mkdir(exist_ok=True)
        ports: list[int] = []
        while len(ports) < count:
            port = FIRST_PORT + secrets.randbelow(PORT_COUNT)
            if self._lease(port):
                ports.append(port)
        return ports

    def close(self) -> None:
        """Give all of them back."""
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
