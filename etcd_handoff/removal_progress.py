"""How a removal goes, as seen from outside, and what its EtcdMember is told of it. Pure."""

from __future__ import annotations

from etcd_handoff.model import HandoffState
from etcd_handoff.wire import Message


class Follow(Message):
    """Input of `follow_removal`.

    Attributes:
        workflow_id: The removal.
        chain_id: Its chain; empty for whichever runs.
        state: The state that is known; the answer comes when there is another.
        doing: The words that are known.
        to_the_end: Answer only when it has ended.
    """

    workflow_id: str
    chain_id: str = ""
    state: str = ""
    doing: str = ""
    to_the_end: bool = False


class Followed(Message):
    """Answer of `follow_removal`: what is new about a removal.

    Attributes:
        open: It runs; False once it has ended.
        state: Its state, in the words of the search attribute.
        doing: What it does, or why it failed.
        waiting_for: What would unblock it.
        failed: It has ended and not done what was asked for.
        cancelled: It has ended because somebody cancelled or terminated it.
        unknown: It has ended, and how is not known: Temporal has forgotten it, or another removal runs in its place.
        outcome: How it ended well: `removed`, `already-absent` or `planned`; empty while it runs, or when it did not.
        member_id: The member that it was about; empty when that is not known.
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


def sentence(followed: Followed) -> str:
    """What an EtcdMember says while its removal is under way."""
    doing = followed.doing[:1].upper() + followed.doing[1:]
    if followed.state == HandoffState.BLOCKED:
        return f"Blocked: {followed.doing}; goes on when: {followed.waiting_for}"
    if followed.waiting_for and followed.state != HandoffState.CHECKING:
        return f"{doing}; goes on when: {followed.waiting_for}"
    return doing


def last_sentence(followed: Followed) -> str:
    """What an EtcdMember says once its removal has ended and left nothing better; empty when it ended well.

    Whoever was cancelled, terminated or forgotten cannot say whether the member was out already.
    """
    if followed.cancelled or followed.unknown:
        return f"Ended: {followed.doing}"
    return f"Not removed: {followed.doing}" if followed.failed else ""


class Note(Message):
    """Input of `note_progress`: a sentence for a member's EtcdMember.

    Attributes:
        cluster: Cluster profile.
        resource: Name of the EtcdMember.
        member_id: The member's ID: an EtcdMember that speaks of another one is left alone.
        message: The sentence.
        failed: Whether what was tried has failed.
        instead_of: When given, an EtcdMember that says none of these is left alone: somebody else has spoken since.
    """

    cluster: str
    resource: str
    member_id: str
    message: str
    failed: bool = False
    instead_of: tuple[str, ...] = ()
