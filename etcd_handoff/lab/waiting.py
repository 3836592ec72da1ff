"""Wait for conditions, never for fixed times."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

POLL_SECONDS: Final = 0.02


class ProcessError(RuntimeError):
    """The lab failed.

    The message has what was seen, such as the end of a log.
    """


async def wait_until(
    check: Callable[[], Awaitable[bool]],
    what: str,
    timeout_seconds: float,
    seen: Callable[[], str] = lambda: "",
    poll_seconds: float = POLL_SECONDS,
) -> None:
    """Return once `check` returns true.

    Raises:
        ProcessError: It does not within the time-out; the message says what was waited for and what was seen.
        Exception: What `check` raises, a TimeoutError of its own included.
    """
    deadline = asyncio.timeout(timeout_seconds)
    try:
        async with deadline:
            while not await check():  # noqa: ASYNC110  # what is waited for is in other processes: no event tells
                await asyncio.sleep(poll_seconds)
    except TimeoutError:
        if not deadline.expired():
            raise
        msg = f"waited {timeout_seconds:g} s until {what}; {seen()}"
        raise ProcessError(msg) from None


async def gather_all(*coroutines: Coroutine[None, None, None]) -> None:
    """Run all coroutines in parallel.

    The first failure cancels the others, and is raised as it is, not in a group.
    """
    tasks = [asyncio.ensure_future(coroutine) for coroutine in coroutines]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
