"""What looks through nodes rest on, broken on purpose, and what has to happen so that it shows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import activities.etcd_looks
from activities.etcd_looks import SeenBefore
from activities.leader_check import LeaderCheck
from etcd_handoff import merged_view
from etcd_handoff.operation import node_answers, node_looks, observation, proposal, removal
from etcd_handoff.operation.state import OperationState
from tests.model.fault_kinds import Fault
from tests.model.mutants import QUORUM, THERE
from tests.model.node_loop import PENDING

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

    from etcd_handoff.activity_io import StepResult
    from etcd_handoff.cluster_view import ClusterView
    from etcd_handoff.operation.commands import Observe, StepFailure

COMPLETED: Final = merged_view.completed
LOOKED: Final = node_looks.looked
AFTER_STEP: Final = observation.after_step


def completes_whoever_leads(own: ClusterView, seen: ClusterView) -> ClusterView:
    """Goes by what was seen though its own member follows another leader now."""
    agreed = seen.leadership
    leadership = {"leader_id": agreed.id, "term": agreed.term} if agreed else {}
    members = tuple(m.model_copy(update=leadership) if m.reachable else m for m in own.members)
    return COMPLETED(own.model_copy(update={"members": members}), seen)


def completes_an_old_list(own: ClusterView, seen: ClusterView) -> ClusterView:
    """Goes by the members that were seen though its own list has others now."""
    silent = {"reachable": False, "serves_reads": False}
    members = tuple(own.member(m.id) or m.model_copy(update=silent) for m in seen.members)
    return COMPLETED(own.model_copy(update={"members": members}), seen)


def holds_no_list_against_another(*_: object) -> list[Any]:
    """Merges whatever workers list."""
    return []


def goes_by_what_was_seen_long_ago(self: SeenBefore) -> ClusterView | None:
    """Counts it for ever."""
    return self._seen


def looks_without_an_entry(_state: object) -> bool:
    """Takes members of an idle cluster for members that can write."""
    return False


def asks_whom_the_list_shows(state: OperationState, command: Observe, report: StepResult, now: float) -> OperationState:
    """Asks nobody else and counts nobody else, whoever is known."""
    listed = {m.name for m in report.view.members} if report.view else set()
    lone = report.view is not None and len(listed) == 1
    return observation.observed(state, command, report) if lone else LOOKED(state, command, report, now)


def believes_its_own_list(state: OperationState, view: ClusterView | None, **_: object) -> OperationState:
    """Calls a member out that a step's own worker does not list."""
    out = view is not None and view.member(state.target.member_id) is None
    return AFTER_STEP(state, view, removed=out)


async def hears_of_no_worker(_self: object) -> tuple[str, ...]:
    """Asks no worker that nobody's list leads to."""
    return ()


def counts_no_data(found: Any, node: str, blind: StepResult) -> None:
    """Passes over the data on nodes whose workers saw no list."""
    found.self_reports[node] = blind.self_reports


def sends_steps_elsewhere(self: OperationState, member_id: str) -> str:
    """Sends steps to a node whose worker does not reach the member."""
    others = self.view.members if self.view else ()
    return next((m.through_node for m in others if m.id != member_id and m.through_node), "")


def sends_steps_to_anybody(self: OperationState, member_id: str) -> str:  # noqa: ARG001
    """Sends steps to any worker."""
    return ""


def forgets_an_attempt_before(state: OperationState, failure: StepFailure, now: float) -> OperationState:
    """Goes by the last attempt alone, which nobody took."""
    return proposal.ended(state, now, may_be_pending=failure.taken)


class Shown(NamedTuple):
    """How a mutant is found out.

    Attributes:
        place: What is replaced.
        name: Its name there.
        broken: What it breaks, in the model's words.
        faults: What happens, one call after the other, from any call on.
        voters: How many voters the cluster has.
        first: What happens at the first call.
    """

    place: object
    name: str
    broken: str
    faults: tuple[Fault, ...] = ()
    voters: int = 3
    first: Fault | None = None


LONE: Final = (Fault.LISTS_DIFFER,)
NODE_MUTANTS: Final[dict[Callable[..., Any], Shown]] = {
    completes_whoever_leads: Shown(activities.etcd_looks, "completed", "removed while it led", (Fault.LEADER_MOVES,)),
    completes_an_old_list: Shown(
        activities.etcd_looks, "completed", QUORUM, (Fault.OTHER_REMOVED,), voters=4, first=Fault.OTHER_DIES
    ),
    holds_no_list_against_another: Shown(merged_view, "_against", THERE, LONE),
    goes_by_what_was_seen_long_ago: Shown(SeenBefore, "view", QUORUM, (Fault.TAKEN_LATE, Fault.OTHER_DIES)),
    looks_without_an_entry: Shown(observation, "wants_entry_first", QUORUM, (Fault.OTHER_WOULD_HANG,)),
    asks_whom_the_list_shows: Shown(node_looks, "looked", THERE, LONE),
    believes_its_own_list: Shown(removal, "after_step", THERE, LONE),
    forgets_an_attempt_before: Shown(proposal, "failed", PENDING, (Fault.NODE_IDLE, Fault.LATE, Fault.CRASH), voters=2),
    hears_of_no_worker: Shown(
        LeaderCheck, "_worker_nodes", "was pinned", (Fault.FOREIGN_LIST,), first=Fault.TARGET_DIES
    ),
    counts_no_data: Shown(
        node_answers, "_note_data", "was pinned", (Fault.FOREIGN_LIST,), voters=2, first=Fault.TARGET_DIES
    ),
    sends_steps_elsewhere: Shown(OperationState, "node_for", "it does not end"),
}


def break_it(patch: pytest.MonkeyPatch, mutant: Callable[..., Any]) -> None:
    """From now on it is the mutant that decides or acts."""
    shown = NODE_MUTANTS[mutant]
    patch.setattr(shown.place, shown.name, property(mutant) if shown.place is SeenBefore else mutant)
