"""The loop of a replacement with its real activities on a cluster of the test, and with something wrong at each call.

Whatever happens at any call, the new member has been added once and promoted when it was in sync, the old one has left
and nobody else, and at no moment were fewer voters up than a quorum.
"""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import pytest

from etcd_handoff import time_limits
from etcd_handoff.cluster_view import ClusterView, MemberView
from etcd_handoff.contract import ReplacementRequest, ReplacementResult
from etcd_handoff.errors import ChangeRefusedError, UnreachableError
from etcd_handoff.operation.state import OperationState
from etcd_handoff.operation.whole_change import WholeChange
from etcd_handoff.planning import StartRemoval, part_order
from tests.unit.test_addition_model import FIRST_INDEX, LATE_CALLS, TROUBLES, World, carried_out

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

URL: Final = "http://node4:2380"
MOST_COMMANDS: Final = 300


@dataclass
class Replaced(World):
    """Three voters, one of which is replaced: node1, which leads, or node3, which is down.

    Attributes:
        old: ID of the member that is replaced.
        dead: Whether it is down.
    """

    old: str = "1"
    dead: bool = False

    @property
    def up(self) -> list[str]:
        """Voters that work."""
        return [i for i in self.voters if not (self.dead and i == self.old)]

    async def observe(self, doubtful: Iterable[str] = (), leaving: str = "") -> ClusterView:  # noqa: ARG002
        """A look."""
        if (trouble := self._call()) in ("answer lost", "no effect", "late"):
            raise UnreachableError(trouble)
        self._crash_at(trouble)
        members = [self._seen(i) for i in sorted({*self.voters, *self.learners})]
        return ClusterView(cluster_id="c", members=tuple(members))

    def _seen(self, member_id: str) -> MemberView:
        votes, new = member_id in self.voters, member_id in self.learners
        url = URL if new else f"http://node{member_id}:2380"
        silent = (new and not self.pauses) or (member_id not in self.up and votes)
        member = MemberView(
            id=member_id, name="node4" if new else f"node{member_id}", peer_urls=(url,), is_learner=not votes
        )
        if silent:
            return member.model_copy(update={"name": ""} if new else {})
        index = FIRST_INDEX + self.entries if not new or self.in_sync else 10
        well = {"reachable": True, "leader_id": self.leader, "term": self.term, "raft_index": index}
        return member.model_copy(update={**well, "serves_reads": votes})

    async def status_of(self, member_id: str) -> tuple[str | None, int]:
        """Whom a member follows."""
        self._crash_at(self._call())
        if member_id not in self.up:
            raise UnreachableError(member_id)
        return self.leader, self.term

    async def move_leader(self, leader_id: str, transferee_id: str) -> None:
        """Another one leads."""
        trouble = self._call()
        if leader_id != self.leader or transferee_id == self.old:
            self.wrong.append(f"{leader_id} hands over to {transferee_id}")
        self._change(trouble, f"lead {transferee_id}")

    async def remove_member(self, member_id: str, via_id: str) -> frozenset[str]:  # noqa: ARG002
        """It has left."""
        trouble = self._call()
        if member_id != self.old:
            self.wrong.append(f"{member_id} is removed")
        if member_id not in self.voters:
            msg = "etcdserver: member not found"
            raise ChangeRefusedError(msg)
        self._change(trouble, "remove")
        return frozenset(self.voters)

    def _take_effect(self, what: str) -> None:
        if what.startswith("lead "):
            self.leader, self.term = what.removeprefix("lead "), self.term + 1
        elif what == "remove":
            if self.leader == self.old and self.old in self.voters:
                self.wrong.append("the leader is removed")
            self.voters = [i for i in self.voters if i != self.old]
        elif what == "add":
            if self.dead and self.old in self.voters:
                self.wrong.append("etcd would refuse it: one of three is down")
            self.learners += ["4"] * ("4" not in self.learners)
        else:
            self.promoted += [what] * (what not in self.promoted)
            self.voters += [what] * (what not in self.voters)
        if 2 * len([i for i in self.up if i != "4"]) <= len(self.voters):
            self.wrong.append(f"only {self.up} of {self.voters} are up")


async def run(world: Replaced) -> ReplacementResult | str:
    """The result of the replacement, or why it has failed."""
    request = ReplacementRequest(cluster="demo", member=f"node{world.old}", name="node4", peer_urls=(URL,))
    state = OperationState(
        run_id="run",
        chain_id="chain",
        request=request,
        whole=WholeChange(request=request),
        blocked_remaining_seconds=3600,
    )
    result = await carried_out(world, state, most_commands=MOST_COMMANDS)
    assert isinstance(result, ReplacementResult | str)
    return result


def broken(script: Mapping[int, str], *, dead: bool = False) -> list[str]:
    """What is not as it should be at the end of such a replacement."""
    world = Replaced(script, old="3" if dead else "1", dead=dead)
    result = asyncio.run(run(world))
    if not isinstance(result, ReplacementResult):
        return [*world.wrong, result]
    there = (sorted(world.voters), world.promoted, result.member_id, result.new_member_id, str(result.outcome))
    right = (sorted({"1", "2", "3", "4"} - {world.old}), ["4"], world.old, "4", "replaced")
    return world.wrong if there == right else [*world.wrong, repr(there)]


@pytest.fixture(autouse=True)
def _no_real_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """An election or a transfer that does not come is waited for a moment."""
    short = replace(
        time_limits.STEPS,
        transfer_seconds=0.02,
        election_seconds=0.02,
        voters_first_seconds=0.01,
        sync_pause_seconds=0.0,
        lock_release_pause_seconds=0.0,
    )
    monkeypatch.setattr(time_limits, "STEPS", short)


CALLS_WITHOUT_TROUBLE: Final = 32
assert LATE_CALLS < CALLS_WITHOUT_TROUBLE


@pytest.mark.parametrize("dead", [False, True])
def test_replacement_without_trouble_calls_etcd_so_often(*, dead: bool) -> None:
    """So the scripts below reach every call."""
    world = Replaced({}, old="3" if dead else "1", dead=dead)
    assert isinstance(asyncio.run(run(world)), ReplacementResult)
    assert world.calls <= CALLS_WITHOUT_TROUBLE


@pytest.mark.parametrize(("first", "dead"), [*itertools.product(range(CALLS_WITHOUT_TROUBLE), (False, True))])
def test_one_member_takes_the_others_place_whatever_goes_wrong(first: int, *, dead: bool) -> None:
    """Once, and twice in a row."""
    scripts = [{first: trouble} for trouble in TROUBLES]
    scripts += [{first: one, first + 1: other} for one, other in itertools.product(TROUBLES, TROUBLES)]
    assert {repr(script): wrong for script in scripts if (wrong := broken(script, dead=dead))} == {}


def test_loop_that_removes_without_a_look_at_the_quorum_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """So the judgement above can fail: the dead one stays until the new one is added."""

    def additions_first(view: Any, goal: Any, begun: Any) -> Any:
        parts = list(REAL_PARTS(view, goal, begun))
        return iter(sorted(parts, key=lambda part: isinstance(part, StartRemoval)))

    monkeypatch.setattr(part_order, "_parts", additions_first)
    monkeypatch.setattr("etcd_handoff.planning.obstacles.obstacle_to_joining", lambda *_: None)
    monkeypatch.setattr("etcd_handoff.planning.obstacles.obstacle_to_promotion", lambda *_: None)
    assert "etcd would refuse it: one of three is down" in broken({}, dead=True)


REAL_PARTS = part_order._parts
