"""Ask several servers a question that each of them can answer."""

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
    """Return the first answer of several calls, each of which is sufficient.

    The next call is made once one has failed or been silent for a moment.

    Raises:
        EtcdError: No call gave an answer. The most informative failure is raised.
        UnreachableError: There are no calls.
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
    """Return the rank of a failure, the most informative first.

    Refused credentials come first. Last comes that a cluster has no users, since it may be another cluster.
    """
    if not isinstance(error, EtcdPermissionError):
        return 1
    return 2 if AUTH_OFF in str(error) else 0
