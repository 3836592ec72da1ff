"""Find why the members must not change now, judged by the resulting cluster (`projection.after`). Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from etcd_handoff.cluster_view import CORRUPT
from etcd_handoff.planning import joining, leadership
from etcd_handoff.planning.decisions import Blocked, Refused
from etcd_handoff.planning.lagging import CAUGHT_UP_ENTRIES
from etcd_handoff.planning.projection import after
from etcd_handoff.planning.reasons import Reason
from etcd_handoff.planning.wording import ailments, lags, may_be_down, names, removals, way_back

if TYPE_CHECKING:
    from collections.abc import Container

    from etcd_handoff.cluster_view import ClusterView, MemberView
    from etcd_handoff.planning.goals import MemberPresent
    from etcd_handoff.planning.projection import Projection

# --- what forbids a change of the members --------------------------------------------------------------------


def obstacle(view: ClusterView, *, leaving: MemberView | None) -> Blocked | Refused | None:
    """Return the first reason why this member must not leave now.

    When `leaving` is None, return the first reason why no voter may join.
    """
    return _last_voter(view, leaving) or _no_quorum(view) or _corrupt(view, leaving) or _at_risk(view, leaving)


def _last_voter(view: ClusterView, leaving: MemberView | None) -> Refused | None:
    if leaving is not None and not leaving.is_learner and len(view.voters) == 1:
        return Refused(
            Reason.LAST_VOTER,
            f"{leaving.label} is the last voter of the cluster; without it there is no cluster",
            "add another member first: `etcd-handoff add NAME --peer-url URL`; or shut the whole cluster down",
        )
    return None


def _no_quorum(view: ClusterView) -> Blocked | None:
    """Return an obstacle if no change can be committed now."""
    now = after(view)
    answering = [m for m in view.voters if m.reachable]
    if len(answering) < now.quorum:
        return Blocked(
            Reason.NO_QUORUM,
            f"only {len(answering)} of {now.voters} voters answer{ailments(view, view.voters, answering)}",
            f"bring voters back until {now.quorum} answer",
        )
    if view.leadership is None:
        return Blocked(
            Reason.NO_LEADER,
            "the voters do not agree on a leader",
            "wait for the election; it usually ends within two election time-outs",
        )
    if len(now.healthy) < now.quorum:
        return Blocked(
            Reason.NO_QUORUM,
            f"only {len(now.healthy)} of {now.voters} voters are healthy{ailments(view, view.voters, now.healthy)}",
            f"bring voters back until {now.quorum} are healthy",
        )
    return None


def _corrupt(view: ClusterView, leaving: MemberView | None) -> Blocked | None:
    """Return an obstacle if etcd does not trust its data; a member known to be corrupt may leave."""
    raised = {alarm.member_id for alarm in view.alarms if alarm.kind == CORRUPT}
    corrupt = raised | {m.id for m in view.members if CORRUPT in m.alarms}
    if leaving is not None:
        corrupt -= {leaving.id}
    if not corrupt:
        return None
    whose = ", ".join(view.label(member_id) if member_id else "the whole cluster" for member_id in sorted(corrupt))
    danger = (
        "the member that would leave may have the good copy" if leaving else "the copy that would be made may be bad"
    )
    seen = f"etcd has raised the alarm CORRUPT for {whose}: {danger}"
    compare, disarm = "`etcdctl endpoint hashkv --cluster`", "`etcdctl alarm disarm`"
    if "" in corrupt:
        way = f"find the corrupt member with {compare}, run {disarm}, then remove or replace that one at once"
    elif any(view.member(member_id) for member_id in corrupt):
        way = f"find the corrupt member with {compare}, remove that one, then run {disarm}"
    else:
        way = f"its member has left: compare the others with {compare}; if they agree, run {disarm}"
    return Blocked(Reason.CLUSTER_CORRUPT, seen, way)


def _at_risk(view: ClusterView, leaving: MemberView | None) -> Blocked | None:
    """Return an obstacle if the resulting voters are no quorum that works and is caught up."""
    if leaving is None and len(view.voters) == 1:
        return None  # a single voter has no other way to grow, and a learner gets its vote only when it works
    there = after(view, removing=leaving.id) if leaving else after(view, adding=1)
    change = f"without {leaving.label}" if leaving else "if a voter were added and then failed,"
    if len(there.healthy) < there.quorum:
        return _too_few_healthy(view, there, change)
    leads = leaving is not None and view.leadership is not None and view.leadership.id == leaving.id
    if len(there.caught_up) < there.quorum and (there.caught_up or not leads):
        behind = [m for m in there.healthy if m not in there.caught_up]
        return Blocked(
            Reason.VOTER_LAGS,
            f"{change} only {len(there.caught_up)} of {there.voters} voters would be within"
            f" {CAUGHT_UP_ENTRIES} log entries, and {there.quorum} are needed: {lags(view, behind)}",
            f"wait until {names(behind)} {'has' if len(behind) == 1 else 'have'} caught up",
        )
    return None


def successor_fails(view: ClusterView, target: MemberView, successors: Container[str]) -> Blocked | None:
    """Return an obstacle if a successor does not work as a voter, and the target does.

    The quorum may allow the removal. But one member would be down and another one removed, while the requested
    successor can still come back.
    """
    working = view.healthy_voters
    failing = [m for m in view.members if m.id in successors and m not in working]
    if target not in working or not failing:
        return None
    one = len(failing) == 1
    return Blocked(
        Reason.NOT_VERIFIED,
        f"{names(failing)} {'is' if one else 'are'} to stay, but {'does' if one else 'do'} not work as"
        f" {'a voter' if one else 'voters'}{ailments(view, failing, working)}; {target.label} works, so it is not"
        " removed yet",
        f"bring {names(failing)} back; or cancel this, and remove {'it' if one else 'them'}: "
        + ", ".join(f"`etcd-handoff remove {m.id}`" for m in failing),
    )


def _too_few_healthy(view: ClusterView, there: Projection, change: str) -> Blocked:
    sick = [m for m in there.staying if m not in there.healthy]
    hanging = any(m.reachable and not m.serves_reads for m in sick)
    dead = [m for m in sick if may_be_down(m)]
    which = "it" if len(sick) == 1 else "one of them"
    removal = f"; if {which} is down for good, remove that one first: {removals(dead)}" if dead else ""
    return Blocked(
        Reason.VOTER_HANGS if hanging else Reason.QUORUM_AT_RISK,
        f"{change} only {len(there.healthy)} of {there.voters} voters would be healthy"
        f"{ailments(view, there.staying, there.healthy)}, and {there.quorum} are needed",
        f"{way_back(sick)}{removal}",
    )


# --- what forbids an addition --------------------------------------------------------------------------------


def obstacle_to_joining(view: ClusterView, goal: MemberPresent) -> Blocked | Refused | None:
    """Return the first reason why the wanted member, not listed yet, must not be added as a learner now.

    There must be room for its vote. etcd itself refuses the learner otherwise (etcd `server/etcdserver/server.go`,
    mayAddMember), and a learner that cannot be promoted is useless. So by then enough voters are connected for the
    resulting quorum, as etcd demands.
    """
    return (
        joining.misnamed(view, goal)
        or joining.peer_url_taken(view, goal)
        or obstacle(view, leaving=None)
        or joining.etcd_bug(view)
        or joining.no_space(view)
        or joining.learner_in_the_way(view)
        or joining.change_pending(view)
        or joining.add_would_be_refused(view, view.member(leadership.via(view)))
    )


def obstacle_to_promotion(view: ClusterView, learner: MemberView) -> Blocked | Refused | None:
    """Return the first reason why the learner must not get a vote now.

    etcd would promote one that is down: it only compares indexes (etcd `server/etcdserver/server.go`, isLearnerReady).
    """
    return (
        obstacle(view, leaving=None)
        or joining.etcd_bug(view)
        or joining.no_space(view)
        or joining.not_running(view, learner)
        or joining.learner_lags(view, learner)
    )
