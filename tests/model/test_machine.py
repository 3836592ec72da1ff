"""Hypothesis against the loop: steps, crashes, lost answers and other actors in any order, in up to seven members.

The activities and the planner are the real ones; `tests.model.loop` stands for the workflow, so that a removal takes
milliseconds and hundreds of orders can be tried. Waits inside activities pass at once: time is the model's too.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, ClassVar, Final

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tests.model.cluster import Cluster
from tests.model.fault_kinds import TO_REMOVALS, Fault
from tests.model.loop import STEPS_TO_END, Loop, leaping
from tests.model.members import Member, resource
from tests.model.mutants import MUTANTS, break_it
from tests.model.runner import WHOLE, Found

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.usefixtures("short_waits")

CALLS_OF_A_STEP: Final = 4
EXAMPLES: Final = settings(
    max_examples=15_000 if WHOLE else 800,
    stateful_step_count=30,
    derandomize=not WHOLE,  # the whole of it draws anew each time, and prints how to repeat what it finds
    deadline=None,
    database=None,
    print_blob=WHOLE,
    report_multiple_bugs=False,
    suppress_health_check=list(HealthCheck),
)


class Removals(RuleBasedStateMachine):
    """Removals in one cluster, one after the other, among everything that may happen to them."""

    found = Found()
    faults: ClassVar[tuple[Fault, ...]] = TO_REMOVALS
    kind: ClassVar[type[Cluster]] = Cluster
    loop: ClassVar[Callable[[Any], Loop]] = Loop
    steps_to_end: ClassVar[int] = STEPS_TO_END

    def __init__(self) -> None:
        super().__init__()
        self._runner = asyncio.Runner(loop_factory=leaping)

    @initialize(voters=st.integers(1, 7), learners=st.integers(0, 2), data=st.data())
    def begin(self, voters: int, learners: int, data: st.DataObject) -> None:
        """A whole cluster, and somebody in it who is to leave."""
        members = [Member(f"a{i:x}", f"m{i}", voter=i < voters) for i in range(min(voters + learners, 7))]
        target = data.draw(st.sampled_from([m.name for m in members]))
        self.cluster = self.kind(
            number=0,
            members={m.id: m for m in members},
            leader=members[0].id,
            target=target,
            script={},
            resources={m.name: resource(m.name, m.id) for m in members},
            heals=False,
        )
        self.removal = type(self).loop(self.cluster)

    @rule()
    @precondition(lambda self: not self.removal.outcome)
    def step(self) -> None:
        """The loop goes on."""
        self._advance()

    @rule(call=st.integers(0, CALLS_OF_A_STEP - 1), data=st.data())
    @precondition(lambda self: not self.removal.outcome and self.faults)
    def step_that_meets(self, call: int, data: st.DataObject) -> None:
        """The loop goes on, and at one of the step's calls something happens, a crash or a lost answer for one."""
        self.cluster.script = {self.cluster.calls + call: data.draw(st.sampled_from(self.faults))}
        self._advance()
        self.cluster.script = {}

    @rule(data=st.data())
    @precondition(lambda self: self.faults)
    def happens(self, data: st.DataObject) -> None:
        """Something happens between two steps."""
        self.cluster.inject(data.draw(st.sampled_from(self.faults)))

    @rule()
    def healed(self) -> None:
        """Everybody is well again."""
        self.cluster.heal()

    @rule(data=st.data())
    @precondition(lambda self: self.removal.outcome)
    def another(self, data: st.DataObject) -> None:
        """The next one is to leave."""
        names = sorted({m.name for m in self.cluster.members.values() if m.name} | {self.cluster.target})
        self.cluster.aim(data.draw(st.sampled_from(names)))
        self.removal = type(self).loop(self.cluster)

    @invariant()
    def nothing_is_wrong(self) -> None:
        """Nothing was done that must never be."""
        assert self.cluster.wrong == [], "; ".join(self.cluster.wrong)

    def teardown(self) -> None:
        """Nothing happens any more, and everybody is well: the removal ends, and what it says is true."""
        try:
            if hasattr(self, "cluster") and not self.cluster.wrong:
                self._end()
                self.found.calls += self.cluster.calls
                self.found.states |= self.cluster.states
        finally:
            self._runner.close()

    def _end(self) -> None:
        self.cluster.heals = True
        for _ in range(self.steps_to_end):
            if self.removal.outcome:
                return
            self._advance()
        if self.removal.unsettled:
            return
        msg = "the removal does not end"
        raise AssertionError(msg)

    def _advance(self) -> None:
        """A step; a removal that has ended by it is judged at once, before anything else happens."""
        self._runner.run(self.removal.step())
        self.nothing_is_wrong()
        if ended := self.removal.outcome:
            self.found.ends[ended] += 1
            assert self.cluster.check_end(ended, self.removal.message, recorded=self.removal.recorded) == []


class RemovalsInRuns(Removals):
    """The same, and any pause may be where a removal goes on as a new run."""

    @rule()
    @precondition(lambda self: not self.removal.outcome)
    def continues(self) -> None:
        """A new run goes on in place of the next pause."""
        self.removal.continues = True


@pytest.mark.timeout(2400 if WHOLE else 600)
@pytest.mark.parametrize("machine", [Removals, RemovalsInRuns], ids=lambda machine: machine.__name__)
def test_removals_end_well_in_any_order_of_events(machine: type[Removals], monkeypatch: pytest.MonkeyPatch) -> None:
    """After each effect no invariant is broken; once nothing happens any more each removal ends with the truth."""
    monkeypatch.setattr(Removals, "found", Found())
    run_state_machine_as_test(machine, settings=EXAMPLES)
    Removals.found.tell(f"state machine, {machine.__name__}")
    assert {"removed", "already-absent", "RemovalRefused"} <= set(Removals.found.ends)


ALSO_BREAKS: Final = {"counts_who_lags": ("leadership was offered to somebody who cannot take it",)}
"""What else a missing rule breaks in a search that is long enough, and may break first."""


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.__name__)
def test_machine_catches_a_loop_that_is_broken_on_purpose(
    mutant: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each rule that is taken out breaks the invariant that it is for in some order of the events that it is about.

    Among all events the search would meet those few in the right order by luck alone.
    """
    break_it(monkeypatch, mutant)
    broken, scenario = MUTANTS[mutant]
    monkeypatch.setattr(Removals, "faults", tuple(fault for _, fault in scenario.script))
    broken = "|".join((broken, *ALSO_BREAKS.get(mutant.__name__, ())))
    with pytest.raises(AssertionError, match=broken):
        run_state_machine_as_test(Removals, settings=settings(EXAMPLES, max_examples=1_000, phases=[Phase.generate]))
