"""One supervised real process: started, killed, stopped, continued, and never outliving us."""

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
"""Each question costs the process that starts a handshake, of the time that it takes for its start."""

__all__ = ["Process", "ProcessError", "run"]


class Child(Protocol):
    """A process of ours that was started, as `subprocess.Popen` has it."""

    pid: int

    def poll(self) -> int | None:
        """Its exit status, negative for a signal; None while it runs."""

    def wait(self) -> int:
        """The same, once it has ended."""

    def send_signal(self, sig: int) -> None:
        """Send a signal; nothing when it has ended."""


class Process:
    """A program with its log.

    Args:
        name: For messages and for the log's name.
        command: Program, by absolute path, and arguments.
        log: Its output goes here; restarts append.
        env: Environment beyond ours.
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
        """Process ID while it runs."""
        return self._popen.pid if self._popen is not None and self.alive else None

    @property
    def alive(self) -> bool:
        """Whether it runs, stopped or not."""
        return self._popen is not None and self._popen.poll() is None

    @property
    def exit_status(self) -> int | None:
        """Its exit status, negative for a signal; None while it runs or before it did."""
        return self._popen.poll() if self._popen is not None else None

    def start(self) -> None:
        """Start it; a process that runs already is an error."""
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
        """Send a signal by PID; nothing when it has ended."""
        if self._popen is not None and self.alive:
            self._popen.send_signal(number)

    async def kill(self) -> None:
        """Send SIGKILL and wait for the exit."""
        self.signal(signal.SIGKILL)
        await self.ended()

    def start_over(self) -> None:
        """Kill and start it in one call, so that nobody who waits for it sees it end."""
        self.signal(signal.SIGKILL)
        if self._popen is not None:
            self._popen.wait()
        self.start()

    async def terminate(self) -> None:
        """Send SIGTERM and wait for the exit."""
        self.signal(signal.SIGTERM)
        await self.ended()

    async def ended(self, timeout_seconds: float = 30.0) -> int:
        """Its exit status, once it has ended.

        Raises:
            ProcessError: It still runs after the time-out.
        """

        async def over() -> bool:
            return not self.alive

        await wait_until(over, f"{self.name} has ended", timeout_seconds, self.tail)
        return self.exit_status or 0

    async def ready_when(self, check: Callable[[], Awaitable[bool]], timeout_seconds: float) -> None:
        """Return once `check` is true of it.

        Raises:
            ProcessError: It ended, or took too long; the message has the end of its log.
        """

        async def alive_and_ready() -> bool:
            if not self.alive:
                raise self.error(f"ended with status {self.exit_status} while it started")
            return await check()

        await wait_until(alive_and_ready, f"{self.name} is ready", timeout_seconds, self.tail, READY_POLL_SECONDS)

    def log_contains(self, text: str) -> bool:
        """Return whether its log has the text since its last start."""
        if not self.log.exists():
            return False
        with self.log.open("rb") as log:
            log.seek(self._log_start)
            return text.encode() in log.read()

    def tail(self) -> str:
        """The last lines of its log."""
        if not self.log.exists():
            return "(no log)"
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-LOG_TAIL_LINES:])

    def error(self, what: str) -> ProcessError:
        """Return an error that says what is wrong with the process, with the last lines of its log."""
        return ProcessError(f"{self.name} {what}; the end of {self.log}:\n{self.tail()}")


async def run(
    command: Sequence[str], env: Mapping[str, str], cwd: Path, stdin: str | None = None
) -> tuple[int, str, str]:
    """Exit status, output and errors of a command that ends by itself, killed where we are cancelled."""
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
