"""Every case of the fault matrix: what is struck, by what, at which moment of whose removal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

STEPS: Final = {
    "leader": ("check_leader", "move_leader", "await_election", "remove_member", "update_status"),
    "follower": ("check_leader", "remove_member", "update_status"),
    "learner": ("check_leader", "remove_member", "update_status"),
    "unreachable": ("check_leader", "remove_member", "update_status"),
}
"""Steps in which each kind of target can be struck."""

MOMENTS: Final = ("before", "during", "after")

FAULTS: Final = (
    "kill-worker",
    "stop-worker",
    "kill-all-workers",
    "kill-target-etcd",
    "stop-target-etcd",
    "kill-other-etcd",
    "stop-other-etcd",
    "kill-target-apiserver",
    "stop-target-apiserver",
    "stop-all-apiservers-but-one",
    "kill-target-node",
    "kill-temporal",
    "stop-temporal",
    "move-leader-elsewhere",
    "remove-target-by-hand",
    "slow-disk-leader",
    "slow-disk-other",
    "cut-target",
    "cut-other",
    "mute-target",
    "slow-links",
)
"""Names of `tests.chaos.faults.FAULTS`."""

NETWORK_FAULTS: Final = ("cut-target", "cut-other", "mute-target", "slow-links")
"""Faults that need a network between the nodes."""

IMPOSSIBLE: Final = {
    "learner": ("target-apiserver", "target-node"),
    "unreachable": ("target-etcd", "target-node", "cut-target", "mute-target"),
}
"""Parts of the names of faults that a kind of target cannot meet: a learner of the lab has no API server, and an
unreachable target's etcd runs no more."""

SAMPLE: Final = (
    "leader/move_leader.during/stop-target-etcd",
    "leader/remove_member.before/move-leader-elsewhere",
    "leader/remove_member.during/kill-target-node",
    "learner/remove_member.after/kill-worker",
    "leader/move_leader.before/cut-target",
)
"""What `make test` runs: one case of each sort."""


@dataclass(frozen=True, slots=True)
class Case:
    """One case.

    Attributes:
        target: Kind of member that leaves: `leader`, `follower`, `learner`, or `unreachable`, which is a follower
            whose etcd was killed.
        step: Activity in which the fault strikes.
        moment: `before`, `during` or `after` its effect.
        fault: What strikes.
    """

    target: str
    step: str
    moment: str
    fault: str

    @property
    def point(self) -> str:
        """The failpoint at which the removal is held while the fault strikes."""
        return f"{self.step}.{self.moment}"

    @property
    def proposed(self) -> bool:
        """Whether etcd may have been asked for the removal before the fault strikes."""
        return self.step == "update_status" or self.point in ("remove_member.during", "remove_member.after")

    @property
    def name(self) -> str:
        """How to ask for this case alone."""
        return f"{self.target}/{self.point}/{self.fault}"


def all_cases() -> list[Case]:
    """The whole matrix, in an order that never changes."""
    return [
        Case(target, step, moment, fault)
        for target, steps in STEPS.items()
        for step in steps
        for moment in MOMENTS
        for fault in FAULTS
        if not any(word in fault for word in IMPOSSIBLE.get(target, ()))
    ]


def sample() -> list[Case]:
    """The cases of `SAMPLE`."""
    by_name = {case.name: case for case in all_cases()}
    return [by_name[name] for name in SAMPLE]
