"""The cases of the fault matrix that change a membership: additions, replacements, and whole memberships."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tests.chaos.cases import MOMENTS

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True, slots=True)
class Change:
    """One case.

    Attributes:
        kind: `addition`, `replacement`, `membership`, or `command`, where a worker starts and stops etcd by a command.
        point: Where the fault is injected: an activity and a moment; empty for a whole membership.
        fault: Name of the fault, or what is done to a whole membership.
    """

    kind: str
    point: str
    fault: str

    @property
    def name(self) -> str:
        """How to ask for this case alone."""
        return "/".join(filter(None, (self.kind, self.point, self.fault)))


def _points(*steps: str) -> tuple[str, ...]:
    return tuple(f"{step}.{moment}" for step, moment in itertools.product(steps, MOMENTS))


ADDITION: Final = _points("add_learner", "await_sync", "promote_member")
VOTE_ASKED_FOR: Final = frozenset({"promote_member.during", "promote_member.after"})
"""Points at which etcd has been asked for the vote already."""
BEFORE_THE_VOTE: Final = (*_points("check_leader", "add_learner", "await_sync"), "promote_member.before")
"""Points of a replacement at which the new member has no vote, and etcd has not been asked for it."""
REPLACEMENT: Final = (
    *BEFORE_THE_VOTE,
    "promote_member.during",
    "promote_member.after",
    *_points("update_status", "move_leader", "await_election", "remove_member"),
)
ADDITIONS: Final[dict[str, tuple[str, ...]]] = {
    "worker-dies": ADDITION,
    "learner-dies-at-its-start": ("await_sync.before",),
    "learner-dies": ("await_sync.during", "promote_member.before", "promote_member.during"),
    "voter-dies": ADDITION,
    "leader-moves": ADDITION,
    "added-by-hand": ("add_learner.before",),
    "foreign-learner-added": ("add_learner.before",),
    "promoted-by-hand": (*_points("await_sync"), "promote_member.before"),
    "removed-by-hand": ("add_learner.after", *_points("await_sync"), "promote_member.before"),
    "cancelled": ("add_learner.during", "promote_member.before"),
    "cancelled-worker-dies": _points("remove_member"),
    "answer-lost": ("add_learner.before", "promote_member.before"),
}
"""Faults of an addition, and where that is possible and matters."""
REPLACEMENTS: Final[dict[str, tuple[str, ...]]] = {
    "worker-dies": REPLACEMENT,
    "learner-dies": ("await_sync.during", "promote_member.before", "update_status.before"),
    "old-dies": ("add_learner.after", "promote_member.before", "update_status.before"),
    "other-dies": REPLACEMENT,
    "leader-moves": ("add_learner.after", "promote_member.before", "update_status.before", "remove_member.before"),
    "added-by-hand": ("add_learner.before",),
    "promoted-by-hand": (*_points("await_sync"), "promote_member.before"),
    "removed-by-hand": ("add_learner.after", *_points("await_sync"), "promote_member.before"),
}
"""The same for a replacement of the leader. The new member and one that stays come back, as their supervisors would
have it; the old one does not."""
BY_COMMAND: Final = ("preflight_member", "start_member", "stop_member", "archive_member")
COMMANDS: Final = tuple(f"{step}.{moment}" for step, moment in itertools.product(BY_COMMAND, ("before", "after")))
MEMBERSHIPS: Final = (
    "two-additions-at-once",
    "one-three-five-three-one",
    "each-of-three-in-turn",
    "dead-one-of-three",
    "dead-one-of-five",
    "dead-one-at-its-address",
)
SAMPLE: Final = (
    "addition/promote_member.during/worker-dies",
    "addition/promote_member.before/learner-dies",
    "addition/promote_member.before/promoted-by-hand",
    "addition/add_learner.during/cancelled",
    "replacement/promote_member.before/old-dies",
)
"""What `make test` runs."""


def all_changes() -> list[Change]:
    """All of them, in an order that never changes."""
    return [
        *_each("addition", ADDITIONS.items()),
        *_each("replacement", REPLACEMENTS.items()),
        *_each("command", [("worker-dies", COMMANDS)]),
        *(Change("membership", "", name) for name in MEMBERSHIPS),
    ]


def _each(kind: str, faults: Iterable[tuple[str, tuple[str, ...]]]) -> list[Change]:
    return [Change(kind, point, fault) for fault, points in faults for point in points]
