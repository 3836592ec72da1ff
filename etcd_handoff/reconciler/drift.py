"""Hold back mass corrections: when a member list contradicts too many EtcdMembers, nothing is written. Pure.

Other people's scripts act on EtcdMembers. A list can be wrong in ways that no answer of etcd shows: the endpoints, or
the contexts, may be those of another cluster. So EtcdMembers count as a second witness.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from etcd_handoff import doubts
from etcd_handoff.cluster_view import Doubt, quorum
from etcd_handoff.etcdmember_matching import member_of
from etcd_handoff.etcdmember_messages import HELD_BACK

if TYPE_CHECKING:
    from collections.abc import Container, Sequence

    from etcd_handoff.cluster_view import ClusterView
    from etcd_handoff.doubts import ResourceClaim

TOO_MANY_ABSENT: Final = "TooManyAbsent"
CONFIRM: Final = "etcd-handoff watch resync --confirm"
CONFIRMABLE: Final = frozenset(
    {doubts.CLUSTER_CHANGED, doubts.CLUSTER_RESTORED, doubts.RESOURCES_DISAGREE, TOO_MANY_ABSENT}
)
"""Kinds of doubt that a confirmation settles: etcd's present answers may be right despite the doubt."""
DIGEST_DIGITS: Final = 8
"""Few enough to be typed, and enough that two doubts of one cluster do not share them."""


@dataclass(frozen=True, slots=True)
class Hold:
    """The reason why nothing is written.

    Attributes:
        doubt: The contradiction.
        names: EtcdMembers that would turn to Joined=False, when they are certainly this cluster's; they may carry a
            message. Empty otherwise.
    """

    doubt: Doubt
    names: tuple[str, ...] = ()

    @property
    def message(self) -> str:
        """Return the sentence for these EtcdMembers."""
        return f"{HELD_BACK}etcd's list does not have this member, and {self.doubt.text}; {remedy_for(self.doubt)}"


def remedy_for(doubt: Doubt) -> str:
    """Return the remedy for a watcher's doubt, with the command that confirms this very doubt where one settles it.

    A copied command confirms only the doubt beside it, although more may have come up since.
    """
    if doubt.kind not in CONFIRMABLE:
        return doubt.remedy
    command = f"`{CONFIRM} {digest_of(doubt)}`"
    if f"`{CONFIRM}`" in doubt.remedy:
        return doubt.remedy.replace(f"`{CONFIRM}`", command)
    return f"{doubt.remedy}; when this is right, run {command}"


def digest_of(doubt: Doubt | None) -> str:
    """Return the digest by which a confirmation names this doubt; empty where no confirmation settles it."""
    if doubt is None or doubt.kind not in CONFIRMABLE:
        return ""
    return hashlib.sha256("\0".join(_facts(doubt)).encode(errors="replace")).hexdigest()[:DIGEST_DIGITS]


def hold(
    view: ClusterView,
    claims: Sequence[ResourceClaim],
    explained: Container[str] = (),
    cluster_id: str = "",
    *,
    bound: bool = True,
) -> Hold | None:
    """Return why nothing of this list is written; None when all of it may be.

    Args:
        view: The member list, which no answer of etcd contradicts.
        claims: What all EtcdMembers say.
        explained: Members that were removed by removals which the watcher started or joined: their absence is expected.
        cluster_id: The cluster that the profile names; empty when it names none.
        bound: It was known before this list which cluster is meant.
    """
    surprising = [claim for claim in claims if claim.member_id not in explained]
    doubt = doubts.resources_doubt(view, surprising, only=not bound)
    if doubt is not None and cluster_id != view.cluster_id:
        return Hold(doubt)
    becoming_absent = sorted(claim.name for claim in surprising if becomes_absent(view, claim))
    members = sum(claim.joined != "False" and bool(claim.member_id) for claim in claims)
    most = max(1, members - quorum(members))
    if len(becoming_absent) <= most:
        return None
    too_many = Doubt(
        kind=TOO_MANY_ABSENT,
        text=f"{len(becoming_absent)} of {members} EtcdMembers describe members that are not in etcd's list, do not say"
        " Joined=False, and were removed by no operation that this watcher knows; at most"
        f" {most} may become absent at once: {', '.join(becoming_absent)}",
        remedy=f"check that they have left the cluster, then run `{CONFIRM}`",
    )
    return Hold(too_many, () if doubt is not None else tuple(becoming_absent))


def becomes_absent(view: ClusterView, claim: ResourceClaim) -> bool:
    """Whether the EtcdMember would turn to False after the list; Unknown does not say that its member has left."""
    absent = member_of(claim.name, claim.member_id, view.members) is None
    return claim.joined != "False" and bool(claim.member_id) and absent


def is_confirmed(doubt: Doubt, confirmed: Doubt | None) -> bool:
    """Whether this very doubt was confirmed; a worker of another version may have worded it otherwise."""
    return confirmed is not None and _facts(doubt) == _facts(confirmed)


def _facts(doubt: Doubt) -> tuple[str, ...]:
    if doubt.kind != TOO_MANY_ABSENT:
        return (doubt.kind, doubt.text)
    return (doubt.kind, doubt.text.partition(" EtcdMembers ")[0], doubt.text.rpartition(": ")[2])


def in_words(doubt: Doubt) -> str:
    """Return a doubt for people, with its remedy."""
    return f"{doubt.kind}: {doubt.text}; {remedy_for(doubt)}"


def why_not_confirm(doubt: Doubt | None, kind: str, digest: str) -> str:
    """Return why a confirmation is refused; empty when it is not.

    The kind alone is not enough: the same kind may name more members than the confirming person has seen.

    Args:
        doubt: The doubt that holds corrections back now.
        kind: The kind of doubt that is confirmed; empty for the kind that the digest belongs to.
        digest: The digest of the doubt that the person has seen; empty when none is given.
    """
    if doubt is None:
        return "confirm: nothing is held back, so there is nothing to confirm"
    if doubt.kind not in CONFIRMABLE:
        return f"confirm: {doubt.kind} ends by itself, and with no confirmation; {doubt.remedy}"
    if kind not in ("", doubt.kind):
        return f"confirm: {kind} holds nothing back now, but {in_words(doubt)}"
    if not digest:
        return f'confirm: give "digest": "{digest_of(doubt)}" if this is what you have seen: {in_words(doubt)}'
    if digest != digest_of(doubt):
        return f"confirm: {digest} is about something else than what holds corrections back now, {in_words(doubt)}"
    return ""
