"""What is wrong with a decision of the planner.

`violations` judges one decision and counts everything by hand, from the members' own fields: nothing of the
planner and no property of the view is used in it.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from etcd_handoff import planner
from etcd_handoff.planner import Blocked, Decision, Done, Intent, Refused, Remove, Transfer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from etcd_handoff.view import ClusterView

CAUGHT_UP: Final = 5_000
"""Stated again on purpose: a change of the planner's own number has to be a decision."""


@dataclass(frozen=True, slots=True)
class Facts:
    """A view counted by hand.

    Attributes:
        voters: IDs of all voters.
        healthy: IDs of voters that answer, are not corrupt and follow the agreed leader at its term.
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
            healthy = frozenset(f.id for f in followers if "CORRUPT" not in f.alarms)
            return Facts(frozenset(v.id for v in voters), healthy, leader, term)
    return Facts(frozenset(v.id for v in voters), frozenset(), None, 0)


def lags(view: ClusterView, facts: Facts) -> dict[str, int]:
    """How far each healthy voter is behind the furthest of them."""
    index = {m.id: m.raft_index for m in view.members if m.id in facts.healthy}
    return {i: max(index.values()) - at for i, at in index.items()}


def right_kind(view: ClusterView, intent: Intent) -> tuple[type[Decision], str]:
    """The one kind of decision that is right, and why: the first rule that holds."""
    facts, listed = count(view), {m.id for m in view.members}
    same = view.cluster_id == intent.cluster_id
    answering = {m.id for m in view.members if m.reachable}
    left, healthy_left = facts.voters - {intent.target_id}, facts.healthy - {intent.target_id}
    lag = lags(view, facts)
    able = {i for i in healthy_left if lag[i] <= CAUGHT_UP} - intent.avoid
    rules: tuple[tuple[bool, type[Decision], str], ...] = (
        (same and intent.target_id not in listed, Done, "the target is not listed"),
        (bool(view.foreign), Blocked, "another cluster's endpoint is in the profile"),
        (not same, Refused, "it is another cluster"),
        (not left, Refused, "no voter would remain"),
        (facts.leader is None, Blocked, "no leader is agreed"),
        (2 * len(facts.healthy) <= len(facts.voters), Blocked, "no healthy quorum can commit the change"),
        (2 * len(healthy_left) <= len(left), Blocked, "the healthy voters that remain would be no quorum"),
        (facts.leader != intent.target_id, Remove, "a follower can go"),
        (intent.target_id not in answering, Blocked, "the leader can't be asked to hand over"),
        (not able, Blocked, "nobody can take over"),
    )
    return next(((kind, why) for holds, kind, why in rules if holds), (Transfer, "it can hand over"))


def violations(view: ClusterView, intent: Intent, decision: Decision) -> list[str]:
    """Everything that is wrong with `decision`; the sentences name the invariant."""
    wrong, (kind, why) = list[str](), right_kind(view, intent)
    if not isinstance(decision, kind):
        wrong.append(f"{type(decision).__name__} instead of {kind.__name__}: {why}")
    if isinstance(decision, Remove | Transfer):
        wrong += _wrong_change(view, intent)
    if isinstance(decision, Remove):
        wrong += _wrong_removal(view, intent, decision)
    if isinstance(decision, Transfer):
        wrong += _wrong_transfer(view, intent, decision)
    return wrong


def _wrong_change(view: ClusterView, intent: Intent) -> Iterator[str]:
    facts = count(view)
    left, healthy_left = facts.voters - {intent.target_id}, facts.healthy - {intent.target_id}
    if not left:
        yield "quorum: the last voter"
    if len(healthy_left) < len(left) // 2 + 1:
        yield "quorum: too few healthy voters remain"
    if (intent.cluster_id, intent.target_id) not in {(view.cluster_id, m.id) for m in view.members}:
        yield "identity: not the pinned member of the pinned cluster"


def _wrong_removal(view: ClusterView, intent: Intent, decision: Remove) -> Iterator[str]:
    facts = count(view)
    if facts.leader in (None, intent.target_id):
        yield "hand-over: removes the leader, or without one"
    if decision.via_id not in facts.healthy - {intent.target_id}:
        yield "via: no healthy voter other than the target"
    if facts.leader in facts.healthy and decision.via_id != facts.leader:
        yield "via: not the leader although it is healthy"


def _wrong_transfer(view: ClusterView, intent: Intent, decision: Transfer) -> Iterator[str]:
    facts = count(view)
    lag, members = lags(view, facts), {m.id: m for m in view.members}
    if (facts.leader, facts.term) != (intent.target_id, decision.term):
        yield "hand-over: asks one that does not lead, or at another term"
    if decision.transferee_id not in facts.healthy - {intent.target_id} - intent.avoid:
        yield "transferee: no healthy, untried voter other than the target"
        return
    best = sorted(
        facts.healthy - {intent.target_id} - intent.avoid,
        key=lambda i: (lag[i], bool(members[i].alarms), int(i, 16)),
    )
    if lag[decision.transferee_id] > CAUGHT_UP:
        yield "transferee: not caught up"
    if decision.transferee_id != best[0]:
        yield "transferee: not the one with the smallest lag, then without alarm, then with the smallest ID"


def judge(view: ClusterView, intent: Intent) -> list[str]:
    """What is wrong with what the planner, as it is at the moment, answers; no answer is wrong too."""
    try:
        decision = planner.plan(view, intent)
    except Exception as error:  # noqa: BLE001  # a broken planner may raise anything
        return [f"raises {error!r}"]
    return violations(view, intent, decision)
