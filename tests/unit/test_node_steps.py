"""What a removal's step concludes from its own member's list alone, where no worker reaches all members."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from activities.etcd_change import release_abandoned_lock
from etcd_handoff.activity_io import ReleaseLockInput
from etcd_handoff.errors import MemberNotFoundError, UnknownOutcomeError
from tests.fakes.etcd import FakeEtcd
from tests.unit.test_etcd_removal import ACT, THREE, looks_at, removed

if TYPE_CHECKING:
    from etcd_handoff.activity_io import StepResult
    from etcd_handoff.errors import EtcdError

LOST = UnknownOutcomeError("no answer within 1 s")
NOT_FOUND = MemberNotFoundError("member not found")


class Shrinking(FakeEtcd):
    """A cluster whose list is another one once the removal was proposed."""

    def __init__(self, error: EtcdError, left: tuple[str, ...]) -> None:
        super().__init__(THREE, failures={"remove_member": [error]})
        self._left = left

    async def remove_member(self, member_id: str, via_id: str) -> frozenset[str]:
        """The list changes, and the answer is an error."""
        self.members = {i: self.members[i] for i in self._left}
        return await super().remove_member(member_id, via_id)


async def attempt(script: FakeEtcd) -> StepResult:
    """One attempt to remove node3, on a view that workers of all nodes have made."""
    view = await script.observe()
    members = tuple(m.model_copy(update={"through_node": m.name}) for m in view.members)
    script.calls.clear()
    seen = view.model_copy(update={"members": members})
    return await removed(script, ACT.model_copy(update={"seen": seen}))


@pytest.mark.parametrize(("error", "outcome"), [(LOST, "removed"), (NOT_FOUND, "already-absent")])
async def test_list_without_the_target_alone_shows_the_removal(error: EtcdError, outcome: str) -> None:
    """It has taken place, whoever has done it, and the lock is given back."""
    script = Shrinking(error, ("1", "2"))
    report = await attempt(script)
    assert (report.step.outcome, report.writes_acknowledged) == (outcome, True)
    assert script.calls[-1] == "release_lock 1"


@pytest.mark.parametrize("leader", ["1", "2"])
async def test_worker_that_sees_its_own_member_alone_asks_that_one_for_the_last_write(leader: str) -> None:
    """It does not know who leads, and its member forwards the write; that it sees little is no fault of the others."""
    script = FakeEtcd({leader: "leader", "2" if leader == "1" else "1": "other"})
    script.reached = {"2"}
    report = await removed(script, ACT)
    assert (report.step.outcome, report.writes_acknowledged) == ("already-absent", True)
    assert script.calls[-1] == "release_lock 2"


async def test_worker_that_reaches_nobody_who_has_a_vote_says_nothing_of_writes() -> None:
    """Whoever looks next can tell."""
    script = FakeEtcd({"1": "node1", "2": "node2"})
    script.hanging, script.reached = {"2"}, {"2"}
    report = await removed(script, ACT)
    assert (report.step.outcome, report.writes_acknowledged) == ("already-absent", None)


async def test_lock_that_was_left_is_given_back_through_the_own_member() -> None:
    """No single worker knows who leads there."""
    script = FakeEtcd(THREE)
    script.reached = {"3"}
    ask = ReleaseLockInput(cluster="demo", cluster_id="c", holder="run-1")
    assert await release_abandoned_lock(looks_at(script), ask)
    assert script.calls == ["observe", "release_lock 3"]


@pytest.mark.parametrize(("error", "pending"), [(LOST, True), (NOT_FOUND, False)])
async def test_list_that_lacks_others_too_shows_nothing(error: EtcdError, *, pending: bool) -> None:
    """The member may have been forced into a cluster of its own; what may be pending keeps the lock."""
    script = Shrinking(error, ("1",))
    report = await attempt(script)
    assert (report.step.outcome, report.view, report.proposed) == ("replan", None, pending)
    assert ("release_lock 1" in script.calls) is not pending
