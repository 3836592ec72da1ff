"""Additions in which other people change the cluster, or cancel it, at every moment: real activities on a model.

Whatever they do and whenever: nothing of theirs is touched, nobody gets a vote who does not work or whom the quorum
cannot bear, a cancelled addition leaves no learner of its own, and every addition ends with the truth. So it is when an
answer is lost besides, or a worker dies.
"""

from __future__ import annotations

import asyncio
import itertools
import os
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, cast

import pytest

from etcd_handoff.cluster_view import ClusterView, MemberView
from etcd_handoff.contract import AdditionRequest, AdditionResult
from etcd_handoff.errors import MemberNotFoundError
from etcd_handoff.operation.state import OperationState
from tests.unit import test_addition_model as model
from tests.unit.test_addition_model import NEVER, URL, World

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

quick = model._nobody_waits_between_looks  # a fixture

DEEDS: Final = (
    "removes it",
    "promotes it",
    "adds another",
    "adds the same",
    "loses a voter",
    "removes a voter",
    "moves the leader",
)
CALLS: Final = 17
COMMANDS: Final = 20
PATIENCE_SECONDS: Final = 60
OWN, SAME, ANOTHER = "4", "8", "7"
"""IDs of the learners: the addition's own, one with its peer URL that somebody else has added, and one with another."""


@dataclass
class Meddled(World):
    """A cluster in which somebody else does something at one call.

    Attributes:
        deed: What it is.
        at: The number of the call before which it is done.
        others: Learners that somebody else has added.
        dead: One of the voters has died.
        shown: Who had been promoted when somebody looked last.
    """

    deed: str = ""
    at: int = NEVER
    others: tuple[str, ...] = ()
    dead: bool = False
    shown: list[str] = field(default_factory=list)

    def _call(self) -> str | None:
        if self.calls == self.at:
            self._meddle()
        return super()._call()

    def _meddle(self) -> None:
        match self.deed:
            case "removes it":
                self.learners.clear()
                self.promoted.clear()
            case "promotes it" if self.pauses >= model.PAUSES_UNTIL_STARTED:
                self.promoted[:] = self.learners
            case "adds another" if not self.learners:
                self.others = (ANOTHER,)
            case "adds the same" if not self.learners:
                self.learners.append(SAME)
            case "loses a voter":
                self.dead = True
            case "removes a voter":
                self.voters.remove("3")
            case "moves the leader":
                self.leader, self.term = "2", self.term + 1

    async def observe(self, doubtful: Iterable[str] = (), leaving: str = "") -> ClusterView:
        """A look."""
        view = await super().observe(doubtful, leaving)
        silent: dict[str, Any] = {"reachable": False, "serves_reads": False, "leader_id": None, "raft_index": 0}
        members = [m.model_copy(update=silent if self.dead and m.id == "3" else {}) for m in view.members]
        self.shown = [*self.promoted]
        members += [MemberView(id=i, name="", peer_urls=("http://other:2380",), is_learner=True) for i in self.others]
        return view.model_copy(update={"members": tuple(members)})

    async def add_learner(self, peer_urls: Iterable[str], via_id: str) -> str:
        """A learner is in."""
        if self.others:
            self.wrong.append("added beside another learner")
        return await super().add_learner(peer_urls, via_id)

    async def promote_member(self, member_id: str, via_id: str) -> None:
        """It has a vote."""
        if self.dead and self.at < self.calls:
            self.wrong.append("promoted although the voters would be no quorum without it")
        await super().promote_member(member_id, via_id)

    async def remove_member(self, member_id: str, via_id: str) -> frozenset[str]:  # noqa: ARG002
        """It has left."""
        trouble = self._call()
        if member_id != OWN:
            self.wrong.append(f"removed {member_id}, which was not its own")
        if member_id in self.shown:  # etcd compares nothing: what comes between look and removal nobody can see
            self.wrong.append("removed a voter")
        if member_id not in self.learners:
            raise MemberNotFoundError(member_id)
        self._change(trouble, f"remove {member_id}")
        return frozenset({*self.voters, *self.learners, *self.others})

    def _take_effect(self, what: str) -> None:
        if what.startswith("remove "):
            self.learners = [i for i in self.learners if i != what.removeprefix("remove ")]
        elif what != "add" and what not in self.learners:
            pass  # etcd does not promote who is gone
        else:
            super()._take_effect(what)


async def run(world: Meddled, cancelled_at: int = NEVER) -> AdditionResult | str:
    """The result of the addition, why it has failed, or `cancelled`."""
    request = AdditionRequest(cluster="demo", name="node4", peer_urls=(URL,))
    state = OperationState(run_id="run", chain_id="chain", request=request, blocked_remaining_seconds=PATIENCE_SECONDS)
    return cast("AdditionResult | str", await model.carried_out(world, state, cancelled_at))


def judged(world: Meddled, result: AdditionResult | str) -> list[str]:
    """What is not as it should be at the end."""
    votes = [i for i in world.learners if i in world.promoted]
    wrong = [*world.wrong]
    if isinstance(result, AdditionResult):
        gone = world.deed == "removes it" and _came_last(world)
        wrong += [] if gone or [result.member_id] == votes else [f"told of {result.member_id}, and {votes} has a vote"]
    elif result.startswith("cancelled"):
        wrong += _left_behind(world, result)
    else:
        right = [RIGHT_FAILURES.get(world.deed, "-"), *(SHORT_OF_LOOKS if world.script else ())]
        wrong += [] if world.deed in RIGHT_FAILURES and any(text in result for text in right) else [result]
    return wrong


def _left_behind(world: Meddled, result: str) -> list[str]:
    """What is wrong with what a cancelled addition leaves.

    When the step that adds the learner was told nothing of it, nobody knows whose it is: it stays, and is named.
    """
    if OWN not in world.learners:
        return []
    if OWN in world.promoted and not _came_last(world):
        return [f"cancelled with a vote: {result}"]
    unknown = any(at in ADDING for at in world.script)
    named = f"learner {OWN} stays in the cluster without a vote" in result
    return [] if unknown and named else [f"its own learner stays: {result}"]


def _came_last(world: Meddled) -> bool:
    """Whether the deed was done after the last look: then a lock is given back that was left behind, and no more."""
    return bool(world.script) and world.at >= world.calls - CALLS_OF_A_LEFT_LOCK


CALLS_OF_A_LEFT_LOCK: Final = 2
RIGHT_FAILURES: Final = {
    "removes it": "somebody has removed it",
    "adds another": "LearnerInTheWay",
    "loses a voter": "QuorumAtRisk",
}
SHORT_OF_LOOKS: Final = ("ClusterUnavailable", "StepFails")
"""As what it ends as well where the last look before the time is over goes wrong."""


@pytest.mark.parametrize("deed", DEEDS)
def test_nothing_that_others_do_leads_to_harm(deed: str) -> None:
    """Before every call to etcd."""
    found = {}
    for at in range(CALLS + 3):
        world = Meddled({}, deed=deed, at=at)
        if wrong := judged(world, asyncio.run(run(world))):
            found[at] = wrong
    assert found == {}


@pytest.mark.parametrize("deed", ["", "removes it", "promotes it", "adds the same"])
def test_cancelled_addition_takes_out_its_own_learner_alone(deed: str) -> None:
    """Cancelled at every command, while somebody else does something before any call."""
    found, ends = {}, set[str]()
    for cancelled_at in range(COMMANDS):
        for at in range(2, CALLS, 3) if deed else (NEVER,):
            world = Meddled({}, deed=deed, at=at)
            result = asyncio.run(run(world, cancelled_at))
            ends.add(result.split(":")[0] if isinstance(result, str) else "added")
            if wrong := judged(world, result):
                found[cancelled_at, at] = wrong
    assert found == {}
    assert {"cancelled", "added"} <= ends


# --- with a lost answer, or a worker that dies, besides ----------------------------------------------------------

ADD, PROMOTE = 4, 13
ADDING: Final = range(2, 7)
"""Numbers of the calls that change the membership, and of all that adding the learner makes."""
ONCE: Final = ("answer lost", "crash", model.GIVEN_UP)
"""What may go wrong at a call that changes nothing, where it is all one whether the call had an effect."""
WHOLE: Final = bool(os.environ.get("MODEL"))
"""With MODEL=all everything runs, half an hour; else a fixed share of it."""
SHARE: Final = 1 if WHOLE else 13
SHARE_OF_CANCELLED: Final = 1 if WHOLE else 307
"""One of so many; no divisor of how many calls, troubles or commands there are."""


def troubles() -> Iterator[tuple[int, str]]:
    """One thing that goes wrong: at which call, and what."""
    for at in range(CALLS):
        yield from ((at, trouble) for trouble in ((*model.TROUBLES, model.GIVEN_UP) if at in (ADD, PROMOTE) else ONCE))


@pytest.mark.parametrize("deed", DEEDS)
def test_nothing_that_others_do_leads_to_harm_when_something_goes_wrong_besides(deed: str) -> None:
    """Before every call to etcd, with a lost answer or a death at every call."""
    found, cases = {}, itertools.product(troubles(), range(CALLS + 1))
    for (trouble_at, trouble), at in itertools.islice(cases, 0, None, SHARE):
        world = Meddled({trouble_at: trouble}, deed=deed, at=at)
        if wrong := judged(world, asyncio.run(run(world))):
            found[trouble_at, trouble, at] = wrong
    assert found == {}


@pytest.mark.parametrize("deed", ["", *DEEDS])
def test_cancelled_addition_takes_out_its_own_learner_alone_when_something_goes_wrong_besides(deed: str) -> None:
    """All of that, cancelled at every command."""
    found, ends = {}, Counter[str]()
    cases = itertools.product(troubles(), range(CALLS + 1), range(COMMANDS + 2))
    for (trouble_at, trouble), at, cancelled_at in itertools.islice(cases, 0, None, SHARE_OF_CANCELLED):
        world = Meddled({trouble_at: trouble}, deed=deed, at=at)
        result = asyncio.run(run(world, cancelled_at))
        ends[result.split(":")[0] if isinstance(result, str) else "added"] += 1
        if wrong := judged(world, result):
            found[trouble_at, trouble, at, cancelled_at] = wrong
    assert found == {}
    assert {"cancelled", "added"} <= set(ends)


@pytest.mark.parametrize("trouble", ["no effect", "late"])
def test_learner_that_came_instead_of_the_own_one_is_not_taken_out(trouble: str) -> None:
    """Etcd's answer is lost, nothing comes of what was asked, and somebody else has added the same peer URL since."""
    found = {}
    for cancelled_at in range(COMMANDS):
        world = Meddled({ADD: trouble}, deed="adds the same", at=ADD + 1)
        if wrong := judged(world, asyncio.run(run(world, cancelled_at))):
            found[cancelled_at] = wrong
    assert found == {}


@pytest.mark.parametrize("trouble", ["crash", model.GIVEN_UP])
@pytest.mark.parametrize("trouble_at", range(ADD))
def test_learner_that_came_after_a_worker_died_is_not_taken_out(trouble_at: int, trouble: str) -> None:
    """The attempt died before it proposed anything, and somebody else has added a learner with the same peer URL."""
    found, stayed = {}, 0
    for at, cancelled_at in itertools.product(range(trouble_at + 1, ADD + 2), range(COMMANDS)):
        world = Meddled({trouble_at: trouble}, deed="adds the same", at=at)
        if wrong := judged(world, asyncio.run(run(world, cancelled_at))):
            found[at, cancelled_at] = wrong
        stayed += world.learners == [SAME]
    assert found == {}
    assert stayed


def test_operation_that_takes_any_learner_out_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """So the judgement above can fail."""
    original = OperationState.with_joining

    def takes_all_for_its_own(state: OperationState, **fields: Any) -> OperationState:
        return original(state, **{**fields, "sent": True})

    monkeypatch.setattr(OperationState, "with_joining", takes_all_for_its_own)
    wrong = list[str]()
    for cancelled_at in range(COMMANDS):
        world = Meddled({}, deed="adds the same", at=2)
        wrong += judged(world, asyncio.run(run(world, cancelled_at)))
    assert "removed 8, which was not its own" in wrong
