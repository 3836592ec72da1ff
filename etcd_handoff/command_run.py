"""Run one command to its end, without a shell and with bounded output.

The command is killed with its whole process group when its time is up.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import time
from typing import IO, TYPE_CHECKING, Final, NamedTuple

from etcd_handoff import tied_process, time_limits

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MOST_OUTPUT: Final = 64 << 10
MOST_ERRORS: Final = 8 << 10
"""Bytes that are kept: the first ones of the output, the last ones of the errors."""
CHUNK: Final = 64 << 10
LEFT_UNREAD: Final = 64
"""How many chunks are still read after its end; processes that it left behind may write for ever."""


class CommandResult(NamedTuple):
    """The end of a command.

    Attributes:
        status: Exit status; negative for a signal.
        output: Its output, cut at `MOST_OUTPUT`.
        errors: The end of its errors.
        too_much: It wrote more output than is kept.
        timed_out: It was killed because its time was up.
    """

    status: int
    output: str
    errors: str
    too_much: bool
    timed_out: bool


class _Kept:
    """The kept part of a stream: its beginning or its end."""

    def __init__(self, stream: IO[bytes], most: int, *, end: bool) -> None:
        self._stream, self._most, self._end = stream, most, end
        self.data, self.too_much = b"", False
        os.set_blocking(stream.fileno(), False)

    def read(self) -> bool:
        """Read the available bytes; return False when there are none."""
        try:
            chunk = os.read(self._stream.fileno(), CHUNK)
        except BlockingIOError:
            return False
        data = self.data + chunk
        self.too_much = self.too_much or len(data) > self._most
        self.data = data[-self._most :] if self._end else data[: self._most]
        return bool(chunk)

    def text(self) -> str:
        """Return the kept part."""
        return self.data.decode(errors="replace")


async def run(command: Sequence[str], environment: Mapping[str, str], seconds: float) -> CommandResult:
    """Run a command until its program ends, even if it leaves processes behind that have its output open.

    A process that is to go on must leave the command's process group (`setsid`). All processes in the group are killed
    when time is up, and when this call is cancelled.

    Args:
        command: Program, by absolute path, and arguments.
        environment: All its variables.
        seconds: How long it may take.
    """
    process = subprocess.Popen(  # noqa: ASYNC220  # the kernel ties it to the thread that starts it: see tied_process
        tied_process.command(command),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=dict(environment),
        cwd="/",
        start_new_session=True,
    )
    assert process.stdout is not None  # noqa: S101  # for the type checker: it is a pipe
    assert process.stderr is not None  # noqa: S101
    output = _Kept(process.stdout, MOST_OUTPUT, end=False)
    errors = _Kept(process.stderr, MOST_ERRORS, end=True)
    ends, timed_out = time.monotonic() + seconds, False
    try:
        while process.poll() is None:
            if time.monotonic() > ends:
                timed_out = True
                break
            if not (output.read() | errors.read()):
                await asyncio.sleep(time_limits.STEPS.command_poll_seconds)
            else:
                await asyncio.sleep(0)
    finally:
        if process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        while process.poll() is None:  # noqa: ASYNC110  # a process sets no event
            await asyncio.sleep(time_limits.STEPS.command_poll_seconds)
        for kept in (output, errors):
            for _ in range(LEFT_UNREAD):
                if not kept.read():
                    break
        process.stdout.close()
        process.stderr.close()
    return CommandResult(process.returncode, output.text(), errors.text(), output.too_much, timed_out)
