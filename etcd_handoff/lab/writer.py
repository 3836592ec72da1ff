"""An open-loop writer in a process of its own: a put every few milliseconds, whatever became of the earlier ones.

Run as `python -m etcd_handoff.lab.writer URL INTERVAL_MS FILE`, it writes until SIGTERM, then stores one JSON line per
put. It is a client of the cluster under test, hence alone in the lab in speaking gRPC.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import grpc.aio
from etcd3aio.errors import EtcdError
from etcd3aio.kv import KVService

from etcd_handoff.lab.cluster import wait_until
from etcd_handoff.lab.processes import Process

if TYPE_CHECKING:
    from collections.abc import Iterable

PREFIX: Final = "handoff-lab/"
PUT_TIMEOUT_SECONDS: Final = 8.0
"""Longer than etcd's own 7 s, so that every put ends with etcd's word on it."""
READY: Final = "writing"


@dataclass(frozen=True, slots=True)
class Put:
    """One put: its number, when it was sent and answered (monotonic seconds), and why it failed."""

    number: int
    sent: float
    answered: float
    error: str = ""


@dataclass(frozen=True, slots=True)
class WriteReport:
    """What a writer did."""

    puts: tuple[Put, ...]

    @property
    def acknowledged(self) -> list[Put]:
        """Puts that etcd confirmed."""
        return [p for p in self.puts if not p.error]

    @property
    def failed(self) -> list[Put]:
        """Puts that ended otherwise; they may have taken effect."""
        return [p for p in self.puts if p.error]

    def longest_gap_ms(self, since: float = 0.0, until: float = float("inf")) -> float:
        """The longest time without an acknowledgement, in milliseconds, within a window of monotonic time."""
        times = sorted(p.answered for p in self.acknowledged if since <= p.answered <= until)
        return max((later - earlier) * 1000 for earlier, later in zip(times, times[1:], strict=False))


class OpenLoopWriter:
    """The writer's process.

    Args:
        url: Client URL of the member to write through: one that stays.
        folder: Where its log and its puts go.
        interval_ms: Pause between two puts.
    """

    def __init__(self, url: str, folder: Path, interval_ms: float = 4.0) -> None:
        self._file = folder / f"puts-{time.monotonic_ns()}.jsonl"
        command = [sys.executable, "-m", "etcd_handoff.lab.writer", url, str(interval_ms), str(self._file)]
        self._process = Process("writer", command, self._file.with_suffix(".log"))

    async def start(self) -> None:
        """It writes when this returns."""
        self._process.start()

        async def writing() -> bool:
            if not self._process.alive:
                raise self._process.error("ended while it started")
            return self._process.log.exists() and READY in self._process.log.read_text()

        await wait_until(writing, "the writer writes", 30.0, self._process.tail)

    async def stop(self) -> WriteReport:
        """No further put; the report, once every put has its answer."""
        await self._process.terminate()
        if self._process.exit_status != 0:
            raise self._process.error(f"ended with status {self._process.exit_status}")
        return WriteReport(tuple(Put(**json.loads(line)) for line in self._file.read_text().splitlines()))


async def missing(report: WriteReport, urls: Iterable[str]) -> dict[str, list[int]]:
    """Acknowledged puts that a member does not have, by client URL of the member; empty when nothing is lost.

    Each member is read for itself, by a serializable read after a linearizable one through it has made sure that it
    has caught up.
    """
    lost: dict[str, list[int]] = {}
    wanted = {p.number for p in report.acknowledged}
    for url in urls:
        async with grpc.aio.insecure_channel(
            url.partition("://")[2], options=[("grpc.max_receive_message_length", -1)]
        ) as channel:
            kv = KVService(channel, max_attempts=1)
            await kv.get(PREFIX, timeout=10)
            answer = await kv.get(PREFIX, range_end=_end(PREFIX), serializable=True, timeout=30)
            have = {int(pair.key.decode().removeprefix(PREFIX)) for pair in answer.kvs}
        if wanted - have:
            lost[url] = sorted(wanted - have)
    return lost


def _end(prefix: str) -> bytes:
    return prefix[:-1].encode() + bytes([ord(prefix[-1]) + 1])


async def _write(url: str, interval_ms: float, file: Path) -> None:
    puts: list[Put] = []
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with grpc.aio.insecure_channel(
        url.partition("://")[2], options=[("grpc.enable_retries", 0), ("grpc.max_reconnect_backoff_ms", 500)]
    ) as channel:
        kv = KVService(channel, max_attempts=1)

        async def put(number: int) -> None:
            sent, error = time.monotonic(), ""
            try:
                await kv.put(f"{PREFIX}{number}", str(number).encode(), timeout=PUT_TIMEOUT_SECONDS)
            except (EtcdError, grpc.aio.AioRpcError, TimeoutError) as failure:
                error = f"{type(failure).__name__}: {failure}"[:200]
            puts.append(Put(number, sent, time.monotonic(), error))

        pending: set[asyncio.Task[None]] = set()
        await put(0)
        sys.stdout.write(f"{READY}\n")
        sys.stdout.flush()
        number, due = 1, time.monotonic()
        while not stop.is_set():
            task = asyncio.create_task(put(number))
            pending.add(task)
            task.add_done_callback(pending.discard)
            number, due = number + 1, due + interval_ms / 1000
            await asyncio.sleep(max(0.0, due - time.monotonic()))
        if pending:
            await asyncio.wait(pending)
    file.write_text("".join(json.dumps({s: getattr(p, s) for s in Put.__slots__}) + "\n" for p in puts))


if __name__ == "__main__":
    asyncio.run(_write(sys.argv[1], float(sys.argv[2]), Path(sys.argv[3])))
