"""Handle tasks that may never be awaited."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import asyncio


def mark_exception_retrieved(started: asyncio.Future[Any]) -> None:
    """Mark its exception as retrieved, so that asyncio does not log it when it is never awaited."""
    started.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
