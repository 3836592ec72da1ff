"""Define the progress of a removal as seen from outside, and its sentences for an EtcdMember. Pure."""

from __future__ import annotations

from typing import Final

from etcd_handoff.contract import HandoffState
from etcd_handoff.planning import Reason
from etcd_handoff.wire import WireModel

ASKING_K0S: Final = "asking k0s to remove"


class FollowRemovalInput(WireModel):
    """Input of `follow_removal`.

    Attributes:
        workflow_id: The removal.
        chain_id: Its chain; empty for the running one.
        state: The known state; the activity ends when there is another.
        doing: The known words; the activity ends when there are others.
        to_the_end: End only when the removal has ended.
    """

    workflow_id: str
    chain_id: str = ""
    state: str = ""
    doing: str = ""
    to_the_end: bool = False


class FollowRemovalResult(WireModel):
    """Answer of `follow_removal`: what is new about a removal.

    Attributes:
        open: It runs; False once it has ended.
        state: Its state, in the words of the search attribute.
        doing: What it does, or why it failed.
        waiting_for: What would unblock it.
        failed: It has ended without doing what was asked for.
        cancelled: It has ended because it was cancelled or terminated.
        unknown: It has ended, and its end is unknown: Temporal has forgotten it, or another removal runs in its place.
        outcome: How it ended well: `removed`, `already-absent` or `planned`; empty while it runs, or when it failed.
        member_id: The member of the removal; empty when that is not known.
    """

    open: bool
    state: str
    doing: str = ""
    waiting_for: str = ""
    failed: bool = False
    cancelled: bool = False
    unknown: bool = False
    outcome: str = ""
    member_id: str = ""


class NoteProgressInput(WireModel):
    """Input of `note_progress`: a sentence for a member's EtcdMember.

    Attributes:
        cluster: Cluster profile.
        resource: Name of the EtcdMember.
        member_id: The member's ID: an EtcdMember with another one is not changed.
        message: The sentence.
        failed: Whether what was tried has failed.
        instead_of: When given, an EtcdMember with any other message stays as it is: others have changed it.
        yields_to: Beginnings of messages that are not changed.
    """

    cluster: str
    resource: str
    member_id: str
    message: str
    failed: bool = False
    instead_of: tuple[str, ...] = ()
    yields_to: tuple[str, ...] = ()


def sentence(progress: FollowRemovalResult, approve: str = "etcd-handoff approve") -> str:
    """Return what an EtcdMember says while its removal is under way.

    Args:
        progress: The removal's progress.
        approve: The command that approves it.
    """
    doing = progress.doing[:1].upper() + progress.doing[1:]
    if progress.state == HandoffState.BLOCKED:
        return f"Blocked: {progress.doing}; what unblocks it: {progress.waiting_for}"
    if progress.state == HandoffState.AWAITING_APPROVAL:
        return f"Awaiting approval: {progress.doing}; what unblocks it: `{approve}`"
    if progress.waiting_for and progress.state not in (HandoffState.CHECKING, HandoffState.AWAITING_WINDOW):
        return f"{doing}; what unblocks it: {progress.waiting_for}"
    return doing


def waits_for_k0s(message: str) -> bool:
    """Whether a sentence only says that k0s was asked: k0s's own words on why it waits say more."""
    return message.lower().startswith((f"blocked: {Reason.AWAITING_K0S}: ".lower(), ASKING_K0S))


def last_sentence(progress: FollowRemovalResult) -> str:
    """Return what an EtcdMember says once its removal has ended; empty when it ended well and wrote the status.

    A removal that was cancelled, terminated or forgotten cannot say whether the member had left already.
    """
    if progress.cancelled or progress.unknown:
        return f"Ended: {progress.doing}"
    return f"Not removed: {progress.doing}" if progress.failed else ""
