"""What forbids an addition besides what forbids any change: space, peer URLs, and how far a learner is. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from etcd_handoff.cluster_view import NOSPACE
from etcd_handoff.planning.decisions import Blocked, Reason, Refused
from etcd_handoff.planning.leadership import CAUGHT_UP_ENTRIES, lag
from etcd_handoff.planning.wording import names

if TYPE_CHECKING:
    from etcd_handoff.cluster_view import ClusterView, MemberView
    from etcd_handoff.planning.goals import MemberPresent

LEARNER_READY_RATIO: Final = 0.9
"""From this part of the leader's raft index on etcd takes a learner for ready (etcd `server/etcdserver/server.go`,
readyPercentThreshold). Both indexes count from the cluster's beginning, so a learner of an old cluster may be far
behind and still be ready; `CAUGHT_UP_ENTRIES` counts besides."""


def peer_url_taken(view: ClusterView, goal: MemberPresent) -> Refused | None:
    """Etcd gives no peer URL to two members, and a member that runs does not change into another one."""
    for other in view.members:
        if other.name and (shared := set(other.peer_urls) & set(goal.peer_urls)):
            return Refused(
                Reason.PEER_URL_TAKEN,
                f"{', '.join(sorted(shared))} is a peer URL of {other.label} ({other.id}) already",
                f"give {goal.name} other peer URLs, use the name and the peer URLs that the member has, or remove it",
            )
    return None


def no_space(view: ClusterView) -> Blocked | None:
    """Etcd has run out of space and takes no writes."""
    raised = {alarm.member_id for alarm in view.alarms if alarm.kind == NOSPACE}
    full = raised | {m.id for m in view.members if NOSPACE in m.alarms}
    if not full:
        return None
    whose = ", ".join(view.label(member_id) if member_id else "the whole cluster" for member_id in sorted(full))
    return Blocked(
        Reason.NO_SPACE,
        f"etcd has raised the alarm NOSPACE for {whose}: it takes no writes, and a new member would"
        " copy a full database",
        "compact and defragment, then `etcdctl alarm disarm`",
    )


def change_pending(view: ClusterView) -> Blocked | None:
    """Etcd takes one learner at a time as it comes (`--max-learners`); an unstarted voter counts and does not work."""
    pending = [m for m in view.members if m.is_learner or not m.name]
    if not pending:
        return None
    return Blocked(
        Reason.CHANGE_PENDING,
        f"{names(pending)} {'is' if len(pending) == 1 else 'are'} not yet a voter that has started",
        "start what has not started, promote the learner, or remove it",
    )


def unstarted_voter(member: MemberView) -> Blocked | None:
    """Why a voter with the wanted peer URLs is not yet the wanted member: it has never run."""
    if member.name:
        return None
    return Blocked(
        Reason.CHANGE_PENDING,
        f"member {member.id} has the wanted peer URLs, was added with a vote, and has not started",
        "start it; or remove it, and it is added as a learner",
    )


def not_running(view: ClusterView, learner: MemberView) -> Blocked | None:
    """The learner does not run, or is cut off from the voters."""
    if not learner.name:
        return Blocked(
            Reason.LEARNER_NOT_STARTED,
            f"learner {learner.id} has been added and has not started",
            f"start etcd at {', '.join(learner.peer_urls)} with --initial-cluster-state existing and an empty data"
            " folder",
        )
    leader = view.leadership
    follows = leader is not None and (learner.leader_id, learner.term) == (leader.id, leader.term)
    if learner.reachable and follows:
        return None
    return Blocked(
        Reason.LEARNER_UNREACHABLE,
        f"learner {learner.label} {'does not follow the agreed leader' if learner.reachable else 'does not answer'}"
        f"{f' ({learner.note})' if learner.note else ''}",
        "bring it back, and make sure that workers and the other members reach it",
    )


def learner_lags(view: ClusterView, learner: MemberView) -> Blocked | None:
    """The learner is further behind than etcd, or we, accept."""
    behind = lag(view, learner)
    leader_index = learner.raft_index + behind
    if behind <= CAUGHT_UP_ENTRIES and learner.raft_index >= LEARNER_READY_RATIO * leader_index:
        return None
    return Blocked(
        Reason.LEARNER_LAGS,
        f"learner {learner.label} stands at raft index {learner.raft_index}, {behind} entries behind",
        f"wait until it is within {CAUGHT_UP_ENTRIES} entries and has {LEARNER_READY_RATIO:.0%} of the leader's index",
    )
