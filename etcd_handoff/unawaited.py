"""Tasks whose end perhaps nobody awaits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import asyncio


def may_be_left(started: asyncio.Future[Any]) -> None:
    """Mark its exception as retrieved, so that asyncio does not log it when nobody awaits it."""
    started.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
