"""What is wrong with a decision of the planner.

`violations` judges one decision and counts everything by hand, from the members' own fields: nothing of the
planner and no property of the view is used in it.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from etcd_handoff import planning
from etcd_handoff.planning import Blocked, Decision, Done, Goal, MemberAbsent, Reason, Refused, Remove, Transfer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from etcd_handoff.cluster_view import ClusterView

CAUGHT_UP: Final = 5_000
FALLEN_BACK: Final = 10_000
HALVED_FROM: Final = 100
"""Stated again on purpose: a change of the product's own numbers has to be a decision."""


@dataclass(frozen=True, slots=True)
class Facts:
    """A view counted by hand.

    Attributes:
        voters: IDs of all voters.
        healthy: IDs of voters that serve reads, are not corrupt and follow the agreed leader at its term.
        leader: The agreed leader, if there is one.
        term: Its term.
    """

    voters: frozenset[str]
    healthy: frozenset[str]
    leader: str | None
    term: int


def count(view: ClusterView) -> Facts:
    """A leader is agreed when more than half of all voters name the same voter at the same term."""
    voters = [m for m in view.members if not m.is_learner]
    for leader, term in itertools.product((v.id for v in voters), {v.term for v in voters}):
        followers = [v for v in voters if v.reachable and v.leader_id == leader and v.term == term]
        if 2 * len(followers) > len(voters):
            healthy = frozenset(f.id for f in followers if f.serves_reads and "CORRUPT" not in f.alarms)
            return Facts(frozenset(v.id for v in voters), healthy, leader, term)
    return Facts(frozenset(v.id for v in voters), frozenset(), None, 0)


def lags(view: ClusterView, facts: Facts) -> dict[str, int]:
    """How far each healthy voter is behind the furthest of them."""
    index = {m.id: m.raft_index for m in view.members if m.id in facts.healthy}
    return {i: max(index.values()) - at for i, at in index.items()}


def believable(view: ClusterView, goal: Goal) -> tuple[type[Decision], str] | None:
    """Why nothing may be concluded from a view, and whether for good; None when nothing speaks against it."""
    leaves = goal.target_id if isinstance(goal, MemberAbsent) else None
    for doubt in view.doubts:
        runs_on = doubt.member_id == leaves and doubt.by_status_alone
        if not runs_on:
            return (Refused if doubt.lasting else Blocked), f"the look contradicts itself: {doubt.kind}"
    if any(m.version.startswith(("3.0.", "3.1.", "3.2.", "3.3.", "3.4.", "2.")) for m in view.members):
        return Refused, "a member's list is no linearizable one"
    if view.cluster_id != goal.cluster_id:
        return Refused, "it is another cluster"
    facts = count(view)
    leader = next((m for m in view.members if m.id == facts.leader), None)
    if leader is None:
        return None
    fell = goal.seen_index - leader.raft_index
    lost = fell > FALLEN_BACK or (goal.seen_index >= HALVED_FROM and fell > goal.seen_index / 2)
    if facts.term < goal.seen_term or (leader.reachable and lost):
        return Refused, "the cluster was restored"
    return None


def corrupt(view: ClusterView) -> set[str]:
    """IDs that a CORRUPT alarm was raised for; an empty one stands for the whole cluster."""
    raised = {alarm.member_id for alarm in view.alarms if alarm.kind == "CORRUPT"}
    return raised | {m.id for m in view.members if "CORRUPT" in m.alarms}


def right_kind(view: ClusterView, goal: MemberAbsent) -> tuple[type[Decision], str]:
    """The one kind of decision that is right, and why: the first rule that holds."""
    if (doubt := believable(view, goal)) is not None:
        return doubt
    facts, listed = count(view), {m.id for m in view.members}
    answering = {m.id for m in view.members if m.reachable}
    remaining, healthy_remaining = facts.voters - {goal.target_id}, facts.healthy - {goal.target_id}
    lag = lags(view, facts)
    current_remaining = {i for i in healthy_remaining if lag[i] <= CAUGHT_UP}
    able = current_remaining - goal.avoid
    rules: tuple[tuple[bool, type[Decision], str], ...] = (
        (goal.target_id not in listed, Done, "the target is not listed"),
        (not remaining, Refused, "no voter would remain"),
        (facts.leader is None, Blocked, "no leader is agreed"),
        (2 * len(facts.healthy) <= len(facts.voters), Blocked, "no healthy quorum can commit the change"),
        (bool(corrupt(view) - {goal.target_id}), Blocked, "another member's data may be the bad ones"),
        (2 * len(healthy_remaining) <= len(remaining), Blocked, "the healthy voters that remain would be no quorum"),
        (
            2 * len(current_remaining) <= len(remaining),
            Blocked,
            "the voters that remain and have caught up would be no quorum",
        ),
        (facts.leader != goal.target_id, Remove, "a follower can go"),
        (goal.target_id not in answering, Blocked, "the leader can't be asked to hand over"),
        (not able, Blocked, "nobody can take over"),
    )
    return next(((kind, why) for holds, kind, why in rules if holds), (Transfer, "it can hand over"))


def violations(view: ClusterView, goal: MemberAbsent, decision: Decision) -> list[str]:
    """Everything that is wrong with `decision`; the sentences name the invariant."""
    wrong, (kind, why) = list[str](), right_kind(view, goal)
    if not isinstance(decision, kind):
        wrong.append(f"{type(decision).__name__} instead of {kind.__name__}: {why}")
    if isinstance(decision, Blocked) and decision.reason is Reason.UNSAFE_STEP:
        wrong.append("it had to stop itself")
    if isinstance(decision, Remove | Transfer):
        wrong += _wrong_change(view, goal)
    if isinstance(decision, Remove):
        wrong += _wrong_removal(view, goal, decision)
    if isinstance(decision, Transfer):
        wrong += _wrong_transfer(view, goal, decision)
    return wrong


QUALITY: Final = (
    "via: not the leader although it is healthy",
    "transferee: not the one with the smallest lag, then without alarm, then with the smallest ID",
)
"""What makes a choice worse and does no harm."""


def unsafe(view: ClusterView, goal: MemberAbsent, decision: Decision) -> Iterator[str]:
    """What must never leave the planner, whichever strategy chose it."""
    if isinstance(decision, Done) and goal.target_id in {m.id for m in view.members}:
        yield "identity: the target is listed"
    if isinstance(decision, Blocked | Refused | Done):
        return
    facts = count(view)
    if view.doubts or corrupt(view) - {goal.target_id} or 2 * len(facts.healthy) <= len(facts.voters):
        yield "a change, although there are doubts, bad data or no quorum"
    yield from _wrong_change(view, goal)
    if isinstance(decision, Remove):
        yield from (wrong for wrong in _wrong_removal(view, goal, decision) if wrong not in QUALITY)
    elif isinstance(decision, Transfer):
        yield from (wrong for wrong in _wrong_transfer(view, goal, decision) if wrong not in QUALITY)
    else:
        yield "no step of a removal"


def _wrong_change(view: ClusterView, goal: MemberAbsent) -> Iterator[str]:
    facts = count(view)
    remaining, healthy_remaining = facts.voters - {goal.target_id}, facts.healthy - {goal.target_id}
    if not remaining:
        yield "quorum: the last voter"
    if len(healthy_remaining) < len(remaining) // 2 + 1:
        yield "quorum: too few healthy voters remain"
    if sum(at <= CAUGHT_UP for i, at in lags(view, facts).items() if i in remaining) < len(remaining) // 2 + 1:
        yield "quorum: too few voters that have caught up remain"
    if (goal.cluster_id, goal.target_id) not in {(view.cluster_id, m.id) for m in view.members}:
        yield "identity: not the pinned member of the pinned cluster"


def _wrong_removal(view: ClusterView, goal: MemberAbsent, decision: Remove) -> Iterator[str]:
    facts = count(view)
    if facts.leader in (None, goal.target_id):
        yield "hand-over: removes the leader, or without one"
    if decision.via_id not in facts.healthy - {goal.target_id}:
        yield "via: no healthy voter other than the target"
    if facts.leader in facts.healthy and decision.via_id != facts.leader:
        yield "via: not the leader although it is healthy"


def _wrong_transfer(view: ClusterView, goal: MemberAbsent, decision: Transfer) -> Iterator[str]:
    facts = count(view)
    lag, members = lags(view, facts), {m.id: m for m in view.members}
    if (facts.leader, facts.term) != (goal.target_id, decision.term):
        yield "hand-over: asks one that does not lead, or at another term"
    if decision.transferee_id not in facts.healthy - {goal.target_id} - goal.avoid:
        yield "transferee: no healthy, untried voter other than the target"
        return
    best = sorted(
        facts.healthy - {goal.target_id} - goal.avoid,
        key=lambda i: (lag[i], bool(members[i].alarms), int(i, 16)),
    )
    if lag[decision.transferee_id] > CAUGHT_UP:
        yield "transferee: not caught up"
    if decision.transferee_id != best[0]:
        yield "transferee: not the one with the smallest lag, then without alarm, then with the smallest ID"


def judge(view: ClusterView, goal: MemberAbsent) -> list[str]:
    """What is wrong with what the planner, as it is at the moment, answers; no answer is wrong too."""
    return judged_by(partial(violations, view, goal), view, goal)


def judged_by(violations_of: Callable[[Decision], list[str]], view: ClusterView, goal: Goal) -> list[str]:
    """The same for a goal of any kind, by the oracle of that."""
    try:
        decision = planning.plan(view, goal)
    except Exception as error:  # noqa: BLE001  # a broken planner may raise anything
        return [f"raises {error!r}"]
    return violations_of(decision)
