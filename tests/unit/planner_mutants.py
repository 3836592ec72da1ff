"""The planner, broken on purpose: each fault breaks a rule that the oracle must miss."""

from __future__ import annotations

from dataclasses import replace
from typing import Final, Protocol

from etcd_handoff import planning
from etcd_handoff.cluster_view import ClusterView, Leadership, MemberView
from etcd_handoff.doubts import known_before
from etcd_handoff.planning import (
    Blocked,
    Decision,
    Done,
    MemberAbsent,
    Reason,
    Refused,
    Remove,
    Transfer,
    lagging,
    leadership,
    obstacles,
    projection,
    removal,
)

REAL_OBSTACLE, REAL_DECISION, REAL_PLAN, REAL_LAG = obstacles.obstacle, removal._decision, planning.plan, lagging.lag


class Obstacle(Protocol):
    """`obstacles.obstacle`."""

    def __call__(self, view: ClusterView, *, leaving: MemberView | None) -> Blocked | Refused | None:
        """The first reason against a change."""


def without(*reasons: Reason) -> Obstacle:
    """`obstacle` that overlooks `reasons`."""

    def obstacle(view: ClusterView, *, leaving: MemberView | None) -> Blocked | Refused | None:
        found = REAL_OBSTACLE(view, leaving=leaving)
        return None if found and found.reason in reasons else found

    return obstacle


def learner_as_transferee(view: ClusterView, target: MemberView, goal: MemberAbsent) -> Transfer | Remove | Blocked:
    """`_decision` that asks a learner first."""
    decision = REAL_DECISION(view, target, goal)
    learner = next((m.id for m in view.members if m.is_learner and m.reachable), None)
    return Transfer(learner, decision.term) if isinstance(decision, Transfer) and learner else decision


def silent_leader_asked(view: ClusterView, target: MemberView, goal: MemberAbsent) -> Transfer | Remove | Blocked:
    """`_decision` that does not care whether the leading target answers."""
    return REAL_DECISION(view, target.model_copy(update={"reachable": True}), goal)


def first_word(view: ClusterView) -> Leadership | None:
    """The leader that the first member which answers names."""
    for m in view.members:
        if m.reachable and m.leader_id and view.member(m.leader_id):
            return Leadership(id=m.leader_id, term=m.term)
    return None


def all_that_answer(view: ClusterView) -> tuple[MemberView, ...]:
    """Healthy is who answers, whomever it follows and whatever its data."""
    return tuple(m for m in view.voters if m.reachable)


def all_that_follow(view: ClusterView) -> tuple[MemberView, ...]:
    """Healthy is who names the agreed leader from memory, whether it takes part or not."""
    led = view.leadership
    return tuple(m for m in view.voters if led and (m.leader_id, m.term) == (led.id, led.term) and not m.alarms)


def believing(view: ClusterView, goal: MemberAbsent) -> Decision:
    """`plan` that takes the list as it comes."""
    return REAL_PLAN(view.model_copy(update={"doubts": ()}), goal)


def waiting_for_ever(view: ClusterView, goal: MemberAbsent) -> Decision:
    """`plan` that also doubts because of a target that has left and runs on."""
    doubts = tuple(d.model_copy(update={"by_status_alone": False}) for d in view.doubts)
    return REAL_PLAN(view.model_copy(update={"doubts": doubts}), goal)


def concluding_first(view: ClusterView, goal: MemberAbsent) -> Decision:
    """`plan` that calls a member out, or the last, before it holds the list against anything."""
    target = view.member(goal.target_id)
    return Done() if target is None else obstacles._last_voter(view, target) or REAL_PLAN(view, goal)


MUTANTS: Final[dict[str, tuple[object, str, object]]] = {
    "quorum after the removal is not counted": (obstacles, "obstacle", without(Reason.QUORUM_AT_RISK)),
    "quorum before the removal is not counted": (obstacles, "obstacle", without(Reason.NO_QUORUM)),
    "half is a quorum": (projection, "quorum", lambda voters: (voters + 1) // 2),
    "all must be healthy": (projection, "quorum", lambda voters: voters),
    "the last voter may go": (obstacles, "_last_voter", lambda *_: None),
    "who hangs counts": (ClusterView, "healthy_voters", property(all_that_follow)),
    "who lags counts": (obstacles, "obstacle", without(Reason.VOTER_LAGS)),
    "corrupt data do not matter": (obstacles, "_corrupt", lambda *_: None),
    "contradictions are overlooked": (planning, "plan", believing),
    "it concludes before it doubts": (planning, "plan", concluding_first),
    "who left and runs on blocks its own end": (planning, "plan", waiting_for_ever),
    "old servers are as good": (known_before, "_older", lambda *_: False),
    "a restored cluster is the same": (
        planning,
        "plan",
        lambda v, i: REAL_PLAN(v, replace(i, seen_term=0, seen_index=0)),
    ),
    "any step back is a restore": (known_before, "INDEX_SLACK", 0),
    "learners vote": (ClusterView, "voters", property(lambda view: view.members)),
    "who answers is healthy": (ClusterView, "healthy_voters", property(all_that_answer)),
    "one member's word makes a leader": (ClusterView, "leadership", property(first_word)),
    "the leader is removed": (
        removal,
        "_decision",
        lambda view, target, _: Remove(leadership.via(view, target.id)),
    ),
    "a learner takes over": (removal, "_decision", learner_as_transferee),
    "a silent leader is asked": (removal, "_decision", silent_leader_asked),
    "the largest lag wins": (leadership, "lag", lambda view, m: -REAL_LAG(view, m)),
    "lag is overlooked": (lagging, "_furthest", lambda *_: 0),
    "the largest ID wins a tie": (leadership, "int", lambda text, base: -int(text, base)),
    "failed transferees are asked again": (
        planning,
        "plan",
        lambda v, i: REAL_PLAN(v, replace(i, avoid=frozenset())),
    ),
    "it asks the target": (leadership, "via", lambda _view, leaving="": leaving),
    "another cluster is as good": (
        planning,
        "plan",
        lambda v, i: REAL_PLAN(v, replace(i, cluster_id=v.cluster_id)),
    ),
    "it waits for ever": (planning, "plan", lambda *_: Blocked(Reason.UNSETTLED, "something", "nothing")),
    "it is done before it began": (planning, "plan", lambda *_: Done()),
}
IN_SMALL_WORLDS: Final = (
    "quorum after the removal is not counted",
    "quorum before the removal is not counted",
    "half is a quorum",
    "all must be healthy",
    "the last voter may go",
    "learners vote",
    "who answers is healthy",
    "who hangs counts",
    "who lags counts",
    "corrupt data do not matter",
    "the leader is removed",
    "a learner takes over",
    "a silent leader is asked",
    "the largest ID wins a tie",
    "failed transferees are asked again",
    "it asks the target",
    "it waits for ever",
    "it is done before it began",
)
"""The others need lags, disagreement or two clusters, which small worlds don't have."""
