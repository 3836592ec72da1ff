"""The loop, broken on purpose: what decides or acts wrongly, and a scenario in which that shows."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import activities.etcd_looks
import activities.etcd_removal
import activities.etcd_transfer
import activities.member_resource
from activities.etcd_removal import Removal
from etcd_handoff import doubts, planning
from etcd_handoff.errors import UnknownOutcomeError
from etcd_handoff.operation import gates, loop, observation
from etcd_handoff.planning import Blocked, Done, MemberAbsent, Reason, Refused, Remove, Transfer
from tests.model import looks
from tests.model.fault_kinds import Fault
from tests.model.gateways import ModelEtcd, who
from tests.model.runner import Scenario

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    import pytest

    from etcd_handoff.cluster_view import ClusterView, Doubt
    from etcd_handoff.doubts import Answer
    from etcd_handoff.operation.state import OperationState
    from etcd_handoff.planning import Decision


def without_quorum_check(view: ClusterView, intent: MemberAbsent) -> Decision:
    """Goes on where only a minority would remain."""
    decision = planning.plan(view, intent)
    risky = isinstance(decision, Blocked) and decision.reason is Reason.QUORUM_AT_RISK
    leads = view.leadership and view.leadership.id == intent.target_id
    return Remove(via_id=view.leadership.id) if risky and view.leadership and not leads else decision


def takes_the_last(view: ClusterView, intent: MemberAbsent) -> Decision:
    """Sees no difference between the last voter and others."""
    decision = planning.plan(view, intent)
    return Remove(via_id=intent.target_id) if isinstance(decision, Refused) else decision


def never_transfers(view: ClusterView, intent: MemberAbsent) -> Decision:
    """Removes the leader as it is."""
    decision = planning.plan(view, intent)
    return Remove(via_id=decision.transferee_id) if isinstance(decision, Transfer) else decision


def through_itself(view: ClusterView, intent: MemberAbsent) -> Decision:
    """Asks the member that leaves."""
    decision = planning.plan(view, intent)
    return Remove(via_id=intent.target_id) if isinstance(decision, Remove) else decision


def takes_silence_for_absence(view: ClusterView, intent: MemberAbsent) -> Decision:
    """Calls a member out that does not answer."""
    target = view.member(intent.target_id)
    return Done() if target is not None and not target.reachable else planning.plan(view, intent)


def offers_it_to_anybody(view: ClusterView, intent: MemberAbsent) -> Decision:
    """Picks a transferee without a look at its health."""
    decision = planning.plan(view, intent)
    others = [m for m in view.members if m.id != intent.target_id]
    return replace(decision, transferee_id=others[-1].id) if isinstance(decision, Transfer) else decision


def means_whoever_has_the_name(state: OperationState) -> MemberAbsent:
    """Resolves the name anew at each step."""
    target = state.target
    named = [m.id for m in state.view.members if m.name == state.request.subject] if state.view else []
    return MemberAbsent(target.cluster_id, named[0] if named else target.member_id)


def ignores_the_term(view: ClusterView, intent: MemberAbsent) -> Decision:
    """Believes the status of a member that names the right leader at a term of the past."""
    newest = max(m.term for m in view.members)
    members = tuple(m.model_copy(update={"term": newest}) if m.reachable else m for m in view.members)
    return counts_who_hangs(view.model_copy(update={"members": members}), intent)


def counts_who_hangs(view: ClusterView, intent: MemberAbsent) -> Decision:
    """Takes a status from memory for a sign that a voter takes part."""
    members = tuple(m.model_copy(update={"serves_reads": m.reachable and not m.is_learner}) for m in view.members)
    return planning.plan(view.model_copy(update={"members": members}), intent)


def counts_who_lags(view: ClusterView, intent: MemberAbsent) -> Decision:
    """Looks at no raft index."""
    furthest = max(m.raft_index for m in view.members)
    members = tuple(m.model_copy(update={"raft_index": furthest}) for m in view.members)
    return planning.plan(view.model_copy(update={"members": members}), intent)


def believes_whoever_lists(view: ClusterView, intent: MemberAbsent) -> Decision:
    """Takes the list as it comes, whosever it is."""
    return planning.plan(view.model_copy(update={"doubts": ()}), replace(intent, cluster_id=view.cluster_id))


def believes_one_half(view: ClusterView, intent: MemberAbsent) -> Decision:
    """Holds no list against another, as long as it is of the same cluster."""
    doubts = tuple(d for d in view.doubts if d.kind == Reason.MIXED_CLUSTERS)
    return planning.plan(view.model_copy(update={"doubts": doubts}), intent)


def forgets_how_far_it_was(view: ClusterView, intent: MemberAbsent) -> Decision:
    """Knows a cluster by its ID alone."""
    return planning.plan(view, replace(intent, seen_term=0, seen_index=0))


def asks_no_witness(*_: object, **__: object) -> None:
    """Binds a removal to whichever cluster answers first."""


async def commits_nothing_before_it_looks(self: ModelEtcd, holder: str, label: str, *_: str) -> str:
    """Takes the lock, and an idle cluster for one that works."""
    return self.cluster.take_lock(who(), holder, label)


async def heeds_no_lock(self: ModelEtcd, holder: str, label: str, via_id: str, attempt: str = "") -> str:
    """Goes on though somebody else has the lock."""
    await LOCK(self, holder, label, via_id, attempt)
    return ""


async def keeps_the_lock(self: Removal, after: ClusterView, via_id: str) -> tuple[bool | None, str]:  # noqa: ARG001
    """Leaves it to others to find out that it has gone."""
    self._locked_through = ""
    return None, ""


def writes_over_whoever_has_the_name(resource: object, record: object) -> str:  # noqa: ARG001
    """Takes an EtcdMember for the member's own because of its name."""
    return ""


async def trusts_an_old_look(self: ModelEtcd, doubtful: Iterable[str] = (), leaving: str = "") -> ClusterView:
    """Takes what the look before saw for what is."""
    old: ClusterView | None = self.__dict__.pop("old", None)
    if old is None:
        old = self.__dict__["old"] = await LOOK(self, doubtful, leaving)
    return old


async def proposes_blindly(self: ModelEtcd, member_id: str, via_id: str) -> frozenset[str]:
    """Repeats a removal whose answer was lost, as a client's own retries would."""
    try:
        return await PROPOSE(self, member_id, via_id)
    except UnknownOutcomeError:
        return await PROPOSE(self, member_id, via_id)


def believes_one_alone(*_: object, **_named: object) -> None:
    """Takes the list of one voter alone for proof that a member has left."""


def takes_learners_for_voters(
    cluster_id: str, listed: Collection[str], answers: Sequence[Answer], _learners: Collection[str]
) -> tuple[Doubt, ...]:
    """Compares lists by their members alone."""
    alike = [replace(answer, learners=frozenset()) for answer in answers]
    return doubts.contradictions(cluster_id, listed, alike)


def skips_the_gates(_state: OperationState) -> None:
    """Makes sure of nothing."""


def approves_by_itself(_state: OperationState) -> bool:
    """Asks nobody."""
    return False


LOOK: Final = ModelEtcd.observe
LOCK: Final = ModelEtcd.acquire_lock
PROPOSE: Final = ModelEtcd.remove_member
PLAN: Final[tuple[tuple[object, str], ...]] = tuple(
    (module, "plan")
    for module in (
        loop,
        activities.etcd_looks,
        activities.etcd_removal,
        activities.etcd_transfer,
    )
)
PLACES: Final[dict[Callable[..., Any], tuple[tuple[object, str], ...]]] = {
    means_whoever_has_the_name: ((observation, "intent"),),
    asks_no_witness: ((doubts, "resources_doubt"),),
    believes_one_alone: ((doubts, "lone_list"),),
    takes_learners_for_voters: ((looks, "contradictions"),),
    commits_nothing_before_it_looks: ((ModelEtcd, "acquire_lock"),),
    heeds_no_lock: ((ModelEtcd, "acquire_lock"),),
    keeps_the_lock: ((Removal, "_acknowledge"),),
    writes_over_whoever_has_the_name: ((activities.member_resource, "reason_to_skip"),),
    trusts_an_old_look: ((ModelEtcd, "observe"),),
    proposes_blindly: ((ModelEtcd, "remove_member"),),
    skips_the_gates: ((gates, "passes"),),
    approves_by_itself: ((gates, "awaits_approval"),),
}
"""What is replaced, where it is not the planner."""
QUORUM: Final = "quorum: those that remain have none that works"
THERE: Final = "it is there"
UNSEEN: Final = "without a look before"
MUTANTS: Final[dict[Callable[..., Any], tuple[str, Scenario]]] = {
    without_quorum_check: (QUORUM, Scenario(3, "follower", ((0, Fault.OTHER_DIES),))),
    takes_the_last: ("quorum: the last voter", Scenario(1, "leader", patience_seconds=1)),
    never_transfers: ("removed while it led", Scenario(3, "leader")),
    through_itself: ("removed through itself", Scenario(3, "follower")),
    takes_silence_for_absence: (THERE, Scenario(3, "follower", ((0, Fault.TARGET_DIES),))),
    offers_it_to_anybody: ("cannot take it", Scenario(5, "leader", ((0, Fault.OTHER_DIES),))),
    means_whoever_has_the_name: ("identity", Scenario(3, "follower", ((1, Fault.NAMESAKE),))),
    ignores_the_term: (QUORUM, Scenario(3, "follower", ((0, Fault.LEFT_BEHIND),))),
    trusts_an_old_look: (UNSEEN, Scenario(3, "follower")),
    proposes_blindly: (UNSEEN, Scenario(3, "follower", ((3, Fault.ANSWER_LOST),))),
    counts_who_hangs: (QUORUM, Scenario(3, "follower", ((0, Fault.OTHER_HANGS),))),
    commits_nothing_before_it_looks: (QUORUM, Scenario(3, "follower", ((0, Fault.OTHER_WOULD_HANG),))),
    counts_who_lags: (QUORUM, Scenario(3, "follower", ((0, Fault.OTHER_LAGS),))),
    believes_whoever_lists: (THERE, Scenario(3, "follower", ((2, Fault.FOREIGN_LIST),))),
    believes_one_half: (THERE, Scenario(3, "follower", ((2, Fault.LISTS_DIFFER),))),
    believes_one_alone: (THERE, Scenario(3, "follower", ((0, Fault.LONE_LIST),))),
    takes_learners_for_voters: (
        QUORUM,
        Scenario(3, "follower", ((0, Fault.OTHER_DIES), (1, Fault.ROLES_DIFFER), (9, Fault.CONFLICT))),
    ),
    asks_no_witness: ("dead", Scenario(3, "follower", ((0, Fault.FOREIGN_ALONE),))),
    forgets_how_far_it_was: ("order: it was given before", Scenario(3, "follower", ((1, Fault.RESTORED),))),
    heeds_no_lock: ("lock: a removal was proposed", Scenario(3, "follower", ((0, Fault.LOCK_HELD),))),
    keeps_the_lock: ("the lock is still held", Scenario(3, "follower")),
    writes_over_whoever_has_the_name: ("was written for", Scenario(3, "follower", ((4, Fault.REJOINED),))),
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
