"""What leaves the planner when a strategy is wrong: never a step that is not safe."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, Final

import pytest

from etcd_handoff.planning import (
    AddLearner,
    Blocked,
    Decision,
    Done,
    Goal,
    MemberAbsent,
    MemberPresent,
    PromoteLearner,
    Reason,
    Remove,
    Transfer,
    addition,
    obstacles,
    plan,
    removal,
    safety,
)
from etcd_handoff.planning.projection import after
from tests.unit import addition_oracle, planner_oracle
from tests.unit.builders import CLUSTER, INDEX, A, B, C, cluster, down, hangs, member

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import ModuleType

    from etcd_handoff.cluster_view import ClusterView, MemberView

# --- the cluster as it will be ----------------------------------------------------------------------------------------


def test_projection_counts_the_voters_that_stay_and_nothing_good_of_one_that_joins() -> None:
    """A learner is no voter; who hangs is not healthy; who lags has not caught up."""
    view = cluster(member(A), hangs(B), member(C, raft_index=1), member("d", is_learner=True))
    now, smaller, larger = after(view), after(view, removing=A), after(view, adding=1)
    assert (now.voters, now.quorum, [m.id for m in now.healthy], [m.id for m in now.caught_up]) == (3, 2, [A, C], [A])
    assert (smaller.voters, smaller.quorum, [m.id for m in smaller.healthy], smaller.caught_up) == (2, 2, [C], ())
    assert (larger.voters, larger.quorum, larger.healthy, larger.caught_up) == (4, 3, now.healthy, now.caught_up)


def test_removal_of_a_learner_changes_no_projection() -> None:
    """It is in nobody's quorum."""
    view = cluster(member(A), member(B), member("d", is_learner=True))
    assert after(view, removing="d") == after(view)


# --- strategies that answer wrongly on purpose ------------------------------------------------------------------------

URL: Final = "https://10.0.0.9:2380"
NEW: Final = "9"

GOALS: Final[dict[ModuleType, Goal]] = {
    removal: MemberAbsent(CLUSTER, A),
    addition: MemberPresent(CLUSTER, "new", (URL,)),
}
CHOICES: Final[tuple[Decision, ...]] = (
    *(Remove(via_id=i) for i in (A, B, NEW)),
    *(Transfer(transferee_id=i, term=7) for i in (A, B, NEW)),
    Transfer(transferee_id=B, term=6),
    Done(),
    *(AddLearner(via_id=i) for i in (A, NEW)),
    *(PromoteLearner(learner_id=i, via_id=via) for i, via in ((NEW, A), (NEW, NEW), (B, A), ("dead", A))),
)
JOINERS: Final[tuple[MemberView | None, ...]] = (
    None,
    down(NEW, name="", peer_urls=(URL,), is_learner=True),
    down(NEW, name="", peer_urls=(URL,)),
    down(NEW, name="new", peer_urls=(URL,), is_learner=True),
    member(NEW, name="new", peer_urls=(URL,), is_learner=True),
    member(NEW, name="new", peer_urls=(URL,), is_learner=True, raft_index=1),
    member(NEW, name="new", peer_urls=(URL,)),
    member(NEW, name="old", peer_urls=(URL,)),
    member(NEW, name="other", peer_urls=("https://10.0.0.8:2380",), is_learner=True),
)
STATES: Final[tuple[Callable[[str, str | None], MemberView], ...]] = (
    member,
    lambda i, _: down(i),
    hangs,
    lambda i, leader: member(i, leader, raft_index=INDEX - 6_000),
    lambda i, leader: member(i, leader, alarms=("CORRUPT",)),
)


def clusters() -> Iterator[ClusterView]:
    """One to three members in each state, led by one of the first two or by nobody, and a new member or none."""
    for size, leader in itertools.product((1, 2, 3), (None, A, B)):
        for states in itertools.combinations_with_replacement(STATES, size):
            members = [state(i, leader) for i, state in zip((A, B, C), states, strict=False)]
            for new in JOINERS:
                follows = new and new.reachable
                joined = new.model_copy(update={"leader_id": leader}) if new and follows else new
                yield cluster(*members, *([joined] if joined else []))


VIEWS: Final = tuple(clusters())


def harm(strategy: ModuleType, *chosen: Decision) -> str:
    """The first step that is not safe and leaves the planner when the strategy answers each of `chosen` everywhere."""
    goal = GOALS[strategy]
    unsafe: Any = planner_oracle.unsafe if isinstance(goal, MemberAbsent) else addition_oracle.unsafe
    with pytest.MonkeyPatch.context() as patch:
        for decision in chosen:
            patch.setattr(strategy, "plan", lambda *_, answer=decision: answer)
            for view in VIEWS:
                found = plan(view, goal)
                for wrong in unsafe(view, goal, found):
                    return f"{wrong}: {found} in {view}"
    return ""


@pytest.mark.parametrize("strategy", GOALS)
def test_wrong_strategy_changes_nothing(strategy: ModuleType) -> None:
    """Whatever it answers, on every small cluster: what leaves the planner is safe."""
    assert harm(strategy, *CHOICES) == ""


@pytest.mark.parametrize("choice", CHOICES, ids=str)
@pytest.mark.parametrize("strategy", GOALS)
def test_without_the_check_each_wrong_answer_does_harm(
    strategy: ModuleType, choice: Decision, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So it is the check that stops them, and the oracle sees what it stops."""
    monkeypatch.setattr(safety, "check", lambda _view, _goal, decision: decision)
    assert harm(strategy, choice)


CHECKS: Final[dict[str, Decision]] = {
    "_bad_via": Remove(via_id=A),
    "_bad_transfer": Transfer(transferee_id=B, term=6),
    "_no_quorum": Remove(via_id=B),
    "_corrupt": Remove(via_id=B),
    "_at_risk": Remove(via_id=B),
    "_unsafe_removal": Done(),
    "_unsafe_addition": Done(),
    "obstacle_to_joining": AddLearner(via_id=A),
    "obstacle_to_promotion": PromoteLearner(learner_id=NEW, via_id=A),
}


@pytest.mark.parametrize("rule", CHECKS)
def test_each_rule_of_the_check_is_needed(rule: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it a wrong strategy does harm; the last voter is left out, as the quorum would miss it as well."""
    place = safety if hasattr(safety, rule) else obstacles
    monkeypatch.setattr(place, rule, lambda *_, **__: None)
    assert harm(removal, CHECKS[rule]) or harm(addition, CHECKS[rule])


def test_stopped_step_is_named_and_reported() -> None:
    """It blocks, as an error would fail the workflow task again and again."""
    view = cluster(member(A), member(B), member(C))
    stopped = safety.check(view, MemberAbsent(CLUSTER, A), Remove(via_id=B))
    assert isinstance(stopped, Blocked)
    assert stopped.reason is Reason.UNSAFE_STEP
    assert stopped.seen == f"the planner chose Remove(via_id='{B}') and stopped itself: node0 leads"
