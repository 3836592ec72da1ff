"""Define the exit statuses of the command line and of the worker (contract), by failure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

EXIT_DONE: Final = 0
EXIT_FAILED: Final = 1
EXIT_USAGE: Final = 2
EXIT_REFUSED: Final = 3
EXIT_UNREACHABLE: Final = 4
EXIT_INTERRUPTED: Final = 130

EXIT_BY_FAILURE: Final[dict[str, int]] = {
    "RemovalRefused": EXIT_REFUSED,
    "ChangeRefused": EXIT_REFUSED,
    "BlockedTooLong": EXIT_REFUSED,
    "TooLate": EXIT_REFUSED,
    "InvalidInput": EXIT_USAGE,
    "UnknownCluster": EXIT_USAGE,
    "UnknownMember": EXIT_USAGE,
}
"""By the type of an operation's failure (`FailureType`); every other type is `EXIT_FAILED`."""


def exit_of_failure(failure_type: str) -> int:
    """Return the exit status for the type of an operation's failure."""
    return EXIT_BY_FAILURE.get(failure_type, EXIT_FAILED)


EXIT_BY_DECISION: Final[dict[str, int]] = {
    "blocked": EXIT_REFUSED,
    "refused": EXIT_REFUSED,
    "denied": EXIT_FAILED,
    "unknown": EXIT_USAGE,
    "unseen": EXIT_UNREACHABLE,
}
"""By `plan`'s word for its decision; every other word is `EXIT_DONE`."""


def exit_of_decision(word: str) -> int:
    """Return the exit status for the decision of `plan`."""
    return EXIT_BY_DECISION.get(word, EXIT_DONE)


def worst_exit(statuses: Iterable[int]) -> int:
    """Return the worst status present: bad configuration, then unreachable servers, then failures; else 0."""
    present = set(statuses)
    return next((status for status in (EXIT_USAGE, EXIT_UNREACHABLE, EXIT_FAILED) if status in present), EXIT_DONE)
