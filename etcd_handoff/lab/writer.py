"""A writer in its own process: a put every few milliseconds, without waiting for earlier ones.

Its arguments are URL INTERVAL_MS FILE [CA_FILE CERT_FILE]. It writes until SIGTERM, then stores one JSON line per put.
It is a client of the cluster under test, so it is the only part of the lab that uses gRPC.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import math
import signal
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

import grpc.aio
from etcd3aio.errors import EtcdError
from etcd3aio.kv import KVService

from etcd_handoff.lab import http
from etcd_handoff.lab.forks import AVAILABLE, ForkedProcess
from etcd_handoff.lab.nodes import ROOT
from etcd_handoff.lab.processes import Process

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable
    from types import TracebackType

PREFIX: Final = "handoff-lab/"
PUT_TIMEOUT_SECONDS: Final = 8.0
"""Longer than etcd's own 7 s, so that every put ends with etcd's answer."""
READY: Final = "writing"
CODE: Final = "from etcd_handoff.lab.writer import main; main()"


@dataclass(frozen=True, slots=True)
class Put:
    """One put: its number, when it was sent and answered (monotonic seconds), its error, or its revision."""

    number: int
    sent: float
    answered: float
    error: str = ""
    revision: int = 0


@dataclass(frozen=True, slots=True)
class WriteReport:
    """The puts of a writer, and the prefix of its keys."""

    puts: tuple[Put, ...]
    prefix: str

    @property
    def acknowledged(self) -> list[Put]:
        """Puts that etcd acknowledged."""
        return [p for p in self.puts if not p.error]

    @property
    def failed(self) -> list[Put]:
        """Puts that failed; they may have taken effect."""
        return [p for p in self.puts if p.error]

    @property
    def reasons(self) -> Counter[str]:
        """Number of failed puts, by reason."""
        return Counter(p.error for p in self.failed)

    def longest_gap_ms(self, since: float = -math.inf, until: float = math.inf) -> float:
        """Return the longest time without an acknowledgement, in ms; infinite if there was none at all.

        A stall that the writer's end cuts off counts up to the last put that was sent.

        Args:
            since: Only count gaps that end at this monotonic time or later.
            until: Only count gaps that begin at this monotonic time or earlier.
        """
        times = sorted(p.answered for p in self.acknowledged)
        if not times:
            return math.inf
        times.append(max(times[-1], *(p.sent for p in self.puts)))
        gaps = [(b - a) for a, b in itertools.pairwise(times) if b >= since and a <= until]
        return max(gaps, default=0.0) * 1000


class OpenLoopWriter:
    """The writer's process.

    Args:
        url: Client URL of the member to write through. It must stay a member.
        folder: Folder for its log and its puts.
        interval_ms: Pause between two puts.
        forked: Whether its process is a fork; see `etcd_handoff.lab.forks`.
    """

    def __init__(self, url: str, folder: Path, interval_ms: float = 4.0, *, forked: bool = False) -> None:
        self._file = folder / f"puts-{time.monotonic_ns()}.jsonl"
        arguments = [url, str(interval_ms), str(self._file)]
        if entry := http.access(url):
            arguments += [str(entry.ca_file), str(entry.user_cert_file)]
        log = self._file.with_suffix(".log")
        if forked and AVAILABLE:
            self._process: Process = ForkedProcess("writer", CODE, arguments, log)
        else:
            self._process = Process("writer", [sys.executable, "-c", CODE, *arguments], log, cwd=ROOT)

    async def __aenter__(self) -> Self:
        """Start writing."""
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the writer; without `stop` its puts are lost."""
        await self._process.kill()

    async def start(self) -> None:
        """Start the process, and return once it writes."""
        self._process.start()

        async def writing() -> bool:
            return self._process.log_contains(READY)

        await self._process.ready_when(writing, 30.0)

    async def stop(self) -> WriteReport:
        """Send no further put, wait for all answers, and return the report.

        Raises:
            ProcessError: The writer itself failed.
        """
        await self._process.terminate()
        if self._process.exit_status != 0:
            raise self._process.error(f"ended with status {self._process.exit_status}")
        lines = (await asyncio.to_thread(self._file.read_text)).splitlines()
        return WriteReport(tuple(Put(**json.loads(line)) for line in lines), _prefix(self._file))


async def missing(report: WriteReport, urls: Iterable[str]) -> dict[str, list[int]]:
    """Return acknowledged puts that a member lacks, by client URL of the member; empty if nothing is lost.

    Each member is read alone, with a serializable read. A linearizable read through it comes first, to be sure that it
    has caught up.
    """
    lost: dict[str, list[int]] = {}
    acknowledged = {p.number for p in report.acknowledged}
    for url in urls:
        absent = acknowledged - await _numbers(url, report.prefix)
        if absent:
            lost[url] = sorted(absent)
    return lost


async def _numbers(url: str, prefix: str) -> set[int]:
    async with _channel(url, ("grpc.max_receive_message_length", -1)) as channel:
        kv = KVService(channel, max_attempts=1)
        await kv.get(prefix, timeout=10)
        answer = await kv.get(prefix, range_end=_end(prefix), serializable=True, timeout=30)
    return {int(pair.key.decode().removeprefix(prefix)) for pair in answer.kvs}


def _end(prefix: str) -> bytes:
    return prefix[:-1].encode() + bytes([ord(prefix[-1]) + 1])


def _prefix(file: Path) -> str:
    """Return a prefix for the keys of this run, so that keys of another run cannot be mistaken for its own."""
    return f"{PREFIX}{file.stem}/"


def _channel(url: str, *options: tuple[str, int]) -> grpc.aio.Channel:
    where, all_options = url.partition("://")[2], [("grpc.enable_retries", 0), *options]
    entry = http.access(url)
    if entry is None or entry.user_cert_file is None:
        return grpc.aio.insecure_channel(where, options=all_options)
    certificate = entry.user_cert_file.read_bytes()
    credentials = grpc.ssl_channel_credentials(entry.ca_file.read_bytes(), certificate, certificate)
    return grpc.aio.secure_channel(where, credentials, options=all_options)


async def _write(url: str, interval_ms: float, file: Path) -> None:
    puts: list[Put] = []
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with _channel(url, ("grpc.max_reconnect_backoff_ms", 500)) as channel:
        kv = KVService(channel, max_attempts=1)

        async def put(number: int) -> None:
            sent, error, revision = time.monotonic(), "", 0
            try:
                answer = await kv.put(f"{_prefix(file)}{number}", str(number).encode(), timeout=PUT_TIMEOUT_SECONDS)
                revision = answer.header.revision
            except (EtcdError, grpc.aio.AioRpcError, TimeoutError) as failure:
                error = f"{type(failure).__name__}: {failure}"[:200]
            puts.append(Put(number, sent, time.monotonic(), error, revision))

        await put(0)
        sys.stdout.write(f"{READY}\n")
        sys.stdout.flush()
        await _at_intervals(put, interval_ms / 1000, stop)
    lines = [json.dumps({name: getattr(p, name) for name in Put.__slots__}) for p in puts]
    await asyncio.to_thread(file.write_text, "\n".join(lines))


async def _at_intervals(put: Callable[[int], Coroutine[None, None, None]], seconds: float, stop: asyncio.Event) -> None:
    """Send puts 1, 2, ... at their times until `stop`, and return once all have ended."""
    pending: set[asyncio.Task[None]] = set()
    number, due = 1, time.monotonic()
    while not stop.is_set():
        task = asyncio.create_task(put(number))
        pending.add(task)
        task.add_done_callback(pending.discard)
        number, due = number + 1, due + seconds
        await asyncio.sleep(max(0.0, due - time.monotonic()))
    await asyncio.gather(*pending)


def main() -> None:
    """Write, with the arguments of the command line."""
    if len(sys.argv) > 4:
        http.grant(sys.argv[1], http.Access(Path(sys.argv[4]), user_cert_file=Path(sys.argv[5])))
    asyncio.run(_write(sys.argv[1], float(sys.argv[2]), Path(sys.argv[3])))
