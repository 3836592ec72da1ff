"""What views of clusters are drawn from, for tests of properties."""

from __future__ import annotations

import itertools
from typing import Final

from etcd_handoff.cluster_view import Alarm, Doubt, MemberView
from tests.unit.planner_oracle import CAUGHT_UP

IDS: Final = ("1", "f", "10", "8211f1d0f64f3269", "91bc3c398fb3c146", "fd422379fda50e48", "ffffffffffffffff")
WELL, LEARNER, SILENT, HANGING, FORMER_TERM, NO_LEADER, OTHER_LEADER, NOSPACE, CORRUPTED = range(9)
AILMENTS: Final = (
    *(WELL,) * 16,
    *(LEARNER,) * 2,
    *(SILENT,) * 2,
    *(HANGING,) * 2,
    *(NOSPACE,) * 2,
    FORMER_TERM,
    NO_LEADER,
    OTHER_LEADER,
    CORRUPTED,
)
LAGS: Final = (0, 0, 1, 2, CAUGHT_UP, CAUGHT_UP + 1, CAUGHT_UP + 1)
KINDS: Final = tuple((frozenset((a, b)), lag) for a, b, lag in itertools.product(AILMENTS, AILMENTS, LAGS))
"""All combinations, so that one draw makes a member."""


def ailing_member(member_id: str, leader: str | None, ailments: frozenset[int], lag: int, other: str) -> MemberView:
    """A member of a cluster led by `leader`, or by `other` as this member has it."""
    ails = ailments.__contains__
    silent = ails(SILENT)
    named = None if ails(NO_LEADER) else other if ails(OTHER_LEADER) else leader
    return MemberView(
        id=member_id,
        name=f"node{member_id}",
        is_learner=ails(LEARNER),
        reachable=not silent,
        serves_reads=not silent and not ails(HANGING),
        leader_id=None if silent else named,
        term=0 if silent else 7 - ails(FORMER_TERM),
        raft_index=0 if silent else 100_000 - lag,
        alarms=("CORRUPT",) * ails(CORRUPTED) + ("NOSPACE",) * ails(NOSPACE),
    )


WHOLE_CLUSTER: Final = Alarm(kind="CORRUPT")
OF_THE_PAST: Final = Alarm(kind="CORRUPT", member_id="dead")
SEEN: Final = ((7, 100_000), (7, 109_000), (7, 111_000), (8, 0), (7, 250_000), (6, 100_001))
"""Terms and indexes that were seen before: the views stand at term 7, index 100,000."""


def doubts_about(target: str) -> tuple[tuple[Doubt, ...], ...]:
    """One or two contradictions: about the target or others, for good or not, by a member's status alone or not."""
    kinds = [
        Doubt(kind=kind, text="a against b", remedy="look", member_id=about, lasting=lasting, by_status_alone=alone)
        for kind, lasting in (("MixedClusters", False), ("UnlistedMember", False), ("ZeroId", True))
        for about, alone in ((target, True), (target, False), ("fd422379fda50e40", True))
    ]
    return (*((doubt,) for doubt in kinds), (kinds[0], kinds[-1]))
