"""The query of one endpoint within a look: its status and its list, asked in parallel."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from etcd_handoff import time_limits
from etcd_handoff.errors import EtcdPermissionError
from etcd_handoff.etcd.replies import NO_ANSWER, MemberList, Reply, Status

if TYPE_CHECKING:
    from collections.abc import Container, Sequence

    from etcd_handoff.etcd.connections import T


@dataclass(slots=True)
class Query:
    """The query of an endpoint within a look: its status and its list, asked in parallel."""

    endpoint: str
    url: str
    advertised_by: str
    status: asyncio.Task[Status]
    listing: asyncio.Task[MemberList]
    tasks: tuple[asyncio.Task[Any], ...] = field(init=False)

    def __post_init__(self) -> None:
        self.tasks = (self.status, self.listing)

    @property
    def settled(self) -> bool:
        """Whether both calls have ended."""
        return all(task.done() for task in self.tasks)

    @property
    def refusal(self) -> EtcdPermissionError | None:
        """The error if the list was refused for a missing permission."""
        error = self.listing.exception() if self.listing.done() else None
        return error if isinstance(error, EtcdPermissionError) else None

    def reply(self) -> Reply:
        """Return what has come so far."""
        status, status_note = outcome_of(self.status)
        listed, list_note = outcome_of(self.listing)
        return Reply(self.endpoint, self.url, self.advertised_by, status, status_note, listed, list_note)


def no_list(notes: Sequence[str]) -> str:
    """Return the text for a look in which no endpoint gave a list.

    Args:
        notes: Why each of them gave none.
    """
    texts = "; ".join(sorted(set(notes)))
    nobody = f"none of {len(notes)} endpoints gives a" if len(notes) > 1 else "the only endpoint gives no"
    return f"{nobody} linearizable member list: {texts}"


def outcome_of(task: asyncio.Task[T]) -> tuple[T | None, str]:
    """Return what a task has brought, or why it has not."""
    if not task.done() or task.cancelled():
        return None, NO_ANSWER
    error = task.exception()
    return (None, str(error)) if error is not None else (task.result(), "")


async def wait_for(queries: Sequence[Query], doubtful: Container[str]) -> None:
    """Return when all have ended. Queries of doubtful members have a short grace beyond the others."""
    sure = (task for query in queries if query.advertised_by not in doubtful for task in query.tasks)
    await asyncio.gather(*sure, return_exceptions=True)
    if pending := [task for query in queries for task in query.tasks if not task.done()]:
        await asyncio.wait(pending, timeout=time_limits.ETCD.late_member_seconds)


async def end(tasks: Sequence[asyncio.Future[Any]]) -> None:
    """Cancel tasks, and return when they have ended."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
