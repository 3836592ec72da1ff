"""Begin spans of calls to etcd and to API servers, where traces are wanted. The maker of spans is passed in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable


class CallSpan(Protocol):
    """The span of one call."""

    def end(self, status: str | int, *, failed: bool) -> None:
        """End the span of the call.

        Args:
            status: The name of the gRPC status, or the HTTP status; no text of an error, which may hold anything.
            failed: Whether that is a failure.
        """


class _Chosen:
    begin: Callable[[str, dict[str, str | int]], CallSpan | None] | None = None


def make_with(begin: Callable[[str, dict[str, str | int]], CallSpan | None] | None) -> None:
    """Give calls spans from now on, except those over connections that are open already.

    Args:
        begin: Begins a span with this name and these attributes, or none outside of what is traced; None for no spans.
    """
    _Chosen.begin = begin


def are_recorded() -> bool:
    """Whether calls get spans."""
    return _Chosen.begin is not None


def begin_call(name: str, attributes: dict[str, str | int]) -> CallSpan | None:
    """Begin the span of a call; return None where none is wanted."""
    return _Chosen.begin(name, attributes) if _Chosen.begin else None
