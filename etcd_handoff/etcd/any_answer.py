"""One answer to a question that may be put to any of several servers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

from etcd_handoff import time_limits
from etcd_handoff.errors import EtcdError, EtcdPermissionError, UnreachableError
from etcd_handoff.hedge import first_answer

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable, Callable, Sequence

T = TypeVar("T")

AUTH_OFF: Final = "authentication is not enabled"


async def any_answer(calls: Sequence[Callable[[], Awaitable[T]]]) -> T:
    """The first answer of several calls of which each will do.

    The next is made once one has failed or been silent for a moment.

    Raises:
        EtcdError: None gave one: the most telling failure.
    """
    failures = list[EtcdError]()

    def counts(_: int, task: asyncio.Future[T]) -> bool:
        error = task.exception()
        if isinstance(error, EtcdError):
            failures.append(error)
            return False
        return True

    answer = await first_answer(dict(enumerate(calls)), time_limits.ETCD.hedge_seconds, counts)
    if answer is not None:
        return answer.task.result()
    if not failures:
        msg = "there is nobody to ask"
        raise UnreachableError(msg)
    raise min(failures, key=_weight)


def _weight(error: EtcdError) -> int:
    """Refused credentials tell most; that a cluster has no users, least: it may be a foreign one."""
    if not isinstance(error, EtcdPermissionError):
        return 1
    return 2 if AUTH_OFF in str(error) else 0
