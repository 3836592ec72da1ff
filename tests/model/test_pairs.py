"""Two things happen at any two calls of any small cluster's removal: all of it, since no server is needed.

As in `test_machine` the activities and the planner are the real ones and `tests.model.loop` stands for the workflow.
"""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import pytest

from tests.model.loop import STEPS_TO_END, Loop, leaping
from tests.model.runner import WHOLE, Found, Scenario, starts
from tests.model.trouble import TO_REMOVALS

if TYPE_CHECKING:
    from collections.abc import Iterator

SHARE: Final = 1 if WHOLE else 101
CALLS: Final = 10


def two_troubles(most_voters: int) -> Iterator[Scenario]:
    """Each pair of troubles at each pair of the first calls of each small cluster's removal."""
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
    wrong = cluster.judge_end(loop.outcome, loop.said, recorded=loop.recorded)
    return [f"{scenario}: {text}" for text in (wrong if loop.outcome else [*wrong, "it does not end"])]


@pytest.mark.timeout(900)
@pytest.mark.usefixtures("short_waits")
def test_two_things_happen_at_any_two_calls_of_any_small_cluster() -> None:
    """Every pair of troubles, at every pair of the first calls, in every cluster of up to three voters."""
    found = Found()
    with asyncio.Runner(loop_factory=leaping) as runner:
        for scenario in itertools.islice(two_troubles(3), 0, None, SHARE):
            found.wrong += removal(scenario, runner, found)
    found.tell("two troubles")
    assert found.wrong == []
    assert {"removed", "already-absent", "RemovalRefused"} <= set(found.ends)
