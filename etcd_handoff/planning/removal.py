"""Plan a removal: leadership moves first, then the member is removed through one that stays. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from etcd_handoff.cluster_view import CORRUPT, NOSPACE
from etcd_handoff.planning import leadership, obstacles
from etcd_handoff.planning.decisions import Blocked, Done, Refused, Remove, Transfer
from etcd_handoff.planning.lagging import CAUGHT_UP_ENTRIES
from etcd_handoff.planning.reasons import Reason
from etcd_handoff.planning.wording import FREE_SPACE, lags, names, takes_no_writes, voters

if TYPE_CHECKING:
    from etcd_handoff.cluster_view import ClusterView, MemberView
    from etcd_handoff.planning.decisions import RemovalDecision
    from etcd_handoff.planning.goals import MemberAbsent


def plan(view: ClusterView, goal: MemberAbsent) -> RemovalDecision:
    """Return the next decision of the removal; `view` contradicts neither itself nor what is known."""
    target = view.member(goal.target_id)
    if target is None:
        return Done()
    return (
        obstacles.obstacle(view, leaving=target)
        or obstacles.successor_fails(view, target, goal.successors)
        or _too_few(view, target, goal)
        or _decision(view, target, goal)
    )


def _too_few(view: ClusterView, target: MemberView, goal: MemberAbsent) -> Refused | None:
    """Return a refusal if fewer voters than the profile wants would remain; removing a learner changes none."""
    remain = sum(not m.is_learner for m in view.members if m.id != target.id)
    if target.is_learner or remain >= goal.min_voters:
        return None
    return Refused(
        Reason.TOO_FEW_VOTERS,
        f"{voters(remain)} would remain, and min_voters of the cluster's profile is {goal.min_voters}",
        f"add a member first, or replace {target.label}; or lower min_voters in the workers' configuration",
    )


def _decision(view: ClusterView, target: MemberView, goal: MemberAbsent) -> Transfer | Remove | Blocked:
    leader = view.leadership
    if leader is None:
        msg = "an obstacle must have been found before"
        raise AssertionError(msg)
    if leader.id != target.id:
        return Remove(via_id=leadership.via(view, target.id))
    if not target.reachable:
        return Blocked(
            Reason.LEADER_UNREACHABLE,
            f"{target.label} leads but does not answer{f' ({target.note})' if target.note else ''},"
            " so it cannot be asked to hand over",
            f"if {target.label} is down, wait for the others to elect a leader; if it is up, make its client URL"
            " reachable from the workers",
        )
    candidates = leadership.candidates(view, target.id, goal.leaving_later)
    untried = [m for m in candidates if m.id not in goal.avoid]
    if not untried:
        return _nobody_takes_over(view, target, candidates, goal)
    return Transfer(transferee_id=leadership.preferred(view, untried).id, term=leader.term)


def _nobody_takes_over(
    view: ClusterView, target: MemberView, tried: tuple[MemberView, ...], goal: MemberAbsent
) -> Blocked:
    if tried:
        return Blocked(
            Reason.TRANSFER_FAILED,
            f"{target.label} still leads; {names(tried)} did not take over",
            f"wait; it is tried again after a pause. If that fails too, read the logs of {names(tried)}",
        )
    behind = [m for m in view.healthy_voters if m.id != target.id and m.id not in goal.leaving_later]
    if not behind:
        return Blocked(
            Reason.NO_TRANSFEREE,
            f"{target.label} leads and every other healthy voter is to leave as well",
            "wait until a voter that stays is healthy and has caught up",
        )
    return Blocked(
        Reason.NO_TRANSFEREE,
        f"{target.label} leads and no healthy voter is within {CAUGHT_UP_ENTRIES} log entries of it: "
        + lags(view, behind),
        "wait until a voter has caught up",
    )


def warnings(view: ClusterView) -> tuple[str, ...]:
    """Return what does not forbid a removal, and what an operator must know before it."""
    full = [view.label(a.member_id) if a.member_id else "the cluster" for a in view.alarms if a.kind == NOSPACE]
    other = [a for a in view.alarms if a.kind not in (NOSPACE, CORRUPT)]
    lines = [f"etcd has raised an alarm: {alarm.kind}" for alarm in other]
    if full:
        lines.append(
            f"{takes_no_writes(', '.join(dict.fromkeys(full)))}, so nothing can be recorded on EtcdMembers until space"
            f" is free: {FREE_SPACE}"
        )
    return tuple(lines)
