"""What to do next about a member that should leave: a pure function of what was seen and what is wanted.

    observe -> plan(view, intent) -> one step -> fresh view -> plan -> ... -> Done

Nothing is resumed from a memory of what was done; every call looks at one view alone, so it may be called again after
any interruption, on any node. It has no clock, no I/O and no Temporal.

What `plan` never does, whatever the view:

1. Quorum. It never answers `Remove` when the healthy voters that remain would be fewer than the quorum of the
   configuration that remains, when the present configuration has no healthy quorum to commit the change with, or when
   the member is the last voter. etcd's own check lets removals through that leave a cluster without quorum, because it
   counts started or recently connected members (etcd `server/etcdserver/server.go`, mayRemoveMember).
2. Hand-over. It never answers `Remove` for the member that leads, nor while nobody is agreed to lead. While a healthy,
   caught-up voter other than the target exists it answers `Transfer`; otherwise it waits. The transferee is the one
   with the smallest lag in raft index; ties go to one without an alarm, then to the smallest ID.
3. Identity. It only ever speaks of the pinned member ID in the pinned cluster. A name is resolved once, by `resolve`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from etcd_handoff.view import quorum

if TYPE_CHECKING:
    from collections.abc import Container, Iterable

    from etcd_handoff.view import ClusterView, MemberView

CAUGHT_UP_ENTRIES: Final = 5_000
"""Largest lag, in raft log entries, of a transferee.

A follower further behind may need a snapshot first (etcd `DefaultSnapshotCatchUpEntries`), and while it catches up
nobody accepts writes.
"""


ID_DIGITS: Final = 16
"""Hex digits of a uint64."""


class Reason(StrEnum):
    """One word for why there is no step now: enum value, failure text, and heading in the docs."""

    CLUSTER_UNAVAILABLE = "ClusterUnavailable"
    MIXED_CLUSTERS = "MixedClusters"
    NO_LEADER = "NoLeader"
    NO_QUORUM = "NoQuorum"
    QUORUM_AT_RISK = "QuorumAtRisk"
    LEADER_UNREACHABLE = "LeaderUnreachable"
    NO_TRANSFEREE = "NoTransferee"
    TRANSFER_FAILED = "TransferFailed"
    REFUSED_BY_ETCD = "RefusedByEtcd"
    UNSETTLED = "Unsettled"
    AWAITING_K0S = "AwaitingK0s"
    HASH_UNKNOWN = "HashUnknown"
    SNAPSHOT_FAILED = "SnapshotFailed"
    LAST_VOTER = "LastVoter"
    CLUSTER_CHANGED = "ClusterChanged"
    DATA_INCONSISTENT = "DataInconsistent"


@dataclass(frozen=True, slots=True)
class Intent:
    """What is wanted, pinned at the first look.

    Attributes:
        cluster_id: The cluster that the member was found in.
        target_id: The member that leaves.
        avoid: Transferees that were tried since the last wait and did not take over.
    """

    cluster_id: str
    target_id: str
    avoid: frozenset[str] = field(default=frozenset())


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
class Blocked:
    """No step is safe now; it may pass by itself.

    Attributes:
        reason: Which rule blocks.
        seen: What was seen, with names.
        unblocks: What would let it go on.
    """

    reason: Reason
    seen: str
    unblocks: str


@dataclass(frozen=True, slots=True)
class Refused:
    """No step will ever be safe.

    Attributes:
        reason: Which rule refuses.
        seen: What was seen, with names.
        remedy: What the operator can do instead.
    """

    reason: Reason
    seen: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Done:
    """The target is not in the membership."""


Decision = Transfer | Remove | Blocked | Refused | Done


def plan(view: ClusterView, intent: Intent) -> Decision:
    """The one thing to do about `intent` on what `view` shows; see the module's docstring for what it never does."""
    same, target = view.cluster_id == intent.cluster_id, view.member(intent.target_id)
    if same and target is None:
        return Done()
    if view.foreign:
        return Blocked(
            Reason.MIXED_CLUSTERS,
            f"not every endpoint answers for cluster {view.cluster_id}: {', '.join(view.foreign)}",
            "take the foreign endpoint out of the cluster profile, or stop the member that runs there",
        )
    if not same or target is None:
        return Refused(
            Reason.CLUSTER_CHANGED,
            f"the endpoints now answer for cluster {view.cluster_id}, the removal was planned in {intent.cluster_id}",
            "check the endpoints of the cluster profile, then start the removal again",
        )
    return _refusal(view, target) or _obstacle(view, target) or _step(view, target, intent)


def _refusal(view: ClusterView, target: MemberView) -> Refused | None:
    if not target.is_learner and len(view.voters) == 1:
        return Refused(
            Reason.LAST_VOTER,
            f"{target.label} is the last voter of the cluster; without it there is no cluster",
            "add and promote another member first, or shut the whole cluster down",
        )
    return None


def _obstacle(view: ClusterView, target: MemberView) -> Blocked | None:
    """The first reason why no change at all may be made now."""
    needed = quorum(len(view.voters))
    answering = [m for m in view.voters if m.reachable]
    if len(answering) < needed:
        return Blocked(
            Reason.NO_QUORUM,
            f"only {len(answering)} of {len(view.voters)} voters answer{_sick(view.voters, answering)}",
            f"bring voters back until {needed} answer",
        )
    if view.leadership is None:
        return Blocked(
            Reason.NO_LEADER,
            "the voters do not agree on a leader",
            "an election ends by itself, as a rule within two election time-outs",
        )
    healthy = view.healthy_voters
    if len(healthy) < needed:
        return Blocked(
            Reason.NO_QUORUM,
            f"only {len(healthy)} of {len(view.voters)} voters are healthy{_sick(view.voters, healthy)}",
            f"bring voters back until {needed} are healthy",
        )
    left = [m for m in view.voters if m.id != target.id]
    healthy_left = [m for m in healthy if m.id != target.id]
    if len(healthy_left) < quorum(len(left)):
        sick = [m for m in left if m not in healthy_left]
        return Blocked(
            Reason.QUORUM_AT_RISK,
            f"without {target.label} only {len(healthy_left)} of {len(left)} voters would be healthy"
            f"{_sick(left, healthy_left)}, and {quorum(len(left))} are needed",
            f"bring {_names(sick)} back, or remove {'it' if len(sick) == 1 else 'them'} first",
        )
    return None


def _step(view: ClusterView, target: MemberView, intent: Intent) -> Transfer | Remove | Blocked:
    leadership = view.leadership
    if leadership is None:
        msg = "an obstacle must have been found before"
        raise AssertionError(msg)
    if leadership.id != target.id:
        return Remove(via_id=_via(view, target, leadership.id).id)
    if not target.reachable:
        return Blocked(
            Reason.LEADER_UNREACHABLE,
            f"{target.label} leads but does not answer{f' ({target.note})' if target.note else ''},"
            " so it cannot be asked to hand over",
            "the other members elect a leader by themselves when it is down; make it reachable when it is up",
        )
    candidates = [m for m in view.healthy_voters if m.id != target.id]
    caught_up = [m for m in candidates if lag(view, m) <= CAUGHT_UP_ENTRIES]
    if not caught_up:
        return Blocked(
            Reason.NO_TRANSFEREE,
            f"{target.label} leads and no healthy voter is within {CAUGHT_UP_ENTRIES} log entries of it: "
            + ", ".join(f"{m.label} lags by {lag(view, m)}" for m in candidates),
            "wait until a voter has caught up",
        )
    untried = [m for m in caught_up if m.id not in intent.avoid]
    if not untried:
        return Blocked(
            Reason.TRANSFER_FAILED,
            f"{target.label} still leads; {_names(caught_up)} did not take over",
            "it is tried again after a pause; look at the logs of these members when it goes on",
        )
    best = min(untried, key=lambda m: (lag(view, m), bool(m.alarms), int(m.id, 16)))
    return Transfer(transferee_id=best.id, term=leadership.term)


def lag(view: ClusterView, member: MemberView) -> int:
    """How many raft log entries `member` is behind the furthest healthy voter of `view`."""
    return max((m.raft_index for m in view.healthy_voters), default=0) - member.raft_index


def _via(view: ClusterView, target: MemberView, leader_id: str) -> MemberView:
    """Whom to ask: the leader saves a hop, any other healthy voter forwards the proposal to it."""
    others = [m for m in view.healthy_voters if m.id != target.id]
    return min(others, key=lambda m: (m.id != leader_id, int(m.id, 16)))


@dataclass(frozen=True, slots=True)
class NotFound:
    """No member carries the name or ID that was asked for."""

    known: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Ambiguous:
    """More than one member fits."""

    fits: tuple[str, ...]


def resolve(view: ClusterView, wanted: str) -> MemberView | NotFound | Ambiguous:
    """The one member that `wanted`, a name or a hex ID (with or without 0x), speaks of.

    A name that looks like another member's ID fits both, and so is ambiguous.
    """
    fits = {m.id: m for m in view.members if m.name == wanted or m.id == canonical_id(wanted)}
    if len(fits) == 1:
        return next(iter(fits.values()))
    if fits:
        return Ambiguous(tuple(f"{m.id} ({m.name})" for m in fits.values()))
    return NotFound(tuple(f"{m.label} ({m.id})" for m in view.members))


def is_member_id(text: str) -> bool:
    """Whether `text` is a member ID as we write them: lowercase hex without padding."""
    padded = text.startswith("0") and text != "0"
    return 0 < len(text) <= ID_DIGITS and not padded and all(c in "0123456789abcdef" for c in text)


def canonical_id(text: str) -> str:
    """`text` as a member ID in our form; text that is no uint64 in hex comes back as it is."""
    digits = text.lower().removeprefix("0x")
    short = digits.lstrip("0") or digits[:1]
    return short if is_member_id(short) else text


def _names(members: Iterable[MemberView]) -> str:
    return ", ".join(m.label for m in members)


def _sick(voters: Iterable[MemberView], well: Container[MemberView]) -> str:
    """`" (node1: connection refused)"`: why each of `voters` that is not in `well` does not count."""
    texts = [f"{m.label}: {m.note or 'does not follow the agreed leader'}" for m in voters if m not in well]
    return f" ({'; '.join(texts)})" if texts else ""
