"""What the planner never does about a member that is to be added: random views, and every small cluster."""

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

from etcd_handoff.cluster_view import Alarm, ClusterView, MemberView
from etcd_handoff.planning import (
    AddLearner,
    Blocked,
    Decision,
    Done,
    MemberPresent,
    PromoteLearner,
    Reason,
    Refused,
    plan,
)
from tests.unit.addition_mutants import IN_LARGER_WORLDS, MUTANTS, ON_GENERATED_VIEWS
from tests.unit.addition_oracle import judge
from tests.unit.planner_oracle import CAUGHT_UP
from tests.unit.random_views import (
    AILMENTS,
    IDS,
    KINDS,
    LEARNER,
    OF_THE_PAST,
    SEEN,
    WELL,
    WHOLE_CLUSTER,
    ailing_member,
    doubts_about,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CLUSTER: Final = "cdf818194e3a8c32"
NEW: Final = "abad1dea"
URL: Final = "https://10.0.0.9:2380"
GOAL: Final = MemberPresent(CLUSTER, "new", (URL,))

Situation = tuple[ClusterView, MemberPresent]

# --- random views -------------------------------------------------------------------------------------------

STATES: Final = (
    *("absent",) * 6,
    *("unstarted",) * 2,
    *("learner",) * 9,
    *("voter", "unstarted voter", "another's", "namesake"),
)
NEW_LAGS: Final = (0,) * 6 + (1, 2_000, CAUGHT_UP, CAUGHT_UP + 1, 50_000)
NEW_KINDS: Final = tuple(
    (frozenset((LEARNER, ailment)), lag) for ailment, lag in itertools.product((WELL,) * 6 + AILMENTS, NEW_LAGS)
)
VERSIONS: Final = (("3.6.16",),) * 20 + (
    ("3.6.10", "3.6.16"),
    ("3.6.11", "3.6.10"),
    ("3.5.29",),
    ("3.5.30", "3.7.0-rc.1"),
    ("3.6.16", "3.6.3"),
    ("3.5.24", "3.5.23"),
    ("",),
)
"""Versions that members run, in turn."""
YOUNGER: Final = 88_000
"""So many entries less make a cluster at index 12,000, where a tenth is less than what counts as caught up."""


@st.composite
def situations(draw: st.DrawFn) -> Situation:
    """One to six other members, most of them well and of one opinion, and the new one in any state."""
    turn, size = draw(st.sampled_from(range(len(IDS)))), draw(st.sampled_from((1, 1, 2, 3, 3, 3, 4, 4, 5, 6)))
    ids = (IDS + IDS)[turn : turn + size]
    leader = draw(st.sampled_from((*ids[:1] * 20, None)))
    members = []
    for member_id in ids:
        ailments, lag = draw(st.sampled_from(KINDS))
        if draw(st.sampled_from((True, True, False))) or member_id == ids[0]:
            ailments, lag = frozenset[int](), 0
        started = draw(st.sampled_from((True,) * 20 + (False,)))
        one = ailing_member(member_id, leader, ailments, lag, ids[-1])
        members.append(one if started else one.model_copy(update={"name": ""}))
    members += joiner(draw(st.sampled_from(STATES)), leader, draw(st.sampled_from(NEW_KINDS)), ids[-1])
    if draw(st.sampled_from((False, False, False, True))):
        members = [m.model_copy(update={"raft_index": max(m.raft_index - YOUNGER, 0)}) for m in members]
    versions = draw(st.sampled_from(VERSIONS))
    members = [m.model_copy(update={"version": versions[place % len(versions)]}) for place, m in enumerate(members)]
    view = ClusterView(
        cluster_id=CLUSTER,
        members=tuple(sorted(members, key=lambda m: int(m.id, 16))),
        alarms=draw(
            st.sampled_from(((),) * 40 + ((WHOLE_CLUSTER,), (OF_THE_PAST,), (Alarm(kind="NOSPACE", member_id=NEW),)))
        ),
        doubts=draw(st.sampled_from(((),) * 60 + doubts_about(NEW))),
    )
    cluster_id = draw(st.sampled_from((CLUSTER,) * 40 + ("1",)))
    term, index = draw(st.sampled_from(((0, 0),) * 40 + SEEN))
    return view, MemberPresent(cluster_id, "new", (URL,), term, index)


def joiner(state: str, leader: str | None, kind: tuple[frozenset[int], int], other: str) -> list[MemberView]:
    """The new member in this state, as far as it is listed."""
    if state == "absent":
        return []
    votes = state in ("voter", "unstarted voter", "another's")
    name = {"unstarted": "", "unstarted voter": "", "another's": "old"}.get(state, "new")
    urls = (URL,) if state != "namesake" else ("https://10.0.0.1:2380",)
    changes = {"name": name, "peer_urls": urls, "is_learner": not votes}
    return [ailing_member(NEW, leader, *kind, other).model_copy(update=changes)]


@settings(max_examples=1_000)
@given(situations())
def test_no_view_leads_to_a_violation(situation: Situation) -> None:
    """Quorum and identity hold for every view, doubts block it, and nothing waits that could go on."""
    assert judge(*situation) == []


def test_generated_views_reach_every_decision_and_reason() -> None:
    """The strategy makes each interesting case often enough: some of 1000 views, each step 1 of 20."""
    seen = Counter[str]()

    @settings(max_examples=1_000, derandomize=True, database=None, phases=[Phase.generate])
    @given(situations())
    def tally(situation: Situation) -> None:
        decision = plan(*situation)
        seen[str(decision.reason) if isinstance(decision, Blocked | Refused) else type(decision).__name__] += 1

    tally()
    reasons = {
        Reason.CHANGE_PENDING,
        Reason.CLUSTER_CHANGED,
        Reason.CLUSTER_CORRUPT,
        Reason.ETCD_BUG,
        Reason.LEARNER_IN_THE_WAY,
        Reason.LEARNER_LAGS,
        Reason.LEARNER_NOT_STARTED,
        Reason.LEARNER_UNREACHABLE,
        Reason.NO_LEADER,
        Reason.NO_QUORUM,
        Reason.NO_SPACE,
        Reason.PEER_URL_TAKEN,
        Reason.QUORUM_AT_RISK,
        Reason.VOTER_HANGS,
        Reason.VOTER_LAGS,
    }
    assert {"Done", "AddLearner", "PromoteLearner", *reasons} <= set(seen)
    assert min(seen["AddLearner"], seen["PromoteLearner"]) >= 50, seen


# --- every small cluster ------------------------------------------------------------------------------------

UP, DOWN, CORRUPT, HANGS, LAGGING, FULL = "up", "down", "corrupt", "hangs", "lags", "full"
ABSENT, UNSTARTED = "absent", "unstarted"
FAR: Final = 1_000_000
"""Index of who has caught up; who lags stands at 100."""

Member = tuple[bool, str]
"""Whether it is a learner, and its condition."""


@dataclass(frozen=True, slots=True)
class World:
    """A small cluster, and a member that is to join it.

    Attributes:
        members: The others.
        new: The new member's condition.
        votes: Whether it has a vote.
        leader: Position of the voter among the others that all follow; None while nobody leads.
        version: The etcd that all run.
    """

    members: tuple[Member, ...]
    new: str
    votes: bool
    leader: int | None
    version: str = ""

    def situation(self) -> Situation:
        """A fresh view of it."""
        members = [
            self._member(str(place + 1), learner, condition) for place, (learner, condition) in enumerate(self.members)
        ]
        if self.new != ABSENT:
            new = self._member("9", not self.votes, self.new)
            name = "" if self.new == UNSTARTED else "new"
            members.append(new.model_copy(update={"peer_urls": (URL,), "name": name}))
        return ClusterView(cluster_id=CLUSTER, members=tuple(members)), GOAL

    def _member(self, member_id: str, learner: bool, condition: str) -> MemberView:  # noqa: FBT001  # a model's field
        silent = condition in (DOWN, UNSTARTED)
        return MemberView(
            id=member_id,
            name="" if condition == UNSTARTED else f"node{member_id}",
            version="" if silent else self.version,
            is_learner=learner,
            reachable=not silent,
            serves_reads=not silent and condition != HANGS and not learner,
            leader_id=None if silent or self.leader is None else str(self.leader + 1),
            term=0 if silent else 7,
            raft_index={DOWN: 0, UNSTARTED: 0, LAGGING: 100}.get(condition, FAR),
            alarms={CORRUPT: ("CORRUPT",), FULL: ("NOSPACE",)}.get(condition, ()),
        )

    def after(self, decision: Decision) -> set[World]:
        """All that a step can leave behind: done, or lost without a trace."""
        if isinstance(decision, AddLearner):
            return {self, replace(self, new=UNSTARTED, votes=False)}
        if isinstance(decision, PromoteLearner):
            return {self, replace(self, votes=True)}
        return set()

    def distance(self) -> tuple[bool, bool]:
        """Gets smaller with every step that leaves a trace."""
        return self.new == ABSENT, not self.votes

    def working(self) -> str:
        """The condition of voters that have caught up with the furthest."""
        return UP if (False, UP) in self.members else LAGGING

    def works_without_the_new_one(self) -> bool:
        """More than half of the voters work although the new one, as a voter, has just failed.

        A voter works when it answers, commits, and has caught up with the furthest.
        """
        voters = [condition for learner, condition in self.members if not learner]
        return 2 * voters.count(self.working()) > len(voters) + 1

    def is_well(self) -> bool:
        """Every other member is a voter that is up, and one of them leads."""
        return self.leader is not None and set(self.members) == {(False, UP)}


NEW_STATES: Final = (
    (ABSENT, False),
    *itertools.product((UNSTARTED, DOWN, LAGGING, CORRUPT, FULL, UP), (False, True)),
)


def small_worlds(sizes: range, conditions: tuple[str, ...]) -> Iterator[World]:
    """Every cluster of so many others with a voter: voter or learner, condition, leader or none, and the new member.

    Which of two alike members has the smaller ID makes no difference to the new one, so they are listed in one order.
    """
    kinds = tuple(itertools.product((False, True), conditions))
    for size in sizes:
        for members in itertools.combinations_with_replacement(kinds, size):
            voters = [place for place, (learner, _) in enumerate(members) if not learner]
            for leader, (new, votes) in itertools.product((None, *voters), NEW_STATES) if voters else ():
                yield World(members, new, votes, leader)


def larger_worlds() -> Iterator[World]:
    """Clusters of two to five voters and none to two learners that are up, far behind, dead or not started.

    Those without learners are of old etcds too; there nobody is behind, as no version minds. Nor is anybody behind
    among four or five voters with learners: three are enough for a quorum that has not caught up.
    """
    for voters, learners in itertools.product(range(2, 6), range(3)):
        behind = () if learners and voters > LARGEST_BEHIND_WITH_LEARNERS else (LAGGING,)
        for others in itertools.product(
            itertools.combinations_with_replacement((UP, *behind, DOWN, UNSTARTED), voters),
            itertools.combinations_with_replacement((UP, *behind, UNSTARTED), learners),
        ):
            members = (*((False, one) for one in others[0]), *((True, one) for one in others[1]))
            leaders = (None, 0) if others[0][0] in (UP, LAGGING) else (None,)
            versions = OLD if not learners and LAGGING not in others[0] else ("",)
            for leader, (new, votes), version in itertools.product(leaders, NEW_STATES, versions):
                yield World(members, new, votes, leader, version)


LARGEST_BEHIND_WITH_LEARNERS: Final = 3
OLD: Final = ("", "3.6.11", "3.6.10", "3.6.3", "3.5.29")
"""The newest etcd, and versions at which something changes."""


def explore(worlds: Iterator[World]) -> tuple[Counter[str], str]:
    """How often each decision was met, and the first thing that went wrong."""
    met, seen, waiting = Counter[str](), set[World](), list[World]()
    for start in worlds:
        waiting.append(start)
        while waiting:
            world = waiting.pop()
            if world in seen:
                continue
            seen.add(world)
            if wrong := judge(*world.situation()):
                return met, f"{wrong} in {world}"
            decision = plan(*world.situation())
            met[type(decision).__name__] += 1
            single = sum(not learner for learner, _ in world.members) == 1
            grows = isinstance(decision, AddLearner | PromoteLearner)
            if grows and not single and not world.works_without_the_new_one():
                return met, f"{decision} in {world}"
            if isinstance(decision, PromoteLearner) and world.new not in (UP, world.working()):
                return met, f"{decision} in {world}"
            after = world.after(decision) - {world}
            if any(w.distance() >= world.distance() for w in after):
                return met, f"goes round in a circle: {world}"
            waiting += after
    return met, ""


ALL_CONDITIONS: Final = (UP, DOWN, CORRUPT, HANGS, LAGGING, FULL, UNSTARTED)


@pytest.mark.parametrize(
    "worlds", [lambda: small_worlds(range(1, 4), ALL_CONDITIONS), larger_worlds], ids=["small", "larger"]
)
def test_every_small_cluster_grows_without_harm(
    worlds: Callable[[], Iterator[World]], capsys: pytest.CaptureFixture[str]
) -> None:
    """Up to four members, the new one among them; each condition, leader, and state of the new one.

    Up to eight that are up, far behind, dead or not started too. No step makes a cluster whose quorum depends on a
    member that has just got its vote, but for the second voter of a cluster of one. Each state that other people's
    changes, lost answers and crashes can lead to is such a world itself.
    """
    met, wrong = explore(worlds())
    with capsys.disabled():
        sys.stdout.write(f"[{sum(met.values())} states, {dict(sorted(met.items()))}]")
    assert wrong == ""
    assert sum(met.values()) > 10_000
    assert set(met) == {"AddLearner", "PromoteLearner", "Blocked", "Done"}


STARTS: Final[dict[str, str]] = {UNSTARTED: DOWN, DOWN: LAGGING, LAGGING: UP}
"""What a learner becomes when nobody changes it and nothing goes wrong."""


def settled(world: World) -> Decision:
    """Where it ends when every step lands and the learner catches up; five looks are more than enough."""
    for _ in range(6):
        decision = plan(*world.situation())
        if isinstance(decision, AddLearner):
            world = replace(world, new=UNSTARTED)
        elif isinstance(decision, PromoteLearner):
            world = replace(world, votes=True)
        elif isinstance(decision, Blocked) and world.new in STARTS:
            world = replace(world, new=STARTS[world.new])
        else:
            return decision
    pytest.fail(f"still not settled: {world}")


def test_well_cluster_grows_until_the_member_is_there() -> None:
    """From every state that the new member may be found in, but for one whose own alarm has to be seen to."""
    begun = 0
    for world in small_worlds(range(1, 6), (UP,)):
        if world.is_well() and (world.new not in (CORRUPT, FULL)):
            begun += 1
            assert settled(world) == Done(), world
    assert begun > 30


# --- broken planners ----------------------------------------------------------------------------------------


def hunt() -> list[str]:
    """What is wrong with the planner on a generated view; empty when none shows a fault."""
    hunting = settings(max_examples=1_500, derandomize=True, database=None, phases=[Phase.generate])
    try:
        return judge(*find(situations(), lambda s: bool(judge(*s)), settings=hunting))
    except NoSuchExample:
        return []


@pytest.mark.parametrize("mutant", MUTANTS)
def test_broken_planner_is_caught(mutant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each fault leads to a violation in a small world, or on a generated view where it takes lags or names."""
    owner, name, fault = MUTANTS[mutant]
    monkeypatch.setattr(owner, name, fault)
    if mutant in ON_GENERATED_VIEWS:
        assert hunt()
    elif mutant in IN_LARGER_WORLDS:
        assert explore(larger_worlds())[1]
    else:
        assert explore(small_worlds(range(1, 4), ALL_CONDITIONS))[1]
