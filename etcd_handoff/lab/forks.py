"""Python processes as forks of one that has imported the product, which start in a tenth of the time.

A fork runs the same code with the same arguments, environment and files as `python -c` would. It becomes a child of the
process that asked for it, which learns of its end like that of any child. It ends with that process. Linux only.
"""

from __future__ import annotations

import asyncio
import atexit
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

from etcd_handoff.lab import fork_server as server_side
from etcd_handoff.lab.fork_server import LARGEST_REQUEST, prctl
from etcd_handoff.lab.nodes import ROOT
from etcd_handoff.lab.processes import Process, ProcessError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

AVAILABLE: Final = sys.platform == "linux"
PR_SET_CHILD_SUBREAPER: Final = 36
POLL_SECONDS: Final = 0.01
PROGRAM: Final = "import os, sys; os.execv(sys.argv[1], sys.argv[1:])"
"""Code that replaces the process with the program in its arguments."""


class Fork:
    """A forked process, with the methods of `subprocess.Popen`."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._status: int | None = None

    def poll(self) -> int | None:
        """Return its exit status, negative for a signal; None while it runs."""
        return self._collect(os.WNOHANG)

    def wait(self) -> int:
        """Wait for its end, and return its exit status."""
        status = self._collect(0)
        return 0 if status is None else status

    def send_signal(self, sig: int) -> None:
        """Send a signal; do nothing if it has ended."""
        if self.poll() is None:
            os.kill(self.pid, sig)

    def _collect(self, options: int) -> int | None:
        if self._status is None:
            pid, status = os.waitpid(self.pid, options)
            if pid:
                self._status = os.waitstatus_to_exitcode(status)
        return self._status


class ForkServer:
    """The process that forks. It ends with this one."""

    def __init__(self) -> None:
        ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with its:
            code = f"from {server_side.__name__} import main; main()"
            command = [sys.executable, "-c", code, str(its.fileno()), str(os.getpid())]
            apart: Any = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "start_new_session": True}
            self._server = subprocess.Popen(command, cwd=ROOT, pass_fds=[its.fileno()], **apart)
        self._connection = ours
        atexit.register(self.close)

    @property
    def server_pid(self) -> int:
        """Process ID of the server."""
        return self._server.pid

    def close(self) -> None:
        """End the server. Forks continue."""
        self._connection.close()
        self._server.wait()

    def start(
        self,
        code: str,
        arguments: Sequence[str],
        files: tuple[IO[bytes], IO[bytes]],
        env: Mapping[str, str],
        namespaces: Sequence[str] = (),
    ) -> Fork:
        """Run Python code in a fork.

        Args:
            code: As for `python -c`.
            arguments: The arguments.
            files: Its standard output and standard error; it has no input.
            env: Its whole environment.
            namespaces: Files of the namespaces to run it in.

        Raises:
            ProcessError: The server has ended.
        """
        request = {"code": code, "arguments": [*arguments], "env": dict(env), "namespaces": [*namespaces]}
        with Path(os.devnull).open("rb") as nothing, _adopting():
            numbers = [file.fileno() for file in (nothing, *files)]
            socket.send_fds(self._connection, [json.dumps(request).encode()], numbers)
            answer = self._connection.recv(LARGEST_REQUEST)
        if not answer:
            msg = "the fork server has ended"
            raise ProcessError(msg)
        return Fork(int(answer))

    async def run(
        self, code: str, arguments: Sequence[str], env: Mapping[str, str], namespaces: Sequence[str] = ()
    ) -> tuple[int, str, str]:
        """Run Python code until it ends, and return exit status, output and errors.

        The code is killed if the caller is cancelled.
        """
        with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
            fork = self.start(code, arguments, (output, errors), env, namespaces)
            try:
                while (status := fork.poll()) is None:  # noqa: ASYNC110  # another process: no event tells
                    await asyncio.sleep(POLL_SECONDS)
            except BaseException:
                fork.send_signal(signal.SIGKILL)
                fork.wait()
                raise
            return status, _text(output), _text(errors)


class ForkedProcess(Process):
    """A lab's process that runs Python code in a fork.

    Args:
        name: Its name, for messages and for the log.
        code: As for `python -c`.
        arguments: The arguments.
        log: File for its output, to which restarts append.
        env: Environment variables in addition to ours.
        namespaces: Files of the namespaces to run it in.
    """

    def __init__(  # noqa: PLR0913, PLR0917  # as of any process
        self,
        name: str,
        code: str,
        arguments: Sequence[str],
        log: Path,
        env: Mapping[str, str] | None = None,
        namespaces: Sequence[str] = (),
    ) -> None:
        super().__init__(name, arguments, log, env)
        self._code, self._namespaces = code, namespaces

    def _spawn(self, output: IO[bytes]) -> Fork:
        env = {**os.environ, **self.env}
        return fork_server().start(self._code, self.command, (output, output), env, self._namespaces)


@cache
def fork_server() -> ForkServer:
    """Return this process's fork server, which the first call starts."""
    return ForkServer()


@contextmanager
def _adopting() -> Iterator[None]:
    """Let orphaned descendants become our children meanwhile, as a fork does before the server answers."""
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    try:
        yield
    finally:
        prctl(PR_SET_CHILD_SUBREAPER, 0)


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode()
