"""The removal's loop against a model of a cluster: whatever happens at whichever call, no invariant breaks and it ends.

Hundreds of removals run at once on a real Temporal server, each in a cluster of its own, by a worker of ours whose
activities meet the model instead of etcd and Kubernetes.
"""

from __future__ import annotations

import itertools
import random
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import pytest
from temporalio.client import WorkflowUpdateRPCTimeoutOrCancelledError

import activities.change_queue
from activities.record_ahead import RecordAhead
from etcd_handoff.contract import FailureType
from etcd_handoff.operation import queue_requests
from etcd_handoff.operation.change_queue import start_delay
from tests.model.fault_kinds import TO_GATES, TO_REMOVALS, Fault
from tests.model.invariants import OUT
from tests.model.mutants import ALL_MUTANTS, break_it
from tests.model.runner import WHOLE, Scenario, starts
from tests.model.test_pairs import HARD

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from temporalio.client import WorkflowHandle

    from etcd_handoff.activity_io import StepInput
    from etcd_handoff.cluster_view import ClusterView
    from etcd_handoff.operation.queue_messages import QueueEntry, QueuePosition
    from tests.model.runner import Runner

pytestmark = pytest.mark.integration

SEED: Final = 20260101
SHARE: Final = 1 if WHOLE else 41
SHARE_OF_GATES: Final = 3 if WHOLE else 127
CALLS: Final = 10
"""The first calls, at each of which each fault happens once; a leader's removal makes some fourteen."""
CALLS_WITH_RECORD_AHEAD: Final = 14
"""The EtcdMember is read ahead and written ahead, each by one worker that moves leadership or removes the member."""
CALLS_WITH_GATES: Final = 16
"""The gates of three voters make ten calls more."""


def one_fault(most_voters: int, calls: int = CALLS) -> Iterator[Scenario]:
    """Each fault at each of the first calls of each small cluster's removal."""
    for start, call, fault in itertools.product(starts(most_voters), range(calls), TO_REMOVALS):
        yield replace(start, script=((call, fault),))


def several_faults(count: int) -> Iterator[Scenario]:
    """Larger clusters, in which several things happen, some at once; half of the removals wait for nothing."""
    dice = random.Random(SEED)  # noqa: S311  # a test's
    for _ in range(count):
        start = dice.choice(starts(7))
        calls = sorted(dice.sample(range(16), dice.randint(2, 5)))
        script = tuple((call, dice.choice(TO_REMOVALS)) for call in calls)
        yield replace(start, script=script, patience_seconds=dice.choice((0.0, 60.0)))


@pytest.mark.timeout(900 if WHOLE else 240)
@pytest.mark.asyncio(loop_scope="module")
async def test_one_thing_happens_at_any_call_of_any_small_cluster(runner: Runner) -> None:
    """Every fault at every one of the first calls, in every cluster of up to three voters."""
    found = await runner.run(itertools.islice(one_fault(3), 0, None, SHARE))
    found.tell("one fault")
    assert found.wrong == [], "\n".join(found.wrong)
    assert {"removed", "already-absent", FailureType.REMOVAL_REFUSED} <= set(found.ends)


@pytest.mark.timeout(900 if WHOLE else 240)
@pytest.mark.asyncio(loop_scope="module")
async def test_several_things_happen_in_larger_clusters(runner: Runner) -> None:
    """Two to five faults, in clusters of up to seven voters."""
    found = await runner.run(several_faults(1_000 if WHOLE else 100))
    found.tell(f"several faults, seed {SEED}")
    assert found.wrong == [], "\n".join(found.wrong)
    assert FailureType.BLOCKED_TOO_LONG in found.ends


def at_the_gates() -> Iterator[Scenario]:
    """Each fault at each of the first calls of removals that are to ask, compare and save first."""
    for start, call, fault in itertools.product(starts(3), range(CALLS_WITH_GATES), TO_GATES):
        yield replace(start, script=((call, fault),), gates=("approval", "hash", "snapshot"))


@pytest.mark.timeout(900 if WHOLE else 240)
@pytest.mark.asyncio(loop_scope="module")
async def test_record_that_is_written_ahead_is_true(runner: Runner) -> None:
    """Every fault at every call of a worker that writes the EtcdMember as soon as etcd has confirmed the removal."""
    found = await runner.run(
        itertools.islice(one_fault(3, CALLS_WITH_RECORD_AHEAD), SHARE // 2, None, SHARE), ahead=True
    )
    found.tell("record ahead")
    assert found.wrong == [], "\n".join(found.wrong)
    assert found.early > 0


@pytest.mark.asyncio(loop_scope="module")
async def test_record_that_is_written_before_etcd_confirms_is_caught(
    runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It calls members out whose removal etcd then does not carry out."""
    scenarios = [Scenario(3, "follower", ((call, Fault.NO_EFFECT),)) for call in range(CALLS_WITH_RECORD_AHEAD)]
    assert (await runner.run(scenarios, ahead=True)).wrong == []

    def too_early(ahead: RecordAhead, act: StepInput, view: ClusterView) -> None:
        read(ahead, act, view)
        ahead.write(act, view.only({m.id for m in view.members} - {act.target_id}))

    read = RecordAhead.read
    monkeypatch.setattr(RecordAhead, "read", too_early)
    assert OUT in " ".join((await runner.run(scenarios, ahead=True)).wrong)


@pytest.mark.timeout(900 if WHOLE else 240)
@pytest.mark.asyncio(loop_scope="module")
async def test_nothing_is_changed_before_the_gates_are_passed(runner: Runner) -> None:
    """Approval, equal hashes and a whole snapshot come before the first change, whatever happens meanwhile."""
    found = await runner.run(itertools.islice(at_the_gates(), 0, None, SHARE_OF_GATES))
    found.tell("gates")
    assert found.wrong == [], "\n".join(found.wrong)
    assert {"removed", FailureType.REMOVAL_REFUSED} <= set(found.ends)


@pytest.mark.asyncio(loop_scope="module")
async def test_pairs_that_once_went_wrong_end_well(runner: Runner) -> None:
    """Each of them, with the workflow itself."""
    wrong = (await runner.run(HARD)).wrong
    assert wrong == [], "\n".join(wrong)


class Unwoken:
    """Asks the queue as a removal does, but for the call that is only to wake it: no worker takes that in time."""

    def __init__(self) -> None:
        self._position = activities.change_queue._position  # noqa: SLF001  # this stands in its place
        self.unheard = 0

    async def __call__(self, queue: WorkflowHandle[Any, Any], entry: QueueEntry, seconds: float) -> QueuePosition:
        """The queue's answer."""
        if entry.waits:
            return await self._position(queue, entry, seconds)
        self.unheard += 1
        raise WorkflowUpdateRPCTimeoutOrCancelledError


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("woken", [True, False])
async def test_queue_in_its_start_delay_takes_new_entries(
    runner: Runner, monkeypatch: pytest.MonkeyPatch, *, woken: bool
) -> None:
    """A removal that gives its turn back, and soon wants it again, waits for the queue alone, which can be woken."""
    monkeypatch.setattr(queue_requests, "rejoin_pause", lambda _: timedelta(hours=1))
    monkeypatch.setattr(
        activities.change_queue, "start_delay", lambda _: timedelta(hours=1) if woken else start_delay(0)
    )
    unwoken = Unwoken()
    if not woken:
        monkeypatch.setattr(activities.change_queue, "_position", unwoken)
    found = await runner.run([Scenario(3, "leader", ((1, Fault.OTHER_DIES),))])
    assert (found.wrong, dict(found.ends)) == ([], {"removed": 1})
    assert woken or unwoken.unheard, "its turn was not given back"


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("mutant", ALL_MUTANTS, ids=lambda mutant: mutant.__name__)
async def test_loop_that_is_broken_on_purpose_is_caught(
    runner: Runner, mutant: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each rule that is taken out breaks the invariant that it is for, and with the rule none is broken."""
    broken, scenario = ALL_MUTANTS[mutant]
    assert (await runner.run([scenario])).wrong == []
    break_it(monkeypatch, mutant)
    assert broken in " ".join((await runner.run([scenario])).wrong)
