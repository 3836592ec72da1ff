"""Additions in which other people change the cluster, or cancel it, at every moment: real activities on a model.

Whatever they do and whenever: nothing of theirs is touched, nobody gets a vote who does not work or whom the quorum
cannot bear, a cancelled addition leaves no learner of its own, and every addition ends with the truth.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast

import pytest

from activities.etcd import EtcdActivities
from etcd_handoff.cluster_view import ClusterView, MemberView
from etcd_handoff.contract import AdditionRequest, AdditionResult
from etcd_handoff.operation import ending
from etcd_handoff.operation.commands import Cancel, Fail, Finish, LookThroughNodes, Wait
from etcd_handoff.operation.loop import apply, decide
from etcd_handoff.operation.state import OperationState
from tests.model.gateways import config_of
from tests.unit import test_addition_model as model
from tests.unit.test_addition_model import URL, World

if TYPE_CHECKING:
    from collections.abc import Iterable

quick = model._nobody_waits_between_looks  # a fixture

DEEDS: Final = ("removes it", "promotes it", "adds another", "adds the same", "loses a voter")
NEVER: Final = 10**6
CALLS: Final = 17
COMMANDS: Final = 20
PATIENCE_SECONDS: Final = 60


@dataclass
class Meddled(World):
    """A cluster in which somebody else does something at one call.

    Attributes:
        deed: What it is.
        at: The number of the call before which it is done.
        others: Learners that somebody else has added.
        own: Whether the learner with the wanted peer URL is the addition's own.
        dead: One of the voters has died.
    """

    deed: str = ""
    at: int = NEVER
    others: tuple[str, ...] = ()
    own: bool = False
    dead: bool = False

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
                self.others = ("7",)
            case "adds the same" if not self.learners:
                self.learners.append("8")
            case "loses a voter":
                self.dead = True

    async def observe(self, doubtful: Iterable[str] = (), leaving: str = "") -> ClusterView:
        """A look."""
        view = await super().observe(doubtful, leaving)
        silent: dict[str, Any] = {"reachable": False, "serves_reads": False, "leader_id": None, "raft_index": 0}
        members = [m.model_copy(update=silent if self.dead and m.id == "3" else {}) for m in view.members]
        members += [MemberView(id=i, name="", peer_urls=("http://other:2380",), is_learner=True) for i in self.others]
        return view.model_copy(update={"members": tuple(members)})

    async def add_learner(self, peer_urls: Iterable[str], via_id: str) -> str:
        """A learner is in."""
        before = [*self.learners]
        if self.others:
            self.wrong.append("added beside another learner")
        try:
            return await super().add_learner(peer_urls, via_id)
        finally:
            self.own = self.own or (not before and "4" in self.learners)

    async def promote_member(self, member_id: str, via_id: str) -> None:
        """It has a vote."""
        if self.dead and self.at < self.calls:
            self.wrong.append("promoted although the voters would be no quorum without it")
        await super().promote_member(member_id, via_id)

    async def remove_member(self, member_id: str, via_id: str) -> frozenset[str]:  # noqa: ARG002
        """It is out."""
        if member_id != "4" or not self.own:
            self.wrong.append(f"removed {member_id}, which was not its own")
        if member_id in self.promoted:
            self.wrong.append("removed a voter")
        self.learners.remove(member_id)
        return frozenset({"1", "2", "3", *self.learners, *self.others})


async def run(world: Meddled, cancelled_at: int = NEVER) -> AdditionResult | str:
    """The result of the addition, why it has failed, or `cancelled`."""
    activities = EtcdActivities(config_of(["demo"]), "node1", gateway=lambda *_: world)
    request = AdditionRequest(cluster="demo", name="node4", peer_urls=(URL,))
    state = OperationState(run_id="run", chain_id="chain", request=request, blocked_seconds_left=PATIENCE_SECONDS)
    now = 0.0
    for number in range(model.MOST_COMMANDS):
        state, command = decide(state, now)
        if isinstance(command, Finish):
            return cast("AdditionResult", command.result)
        if isinstance(command, Fail):
            return command.failure.text
        if isinstance(command, Cancel):
            return f"cancelled: {state.doing}"
        if number == cancelled_at:
            state = state.changed(cancel_requested=True)
            if not state.point_of_no_return:
                state = ending.cancelled(state)
                continue
        if isinstance(command, Wait):
            now, world.pauses = now + (command.seconds or 0.0), world.pauses + 1
        looked = isinstance(command, LookThroughNodes)  # nobody runs on the nodes
        result = () if looked else await model.result_of(activities, command, number, state, world)
        state = apply(state, command, result, now)
    return f"it goes round in circles: {state.doing}"


def judged(world: Meddled, result: AdditionResult | str) -> list[str]:
    """What is not as it should be at the end."""
    votes = [i for i in world.learners if i in world.promoted]
    wrong = [*world.wrong]
    if isinstance(result, AdditionResult):
        wrong += [] if [result.member_id] == votes else [f"told of {result.member_id}, and {votes} has a vote"]
    elif result.startswith("cancelled"):
        wrong += [f"its own learner stays: {result}"] if world.own and world.learners == ["4"] else []
    else:
        right = {
            "removes it": "somebody has removed it",
            "adds another": "LearnerInTheWay",
            "loses a voter": "QuorumAtRisk",
        }
        wrong += [] if right.get(world.deed, "-") in result else [result]
    return wrong


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
