"""The process behind `etcd_handoff.lab.forks`: it imports the product, then forks for each request."""

from __future__ import annotations

import ctypes
import gc
import importlib
import json
import os
import signal
import socket
import sys
import time
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

PRELOADED: Final = (
    "worker",
    "etcd_handoff.cli.options",
    "etcd_handoff.cli.doctor",
    "etcd_handoff.lab.writer",
)
"""Modules that a fork finds imported. None of them may leave a thread running."""
PR_SET_PDEATHSIG: Final = 1
LARGEST_REQUEST: Final = 1 << 17


def prctl(option: int, value: int) -> None:
    """Call Linux's `prctl`.

    Raises:
        OSError: The kernel refuses.
    """
    if ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")


def serve(connection: socket.socket, parent: int) -> dict[str, Any]:
    """Fork for each request; return only in a fork, with its request."""
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit(1)
    for name in PRELOADED:
        importlib.import_module(name)
    gc.freeze()
    while True:
        message, files, _, _ = socket.recv_fds(connection, LARGEST_REQUEST, 3)
        if not message:
            sys.exit(0)
        between = os.fork()
        if between == 0:
            if os.fork() != 0:
                os._exit(0)
            _become(connection, files, parent)
            request: dict[str, Any] = json.loads(message)
            return request
        os.waitpid(between, 0)
        for file in files:
            os.close(file)


def _become(connection: socket.socket, files: Sequence[int], parent: int) -> None:
    """Turn a fork into a child of `parent` that writes to these files."""
    while os.getppid() != parent:  # once the process between has ended
        time.sleep(0.001)
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
    os.setsid()
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    connection.send(str(os.getpid()).encode())
    connection.close()


def _enter(namespace: str) -> None:
    """Enter the namespace, without `os.setns`, which Python has from 3.12 on."""
    file = os.open(namespace, os.O_RDONLY)
    if ctypes.CDLL(None, use_errno=True).setns(file, 0) != 0:
        raise OSError(ctypes.get_errno(), f"setns {namespace}")
    os.close(file)


def main() -> None:
    """Serve, and in a fork run the requested code."""
    connection = socket.socket(fileno=int(sys.argv[1]))
    request = serve(connection, int(sys.argv[2]))
    for namespace in request["namespaces"]:
        _enter(namespace)
    os.environ.clear()
    os.environ.update(request["env"])
    sys.argv = ["-c", *request["arguments"]]
    exec(compile(request["code"], "<string>", "exec"), {"__name__": "__main__"})  # noqa: S102  # as python -c does
