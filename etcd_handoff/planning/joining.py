"""Find what forbids an addition, besides what forbids any change. Pure.

This covers faults of etcd, space, names, peer URLs, and the learner. `operation.learner` decides whether a learner
makes progress.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from etcd_handoff import peer_url
from etcd_handoff.cluster_view import NOSPACE
from etcd_handoff.planning.decisions import Blocked, Refused
from etcd_handoff.planning.lagging import CAUGHT_UP_ENTRIES, lag
from etcd_handoff.planning.reasons import Reason
from etcd_handoff.planning.wording import FREE_SPACE, NOT_FOLLOWING, names, takes_no_writes

if TYPE_CHECKING:
    from collections.abc import Iterable

    from etcd_handoff.cluster_view import ClusterView, MemberView
    from etcd_handoff.planning.goals import MemberPresent

LEARNER_READY_RATIO: Final = 0.9
"""From this part of the leader's raft index on, etcd takes a learner for ready (etcd `server/etcdserver/server.go`,
readyPercentThreshold). Both indexes count from the cluster's beginning, so a learner of an old cluster may be far
behind and still be ready. `CAUGHT_UP_ENTRIES` counts besides."""
PROMOTION_BUGS: Final = (((3, 5, 0), (3, 5, 24)), ((3, 6, 0), (3, 6, 4)))
"""Versions, from the first to before the second, with a promotion bug: after an upgrade the voter is a learner again.
They do not keep a promotion in the member's own store, or pass such a store on in a snapshot (etcd#19557, etcd#20793,
etcd#20340)."""
COUNTS_CONNECTED: Final = {(3, 5): (3, 5, 30), (3, 6): (3, 6, 11)}
"""From these versions on, etcd adds a member when enough voters are connected for the resulting quorum. Older ones of
these releases demand every voter (etcd#21640)."""
VERSION: Final = re.compile(r"(\d{1,4})\.(\d{1,4})\.(\d{1,4})")


def misnamed(view: ClusterView, goal: MemberPresent) -> Blocked | None:
    """Return an obstacle if the learner with the wanted peer URLs has another name; a restart changes it."""
    for other in view.members:
        if other.is_learner and other.name and peer_url.same(goal.peer_urls, other.peer_urls):
            return Blocked(
                Reason.LEARNER_MISNAMED,
                f"the learner with the wanted peer URLs ({other.id}) runs under the name {other.name}",
                f"if it is the one that you mean, restart its etcd with ETCD_NAME={goal.name}; else cancel, and give"
                f" {goal.name} other peer URLs",
            )
    return None


def peer_url_taken(view: ClusterView, goal: MemberPresent) -> Refused | None:
    """Return a refusal if a running member has a wanted peer URL.

    etcd gives no peer URL to two members, and a running member does not change into another one.
    """
    for other in view.members:
        if other.name and (shared := peer_url.shared(goal.peer_urls, other.peer_urls)):
            return Refused(
                Reason.PEER_URL_TAKEN,
                f"{', '.join(shared)} is a peer URL of {other.label} ({other.id}) already",
                f"give {goal.name} other peer URLs, use the name and the peer URLs that the member has, or remove it",
            )
    return None


def name_taken(members: Iterable[MemberView], name: str) -> Refused | None:
    """Return a refusal if one of these members has the name; etcd itself allows it, as only IDs count there."""
    for other in members:
        if other.name == name:
            return Refused(
                Reason.NAME_TAKEN,
                f"{name} is a member already ({other.id}), with {', '.join(other.peer_urls)}",
                "give the new member another name, or the peer URLs that the present one has; or remove that one",
            )
    return None


def no_space(view: ClusterView) -> Blocked | None:
    """Return an obstacle if etcd has run out of space and takes no writes."""
    raised = {alarm.member_id for alarm in view.alarms if alarm.kind == NOSPACE}
    full = raised | {m.id for m in view.members if NOSPACE in m.alarms}
    if not full:
        return None
    whose = ", ".join(view.label(member_id) if member_id else "the whole cluster" for member_id in sorted(full))
    return Blocked(
        Reason.NO_SPACE,
        f"{takes_no_writes(whose)}, and a new member would copy a full database",
        f"free space: {FREE_SPACE}",
    )


def learner_in_the_way(view: ClusterView) -> Blocked | None:
    """Return an obstacle if there is another learner, whose owner is unknown.

    etcd takes one learner at a time by default (`--max-learners`).
    """
    learners = [m for m in view.members if m.is_learner]
    if not learners:
        return None
    who = ", ".join(f"{m.label} ({', '.join((m.id, *m.peer_urls) if m.name else m.peer_urls)})" for m in learners)
    remove = ", ".join(f"`etcd-handoff remove {m.id}`" for m in learners)
    return Blocked(
        Reason.LEARNER_IN_THE_WAY,
        f"another member is a learner, and is not removed: {who}",
        "wait until its addition ends; or promote it: `etcd-handoff add` with its name and peer URLs;"
        f" or remove it: {remove}",
    )


def change_pending(view: ClusterView) -> Blocked | None:
    """Return an obstacle if a voter has not started: it counts for the quorum and does not work."""
    pending = [m for m in view.voters if not m.name]
    if not pending:
        return None
    return Blocked(
        Reason.CHANGE_PENDING,
        f"{names(pending)} {'has' if len(pending) == 1 else 'have'} a vote and {'has' if len(pending) == 1 else 'have'}"
        " not started",
        "start it, or remove it: " + ", ".join(f"`etcd-handoff remove {m.id}`" for m in pending),
    )


def etcd_bug(view: ClusterView) -> Blocked | None:
    """Return an obstacle if a member's etcd would not keep a promotion."""
    faulty = [f"{m.label} runs {m.version}" for m in view.members if has_promotion_bug(m.version)]
    if not faulty:
        return None
    return Blocked(
        Reason.ETCD_BUG,
        f"etcd below 3.5.24, and 3.6 below 3.6.4, may forget that a learner was promoted: {', '.join(faulty)}",
        "upgrade these members to the newest etcd of their release first",
    )


def add_would_be_refused(view: ClusterView, via: MemberView | None) -> Blocked | None:
    """Return an obstacle if this etcd adds no member while a voter is down, whatever the quorum.

    A single voter may always grow. Newer releases count connected voters, which `safety` has demanded already: a
    healthy voter is connected.
    """
    version = _version(via.version) if via else None
    silent = [m for m in view.voters if not m.reachable]
    enough = COUNTS_CONNECTED.get(version[:2]) if version else None
    if not silent or via is None or version is None or enough is None or version >= enough:
        return None
    return Blocked(
        Reason.ADD_WOULD_BE_REFUSED,
        f"{via.label} runs etcd {via.version}, which adds nobody while a voter is down, and {names(silent)}"
        f" {'does' if len(silent) == 1 else 'do'} not answer",
        "bring it back; if it is down for good, remove it first, or upgrade etcd to"
        f" {'.'.join(map(str, enough))} or newer",
    )


def unverified(view: ClusterView, member: MemberView) -> Blocked | None:
    """Return an obstacle if the member has its vote and does not work as a voter yet."""
    if member in view.healthy_voters:
        return None
    answers = "answers no linearizable read" if member.reachable else "does not answer"
    return Blocked(
        Reason.NOT_VERIFIED,
        f"{member.label} has a vote, and {answers}{f' ({member.note})' if member.note else ''}: the quorum"
        " counts it, and it does not take part",
        f"bring it back, or remove it with `etcd-handoff remove {member.id}`",
    )


def unstarted_voter(member: MemberView) -> Blocked | None:
    """Return an obstacle if a voter with the wanted peer URLs has never run."""
    if member.name:
        return None
    return Blocked(
        Reason.CHANGE_PENDING,
        f"member {member.id} has the wanted peer URLs, was added with a vote, and has not started",
        "start it; or remove it, and start the addition again, which adds it as a learner",
    )


def not_running(view: ClusterView, learner: MemberView) -> Blocked | None:
    """Return an obstacle if the learner does not run, or is cut off from the voters."""
    if not learner.name:
        return Blocked(
            Reason.LEARNER_NOT_STARTED,
            f"learner {learner.id} has been added and has not started",
            f"start etcd at {', '.join(learner.peer_urls)} with --initial-cluster-state existing and an empty data"
            " directory",
        )
    leader = view.leadership
    follows = leader is not None and (learner.leader_id, learner.term) == (leader.id, leader.term)
    if learner.reachable and follows:
        return None
    return Blocked(
        Reason.LEARNER_UNREACHABLE,
        f"learner {learner.label} {NOT_FOLLOWING if learner.reachable else 'does not answer'}"
        f"{f' ({learner.note})' if learner.note else ''}",
        "bring it back, and make sure that workers and the other members reach it",
    )


def learner_lags(view: ClusterView, learner: MemberView) -> Blocked | None:
    """Return an obstacle if the learner is further behind than etcd, or we, accept."""
    behind = lag(view, learner)
    leader_index = learner.raft_index + behind
    if behind <= CAUGHT_UP_ENTRIES and learner.raft_index >= LEARNER_READY_RATIO * leader_index:
        return None
    return Blocked(
        Reason.LEARNER_LAGS,
        f"learner {learner.label} stands at raft index {learner.raft_index}, {behind} entries behind",
        f"wait until it is within {CAUGHT_UP_ENTRIES} entries and has {LEARNER_READY_RATIO:.0%} of the leader's index",
    )


def _version(text: str) -> tuple[int, int, int] | None:
    """Return a version such as `3.6.8` or `3.7.0-rc.1`; None for an unreadable one."""
    found = VERSION.match(text)
    return (int(found[1]), int(found[2]), int(found[3])) if found else None


def has_promotion_bug(text: str) -> bool:
    """Whether an etcd of this version does not keep a promotion (see `PROMOTION_BUGS`)."""
    version = _version(text)
    return version is not None and any(first <= version < fixed for first, fixed in PROMOTION_BUGS)
