"""The planner, broken on purpose: each fault breaks a rule that the judge must miss."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from etcd_handoff.planning import Blocked, Decision, Done, MemberAbsent, Reason, Remove, Transfer

from etcd_handoff import belief, planning
from etcd_handoff.view import ClusterView, Leadership, MemberView

if TYPE_CHECKING:
    from collections.abc import Callable

REAL_OBSTACLE, REAL_STEP, REAL_PLAN, REAL_LAG = planning._obstacle, planning._step, planning.plan, planning.lag


def without(*reasons: Reason) -> Callable[[ClusterView, MemberView], Blocked | None]:
    """`_obstacle` that overlooks `reasons`."""

    def obstacle(view: ClusterView, target: MemberView) -> Blocked | None:
        found = REAL_OBSTACLE(view, target)
        return None if found and found.reason in reasons else found

    return obstacle


def learner_as_transferee(view: ClusterView, target: MemberView, intent: MemberAbsent) -> Transfer | Remove | Blocked:
    """`_step` that asks a learner first."""
    step = REAL_STEP(view, target, intent)
    learner = next((m.id for m in view.members if m.is_learner and m.reachable), None)
    return Transfer(learner, step.term) if isinstance(step, Transfer) and learner else step


def silent_leader_asked(view: ClusterView, target: MemberView, intent: MemberAbsent) -> Transfer | Remove | Blocked:
    """`_step` that does not care whether the leading target answers."""
    return REAL_STEP(view, target.model_copy(update={"reachable": True}), intent)


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


def believing(view: ClusterView, intent: MemberAbsent) -> Decision:
    """`plan` that takes the list as it comes."""
    return REAL_PLAN(view.model_copy(update={"doubts": ()}), intent)


def waiting_for_ever(view: ClusterView, intent: MemberAbsent) -> Decision:
    """`plan` that also doubts because of a target that has left and runs on."""
    doubts = tuple(d.model_copy(update={"by_status_alone": False}) for d in view.doubts)
    return REAL_PLAN(view.model_copy(update={"doubts": doubts}), intent)


def concluding_first(view: ClusterView, intent: MemberAbsent) -> Decision:
    """`plan` that calls a member out, or the last, before it holds the list against anything."""
    target = view.member(intent.target_id)
    return Done() if target is None else planning._last_voter(view, target) or REAL_PLAN(view, intent)


MUTANTS: Final[dict[str, tuple[object, str, object]]] = {
    "quorum after the removal is not counted": (planner, "_obstacle", without(Reason.QUORUM_AT_RISK)),
    "quorum before the removal is not counted": (planner, "_obstacle", without(Reason.NO_QUORUM)),
    "half is a quorum": (planner, "quorum", lambda voters: (voters + 1) // 2),
    "all must be healthy": (planner, "quorum", lambda voters: voters),
    "the last voter may go": (planner, "_last_voter", lambda *_: None),
    "who hangs counts": (ClusterView, "healthy_voters", property(all_that_follow)),
    "who lags counts": (planner, "_obstacle", without(Reason.VOTER_LAGS)),
    "corrupt data do not matter": (planner, "_corrupt", lambda *_: None),
    "contradictions are overlooked": (planner, "plan", believing),
    "it concludes before it doubts": (planner, "plan", concluding_first),
    "who left and runs on blocks its own end": (planner, "plan", waiting_for_ever),
    "old servers are as good": (belief, "_older", lambda *_: False),
    "a restored cluster is the same": (
        planner,
        "plan",
        lambda v, i: REAL_PLAN(v, replace(i, seen_term=0, seen_index=0)),
    ),
    "any step back is a restore": (belief, "INDEX_SLACK", 0),
    "learners vote": (ClusterView, "voters", property(lambda view: view.members)),
    "who answers is healthy": (ClusterView, "healthy_voters", property(all_that_answer)),
    "one member's word makes a leader": (ClusterView, "leadership", property(first_word)),
    "the leader is removed": (
        planner,
        "_step",
        lambda view, target, _: Remove(planning._via(view, target, target.id).id),
    ),
    "a learner takes over": (planner, "_step", learner_as_transferee),
    "a silent leader is asked": (planner, "_step", silent_leader_asked),
    "the largest lag wins": (planner, "lag", lambda view, m: -REAL_LAG(view, m)),
    "lag is overlooked": (planner, "lag", lambda *_: 0),
    "the largest ID wins a tie": (planner, "int", lambda text, base: -int(text, base)),
    "failed transferees are asked again": (
        planner,
        "plan",
        lambda v, i: REAL_PLAN(v, replace(i, avoid=frozenset())),
    ),
    "it asks the target": (planner, "_via", lambda _view, target, _leader: target),
    "another cluster is as good": (
        planner,
        "plan",
        lambda v, i: REAL_PLAN(v, replace(i, cluster_id=v.cluster_id)),
    ),
    "it waits for ever": (planner, "plan", lambda *_: Blocked(Reason.UNSETTLED, "something", "nothing")),
    "it is done before it began": (planner, "plan", lambda *_: Done()),
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
