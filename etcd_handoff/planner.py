"""What to do next about a member that should leave: a pure function of what was seen and what is wanted.

    observe -> plan(view, intent) -> one step -> fresh view -> plan -> ... -> Done

Nothing is resumed from a memory of what was done; every call looks at one view alone, so it may be called again after
any interruption, on any node. It has no clock, no I/O and no Temporal.

What `plan` never does, whatever the view:

1. Quorum. It never answers `Remove` when the healthy, caught-up voters that remain would be fewer than the quorum of
   the configuration that remains, when the present configuration has no healthy quorum to commit the change with, or
   when the member is the last voter. etcd's own check lets removals through that leave a cluster without quorum, as it
   counts started or recently connected members (etcd `server/etcdserver/server.go`, mayRemoveMember).
2. Hand-over. It never answers `Remove` for the member that leads, nor while nobody is agreed to lead. While a healthy,
   caught-up voter other than the target exists it answers `Transfer`; otherwise it waits. The transferee is the one
   with the smallest lag in raft index; ties go to one without an alarm, then to the smallest ID.
3. Identity. It only ever speaks of the pinned member ID in the pinned cluster. A name is resolved once, by `resolve`.
4. Belief. It concludes nothing, `Done` and `LastVoter` included, from a view that contradicts itself or what is known
   of the cluster (`etcd_handoff.belief`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from etcd_handoff import belief
from etcd_handoff.belief import Binding
from etcd_handoff.view import CORRUPT, NOSPACE, quorum

if TYPE_CHECKING:
    from collections.abc import Container, Iterable

    from etcd_handoff.view import ClusterView, Doubt, MemberView

CAUGHT_UP_ENTRIES: Final = 5_000
"""Largest lag, in raft log entries, of a transferee, and of the voters that make up the quorum that remains.

A follower further behind may need a snapshot first (etcd `DefaultSnapshotCatchUpEntries`), and while it catches up
nobody accepts writes.
"""


ID_DIGITS: Final = 16
"""Hex digits of a uint64."""
DIGITS_OF_UINT64: Final = 20
"""Decimal digits of the largest uint64."""


class Reason(StrEnum):
    """One word for why there is no step now: enum value, failure text, and heading in the docs."""

    CLUSTER_UNAVAILABLE = "ClusterUnavailable"
    MIXED_CLUSTERS = "MixedClusters"
    WRONG_CLUSTER = belief.WRONG_CLUSTER
    LISTS_DIFFER = belief.LISTS_DIFFER
    UNLISTED_MEMBER = belief.UNLISTED_MEMBER
    ZERO_ID = belief.ZERO_ID
    RESOURCES_DISAGREE = belief.RESOURCES_DISAGREE
    NO_LEADER = "NoLeader"
    NO_QUORUM = "NoQuorum"
    QUORUM_AT_RISK = "QuorumAtRisk"
    VOTER_HANGS = "VoterHangs"
    VOTER_LAGS = "VoterLags"
    CLUSTER_CORRUPT = "ClusterCorrupt"
    LEADER_UNREACHABLE = "LeaderUnreachable"
    NO_TRANSFEREE = "NoTransferee"
    TRANSFER_FAILED = "TransferFailed"
    REFUSED_BY_ETCD = "RefusedByEtcd"
    UNSETTLED = "Unsettled"
    STEP_FAILS = "StepFails"
    CHANGE_UNDER_WAY = "ChangeUnderWay"
    QUEUE_SILENT = "QueueSilent"
    AWAITING_K0S = "AwaitingK0s"
    HASH_UNKNOWN = "HashUnknown"
    SNAPSHOT_FAILED = "SnapshotFailed"
    LAST_VOTER = "LastVoter"
    CLUSTER_CHANGED = belief.CLUSTER_CHANGED
    CLUSTER_RESTORED = belief.CLUSTER_RESTORED
    OLD_ETCD = belief.OLD_ETCD
    DATA_INCONSISTENT = "DataInconsistent"


@dataclass(frozen=True, slots=True)
class Intent:
    """What is wanted, pinned at the first look.

    Attributes:
        cluster_id: The cluster that the member was found in.
        target_id: The member that leaves.
        avoid: Transferees that were tried since the last wait and did not take over.
        seen_term: Highest term that the cluster has been seen at; a lower one is another history.
        seen_index: Highest index of a leader that has been seen.
    """

    cluster_id: str
    target_id: str
    avoid: frozenset[str] = field(default_factory=frozenset)
    seen_term: int = 0
    seen_index: int = 0

    @property
    def binding(self) -> Binding:
        """The cluster that is meant, as far as it has been seen."""
        return Binding(cluster_id=self.cluster_id, term=self.seen_term, raft_index=self.seen_index)


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
    if doubt := belief.contradiction(view, intent.binding, departed=(intent.target_id,)):
        return doubted(doubt)
    target = view.member(intent.target_id)
    if target is None:
        return Done()
    return _last_voter(view, target) or _obstacle(view, target) or _step(view, target, intent)


def doubted(doubt: Doubt) -> Blocked | Refused:
    """What a contradiction means for a change: for good where it lasts, else only for now.

    A kind that a newer worker has found, and this one does not know, is named in the text: to fail here would fail the
    workflow task again and again.
    """
    known = {reason.value: reason for reason in Reason}
    reason = known.get(doubt.kind, Reason.LISTS_DIFFER)
    text = doubt.text if doubt.kind in known else f"{doubt.kind}: {doubt.text}"
    return Refused(reason, text, doubt.remedy) if doubt.lasting else Blocked(reason, text, doubt.remedy)


def _last_voter(view: ClusterView, target: MemberView) -> Refused | None:
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
            f"only {len(answering)} of {len(view.voters)} voters answer{_sick(view, view.voters, answering)}",
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
            f"only {len(healthy)} of {len(view.voters)} voters are healthy{_sick(view, view.voters, healthy)}",
            f"bring voters back until {needed} are healthy",
        )
    return _corrupt(view, target) or _risk(view, target)


def _corrupt(view: ClusterView, target: MemberView) -> Blocked | None:
    """Data that etcd itself does not trust; the member that is known to be corrupt may leave."""
    raised = {alarm.member_id for alarm in view.alarms if alarm.kind == CORRUPT}
    corrupt = (raised | {m.id for m in view.members if CORRUPT in m.alarms}) - {target.id}
    if not corrupt:
        return None
    whose = ", ".join(view.label(member_id) if member_id else "the whole cluster" for member_id in sorted(corrupt))
    return Blocked(
        Reason.CLUSTER_CORRUPT,
        f"etcd has raised the alarm CORRUPT for {whose}: the copy that would leave may be the good one",
        "find the corrupt member with `etcdctl endpoint hashkv --cluster`, remove that one, then disarm the alarm",
    )


def _risk(view: ClusterView, target: MemberView) -> Blocked | None:
    """The voters that would remain are no quorum that works and is caught up."""
    voters = [m for m in view.voters if m.id != target.id]
    needed = quorum(len(voters))
    healthy = [m for m in view.healthy_voters if m.id != target.id]
    if len(healthy) < needed:
        sick = [m for m in voters if m not in healthy]
        hanging = any(m.reachable and not m.serves_reads for m in sick)
        return Blocked(
            Reason.VOTER_HANGS if hanging else Reason.QUORUM_AT_RISK,
            f"without {target.label} only {len(healthy)} of {len(voters)} voters would be healthy"
            f"{_sick(view, voters, healthy)}, and {needed} are needed",
            f"bring {_names(sick)} back and make sure that workers reach"
            f" {'it' if len(sick) == 1 else 'them'}; what is down for good is to be removed first",
        )
    current = [m for m in healthy if lag(view, m) <= CAUGHT_UP_ENTRIES]
    leads = view.leadership is not None and view.leadership.id == target.id
    if len(current) < needed and (current or not leads):
        behind = [m for m in healthy if m not in current]
        return Blocked(
            Reason.VOTER_LAGS,
            f"without {target.label} only {len(current)} of {len(voters)} voters would be within"
            f" {CAUGHT_UP_ENTRIES} log entries, and {needed} are needed: "
            + ", ".join(f"{m.label} lags by {lag(view, m)}" for m in behind),
            f"wait until {_names(behind)} {'has' if len(behind) == 1 else 'have'} caught up",
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


def warnings(view: ClusterView) -> tuple[str, ...]:
    """What does not forbid a removal, and what an operator must know before it."""
    full = [view.label(a.member_id) if a.member_id else "the cluster" for a in view.alarms if a.kind == NOSPACE]
    other = [a for a in view.alarms if a.kind not in (NOSPACE, CORRUPT)]
    lines = [f"etcd has raised an alarm: {alarm.kind}" for alarm in other]
    if full:
        lines.append(
            f"etcd has raised the alarm NOSPACE for {', '.join(dict.fromkeys(full))}: it takes no writes, so nothing"
            " can be recorded on EtcdMembers until it is compacted, defragmented and disarmed"
        )
    return tuple(lines)


@dataclass(frozen=True, slots=True)
class NotFound:
    """No member carries the name or ID that was asked for.

    Attributes:
        known: The members there are.
        hint: What may have been meant; empty when nothing suggests itself.
    """

    known: tuple[str, ...]
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Ambiguous:
    """More than one member fits."""

    fits: tuple[str, ...]


def resolve(view: ClusterView, wanted: str) -> MemberView | NotFound | Ambiguous:
    """The one member that `wanted` speaks of: a name, a hex ID (with or without 0x), or host and port of a peer URL.

    A name that looks like another member's ID fits both, and so is ambiguous. A name in other letter case fits where
    no member has exactly that name, as names of EtcdMembers are lower case.
    """
    exact = [m for m in view.members if m.id == canonical_id(wanted) or wanted in ({m.name, *_peers(m)} - {""})]
    alike = [m for m in view.members if m.name and m.name.strip().lower() == wanted.strip().lower()]
    fits = exact or alike
    if len(fits) == 1:
        return fits[0]
    if fits:
        return Ambiguous(tuple(_described(view, m) for m in fits))
    hint = ""
    if len(wanted) <= DIGITS_OF_UINT64 and wanted.isdecimal() and (meant := view.member(format(int(wanted), "x"))):
        hint = f"that is decimal; in hex it is {meant.id} ({meant.label})"
    return NotFound(tuple(f"{m.label} ({m.id})" for m in view.members), hint)


def _peers(member: MemberView) -> tuple[str, ...]:
    return tuple(urlsplit(url).netloc for url in member.peer_urls)


def _described(view: ClusterView, member: MemberView) -> str:
    """A member among others of its name: what tells it from them."""
    state = "healthy" if member in view.healthy_voters else member.note or "not healthy"
    return f"{member.id} ({', '.join([member.name or 'not started', *_peers(member), state])})"


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


def _sick(view: ClusterView, voters: Iterable[MemberView], well: Container[MemberView]) -> str:
    """`" (node1: connection refused)"`: why each of `voters` that is not in `well` does not count."""
    texts = [f"{m.label}: {_ailment(view, m)}" for m in voters if m not in well]
    return f" ({'; '.join(texts)})" if texts else ""


def _ailment(view: ClusterView, member: MemberView) -> str:
    if member.reachable and not member.serves_reads:
        behind = lag(view, member)
        index = f", and stands {behind} log entries behind" if behind > 0 else ""
        return f"{member.note or 'it answers, but no linearizable read'}{index}"
    return member.note or "does not follow the agreed leader"
