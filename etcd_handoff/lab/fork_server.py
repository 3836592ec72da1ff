"""Python processes as forks of one that has imported the product: they start in a tenth of the time and computing.

A fork runs the same code with the same arguments, environment and files as `python -c` would. It becomes a child of the
process that asked for it, which is therefore told of its end as of any other child's, and it ends with that process.
Linux only.
"""

from __future__ import annotations

import asyncio
import atexit
import ctypes
import gc
import importlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

from etcd_handoff.lab.nodes import ROOT
from etcd_handoff.lab.processes import Process, ProcessError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

AVAILABLE: Final = sys.platform == "linux"
PRELOADED: Final = (
    "worker",
    "etcd_handoff.cli.commands",
    "etcd_handoff.cli.doctor",
    "etcd_handoff.lab.writer",
)
"""What a fork finds imported; no thread may run after it."""
PR_SET_PDEATHSIG: Final = 1
PR_SET_CHILD_SUBREAPER: Final = 36
LARGEST_REQUEST: Final = 1 << 17
POLL_SECONDS: Final = 0.01
PROGRAM: Final = "import os, sys; os.execv(sys.argv[1], sys.argv[1:])"
"""Code that becomes the program in its arguments."""


class Fork:
    """A process that was forked for us, with what `subprocess.Popen` calls the same."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._status: int | None = None

    def poll(self) -> int | None:
        """Its exit status, negative for a signal; None while it runs."""
        return self._collect(os.WNOHANG)

    def wait(self) -> int:
        """The same, once it has ended."""
        status = self._collect(0)
        return 0 if status is None else status

    def send_signal(self, sig: int) -> None:
        """Send a signal; nothing when it has ended."""
        if self.poll() is None:
            os.kill(self.pid, sig)

    def _collect(self, options: int) -> int | None:
        if self._status is None:
            pid, status = os.waitpid(self.pid, options)
            if pid:
                self._status = os.waitstatus_to_exitcode(status)
        return self._status


class ForkServer:
    """The process that forks; it ends with this one."""

    def __init__(self) -> None:
        ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with its:
            code = f"from {__name__} import main; main()"
            command = [sys.executable, "-c", code, str(its.fileno()), str(os.getpid())]
            apart: Any = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "start_new_session": True}
            self._server = subprocess.Popen(command, cwd=ROOT, pass_fds=[its.fileno()], **apart)
        self._connection = ours
        atexit.register(self.close)

    def close(self) -> None:
        """End it; forks live on."""
        self._connection.close()
        self._server.wait()

    def start(
        self, code: str, arguments: Sequence[str], files: tuple[IO[bytes], IO[bytes]], env: Mapping[str, str]
    ) -> Fork:
        """Run Python code in a fork.

        Args:
            code: As for `python -c`.
            arguments: What follows.
            files: Its standard output and errors; there is no input.
            env: Its whole environment.

        Raises:
            ProcessError: The server has ended.
        """
        request = {"code": code, "arguments": [*arguments], "env": dict(env)}
        with Path(os.devnull).open("rb") as nothing, _adopting():
            numbers = [file.fileno() for file in (nothing, *files)]
            socket.send_fds(self._connection, [json.dumps(request).encode()], numbers)
            answer = self._connection.recv(LARGEST_REQUEST)
        if not answer:
            msg = "the fork server has ended"
            raise ProcessError(msg)
        return Fork(int(answer))

    async def run(self, code: str, arguments: Sequence[str], env: Mapping[str, str]) -> tuple[int, str, str]:
        """Exit status, output and errors of Python code that ends by itself; killed where we are cancelled."""
        with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
            fork = self.start(code, arguments, (output, errors), env)
            try:
                while (status := fork.poll()) is None:  # noqa: ASYNC110  # another process: no event tells
                    await asyncio.sleep(POLL_SECONDS)
            except BaseException:
                fork.send_signal(signal.SIGKILL)
                fork.wait()
                raise
            return status, _text(output), _text(errors)


class ForkedProcess(Process):
    """A process of a lab that runs Python code in a fork.

    Args:
        name: For messages and for the log's name.
        code: As for `python -c`.
        arguments: What follows.
        log: Its output goes here; restarts append.
        env: Environment beyond ours.
    """

    def __init__(
        self, name: str, code: str, arguments: Sequence[str], log: Path, env: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(name, arguments, log, env)
        self._code = code

    def _spawn(self, output: IO[bytes]) -> Fork:
        return fork_server().start(self._code, self.command, (output, output), {**os.environ, **self.env})


@cache
def fork_server() -> ForkServer:
    """The one of this process, started when it is first asked for."""
    return ForkServer()


@contextmanager
def _adopting() -> Iterator[None]:
    """Meanwhile our descendants whose parent ends become our children, as a fork does before the server answers."""
    _prctl(PR_SET_CHILD_SUBREAPER, 1)
    try:
        yield
    finally:
        _prctl(PR_SET_CHILD_SUBREAPER, 0)


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode()


def _prctl(option: int, value: int) -> None:
    if ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")


# --- the server's side ------------------------------------------------------------------------------------------------


def serve(connection: socket.socket, parent: int) -> dict[str, Any]:
    """Fork for each request; returns in the fork, with the request."""
    _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
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
    _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
    os.setsid()
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    connection.send(str(os.getpid()).encode())
    connection.close()


def main() -> None:
    """Serve, and in a fork run what was asked for."""
    connection = socket.socket(fileno=int(sys.argv[1]))
    request = serve(connection, int(sys.argv[2]))
    os.environ.clear()
    os.environ.update(request["env"])
    sys.argv = ["-c", *request["arguments"]]
    exec(compile(request["code"], "<string>", "exec"), {"__name__": "__main__"})  # noqa: S102  # as python -c does
