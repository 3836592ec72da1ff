"""Every case of the fault matrix: which fault is injected at which moment of whose removal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

ENDS: Final = ("well", "after healing", "refused safely")
"""How a case may end: the removal went through with the fault in place; it went through once the fault was undone; it
was refused, and rightly so."""

STEPS: Final = {
    "leader": ("check_leader", "move_leader", "await_election", "remove_member", "update_status"),
    "follower": ("check_leader", "remove_member", "update_status"),
    "learner": ("check_leader", "remove_member", "update_status"),
    "unreachable": ("check_leader", "remove_member", "update_status"),
}
"""Steps in which faults are injected, by kind of target."""

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
"""Names of those of `tests.chaos.faults.FAULTS` that are injected everywhere."""

BEFORE: Final = ("check_leader.before", "check_leader.during", "remove_member.before")
"""Points at which the fault is there before a look that the removal still takes."""
PROPOSED: Final = ("remove_member.during", "update_status.before", "update_status.during")
VOTERS: Final = ("leader", "follower")


@dataclass(frozen=True, slots=True)
class Where:
    """Where a fault is injected that is not injected everywhere.

    Attributes:
        targets: Kinds of target.
        points: Failpoints.
    """

    targets: tuple[str, ...]
    points: tuple[str, ...]


NARROW: Final = {
    "hang-disk-other": Where((*VOTERS, "learner"), (*BEFORE, *PROPOSED)),
    "hang-disk-leader": Where(("follower", "learner"), BEFORE),
    "hang-disk-target": Where(VOTERS, (*BEFORE, *PROPOSED)),
    "lag-other": Where((*VOTERS, "learner"), ("check_leader.before", "remove_member.before")),
    "foreign-on-other": Where((*VOTERS, "learner"), (*BEFORE, "update_status.before")),
    "force-new-cluster-other": Where(VOTERS, (*BEFORE, "update_status.before")),
    "rejoin-target": Where((*VOTERS, "unreachable"), ("remove_member.after", "update_status.before")),
    "api-restart": Where(tuple(STEPS), ("check_leader.before", "update_status.before", "update_status.during")),
    "token-renewed": Where(VOTERS, ("check_leader.before", "update_status.before", "update_status.during")),
    "client-certificate-renewed": Where(
        VOTERS, ("check_leader.before", "remove_member.before", "update_status.before")
    ),
    "server-certificates-renewed": Where(
        VOTERS, ("check_leader.before", "remove_member.before", "update_status.before")
    ),
    "password-renewed": Where(VOTERS, ("check_leader.before", "remove_member.before", "update_status.before")),
    "rights-taken": Where(VOTERS, ("check_leader.before", "remove_member.before", "update_status.before")),
    "corrupt-alarm": Where(VOTERS, ("check_leader.before", "remove_member.before", "update_status.before")),
    "nospace-alarm": Where(VOTERS, ("check_leader.before", "remove_member.before", "update_status.before")),
}
"""Faults of what others say, and of who may ask whom; they have nothing to do with most moments."""

ISOLATED: Final = {
    "kill-target-worker": Where(("leader",), tuple(f"{step}.before" for step in STEPS["leader"])),
    "kill-other-worker": Where(("leader",), tuple(f"{step}.before" for step in STEPS["leader"])),
    "kill-target-node": Where(("leader",), ("move_leader.before", "remove_member.after", "update_status.before")),
    "kill-temporal": Where(("leader",), ("move_leader.during", "remove_member.during")),
    "kill-worker": Where(("leader",), tuple(f"{step}.during" for step in STEPS["leader"])),
    "stop-target-etcd": Where(
        VOTERS, ("check_leader.during", "move_leader.before", "move_leader.during", "remove_member.before")
    ),
    "move-leader-elsewhere": Where(
        VOTERS, ("check_leader.during", "move_leader.before", "remove_member.before", "remove_member.during")
    ),
    # Not before remove_member: the worker there sees its own member alone, so another one counts as it was seen before.
    "hang-disk-other": Where(VOTERS, (*BEFORE[:2], "remove_member.during", "update_status.before")),
}
"""Faults that are injected where each worker reaches its own node's member alone, as on stock k0s."""
WAITED_FOR_WORKER: Final = "isolated/leader/move_leader.before/kill-target-worker"
"""The one of them with which no removal can go on: only that node can hand leadership over."""

WATCHED: Final = ("foreign-on-other", "force-new-cluster-other", "rejoin-target")
"""Faults under which a watcher runs too: it must not write what is not so."""
FLAGGED: Final = ("rejoin-target",)
"""Faults before which the member is asked to leave by its EtcdMember, which goes on asking."""
WAITED_FOR: Final = (
    "hang-disk-other",
    "hang-disk-leader",
    "foreign-on-other",
    "force-new-cluster-other",
    "corrupt-alarm",
)
"""Faults with which a removal must not go through that has not been proposed when they are injected."""
REFUSED_FOR: Final = ("rights-taken",)
"""Faults for which etcd refuses a removal that has not been proposed when they are injected: it fails, and the
member stays, or it goes through after healing."""
TAKES_WRITES: Final = ("corrupt-alarm", "nospace-alarm")
"""Faults with which etcd acknowledges no write whatever a removal does."""
TAKES_VOTER: Final = (
    "kill-other-etcd",
    "stop-other-etcd",
    "cut-other",
    "hang-disk-other",
    "foreign-on-other",
    "force-new-cluster-other",
)
"""Faults that take a remaining voter from the cluster: where two remain, the other one commits nothing alone."""

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
    "isolated/leader/remove_member.during/kill-worker",
    "follower/remove_member.before/hang-disk-other",
    "leader/check_leader.during/foreign-on-other",
    "follower/remove_member.before/rights-taken",
    WAITED_FOR_WORKER,
)
"""What `make test` runs: one case of each sort; of the last four, all but the one
without rights end as soon as the removal says that it waits."""


@dataclass(frozen=True, slots=True)
class Case:
    """One case.

    Attributes:
        target: Kind of member that leaves: `leader`, `follower`, `learner`, or `unreachable`, which is a follower
            whose etcd was killed.
        step: Activity in which the fault is injected.
        moment: `before`, `during` or `after` its effect.
        fault: Name of the fault.
        isolated: Each worker reaches its own node's member alone.
    """

    target: str
    step: str
    moment: str
    fault: str
    isolated: bool = False

    @property
    def point(self) -> str:
        """The failpoint at which the removal is held while the fault is injected."""
        return f"{self.step}.{self.moment}"

    @property
    def proposed(self) -> bool:
        """Whether etcd may have been asked for the removal before the fault is injected."""
        return self.step == "update_status" or self.point in ("remove_member.during", "remove_member.after")

    @property
    def waits(self) -> bool:
        """Whether the removal must wait until the fault has been undone.

        Without a learner the same voters remain, and they are enough as they are.
        """
        if self.name == WAITED_FOR_WORKER:
            return True
        if self.proposed or self.fault not in WAITED_FOR:
            return False
        return self.target != "learner" or "hang-disk" not in self.fault

    @property
    def refused(self) -> bool:
        """Whether etcd refuses the removal as long as the fault is there."""
        return self.fault in REFUSED_FOR and not self.proposed

    @property
    def commits(self) -> bool:
        """Whether the voters that remain acknowledge writes with the fault in place, before and after the removal.

        Where a learner leaves, three voters remain, and two of them are enough.
        """
        return self.fault not in TAKES_WRITES and (self.target == "learner" or self.fault not in TAKES_VOTER)

    @property
    def right_ends(self) -> tuple[str, ...]:
        """Those of `ENDS` that are right for it."""
        if self.refused:
            return ("refused safely", "after healing")
        return ("after healing",) if self.waits else ENDS

    @property
    def name(self) -> str:
        """How to ask for this case alone."""
        return f"{'isolated/' * self.isolated}{self.target}/{self.point}/{self.fault}"


def all_cases() -> list[Case]:
    """The whole matrix, in an order that never changes."""
    return [
        Case(target, step, moment, fault)
        for target, steps in STEPS.items()
        for step in steps
        for moment in MOMENTS
        for fault in FAULTS
        if not any(word in fault for word in IMPOSSIBLE.get(target, ()))
    ] + [
        Case(target, point.partition(".")[0], point.partition(".")[2], fault, isolated=isolated)
        for isolated, faults in ((False, NARROW), (True, ISOLATED))
        for fault, where in faults.items()
        for target in where.targets
        for point in where.points
        if point.partition(".")[0] in STEPS[target]
    ]
