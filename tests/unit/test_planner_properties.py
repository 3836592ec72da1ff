"""What the planner never does: random views, every small cluster, and planners broken on purpose.

The oracle is trusted because it catches each of `MUTANTS`.
"""

from __future__ import annotations

import itertools
import sys
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import pytest
from hypothesis import Phase, find, given, settings
from hypothesis import strategies as st
from hypothesis.errors import NoSuchExample

from etcd_handoff import planning
from etcd_handoff.cluster_view import ClusterView, MemberView
from etcd_handoff.planning import Blocked, Decision, Done, MemberAbsent, Reason, Refused, Remove, Transfer
from tests.unit.planner_mutants import IN_SMALL_WORLDS, MUTANTS
from tests.unit.planner_oracle import CAUGHT_UP, judge
from tests.unit.random_views import IDS, KINDS, LEARNER, OF_THE_PAST, SEEN, WHOLE_CLUSTER, ailing_member, doubts_about

if TYPE_CHECKING:
    from collections.abc import Iterator
    from random import Random

CLUSTER: Final = "cdf818194e3a8c32"

Situation = tuple[ClusterView, MemberAbsent]

# --- random views -------------------------------------------------------------------------------------------

ABSENT: Final = "abad1dea"


@st.composite
def situations(draw: st.DrawFn) -> Situation:
    """One to seven members, most of them well and of one opinion; about every other target leads."""
    turn, size = (
        draw(st.sampled_from(range(len(IDS)))),
        draw(st.sampled_from((1, 2, 3, 3, 3, 4, 4, 5, 5, 6, 7))),
    )
    ids = (IDS + IDS)[turn : turn + size]
    leader = draw(st.sampled_from((*ids[:1] * 15, None)))
    others_lag = draw(st.sampled_from((0,) * 9 + (CAUGHT_UP + 1,)))
    version = draw(st.sampled_from(("3.6.16",) * 30 + ("3.4.23", "3.10.1", "")))
    members = []
    for member_id in sorted(ids, key=lambda text: int(text, 16)):
        ailments, lag = draw(st.sampled_from(KINDS))
        if member_id == ids[0]:
            ailments -= {LEARNER}
            lag = min(lag, 1)
        else:
            lag += others_lag
        members.append(ailing_member(member_id, leader, ailments, lag, ids[-1]).model_copy(update={"version": version}))
    view = ClusterView(
        cluster_id=CLUSTER,
        members=tuple(members),
        alarms=draw(st.sampled_from(((),) * 40 + ((WHOLE_CLUSTER,), (OF_THE_PAST,)))),
    )
    target = draw(st.sampled_from((*ids[:1] * len(ids), *ids, ABSENT, ABSENT)))
    view = view.model_copy(update={"doubts": draw(st.sampled_from(((),) * 40 + doubts_about(target)))})
    avoid = draw(st.sampled_from((0, 0, 0, 0, 1, 2, len(ids))))
    cluster_id = draw(st.sampled_from((CLUSTER,) * 40 + ("1",)))
    term, index = draw(st.sampled_from(((0, 0),) * 20 + SEEN))
    return view, MemberAbsent(cluster_id, target, frozenset(ids[1 : avoid + 1]), term, index)


@settings(max_examples=1_000)
@given(situations())
def test_no_view_leads_to_a_violation(situation: Situation) -> None:
    """Quorum, hand-over and identity hold for every view, and nothing waits that could go on."""
    assert judge(*situation) == []


@settings(max_examples=150)
@given(situations(), st.randoms(use_true_random=False))
def test_order_of_the_list_changes_nothing(situation: Situation, dice: Random) -> None:
    """Who the members are counts, not how they are listed; asked twice it is the same."""
    view, goal = situation
    members = list(view.members)
    dice.shuffle(members)
    again = planning.plan(view.model_copy(update={"members": tuple(members)}), goal)
    decision = planning.plan(view, goal)
    assert decision == planning.plan(view, goal)
    assert type(again) is type(decision)
    if isinstance(decision, Remove | Transfer):
        assert again == decision


def test_generated_views_reach_every_decision_and_reason() -> None:
    """The strategy makes each interesting case often enough: some of 1000 views, each step 1 of 12."""
    seen = Counter[str]()

    @settings(max_examples=1_000, derandomize=True, database=None, phases=[Phase.generate])
    @given(situations())
    def tally(situation: Situation) -> None:
        decision = planning.plan(*situation)
        seen[str(decision.reason) if isinstance(decision, Blocked | Refused) else type(decision).__name__] += 1

    tally()
    reasons = {
        Reason.MIXED_CLUSTERS,
        Reason.UNLISTED_MEMBER,
        Reason.ZERO_ID,
        Reason.CLUSTER_CHANGED,
        Reason.CLUSTER_RESTORED,
        Reason.CLUSTER_CORRUPT,
        Reason.VOTER_HANGS,
        Reason.VOTER_LAGS,
        Reason.OLD_ETCD,
        Reason.LAST_VOTER,
        Reason.NO_QUORUM,
        Reason.NO_LEADER,
        Reason.QUORUM_AT_RISK,
        Reason.LEADER_UNREACHABLE,
        Reason.NO_TRANSFEREE,
        Reason.TRANSFER_FAILED,
    }
    assert set(seen) == {"Done", "Remove", "Transfer", *reasons}
    assert min(seen.values()) >= 2, seen
    assert min(seen["Remove"], seen["Transfer"]) >= 80, seen


# --- every small cluster ------------------------------------------------------------------------------------

UP, DOWN, CORRUPT, HANGS, LAGGING = "up", "down", "corrupt", "hangs", "lags"
FAR: Final = 1_000_000
"""Index of who has caught up; who lags stands at 100."""


@dataclass(frozen=True, slots=True)
class World:
    """A small cluster and a wish.

    Attributes:
        members: ID, whether it is a learner, and its condition.
        leader: Whom all that answer follow; None while nobody leads.
        target: Who is to leave.
        avoid: Transferees that are known to have failed.
    """

    members: tuple[tuple[str, bool, str], ...]
    leader: str | None
    target: str
    avoid: frozenset[str] = frozenset()

    def situation(self) -> Situation:
        """A fresh view of it."""
        members = tuple(
            MemberView(
                id=i,
                name=f"node{i}",
                is_learner=learner,
                reachable=condition != DOWN,
                serves_reads=condition not in (DOWN, HANGS),
                leader_id=self.leader if condition != DOWN else None,
                term=0 if condition == DOWN else 7,
                raft_index={DOWN: 0, LAGGING: 100}.get(condition, FAR),
                alarms=("CORRUPT",) if condition == CORRUPT else (),
            )
            for i, learner, condition in self.members
        )
        return ClusterView(cluster_id=CLUSTER, members=members), MemberAbsent(CLUSTER, self.target, self.avoid)

    def after(self, decision: Decision) -> set[World]:
        """All that a step can leave behind: done, lost, lost and told so, done though told to be lost."""
        if isinstance(decision, Transfer):
            avoided = self.avoid | {decision.transferee_id}
            led = replace(self, leader=decision.transferee_id)
            return {self, led, replace(self, avoid=avoided), replace(led, avoid=avoided)}
        if isinstance(decision, Remove):
            return {self, replace(self, members=tuple(m for m in self.members if m[0] != self.target))}
        return set()

    def distance(self) -> tuple[int, bool, int]:
        """Gets smaller with every step that leaves a trace, and can't do so for ever."""
        return len(self.members), self.leader == self.target, -len(self.avoid)

    def working(self) -> str:
        """The condition of voters that answer, commit, have caught up with the furthest and hold the right data."""
        return UP if (False, UP) in {(learner, condition) for _, learner, condition in self.members} else LAGGING

    def has_quorum(self, working: str) -> bool:
        """More than half of its voters are in that condition."""
        voters = [condition for _, learner, condition in self.members if not learner]
        return 2 * voters.count(working) > len(voters)


def small_worlds(sizes: range, conditions: tuple[str, ...] = (UP, DOWN, CORRUPT, HANGS, LAGGING)) -> Iterator[World]:
    """Every cluster of these sizes with a voter: voter or learner, condition, leader or none, target."""
    for size in sizes:
        ids = tuple(str(n + 1) for n in range(size))
        for kinds in itertools.product(itertools.product((False, True), conditions), repeat=size):
            members = tuple((i, learner, condition) for i, (learner, condition) in zip(ids, kinds, strict=True))
            voters = [i for i, learner, _ in members if not learner]
            for leader, target in itertools.product((None, *voters), ids) if voters else ():
                yield World(members, leader, target)


def explore(worlds: Iterator[World]) -> tuple[int, Counter[str], str]:
    """How many states were visited, how the paths ended, and the first thing that went wrong.

    Every state that can be reached is judged, so a cluster that changes by itself between two steps is
    covered as well: what it changes into is one of the starting states.
    """
    ends, seen, waiting = Counter[str](), set[World](), list[World]()
    for start in worlds:
        waiting.append(start)
        while waiting:
            world = waiting.pop()
            if world in seen:
                continue
            seen.add(world)
            situation = world.situation()
            if wrong := judge(*situation):
                return len(seen), ends, f"{wrong} in {world}"
            decision = planning.plan(*situation)
            after = world.after(decision) - {world}
            if isinstance(decision, Remove):
                (left,) = after
                if world.target == world.leader or not left.has_quorum(world.working()):
                    return len(seen), ends, f"{decision} in {world}"
            if any(w.distance() >= world.distance() for w in after):
                return len(seen), ends, f"goes round in a circle: {world}"
            if not after:
                ends[type(decision).__name__] += 1
            waiting += after
    return len(seen), ends, ""


def settled(world: World) -> Decision:
    """Where it ends when every step lands; three steps are more than enough."""
    for _ in range(3):
        decision = planning.plan(*world.situation())
        if isinstance(decision, Transfer):
            world = replace(world, leader=decision.transferee_id)
        elif isinstance(decision, Remove):
            world = replace(world, members=tuple(m for m in world.members if m[0] != world.target))
        else:
            return decision
    pytest.fail(f"still not settled: {world}")


def test_every_small_cluster_ends_without_harm(capsys: pytest.CaptureFixture[str]) -> None:
    """One to three members, each condition, leader and target, steps landing or not: safe, and it ends.

    Four members that do not lag and five that are up or down too. It ends because each step that is not lost without a
    trace brings the world closer to its end, by `World.distance`.
    """
    worlds = itertools.chain(
        small_worlds(range(1, 4)),
        small_worlds(range(4, 5), (UP, DOWN, CORRUPT, HANGS)),
        small_worlds(range(5, 6), (UP, DOWN)),
    )
    states, ends, wrong = explore(worlds)
    with capsys.disabled():
        sys.stdout.write(f"[{states} states, ends {dict(sorted(ends.items()))}]")
    assert wrong == ""
    assert states > 30_000
    assert set(ends) == {"Done", "Refused", "Blocked"}


def test_no_small_world_loses_the_quorum_that_works(capsys: pytest.CaptureFixture[str]) -> None:
    """Three to five voters, each up, down, hanging or lagging, each leader and target: enough remain that work.

    A voter works when it answers, serves reads and has caught up; the leader is any of them, one that hangs included.
    """
    seen = Counter[str]()
    for size in range(3, 6):
        ids = tuple(str(n + 1) for n in range(size))
        for conditions in itertools.product((UP, DOWN, HANGS, LAGGING), repeat=size):
            members = tuple((i, False, condition) for i, condition in zip(ids, conditions, strict=True))
            for leader, target in itertools.product((None, *ids), ids):
                world = World(members, leader, target)
                decision = planning.plan(*world.situation())
                seen[type(decision).__name__] += 1
                if isinstance(decision, Remove):
                    left = replace(world, members=tuple(m for m in members if m[0] != target))
                    assert left.has_quorum(world.working()), world
                    assert dict(zip(ids, conditions, strict=True))[decision.via_id] in (UP, LAGGING), world
                if isinstance(decision, Transfer):
                    assert dict(zip(ids, conditions, strict=True))[decision.transferee_id] == world.working(), world
    with capsys.disabled():
        sys.stdout.write(f"[{dict(sorted(seen.items()))}]")
    assert min(seen["Remove"], seen["Transfer"], seen["Blocked"]) > 300


def test_small_cluster_from_which_a_step_is_possible_ends_done() -> None:
    """Up to three members, and nothing lost: what is begun is done a transfer and a removal later."""
    begun = 0
    for world in small_worlds(range(1, 4)):
        if isinstance(planning.plan(*world.situation()), Transfer | Remove):
            begun += 1
            assert settled(world) == Done(), world
    assert begun > 100


# --- broken planners ----------------------------------------------------------------------------------------


def hunt() -> list[str]:
    """What is wrong with the planner on a generated view; empty when none shows a fault."""
    hunting = settings(max_examples=1_500, derandomize=True, database=None, phases=[Phase.generate])
    try:
        return judge(*find(situations(), lambda s: bool(judge(*s)), settings=hunting))
    except NoSuchExample:
        return []


@pytest.mark.parametrize("mutant", MUTANTS)
def test_broken_planner_is_caught_on_generated_views(mutant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each fault leads to a violation on some generated view, as the whole planner does not."""
    owner, name, fault = MUTANTS[mutant]
    monkeypatch.setattr(owner, name, fault, raising=False)
    assert hunt()


@pytest.mark.parametrize("mutant", IN_SMALL_WORLDS)
def test_broken_planner_is_caught_in_small_worlds(mutant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each fault that small worlds can show is caught in one of up to three members."""
    owner, name, fault = MUTANTS[mutant]
    monkeypatch.setattr(owner, name, fault, raising=False)
    assert explore(small_worlds(range(1, 4)))[2]


def test_whole_planner_is_not_caught_in_small_worlds() -> None:
    """The same search finds nothing wrong with the planner as it is."""
    assert explore(small_worlds(range(1, 4)))[2] == ""
