"""What an EtcdMember is made to say of its removal."""

from __future__ import annotations

import pytest

from etcd_handoff.contract import HandoffState
from etcd_handoff.reconciler.removal_progress import FollowRemovalResult, last_sentence, sentence


@pytest.mark.parametrize(
    ("state", "doing", "waiting_for", "text"),
    [
        (HandoffState.BLOCKED, "QuorumAtRisk: x", "y", "Blocked: QuorumAtRisk: x; what unblocks it: y"),
        (HandoffState.QUEUED, "waiting for its turn", "y", "Waiting for its turn; what unblocks it: y"),
        (HandoffState.TRANSFERRING, "handing over", "", "Handing over"),
        (HandoffState.AWAITING_WINDOW, "it goes on at 22:00", "it is 22:00", "It goes on at 22:00"),
        (HandoffState.CHECKING, "looking", "left over", "Looking"),
        (HandoffState.REMOVING, "", "", ""),
        (
            "AwaitingApproval",
            "everything is ready",
            "the update `approve`",
            "Awaiting approval: everything is ready; what unblocks it: `etcd-handoff approve node1 -c prod`",
        ),
    ],
)
def test_sentence_for_an_etcdmember(state: str, doing: str, waiting_for: str, text: str) -> None:
    """It says what is done, why it waits, and what would let it go on."""
    progress = FollowRemovalResult(open=True, state=state, doing=doing, waiting_for=waiting_for)
    assert sentence(progress, "etcd-handoff approve node1 -c prod") == text


@pytest.mark.parametrize(
    ("followed", "text"),
    [
        (FollowRemovalResult(open=False, state="Done", doing="removed", outcome="removed"), ""),
        (FollowRemovalResult(open=False, state="Failed", doing="x", failed=True), "Not removed: x"),
        (FollowRemovalResult(open=False, state="Failed", doing="x", failed=True, cancelled=True), "Ended: x"),
        (FollowRemovalResult(open=False, state="", doing="x", unknown=True), "Ended: x"),
    ],
)
def test_last_sentence_claims_no_more_than_is_known(followed: FollowRemovalResult, text: str) -> None:
    """Only a failure says that the member was not removed: who was stopped or forgotten may have removed it."""
    assert last_sentence(followed) == text
