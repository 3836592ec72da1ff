"""Two things happen at any two calls of any small cluster's removal: a large share of it, as no server is needed.

As in `test_machine` the activities and the planner are the real ones and `tests.model.loop` stands for the workflow.
"""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import pytest

from tests.model.fault_kinds import TO_REMOVALS, Fault
from tests.model.loop import STEPS_TO_END, Loop, leaping
from tests.model.runner import WHOLE, Found, Scenario, starts

if TYPE_CHECKING:
    from collections.abc import Iterator

SHARE: Final = 3 if WHOLE else 101
CALLS: Final = 10


def two_faults(most_voters: int) -> Iterator[Scenario]:
    """Each pair of faults at each pair of the first calls of each small cluster's removal."""
    pairs = itertools.product(itertools.combinations(range(CALLS), 2), TO_REMOVALS, TO_REMOVALS)
    for start, (calls, first, second) in itertools.product(starts(most_voters), pairs):
        yield replace(start, script=((calls[0], first), (calls[1], second)))


def removal(scenario: Scenario, runner: asyncio.Runner, found: Found) -> list[str]:
    """What was wrong with it."""
    cluster = scenario.cluster(0)
    loop = Loop(cluster)
    for _ in range(STEPS_TO_END):
        runner.run(loop.step())
        if loop.outcome:
            break
    found.count(cluster, loop.outcome or "nothing within its steps")
    wrong = cluster.check_end(loop.outcome, loop.message, recorded=loop.recorded)
    return [f"{scenario}: {text}" for text in (wrong if loop.outcome else [*wrong, "it does not end"])]


HARD: Final = (
    Scenario(3, "follower", ((0, Fault.TARGET_REMOVED), (1, Fault.REJOINED))),
    Scenario(2, "follower", ((0, Fault.TARGET_REMOVED), (1, Fault.REJOINED)), learner=True),
    Scenario(3, "leader", ((5, Fault.NAMESAKE), (6, Fault.NO_LEADER))),
)
"""What once went wrong: a node that joined between the look and the reading of its EtcdMember, and a lock that was not
given back as nobody led."""


@pytest.mark.parametrize("scenario", HARD, ids=["joined-meanwhile", "joined-meanwhile-with-learner", "nobody-leads"])
@pytest.mark.usefixtures("short_waits")
def test_pairs_that_once_went_wrong_end_well(scenario: Scenario) -> None:
    """Each of them, as a share may leave it out."""
    with asyncio.Runner(loop_factory=leaping) as runner:
        assert removal(scenario, runner, Found()) == []


@pytest.mark.timeout(1_200)
@pytest.mark.usefixtures("short_waits")
def test_two_things_happen_at_any_two_calls_of_any_small_cluster() -> None:
    """Every pair of faults, at every pair of the first calls, in every cluster of up to three voters."""
    found = Found()
    with asyncio.Runner(loop_factory=leaping) as runner:
        for scenario in itertools.islice(two_faults(3), 0, None, SHARE):
            found.wrong += removal(scenario, runner, found)
    found.tell("two faults")
    assert found.wrong == [], "\n".join(found.wrong)
    assert {"removed", "already-absent", "RemovalRefused"} <= set(found.ends)
