"""Removals where each worker reaches its own node's member alone, as on stock k0s: any fault, at any call.

Looks through nodes, the merged view and the steps that go by it are the product's own. What no worker can see between
the looks and a step is held against nobody (`tests.model.nodes`); all else is, as where every worker reaches everybody.
"""

from __future__ import annotations

import asyncio
import itertools
import random
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Final

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

import activities.etcd_looks
from etcd_handoff.contract import StepOutcome
from etcd_handoff.operation import hash_check
from etcd_handoff.operation.state import OperationState
from tests.model.fault_kinds import TO_NODES, TO_REMOVALS, Fault
from tests.model.loop import Loop, leaping
from tests.model.node_loop import STEPS_TO_END, NodeLoop
from tests.model.node_mutants import NODE_MUTANTS, break_it, sends_steps_to_anybody
from tests.model.nodes import NodeCluster
from tests.model.runner import WHOLE, Found, Scenario, starts
from tests.model.test_machine import EXAMPLES, Removals

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from tests.model.cluster import Cluster

pytestmark = pytest.mark.usefixtures("short_waits")

SEED: Final = 20260101
FAULTS: Final = (*TO_REMOVALS, *TO_NODES)
CALLS: Final = 18
"""The first calls; where nodes are asked a leader's removal makes some twenty."""
CALLS_OF_MUTANTS: Final = 12
SHARE: Final = 1 if WHOLE else 23
DICE: Final = 4 if WHOLE else 1
"""How often each is tried: whatever any worker may do is done on a node that the dice choose."""
Rolled = tuple[Scenario, int]


def removal(rolled: Rolled, runner: asyncio.Runner, found: Found) -> list[str]:
    """What was wrong with it."""
    scenario, seed = rolled
    cluster = scenario.cluster_of(NodeCluster, 0)
    loop = NodeLoop(cluster, seed)
    for _ in range(STEPS_TO_END):
        runner.run(loop.step())
        if loop.outcome:
            break
    if not loop.outcome and loop.unsettled:
        found.count(cluster, "unsettled")
        return [f"{rolled}: {text}" for text in cluster.wrong]
    found.count(cluster, loop.outcome or "nothing within its steps")
    wrong = cluster.check_end(loop.outcome, loop.message, recorded=loop.recorded)
    return [f"{rolled}: {text}" for text in (wrong if loop.outcome else [*wrong, f"it does not end: {loop.doing}"])]


def removals(rolls: Iterable[Rolled]) -> Found:
    """What they came to."""
    found = Found()
    with asyncio.Runner(loop_factory=leaping) as runner:
        for rolled in rolls:
            found.wrong += removal(rolled, runner, found)
    return found


def one_fault(most_voters: int) -> Iterator[Rolled]:
    """Each fault at each of the first calls of each small cluster's removal."""
    every = itertools.product(starts(most_voters), range(CALLS), FAULTS, range(DICE))
    for number, (start, call, fault, _) in enumerate(every):
        yield replace(start, script=((call, fault),)), number


def several_faults(count: int) -> Iterator[Rolled]:
    """Two to four things happen, in clusters of up to five voters."""
    dice = random.Random(SEED)  # noqa: S311  # a test's
    possible = [start for start in starts(5) if start.voters > 1]
    for number in range(count):
        calls = sorted(dice.sample(range(CALLS), dice.randint(2, 4)))
        script = tuple((call, dice.choice(FAULTS)) for call in calls)
        yield replace(dice.choice(possible), script=script), number


@pytest.mark.timeout(1_200 if WHOLE else 240)
def test_one_thing_happens_at_any_call_where_nodes_are_asked() -> None:
    """Every fault at every one of the first calls, in every cluster of up to three voters."""
    found = removals(itertools.islice(one_fault(3), 0, None, SHARE))
    found.tell("one fault, nodes")
    assert found.wrong == [], "\n".join(found.wrong)
    assert {"removed", "RemovalRefused"} <= set(found.ends)


@pytest.mark.timeout(1_200 if WHOLE else 240)
def test_several_things_happen_where_nodes_are_asked() -> None:
    """Some of them at once."""
    found = removals(several_faults(40_000 if WHOLE else 350))
    found.tell(f"several faults, nodes, seed {SEED}")
    assert found.wrong == [], "\n".join(found.wrong)
    assert {"removed", "already-absent", "RemovalRefused"} <= set(found.ends)


HARD: Final[dict[str, Rolled]] = {
    "lone member looks first": (Scenario(3, "leader", ((0, Fault.LISTS_DIFFER),), learner=True), 666),
    "lone member has the step": (Scenario(3, "follower", ((6, Fault.LISTS_DIFFER),)), 101),
    "another has removed it": (
        Scenario(3, "follower", ((10, Fault.NAMESAKE), (13, Fault.LISTS_DIFFER))),
        975,
    ),
    "no claims were read": (
        Scenario(4, "leader", ((3, Fault.FOREIGN_ALONE), (12, Fault.NO_EFFECT), (17, Fault.OTHER_LAGS))),
        705,
    ),
    "leader of another moment": (
        Scenario(3, "leader", ((2, Fault.RESOURCE_DELETED), (8, Fault.OTHER_LAGS), (13, Fault.FOREIGN_LIST))),
        47,
    ),
    "only the lone member's worker is left": (
        Scenario(3, "follower", ((5, Fault.LISTS_DIFFER), (13, Fault.TARGET_IDLE), (15, Fault.NO_EFFECT))),
        3350,
    ),
    "somebody removes the only other voter": (
        Scenario(2, "learner", ((5, Fault.OTHER_REMOVED), (9, Fault.CONFLICT), (12, Fault.OTHER_DIES)), learner=True),
        159,
    ),
    "new cluster is the only one that answers": (
        Scenario(2, "follower", ((0, Fault.FOREIGN_LIST), (12, Fault.TARGET_REMOVED), (17, Fault.TARGET_HANGS))),
        14834,
    ),
    "new cluster is the only one whose member is left": (
        Scenario(
            2,
            "follower",
            ((0, Fault.FOREIGN_LIST), (2, Fault.TARGET_REMOVED), (3, Fault.CRASH), (7, Fault.OTHER_REMOVED)),
        ),
        17794,
    ),
}
"""What once went wrong."""


@pytest.mark.parametrize("what", HARD)
def test_what_once_went_wrong_ends_well(what: str) -> None:
    """Each of them, as a share may leave it out."""
    assert removals([HARD[what]]).wrong == []


class NodeRemovals(Removals):
    """Removals one after the other, whose steps run on nodes."""

    faults: ClassVar[tuple[Fault, ...]] = FAULTS
    kind: ClassVar[type[Cluster]] = NodeCluster
    loop: ClassVar[Callable[[Any], Loop]] = NodeLoop
    steps_to_end: ClassVar[int] = STEPS_TO_END


@pytest.mark.timeout(1_200 if WHOLE else 240)
def test_removals_through_nodes_end_well_in_any_order_of_events(monkeypatch: pytest.MonkeyPatch) -> None:
    """After each effect no invariant is broken; once nothing happens any more each removal ends with the truth."""
    monkeypatch.setattr(Removals, "found", Found())
    run_state_machine_as_test(NodeRemovals, settings=settings(EXAMPLES, max_examples=8_000 if WHOLE else 80))
    Removals.found.tell("state machine, nodes")
    assert {"removed", "RemovalRefused"} <= set(Removals.found.ends)


def sweep(mutant: Callable[..., Any]) -> Iterator[Rolled]:
    """What shows it happens from any of the first calls on."""
    shown = NODE_MUTANTS[mutant]
    for call, target, seed in itertools.product(
        range(CALLS_OF_MUTANTS if shown.faults else 1), ("leader", "follower"), (1, 2)
    ):
        script = tuple(enumerate(shown.faults, start=call))
        first = ((0, shown.first),) if shown.first and call else ()
        yield Scenario(shown.voters, target, (*first, *script)), 10 * call + seed


@pytest.mark.parametrize("mutant", NODE_MUTANTS, ids=lambda mutant: mutant.__name__)
def test_mode_that_is_broken_on_purpose_is_caught(mutant: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Each rule that is taken out breaks the invariant that it is for, and with the rule none is broken."""
    assert removals(sweep(mutant)).wrong == []
    break_it(monkeypatch, mutant)
    assert NODE_MUTANTS[mutant].broken in " ".join(removals(sweep(mutant)).wrong)


TO_HASHES: Final = (Fault.DIVERGES, Fault.NODE_IDLE, Fault.ANSWER_LOST, Fault.CRASH, Fault.OTHER_DIES)


def hashing(*faults: Fault) -> Iterator[Rolled]:
    """Removals that compare hashes first; one of these happens at any of the first calls."""
    for call, fault, target in itertools.product(range(CALLS_OF_MUTANTS), faults, ("leader", "follower")):
        yield Scenario(3, target, ((call, fault),), gates=("hash",)), call


def test_hashes_come_through_nodes_before_any_change(monkeypatch: pytest.MonkeyPatch) -> None:
    """Data that differ refuse the removal; without the comparison a member would leave all the same."""
    found = removals(hashing(*TO_HASHES))
    assert found.wrong == [], "\n".join(found.wrong)
    assert {"removed", "RemovalRefused"} <= set(found.ends)
    monkeypatch.setattr(hash_check, "compared", lambda _: (StepOutcome.CONSISTENT, "as they seem"))
    assert "without hash" in " ".join(removals(hashing(Fault.DIVERGES)).wrong)


def test_what_was_seen_before_does_not_count_in_a_second_attempt(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that dies with the step leaves it to one that must not go by a view of before."""
    died = [
        (Scenario(3, "follower", ((call, Fault.CRASH), (call + 1, Fault.OTHER_DIES))), seed)
        for call, seed in itertools.product(range(CALLS), range(3))
    ]
    assert removals(died).wrong == []
    monkeypatch.setattr(activities.etcd_looks, "FIRST_ATTEMPT", 99)
    assert "quorum" in " ".join(removals(died).wrong)


def test_steps_that_any_worker_takes_do_no_harm(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that does not reach the member that it needs changes nothing; it may go on so for ever."""
    monkeypatch.setattr(OperationState, "node_for", sends_steps_to_anybody)
    wrong = removals(itertools.islice(one_fault(3), 0, None, 20 * SHARE)).wrong
    assert [text for text in wrong if "it does not end" not in text] == []
