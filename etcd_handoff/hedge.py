"""Ask one question of several servers, the next one before the last has given up."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Answer(Generic[K, T]):
    """The answer that counts.

    Attributes:
        server: The server that gave it.
        task: The ended call; its result is the answer, or raises it.
        silent: The other servers that were asked and had not answered yet.
    """

    server: K
    task: asyncio.Future[T]
    silent: tuple[K, ...]


async def first_answer(
    calls: Mapping[K, Callable[[], Awaitable[T]]],
    hedge_seconds: float,
    counts: Callable[[K, asyncio.Future[T]], bool],
    matters: Callable[[K], bool] = lambda _: True,
) -> Answer[K, T] | None:
    """Return the first answer that counts; None when no server gave one.

    Servers are asked in the order of `calls`. The next one is asked as soon as the last has given an answer that does
    not count, or has been silent for `hedge_seconds`. Calls that are still under way at the end are cancelled.

    Args:
        calls: How to ask each server.
        hedge_seconds: How long a server may be silent before the next one is asked too.
        counts: Returns whether an ended call ends the asking.
        matters: Returns whether a server is still worth asking and waiting for.
    """
    waiting, running = list(calls), dict[asyncio.Future[T], K]()
    try:
        while True:
            waiting = [server for server in waiting if matters(server)]
            if waiting:
                server = waiting.pop(0)
                running[asyncio.ensure_future(calls[server]())] = server
            elif not any(matters(server) for server in running.values()):
                return None
            patience = hedge_seconds if waiting else None
            done, _ = await asyncio.wait(running, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                server = running.pop(task)
                if counts(server, task):
                    return Answer(server, task, tuple(running.values()))
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
