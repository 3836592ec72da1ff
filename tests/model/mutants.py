"""The loop, broken on purpose: what decides or acts wrongly, and a scenario in which that shows."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import activities.etcd
import tests.model.loop
import workflows.remove_member
from etcd_handoff import planner
from etcd_handoff.errors import UnknownOutcomeError
from etcd_handoff.model import Approval
from etcd_handoff.planner import Blocked, Done, Intent, Reason, Refused, Remove, Transfer
from tests.model.gateways import ModelEtcd
from tests.model.runner import Scenario
from tests.model.trouble import Trouble
from workflows.remove_member import RemoveMember

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import pytest

    from etcd_handoff.planner import Decision
    from etcd_handoff.view import ClusterView


def without_quorum_check(view: ClusterView, intent: Intent) -> Decision:
    """Goes on where only a minority would remain."""
    said = planner.plan(view, intent)
    risky = isinstance(said, Blocked) and said.reason is Reason.QUORUM_AT_RISK
    leads = view.leadership and view.leadership.id == intent.target_id
    return Remove(via_id=view.leadership.id) if risky and view.leadership and not leads else said


def takes_the_last(view: ClusterView, intent: Intent) -> Decision:
    """Sees no difference between the last voter and others."""
    said = planner.plan(view, intent)
    return Remove(via_id=intent.target_id) if isinstance(said, Refused) else said


def never_transfers(view: ClusterView, intent: Intent) -> Decision:
    """Removes the leader as it is."""
    said = planner.plan(view, intent)
    return Remove(via_id=said.transferee_id) if isinstance(said, Transfer) else said


def through_itself(view: ClusterView, intent: Intent) -> Decision:
    """Asks the member that leaves."""
    said = planner.plan(view, intent)
    return Remove(via_id=intent.target_id) if isinstance(said, Remove) else said


def takes_silence_for_absence(view: ClusterView, intent: Intent) -> Decision:
    """Calls a member out that does not answer."""
    target = view.member(intent.target_id)
    return Done() if target is not None and not target.reachable else planner.plan(view, intent)


def offers_it_to_anybody(view: ClusterView, intent: Intent) -> Decision:
    """Picks a transferee without a look at its health."""
    said = planner.plan(view, intent)
    others = [m for m in view.members if m.id != intent.target_id]
    return replace(said, transferee_id=others[-1].id) if isinstance(said, Transfer) else said


def means_whoever_has_the_name(self: RemoveMember) -> Intent:
    """Resolves the name anew at each step."""
    pinned = self._pin_or_fail()
    named = [m.id for m in self._view.members if m.name == self._request.member] if self._view else []
    return Intent(pinned.cluster_id, named[0] if named else pinned.member_id)


def ignores_the_term(view: ClusterView, intent: Intent) -> Decision:
    """Believes a member that names the right leader at a term of the past."""
    newest = max(m.term for m in view.members)
    members = tuple(m.model_copy(update={"term": newest}) if m.reachable else m for m in view.members)
    return planner.plan(view.model_copy(update={"members": members}), intent)


async def trusts_an_old_look(self: ModelEtcd, doubtful: Iterable[str] = (), leaving: str = "") -> ClusterView:
    """Takes what the look before saw for what is."""
    old: ClusterView | None = self.__dict__.pop("old", None)
    if old is None:
        old = self.__dict__["old"] = await LOOK(self, doubtful, leaving)
    return old


async def proposes_blindly(self: ModelEtcd, member_id: str, via_id: str) -> None:
    """Repeats a removal whose answer was lost, as a client's own retries would."""
    try:
        await PROPOSE(self, member_id, via_id)
    except UnknownOutcomeError:
        await PROPOSE(self, member_id, via_id)


async def skips_the_gates(self: RemoveMember) -> None:
    """Makes sure of nothing."""
    self._gates_passed = True


async def approves_by_itself(self: RemoveMember) -> None:
    """Asks nobody."""
    self._approval = Approval()


LOOK: Final = ModelEtcd.observe
PROPOSE: Final = ModelEtcd.remove_member
PLAN: Final[tuple[tuple[object, str], ...]] = (
    (workflows.remove_member, "plan"),
    (activities.etcd, "plan"),
    (tests.model.loop, "plan"),
)
PLACES: Final[dict[Callable[..., Any], tuple[tuple[object, str], ...]]] = {
    means_whoever_has_the_name: ((RemoveMember, "_intent"), (tests.model.loop.Loop, "_intent")),
    trusts_an_old_look: ((ModelEtcd, "observe"),),
    proposes_blindly: ((ModelEtcd, "remove_member"),),
    skips_the_gates: ((RemoveMember, "_pass_gates"),),
    approves_by_itself: ((RemoveMember, "_await_approval"),),
}
"""What is replaced, where it is not the planner."""
QUORUM: Final = "quorum: those that remain have none"
UNSEEN: Final = "without a look before"
MUTANTS: Final[dict[Callable[..., Any], tuple[str, Scenario]]] = {
    without_quorum_check: (QUORUM, Scenario(3, "follower", ((0, Trouble.OTHER_DIES),))),
    takes_the_last: ("quorum: the last voter", Scenario(1, "leader", patience_seconds=1)),
    never_transfers: ("removed while it led", Scenario(3, "leader")),
    through_itself: ("removed through itself", Scenario(3, "follower")),
    takes_silence_for_absence: ("the member is there", Scenario(3, "follower", ((0, Trouble.TARGET_DIES),))),
    offers_it_to_anybody: ("cannot take it", Scenario(5, "leader", ((0, Trouble.OTHER_DIES),))),
    means_whoever_has_the_name: ("identity", Scenario(3, "follower", ((1, Trouble.NAMESAKE),))),
    ignores_the_term: (QUORUM, Scenario(3, "follower", ((0, Trouble.LEFT_BEHIND),))),
    trusts_an_old_look: (UNSEEN, Scenario(3, "follower")),
    proposes_blindly: (UNSEEN, Scenario(3, "follower", ((2, Trouble.ANSWER_LOST),))),
}
"""What each breaks, in the model's words, and where that shows."""
OF_GATES: Final[dict[Callable[..., Any], tuple[str, Scenario]]] = {
    skips_the_gates: ("without hash and snapshot", Scenario(3, "leader", gates=("hash", "snapshot"))),
    approves_by_itself: ("without approval", Scenario(3, "follower", gates=("approval",))),
}
"""The same of what comes before the first decision."""
ALL_MUTANTS: Final = MUTANTS | OF_GATES


def break_it(patch: pytest.MonkeyPatch, mutant: Callable[..., Any]) -> None:
    """From now on it is the mutant that decides or acts."""
    for place, name in PLACES.get(mutant, PLAN):
        patch.setattr(place, name, mutant)
