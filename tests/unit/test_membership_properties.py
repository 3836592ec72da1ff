"""What a change of several members never does: every small cluster, whatever others do meanwhile."""

from __future__ import annotations

import functools
import itertools
import sys
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import pytest

from etcd_handoff.planning import (
    Blocked,
    Done,
    MembersChanged,
    Reason,
    Refused,
    StartAddition,
    StartRemoval,
    joining,
    leadership,
    obstacles,
    part_order,
)
from tests.unit.membership_worlds import (
    DOWN,
    FOREIGN,
    INDEX,
    ITS_NAME,
    ITS_URL,
    JOINS,
    LAGGING,
    LEAVES,
    ONE_URL,
    STAYS,
    UNSTARTED,
    UP,
    Member,
    World,
    at_the_end,
    catches_up,
    events,
    faults,
    starts,
    too_few,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from etcd_handoff.planning import Decision

    Decide = Callable[[World], Decision]

MOST_STEPS: Final = 80
LARGEST_IN_EVERY_ORDER: Final = 3


def replacements(sizes: range, conditions: tuple[str, ...] = (UP, DOWN)) -> Iterator[World]:
    """One member is replaced: every size, each one's condition, who leads, at the same address or another."""
    for size, same_url in itertools.product(sizes, (False, True)):
        ids = [str(i) for i in range(1, size + 1)]
        for states in itertools.product(conditions, repeat=size):
            members = [
                Member(i, LEAVES if i == "1" else STAYS, state=state) for i, state in zip(ids, states, strict=True)
            ]
            for leader in [m.id for m in members if m.state == UP] or ["1"]:
                yield World(tuple(members), leader, ("a",), ("1",), tuple(ids[1:]), same_url=same_url)


FATES: Final = ((STAYS, UP), (LEAVES, UP), (LEAVES, DOWN), (STAYS, DOWN))
LATE_FATES: Final = (*FATES, (STAYS, LAGGING), (LEAVES, LAGGING))
UNSTARTED_FATES: Final = (*FATES, (STAYS, UNSTARTED), (LEAVES, UNSTARTED))
"""With voters that somebody has added as such, and nobody has started."""


def memberships(
    sizes: range, joins: range, kinds: tuple[tuple[str, str], ...] = FATES, learners: int = 0
) -> Iterator[World]:
    """A list is applied: every set that leaves, each one's condition, who leads, and so many that join.

    Besides so many learners there are already, each of which stays or leaves, and has started or not.
    """
    beside = itertools.product((STAYS, LEAVES), (UP, LAGGING, UNSTARTED))
    others = [*itertools.combinations_with_replacement(beside, learners)]
    for size, new, more in itertools.product(sizes, joins, others):
        ids = [str(i) for i in range(1, size + 1)]
        extra = [Member(i, fate, votes=False, state=state) for i, (fate, state) in zip(("7", "8"), more, strict=False)]
        for fates in every_order(kinds, size):
            voters = [Member(i, fate, state=state) for i, (fate, state) in zip(ids, fates, strict=True)]
            members = (*voters, *extra)
            leaves = tuple(m.id for m in members if m.fate == LEAVES)
            stays = tuple(m.id for m in members if m.fate == STAYS)
            joiners = ("a", "b")[:new]
            if joiners or stays:
                up = [m.id for m in voters if m.state == UP] or [ids[0]]
                for leader in {up[0], up[-1]}:
                    yield World(members, leader, joiners, leaves, stays, exact=True)


def every_order(kinds: tuple[tuple[str, str], ...], size: int) -> Iterator[tuple[tuple[str, str], ...]]:
    """So many of these kinds in every order; in large clusters in one: the order only breaks ties."""
    if size <= LARGEST_IN_EVERY_ORDER:
        return itertools.product(kinds, repeat=size)
    return itertools.combinations_with_replacement(kinds, size)


def replacements_beside_learners() -> Iterator[World]:
    """One member is replaced while one or two learners of others are there."""
    for world, count in itertools.product(replacements(range(1, 4)), (1, 2)):
        for states in itertools.combinations_with_replacement((UP, LAGGING, UNSTARTED), count):
            learners = (Member(i, FOREIGN, votes=False, state=s) for i, s in zip(("7", "8"), states, strict=False))
            yield replace(world, members=(*world.members, *learners))


def beside_a_voter(worlds: Iterator[World]) -> Iterator[World]:
    """The same with one voter more, which is somebody else's; a list was planned before that one came."""
    for world, state in itertools.product(worlds, (UP, LAGGING, DOWN, UNSTARTED)):
        begun = world.begun or world.exact
        planned = at_the_end(world) if begun else 0
        theirs = Member("8", FOREIGN, state=state)
        yield replace(world, members=(*world.members, theirs), begun=begun, enough=planned)


def forbidden() -> Iterator[World]:
    """What cannot be done as a whole: too few voters at the end, or what is another member's already."""
    for world in itertools.chain(memberships(range(1, 4), range(2)), replacements(range(2, 4)), unfinished()):
        yield replace(world, min_voters=3)
        if not world.exact and not world.member("a"):
            yield from (replace(world, clash=clash, same_url=False) for clash in (ITS_URL, ITS_NAME) if world.stays)
        elif world.exact and world.joiners and world.leaves:
            yield replace(world, clash=ONE_URL)


def two_of_four_leave(first: str) -> World:
    """Two of four leave; the first one's removal has begun, and it has been elected since."""
    members = (Member("1", LEAVES), Member("2", LEAVES), Member("3", STAYS), Member("4", STAYS))
    return World(members, first, (), ("1", "2"), ("3", "4"), exact=True, running=StartRemoval(first), begun=True)


def unfinished() -> Iterator[World]:
    """Where a first start may have stopped: the new member added, started, or a voter; the old one there or gone."""
    for size, old, (votes, state) in itertools.product(
        range(1, 5), (UP, DOWN, None), ((False, UNSTARTED), (False, UP), (False, DOWN), (True, UP), (True, DOWN))
    ):
        members = [Member(str(i), STAYS) for i in range(2, size + 2)]
        members += [Member("1", LEAVES, state=old)] if old else []
        members.append(Member("a", JOINS, votes=votes, state=state))
        yield World(tuple(sorted(members)), "2", ("a",), ("1",), tuple(str(i) for i in range(2, size + 2)), begun=False)


def explore(worlds: Iterator[World], most_events: int) -> tuple[Counter[str], str]:
    """How often each decision was met, and the first thing that went wrong."""
    met, fewest, decide = Counter[str](), dict[World, int](), functools.cache(World.decision)
    waiting = [(world, 0) for world in worlds]
    while waiting:
        world, happened = waiting.pop()
        if fewest.get(world, most_events + 1) <= happened:
            continue
        new, fewest[world] = world not in fewest, happened
        try:
            decision = decide(world)
        except Exception as error:  # noqa: BLE001  # a broken planner may raise anything
            return met, f"raises {error!r} in {world}"
        if new:
            met[str(decision.reason) if isinstance(decision, Blocked | Refused) else type(decision).__name__] += 1
            if wrong := [*faults(world, decision), *endless(world, decide)]:
                return met, f"{wrong}: {decision} in {world}"
        if (after := world.after(decision)) != world:
            waiting.append((after, happened))
        if happened < most_events:
            waiting += [(other, happened + 1) for other in events(world)]
    return met, ""


def run(world: World, decide: Decide) -> tuple[World, list[World], Any]:
    """Where it ends when nothing goes wrong any more: what was added is started, and who is behind catches up."""
    path = [world]
    for _ in range(MOST_STEPS):
        decision = decide(world)
        after = world.after(decision)
        if after == world:
            better = starts(world) or catches_up(world)
            if isinstance(decision, Done) or better is None:
                return world, path, decision
            after = better
        world = after
        path.append(world)
    return world, path, None


def endless(world: World, decide: Decide) -> Iterator[str]:
    """What can end does: nothing forbids it, all that stay are up, nobody else has joined, and there is a quorum."""
    end, path, decision = run(world, decide)
    if decision is None:
        yield "it goes round in circles"
        return
    fine = (*INDEX, UNSTARTED)  # the operator starts it, where it is theirs to start
    settled = all(m.id in world.leaves or (m.state in fine and _is_wanted(world, m)) for m in world.members)
    allowed_at_all = not world.clash and not too_few(world) and not too_few(end)
    unstarted_voter = any(m.state == UNSTARTED and m.votes and m.fate == FOREIGN for m in world.members)
    last = world.same_url and not [m for m in world.members if m.id not in world.leaves and m.votes]
    learners = any(m.fate == STAYS and not m.votes and not world.exact for m in world.members)
    free = not (unstarted_voter or last or learners)
    if settled and allowed_at_all and world.has_quorum and free and decision != Done():
        yield f"it could end and does not: {decision}"
    if all(m.state == UP and m.votes for m in world.members) and decision == Done() and world.running is None:
        least, allowed = min(w.spare for w in path), min(world.spare, end.spare)
        if least < allowed - world.same_url:
            yield f"only {least} may fail on the way"


def _is_wanted(world: World, member: Member) -> bool:
    """Whether the change wants the member, or can end beside it: a voter of somebody else's is in nobody's way."""
    return member.fate in (STAYS, JOINS) or (member.votes and not world.exact)


# --- the planner as it is -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("worlds", "most_events"),
    [
        (lambda: replacements(range(1, 4)), 2),
        (lambda: replacements(range(4, 6)), 1),
        (lambda: memberships(range(1, 4), range(3)), 1),
        (lambda: memberships(range(4, 6), range(2)), 0),
        (unfinished, 1),
        (lambda: replacements(range(1, 4), (UP, LAGGING, DOWN)), 1),
        (lambda: replacements(range(4, 6), (UP, LAGGING)), 0),
        (lambda: memberships(range(1, 4), range(2), LATE_FATES), 0),
        (replacements_beside_learners, 1),
        (lambda: memberships(range(1, 3), range(2), learners=1), 1),
        (lambda: memberships(range(1, 3), range(2), LATE_FATES, learners=2), 0),
        (lambda: memberships(range(1, 4), range(2), UNSTARTED_FATES), 1),
        (lambda: beside_a_voter(replacements(range(1, 4))), 2),
        (lambda: beside_a_voter(replacements(range(4, 6))), 0),
        (lambda: beside_a_voter(memberships(range(1, 4), range(2))), 1),
        (lambda: beside_a_voter(unfinished()), 1),
        (lambda: (replace(world, min_voters=3) for world in replacements(range(2, 5), (UP, DOWN))), 2),
    ],
    ids=[
        *("replace-small", "replace-large", "apply-small", "apply-large", "unfinished"),
        *("replace-late", "replace-late-large", "apply-late", "replace-beside-learners"),
        *("apply-with-a-learner", "apply-with-two-learners", "apply-unstarted", "replace-beside-a-voter"),
        *("replace-large-beside-a-voter", "apply-beside-a-voter", "unfinished-beside-a-voter"),
        "replace-with-min-voters",
    ],
)
def test_every_small_cluster_changes_without_harm(
    worlds: Any, most_events: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """No step costs the quorum, touches a stranger, or goes round in circles; what can end ends."""
    met, wrong = explore(worlds(), most_events)
    with capsys.disabled():
        sys.stdout.write(f"[{sum(met.values())} states, {dict(sorted(met.items()))}]")
    assert wrong == ""
    assert {"StartAddition", "StartRemoval", "Done"} <= set(met)


def test_first_look_without_a_quorum_is_refused_and_a_later_one_waits() -> None:
    """A voter may come back; a change that has begun is not given up for it."""
    members = (Member("1", LEAVES, state=DOWN), Member("2", STAYS), Member("3", STAYS, state=DOWN))
    first = World(members, "2", ("a",), ("1",), ("2", "3"))
    decision = first.decision()
    assert isinstance(decision, Refused)
    assert decision.reason is Reason.NO_QUORUM
    later = World(members, "2", ("a",), ("1",), ("2", "3"), begun=True).decision()
    assert isinstance(later, Blocked)


# --- broken planners ----------------------------------------------------------------------------------------------

REAL_PARTS = part_order._parts
REAL_LEAVING = part_order.leaving
REAL_CANDIDATES = leadership.candidates


def removals_first(view: Any, goal: Any, begun: Any) -> Iterator[Any]:
    """Everybody who is to leave does, then the others join."""
    yield from (StartRemoval(m.id) for m in REAL_LEAVING(view, goal))
    yield from REAL_PARTS(view, goal, begun)


def additions_first(view: Any, goal: Any, begun: Any) -> Iterator[Any]:
    """Everybody joins, then the others leave, the dead too."""
    joins = [part for part in REAL_PARTS(view, goal, begun) if isinstance(part, StartAddition)]
    if joins:
        return iter(joins)
    return REAL_PARTS(view, goal, begun)


def anybody_leaves(view: Any, goal: Any) -> Any:
    """Members that nobody wants are removed, pinned or not."""
    joined = [goal.member_in(view, joiner) for joiner in goal.joins]
    return tuple(m for m in view.members if m not in joined)


def leader_first(view: Any, goal: Any) -> Any:
    """The leader leaves before the followers."""
    led = view.leadership
    return tuple(sorted(REAL_LEAVING(view, goal), key=lambda m: led is None or m.id != led.id))


def nobody(*_: Any) -> None:
    """Finds nothing."""


def no_joiners(*_: Any) -> tuple[()]:
    """Sees no member that has been added."""
    return ()


def never_makes_room(view: Any, goal: Any, begun: Any) -> Iterator[Any]:
    """Nobody who works leaves while somebody is to join, also where they are to have one peer URL."""
    absent, works = part_order.absent(view, goal), {m.id for m in view.healthy_voters}
    for part in REAL_PARTS(view, goal, begun):
        if not (absent and isinstance(part, StartRemoval) and part.member_id in works):
            yield part
    yield from (StartAddition(joiner.name, joiner.peer_urls) for joiner in absent[:1])


MUTANTS: Final[dict[str, tuple[object, str, object]]] = {
    "everybody leaves first": (part_order, "_parts", removals_first),
    "the dead stay until all have joined": (part_order, "_parts", additions_first),
    "the leader leaves first": (part_order, "leaving", leader_first),
    "leadership goes to one that leaves": (
        leadership,
        "candidates",
        lambda view, target_id, leaving_later=(): REAL_CANDIDATES(view, target_id),  # noqa: ARG005
    ),
    "what was added is forgotten": (part_order, "pending", no_joiners),
    "a stranger is overlooked": (part_order, "_unplanned", nobody),
    "strangers are removed": (part_order, "leaving", anybody_leaves),
    "a new member need not work": (obstacles, "successor_fails", nobody),
    "nobody makes room at an address": (part_order, "_parts", never_makes_room),
    "any learner gets a vote": (obstacles, "obstacle_to_promotion", nobody),
    "a voter that has not started is overlooked": (joining, "change_pending", nobody),
    "nobody is too many": (MembersChanged, "stays", lambda goal, member: True),  # noqa: ARG005
}


IN_FORBIDDEN_WORLDS: Final[dict[str, tuple[object, str, object]]] = {
    "any number of voters is enough": (part_order, "_too_few", nobody),
    "what another member has may be given away": (part_order, "_taken", nobody),
    "two members may have one name": (joining, "name_taken", nobody),
    "it begins by waiting for a quorum": (part_order, "_quorum_gone", nobody),
}
"""What forbids a change as a whole is looked at first of all: no later look is needed to see that it is not."""


@pytest.mark.parametrize("mutant", MUTANTS)
def test_broken_planner_is_caught(mutant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each fault leads to a violation in a small world."""
    owner, name, fault = MUTANTS[mutant]
    monkeypatch.setattr(owner, name, fault)
    led_by_one_that_leaves = [two_of_four_leave(first) for first in ("1", "2")]
    worlds = itertools.chain(
        memberships(range(1, 4), range(1, 3)), replacements(range(1, 4)), unfinished(), led_by_one_that_leaves
    )
    assert explore(worlds, 1)[1]


def test_nothing_begins_that_is_forbidden_as_a_whole() -> None:
    """It is refused at the first look, whatever the cluster."""
    met, wrong = explore(itertools.chain(forbidden(), replacements(range(1, 4))), 0)
    assert wrong == ""
    assert {"TooFewVoters", "PeerUrlTaken", "NameTaken", "NoQuorum"} <= set(met)


@pytest.mark.parametrize("mutant", IN_FORBIDDEN_WORLDS)
def test_planner_that_begins_what_is_forbidden_is_caught(mutant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each fault leads to a violation."""
    owner, name, fault = IN_FORBIDDEN_WORLDS[mutant]
    monkeypatch.setattr(owner, name, fault)
    assert explore(itertools.chain(forbidden(), replacements(range(1, 4))), 0)[1]


# --- the last look ------------------------------------------------------------------------------------------------

WRONG_PARTS: Final[dict[str, Callable[[Any, Any], Any]]] = {
    "it is done at once": lambda view, goal: Done(),  # noqa: ARG005
    "anybody leaves": lambda view, goal: StartRemoval(view.members[-1].id),  # noqa: ARG005
    "one that works leaves first": lambda view, goal: StartRemoval(leaving_last(view, goal)),
    "anybody joins": lambda view, goal: StartAddition("nobody", ("http://nobody:2380",)),  # noqa: ARG005
}
"""What a strategy that does not look might answer."""


def leaving_last(view: Any, goal: Any) -> str:
    """The last of those that are to leave; somebody else when there are none."""
    return next((m.id for m in reversed(REAL_LEAVING(view, goal))), view.members[0].id)


def harm() -> list[str]:
    """What is wrong with the first part of a change, in any world."""
    worlds = itertools.chain(replacements(range(1, 4)), memberships(range(1, 4), range(2)), unfinished())
    return [wrong for world in worlds for wrong in faults(world, world.decision())]


@pytest.mark.parametrize("wrong", WRONG_PARTS)
def test_last_look_stops_what_a_strategy_should_not_answer(wrong: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing that does harm begins; without the last look it does."""
    monkeypatch.setattr(part_order, "_next", WRONG_PARTS[wrong])
    assert [fault for fault in harm() if fault not in ORDER] == []
    monkeypatch.setattr(part_order, "unsafe", nobody)
    assert [fault for fault in harm() if fault not in ORDER]


ORDER: Final = (
    "one that works leaves before one that does not",
    "the leader leaves before a follower",
    "one that works leaves although one more could join first",
)
"""The order of the parts is the strategy's own matter: a wrong one costs time, and no quorum."""
