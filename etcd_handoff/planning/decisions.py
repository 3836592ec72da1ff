"""Define the planner's decisions: a change, an obstacle for now, a refusal for good, or the reached goal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from etcd_handoff.planning.reasons import Reason

if TYPE_CHECKING:
    from etcd_handoff.cluster_view import Doubt


@dataclass(frozen=True, slots=True)
class Transfer:
    """Ask the target, which leads at `term`, to hand leadership to `transferee_id`."""

    transferee_id: str
    term: int


@dataclass(frozen=True, slots=True)
class Remove:
    """Remove the target through `via_id`: a healthy voter that is not the target, the leader where it is one."""

    via_id: str


@dataclass(frozen=True, slots=True)
class AddLearner:
    """Add the wanted member as a learner through `via_id`: a healthy voter, the leader where it is one."""

    via_id: str


@dataclass(frozen=True, slots=True)
class PromoteLearner:
    """Give the learner `learner_id` a vote through `via_id`: a healthy voter, the leader where it is one.

    Only the leader knows how far the learner is; a follower forwards the call to it (etcd
    `server/etcdserver/server.go`, PromoteMember).
    """

    learner_id: str
    via_id: str


@dataclass(frozen=True, slots=True)
class StartAddition:
    """Let this member join; it is the next part of a larger change."""

    name: str
    peer_urls: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class StartRemoval:
    """Let this member leave; it is the next part of a larger change."""

    member_id: str


@dataclass(frozen=True, slots=True)
class Blocked:
    """No change is safe now; this may pass.

    Attributes:
        reason: The rule that blocks.
        seen: What was seen, with names.
        unblocks: What would let it go on.
    """

    reason: Reason
    seen: str
    unblocks: str


@dataclass(frozen=True, slots=True)
class Refused:
    """No change will ever be safe.

    Attributes:
        reason: The rule that refuses.
        seen: What was seen, with names.
        remedy: What the operator can do instead.
    """

    reason: Reason
    seen: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Done:
    """The goal is reached."""


RemovalDecision = Transfer | Remove | Blocked | Refused | Done
AdditionDecision = AddLearner | PromoteLearner | Blocked | Refused | Done
ChangeDecision = StartAddition | StartRemoval | Blocked | Refused | Done
Decision = RemovalDecision | AdditionDecision | ChangeDecision


def doubted(doubt: Doubt) -> Blocked | Refused:
    """Return what a contradiction means for a change: a refusal where it lasts, else an obstacle for now.

    A newer worker may find a kind that this one does not know. Such a kind is named in the text, since an error here
    would fail the workflow task again and again.
    """
    known = {reason.value: reason for reason in Reason}
    reason = known.get(doubt.kind, Reason.LISTS_DIFFER)
    text = doubt.text if doubt.kind in known else f"{doubt.kind}: {doubt.text}"
    return Refused(reason, text, doubt.remedy) if doubt.lasting else Blocked(reason, text, doubt.remedy)
