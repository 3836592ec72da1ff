"""Collect the answers of API servers, and decide when no further one has to be asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

from etcd_handoff.errors import ConfigError, KindGoneError, KubernetesError, ObjectGoneError
from etcd_handoff.kubernetes.classify import definite
from etcd_handoff.kubernetes.member_servers import same_node

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from etcd_handoff.errors import HandoffError

T = TypeVar("T")


class Answers(Generic[T]):
    """The answers of API servers so far.

    Attributes:
        errors: By context.
        nothing: Answers that there is nothing.
    """

    def __init__(self, departing: str, absent: Callable[[T], bool]) -> None:
        self.errors: dict[str, HandoffError] = {}
        self.nothing: list[T] = []
        self._departing = departing
        self._absent = absent

    def matters(self, context: str) -> bool:
        """Return whether this API server's answer may still count.

        Once an absence was claimed, the departing node's server does not count.
        """
        absence_claimed = self.nothing or any(_says_absent(error) for error in self.errors.values())
        return not (absence_claimed and same_node(context, self._departing))

    def counts(self, context: str, task: asyncio.Future[T]) -> bool:
        """Return whether this answer ends the search: it does not depend on one server alone."""
        error = task.exception()
        if error is None:
            if not self._absent(task.result()):
                return True
            self.nothing.append(task.result())
            return False
        if isinstance(error, KubernetesError | ConfigError) and not definite(error):
            self.errors[context] = error
            return False
        return True


def _says_absent(error: HandoffError) -> bool:
    return isinstance(error, ObjectGoneError) and not isinstance(error, KindGoneError)
