"""One supervised process: it can be started, killed, stopped and continued, and never outlives us."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
from typing import IO, TYPE_CHECKING, Final, Protocol

from etcd_handoff import tied_process
from etcd_handoff.lab.waiting import ProcessError, wait_until

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from pathlib import Path

LOG_TAIL_LINES: Final = 15
READY_POLL_SECONDS: Final = 0.05
"""Interval of readiness checks. Each costs the starting process a handshake."""

__all__ = ["Process", "ProcessError", "run"]


class Child(Protocol):
    """A started process, with the methods of `subprocess.Popen`."""

    pid: int

    def poll(self) -> int | None:
        """Return its exit status, negative for a signal; None while it runs."""

    def wait(self) -> int:
        """Wait for its end, and return its exit status."""

    def send_signal(self, sig: int) -> None:
        """Send a signal; do nothing if it has ended."""


class Process:
    """A program with its log.

    Args:
        name: Its name, for messages and for the log.
        command: Absolute path of the program, and arguments.
        log: File for its output, to which restarts append.
        env: Environment variables in addition to ours.
        cwd: Working directory.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        log: Path,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> None:
        self.name = name
        self.command = list(command)
        self.log = log
        self.env = dict(env or {})
        self._cwd = cwd
        self._popen: Child | None = None
        self._log_start = 0

    @property
    def pid(self) -> int | None:
        """Process ID; None if it does not run."""
        return self._popen.pid if self._popen is not None and self.alive else None

    @property
    def alive(self) -> bool:
        """Whether it runs, stopped or not."""
        return self._popen is not None and self._popen.poll() is None

    @property
    def exit_status(self) -> int | None:
        """Exit status, negative for a signal; None while it runs or before its start."""
        return self._popen.poll() if self._popen is not None else None

    def start(self) -> None:
        """Start it.

        Raises:
            ProcessError: It already runs.
        """
        if self.alive:
            msg = f"{self.name} runs already"
            raise ProcessError(msg)
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as output:
            self._log_start = output.tell()
            self._popen = self._spawn(output)

    def _spawn(self, output: IO[bytes]) -> Child:
        return subprocess.Popen(
            tied_process.command(self.command),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **self.env},
            cwd=self._cwd,
            start_new_session=True,
        )

    def signal(self, number: signal.Signals) -> None:
        """Send a signal by PID; do nothing if it has ended."""
        if self._popen is not None and self.alive:
            self._popen.send_signal(number)

    async def kill(self) -> None:
        """Send SIGKILL and wait for the exit."""
        self.signal(signal.SIGKILL)
        await self.ended()

    def start_over(self) -> None:
        """Kill and start it in one call, so that no waiting task sees it end."""
        self.signal(signal.SIGKILL)
        if self._popen is not None:
            self._popen.wait()
        self.start()

    async def terminate(self) -> None:
        """Send SIGTERM and wait for the exit."""
        self.signal(signal.SIGTERM)
        await self.ended()

    async def ended(self, timeout_seconds: float = 30.0) -> int:
        """Wait for its end, and return its exit status.

        Raises:
            ProcessError: It still runs after the time-out.
        """

        async def over() -> bool:
            return not self.alive

        await wait_until(over, f"{self.name} has ended", timeout_seconds, self.tail)
        return self.exit_status or 0

    async def ready_when(self, check: Callable[[], Awaitable[bool]], timeout_seconds: float) -> None:
        """Return once `check` is true.

        Raises:
            ProcessError: It ended, or took too long; the message has the end of its log.
        """

        async def alive_and_ready() -> bool:
            if not self.alive:
                raise self.error(f"ended with status {self.exit_status} while it started")
            return await check()

        await wait_until(alive_and_ready, f"{self.name} is ready", timeout_seconds, self.tail, READY_POLL_SECONDS)

    def log_contains(self, text: str) -> bool:
        """Return whether its log since its last start contains the text."""
        if not self.log.exists():
            return False
        with self.log.open("rb") as log:
            log.seek(self._log_start)
            return text.encode() in log.read()

    def tail(self) -> str:
        """Return the last lines of its log."""
        if not self.log.exists():
            return "(no log)"
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-LOG_TAIL_LINES:])

    def error(self, what: str) -> ProcessError:
        """Return an error about the process, with the last lines of its log."""
        return ProcessError(f"{self.name} {what}; the end of {self.log}:\n{self.tail()}")


async def run(
    command: Sequence[str], env: Mapping[str, str], cwd: Path, stdin: str | None = None
) -> tuple[int, str, str]:
    """Run a command until it ends, and return exit status, output and errors.

    The command is killed if the caller is cancelled.
    """
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.PIPE if stdin is not None else asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, **env},
        cwd=cwd,
    )
    try:
        output, errors = await process.communicate(stdin.encode() if stdin is not None else None)
    except BaseException:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        raise
    return process.returncode or 0, output.decode(), errors.decode()
