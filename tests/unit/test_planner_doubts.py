"""What the planner concludes from a look that contradicts itself, or what was seen before: nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from etcd_handoff.planning import (
    Blocked,
    Done,
    Reason,
    Refused,
)
from tests.unit.builders import A, B, C, D, blocked, doubt, down, leave, member, refused

if TYPE_CHECKING:
    from etcd_handoff.cluster_view import MemberView

# --- doubts -----------------------------------------------------------------------------------------------------------

VIEWS: dict[str, tuple[MemberView, ...]] = {
    "a-step-is-possible": (member(A), member(B), member(C)),
    "the-target-is-absent": (member(A), member(B)),
    "the-target-is-the-last-voter": (member(C, leader=C),),
    "no-quorum": (member(A, leader=None), down(B), down(C)),
}


@pytest.mark.parametrize("members", VIEWS.values(), ids=VIEWS)
@pytest.mark.parametrize(
    "kind", [Reason.MIXED_CLUSTERS, Reason.LISTS_DIFFER, Reason.UNLISTED_MEMBER, Reason.ZERO_ID, Reason.WRONG_CLUSTER]
)
def test_contradiction_blocks_before_anything_is_concluded(kind: Reason, members: tuple[MemberView, ...]) -> None:
    """Neither a step nor `Done` nor `LastVoter` follows from answers that contradict each other; their text is kept."""
    decision = blocked(leave(C, *members, doubts=doubt(kind)), kind)
    assert (decision.seen, decision.unblocks) == ("node0 says this, node1 says that", "stop one")


def test_contradiction_blocks_whichever_cluster_gave_the_list() -> None:
    """Of two clusters in one profile either may answer first, so the wrong list refuses nothing for good."""
    blocked(leave(C, member(A), doubts=doubt(Reason.MIXED_CLUSTERS), cluster_id="1"), Reason.MIXED_CLUSTERS)


def test_lasting_contradiction_refuses() -> None:
    """What does not pass by itself is not waited for."""
    refused(leave(C, member(A), doubts=doubt(Reason.ZERO_ID, lasting=True)), Reason.ZERO_ID)


def test_removed_member_that_still_runs_does_not_hinder_its_own_end() -> None:
    """It answers Status and gives no list: etcd's own removal takes a moment, and a cut-off one never hears of it."""
    runs_on = doubt(Reason.UNLISTED_MEMBER, C, by_status_alone=True)
    assert leave(C, member(A), member(B), doubts=runs_on) == Done()


def test_removed_member_that_still_runs_hinders_the_removal_of_others() -> None:
    """Nobody knows here why it is not listed."""
    runs_on = doubt(Reason.UNLISTED_MEMBER, D, by_status_alone=True)
    blocked(leave(C, member(A), member(B), member(C), doubts=runs_on), Reason.UNLISTED_MEMBER)


def test_target_that_lists_itself_is_not_done() -> None:
    """A half that was forced into a cluster of its own has a list, too; only its operator knows which is right."""
    blocked(leave(C, member(A), member(B), doubts=doubt(Reason.UNLISTED_MEMBER, C)), Reason.UNLISTED_MEMBER)


def test_second_contradiction_counts_when_the_first_is_the_targets_own() -> None:
    """One that may be overlooked hides no other."""
    both = (*doubt(Reason.UNLISTED_MEMBER, C, by_status_alone=True), *doubt(Reason.LISTS_DIFFER))
    blocked(leave(C, member(A), member(B), doubts=both), Reason.LISTS_DIFFER)


@pytest.mark.parametrize("lasting", [True, False])
def test_contradiction_that_a_newer_worker_has_found_is_told(*, lasting: bool) -> None:
    """A kind without a reason here blocks or refuses all the same, with its name in the text."""
    unknown = doubt("MoonIsFull", lasting=lasting)
    decision = leave(C, member(A), member(B), member(C), doubts=unknown)
    assert isinstance(decision, Refused if lasting else Blocked)
    assert decision.reason is Reason.LISTS_DIFFER
    assert decision.seen.startswith("MoonIsFull: ")
