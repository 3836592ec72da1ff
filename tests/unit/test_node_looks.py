"""Who is asked through whose node and when, what people read of it, and which step goes to which node."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from etcd_handoff import time_limits
from etcd_handoff.cluster_view import MemberSelfReport
from etcd_handoff.contract import StepOutcome
from etcd_handoff.operation import commands as to
from etcd_handoff.operation.commands import Command, StepFailure
from etcd_handoff.operation.loop import decide
from etcd_handoff.operation.node_looks import nodes_to_ask
from etcd_handoff.operation.queue_messages import QueuePosition, TakeTurnResult
from etcd_handoff.operation.state import OperationState
from etcd_handoff.operation.step_log import within
from etcd_handoff.planning import Reason
from tests.unit.builders import A, B, C, cluster, down, member
from tests.unit.test_merged_view import seen_by
from tests.unit.test_removal_loop import Drive, begin, report

if TYPE_CHECKING:
    from etcd_handoff.activity_io import StepResult
    from etcd_handoff.cluster_view import ClusterView
    from etcd_handoff.doubts import ResourceClaim

LED_BY_B = cluster(member(A, B), member(B, B), member(C, B))
"""node0, the target, follows node1."""
LED_BY_A = cluster(member(A), member(B), member(C))
WITHOUT_A = cluster(member(B, B), member(C, B))
NODE = {A: "node0", B: "node1", C: "node2"}
NO_WORKER = (
    "no worker on node2: start it there as on the other nodes, with `systemctl start etcd-handoff-worker`, or with"
    " `etcd-handoff worker` and its options"
)


def sees(view: ClusterView | None, own: str, **fields: Any) -> StepResult:
    """What the worker on this member's node answers."""
    outcome = StepOutcome.UNAVAILABLE if view is None else StepOutcome.OBSERVED
    found = report(outcome, seen_by(view, {own}) if view else None, **fields)
    return found.model_copy(update={"step": found.step.model_copy(update={"node": NODE[own]}), "alone": True})


def silent(text: str = NO_WORKER) -> StepFailure:
    """Nobody took the look."""
    return StepFailure("check_leader", "", text, taken=False)


def pauses(removal: Drive, after: float) -> Drive:
    """It is blocked, tells the queue so once, and looks again after so many seconds."""
    if isinstance(upcoming(removal), to.AskQueue):
        removal.do(to.AskQueue, TakeTurnResult(turn=QueuePosition(granted=False)))
    return removal.do(to.Wait, after=after)


def upcoming(removal: Drive) -> Command:
    """What is decided next, without anything being skipped."""
    return decide(removal.state, removal.now)[1]


def nodes_asked(removal: Drive) -> list[str]:
    """Nodes that are asked next; none where something else follows."""
    command = upcoming(removal)
    return [look.node for look in command.looks] if isinstance(command, to.LookThroughNodes) else []


def looked(view: ClusterView = LED_BY_B, **first: Any) -> Drive:
    """A removal of node0 after one look, of which node1 saw the first part."""
    removal = begin().do(to.Observe, sees(view, B, **first))
    return removal.do(to.LookThroughNodes, (sees(view, A), sees(view, C)))


def entry_first(removal: Drive, *, acknowledged: bool = True) -> Drive:
    """A look that follows an entry."""
    command = removal.next(to.Observe)
    assert command.before_change
    assert command.ask.probe
    removal.result(sees(LED_BY_B, B, writes_acknowledged=acknowledged))
    return removal.do(to.LookThroughNodes, (sees(LED_BY_B, A), sees(LED_BY_B, C)))


# --- who is asked ---------------------------------------------------------------------------------------------------


def test_nobody_is_asked_where_the_worker_reaches_all_members() -> None:
    """Nothing changes there."""
    removal = begin().do(to.Observe, report(StepOutcome.OBSERVED, LED_BY_B))
    assert nodes_asked(removal) == []
    assert removal.state.view == LED_BY_B
    assert removal.state.far_nodes == ()


def test_nodes_are_asked_for_members_that_the_worker_does_not_reach() -> None:
    """Each for its own member alone; nobody commits an entry or reads EtcdMembers there."""
    removal = begin().do(to.Observe, sees(LED_BY_B, B))
    command = removal.next(to.LookThroughNodes)
    assert [(look.node, look.ask.doubtful) for look in command.looks] == [("node0", (B, C)), ("node2", (A, B))]
    assert not any(look.ask.probe or look.ask.claims for look in command.looks)


def test_dry_run_names_the_node_whose_worker_took_no_look() -> None:
    """Its second look comes too soon to ask that node again, and tells all the same what is missing."""
    removal = begin(dry_run=True).do(to.Observe, sees(LED_BY_A, B))
    removal.do(to.LookThroughNodes, (silent("no worker on node0"), sees(LED_BY_A, C)), after=1.0)
    removal.do(to.Observe, sees(LED_BY_A, B))
    assert nodes_asked(removal) == ["node2"]
    result = removal.do(to.LookThroughNodes, (sees(LED_BY_A, C),)).next(to.Finish).result
    assert "no worker on node0: start it there" in result.blocked_by


def test_member_that_has_not_started_has_no_node() -> None:
    """It has no name."""
    view = cluster(member(A, B), member(B, B), down(C, name=""))
    assert nodes_asked(begin().do(to.Observe, sees(view, B))) == ["node0"]


def test_profile_names_the_node_of_a_member() -> None:
    """A table of the profile's comes first."""
    first = sees(LED_BY_B, B, worker_info={"nodes": {"node0": "rack7"}})
    assert nodes_asked(begin().do(to.Observe, first)) == ["rack7", "node2"]


def test_first_look_asks_the_node_of_every_worker() -> None:
    """A node that was set up anew as a cluster of its own lists none of the others, which speak against it then."""
    foreign = cluster(member("f1", "f1", name="node2"), member("f2", "f1", name="node0"))
    foreign = foreign.model_copy(update={"cluster_id": "beef"})
    first = sees(foreign, C, worker_nodes=("node1", "node2"))
    removal = begin().do(to.Observe, first.model_copy(update={"view": seen_by(foreign, {"f1"})}))
    assert nodes_asked(removal) == ["node0", "node1"]
    pauses(removal.do(to.LookThroughNodes, (silent(), sees(LED_BY_B, B))), 1.0)
    assert removal.state.pinned is None
    assert removal.state.doing.startswith(Reason.MIXED_CLUSTERS)


def test_first_look_that_reaches_all_members_asks_the_other_workers_too() -> None:
    """They are to confirm which cluster is meant, and nobody else would ever ask them."""
    first = sees(LED_BY_B, B, worker_nodes=("node0", "node1", "node2"))
    removal = begin().do(to.Observe, first.model_copy(update={"view": LED_BY_B}))
    assert nodes_asked(removal) == ["node0", "node2"]
    removal.do(to.LookThroughNodes, (sees(LED_BY_B, A), sees(LED_BY_B, C)))
    assert removal.state.view is not None
    assert removal.state.view.doubts == ()


@pytest.mark.parametrize(
    ("answers", "reason"),
    [
        ((silent(), silent()), Reason.WRONG_CLUSTER),
        ((silent(), sees(LED_BY_B, C)), None),
        ((sees(None, A), silent()), Reason.WRONG_CLUSTER),
        ((sees(None, A), sees(None, C)), Reason.NO_QUORUM),
    ],
)
def test_first_look_needs_the_word_of_most_workers_that_temporal_lists(
    answers: tuple[StepResult | StepFailure, ...], reason: Reason | None
) -> None:
    """A worker whose member has left says that it sees nothing, which is an answer; one that is silent may see more."""
    removal = begin().do(to.Observe, sees(LED_BY_B, B, worker_nodes=("node0", "node1", "node2")))
    removal.do(to.LookThroughNodes, answers)
    if reason is None:
        assert removal.state.view is not None
        assert removal.state.view.doubts == ()
        return
    pauses(removal, 1.0)
    assert removal.state.doing.startswith(reason)
    assert (removal.state.pinned is None) == (reason is Reason.WRONG_CLUSTER)


def test_first_look_without_temporals_list_of_workers_proves_no_cluster() -> None:
    """Others may see another cluster, and nobody would know of them."""
    unlisted = sees(LED_BY_B, B, workers_unlisted=True)
    removal = begin().do(to.Observe, unlisted)
    assert nodes_asked(removal) == ["node0", "node2"]
    pauses(removal.do(to.LookThroughNodes, (sees(LED_BY_B, A), sees(LED_BY_B, C))), 1.0)
    assert removal.state.pinned is None
    assert removal.state.doing.startswith(f"{Reason.WRONG_CLUSTER}: only the workers on node0, node1, node2 report")
    assert "cluster_id" in removal.state.waiting_for
    alone = cluster(member(A))
    lone = pauses(begin().do(to.Observe, sees(alone, A, workers_unlisted=True, claims=())), 1.0)
    assert lone.state.pinned is None
    assert lone.state.doing.startswith(Reason.WRONG_CLUSTER)


def test_worker_that_rests_since_it_was_silent_still_counts_as_one_that_may_see_more() -> None:
    """It is not asked again for a while, and the next looks come sooner."""
    first = sees(LED_BY_B, B, worker_nodes=("node0", "node1", "node2"))
    removal = pauses(begin().do(to.Observe, first).do(to.LookThroughNodes, (silent(), silent())), 0.3)
    for _ in range(3):
        removal.do(to.Observe, first)
        assert nodes_asked(removal) == []
        pauses(removal, 1.0)
        assert removal.state.pinned is None
        assert removal.state.doing.startswith(Reason.WRONG_CLUSTER)
    removal.do(to.Observe, sees(LED_BY_B, B, worker_nodes=("node1",)))
    pauses(removal, 1.0)
    assert removal.state.doing.startswith(Reason.NO_QUORUM), "Temporal lists these workers no longer"


def test_worker_that_reaches_all_members_asks_no_other_workers() -> None:
    """Its look compares all members already."""
    first = report(StepOutcome.OBSERVED, LED_BY_B, worker_nodes=("node7",))
    assert nodes_asked(begin().do(to.Observe, first)) == []


def test_kubernetes_is_known_from_the_first_worker_that_has_it() -> None:
    """While the profile is rolled out the first look may come from one without; all else is as that one said."""
    without = {"kubernetes": False, "remover": "k0s"}
    removal = begin().do(to.Observe, report(StepOutcome.OBSERVED, None, worker_info=without)).do(to.Wait)
    removal.do(to.Observe, report(StepOutcome.OBSERVED, LED_BY_B))
    assert removal.state.worker_info is not None
    assert (removal.state.worker_info.kubernetes, removal.state.worker_info.remover) == (True, "k0s")


def test_cluster_id_that_is_set_later_ends_the_wait_for_one() -> None:
    """It is the remedy; the policies stay those that the removal began with."""
    few = LED_BY_B.model_copy(update={"endpoints": 5, "answering": 2})
    claims: tuple[ResourceClaim, ...] = ()
    removal = begin().do(to.Observe, report(StepOutcome.OBSERVED, few, claims=claims))
    pauses(removal, 1.0)
    assert removal.state.doing.startswith(Reason.WRONG_CLUSTER)
    later = {"cluster_id": few.cluster_id, "require_approval": True}
    removal.do(to.Observe, report(StepOutcome.OBSERVED, few, claims=claims, worker_info=later)).next(to.AskQueue)
    assert removal.state.worker_info is not None
    assert not removal.state.worker_info.require_approval


def test_cluster_id_of_one_worker_speaks_for_no_other_cluster() -> None:
    """Another worker, which does not have it yet, reaches a foreign cluster; a typing error can be corrected."""
    foreign = LED_BY_B.model_copy(update={"cluster_id": "beef"})
    claims: tuple[ResourceClaim, ...] = ()
    removal = begin()
    for expected in ("cafe", "", "cafe"):
        seen = report(StepOutcome.OBSERVED, foreign, claims=claims, worker_info={"cluster_id": expected})
        pauses(removal.do(to.Observe, seen), 1.0)
        assert removal.state.doing.startswith(Reason.WRONG_CLUSTER)
        assert removal.state.pinned is None
    removal.do(to.Observe, report(StepOutcome.OBSERVED, foreign, claims=claims, worker_info={"cluster_id": "beef"}))
    removal.next(to.AskQueue)


def test_table_of_nodes_that_is_set_later_counts() -> None:
    """A node was asked by its member's name, and nobody serves that name."""
    removal = begin().do(to.Observe, sees(LED_BY_B, B))
    pauses(removal.do(to.LookThroughNodes, (silent(), silent())), 20.0)
    removal.do(to.Observe, sees(LED_BY_B, B, worker_info={"nodes": {"node0": "rack0", "node2": "rack2"}}))
    assert nodes_asked(removal) == ["rack0", "rack2"]


def test_clock_that_was_set_back_does_not_keep_a_node_from_being_asked() -> None:
    """The server's clock gives the times of a workflow."""
    first = sees(LED_BY_B, B)
    assert nodes_to_ask(first, {}, {"node0": 1_000.0}, 1_001.0) == ("node2",)
    assert nodes_to_ask(first, {}, {"node0": 1_000.0}, 400.0) == ("node0", "node2")


def test_worker_that_took_the_look_and_saw_nothing_has_answered() -> None:
    """Nobody waits for its word."""
    removal = begin().do(to.Observe, sees(None, A, worker_nodes=("node0", "node1")))
    assert nodes_asked(removal) == ["node1"]
    removal.do(to.LookThroughNodes, (sees(LED_BY_B, B),))
    assert removal.state.view is not None
    assert removal.state.view.doubts == ()


def test_worker_that_took_the_look_and_hears_of_another_cluster_contradicts_the_others() -> None:
    """Its member has no quorum, and the one that gives a list was set up anew as a cluster of its own."""
    word = MemberSelfReport(cluster_id="beef", id=A, leader_id=None)
    removal = begin().do(to.Observe, sees(None, A, worker_nodes=("node0", "node1"), self_reports=(word,)))
    pauses(removal.do(to.LookThroughNodes, (sees(LED_BY_B, B),)), 1.0)
    assert removal.state.pinned is None
    assert removal.state.doing.startswith(Reason.MIXED_CLUSTERS)


def test_node_of_the_worker_itself_is_not_asked() -> None:
    """Its own member does not answer it, and would not answer it again."""
    view = cluster(member(A, B), member(B, B), member(C, B))
    first = sees(view, B).model_copy(update={"view": seen_by(view, {A})})
    assert nodes_asked(begin().do(to.Observe, first)) == ["node2"]


def test_node_without_a_worker_is_left_alone_for_a_while() -> None:
    """What the operator reads names it and the remedy; it is asked again after ten seconds."""
    removal = begin().do(to.Observe, sees(LED_BY_B, B))
    removal.do(to.LookThroughNodes, (silent("no worker on node0"), silent()))
    pauses(removal, 1.0)
    assert removal.state.view is not None
    found = removal.state.view.member(C)
    assert found is not None
    assert found.note == f"connection refused; {NO_WORKER}"
    assert NO_WORKER in removal.state.doing
    assert removal.state.doing.startswith(Reason.NO_QUORUM)
    removal.do(to.Observe, sees(LED_BY_B, B))
    assert nodes_asked(removal) == []
    pauses(removal, time_limits.OPERATION.ask_again_seconds)
    removal.do(to.Observe, sees(LED_BY_B, B))
    assert nodes_asked(removal) == ["node0", "node2"]


def test_node_for_which_temporal_lists_no_worker_is_not_asked_at_first() -> None:
    """It costs no time, and is told; a look that ends a wait asks it all the same, in case that Temporal is wrong."""
    removal = begin().do(to.Observe, sees(LED_BY_B, B, idle_nodes=("node2",)))
    assert nodes_asked(removal) == ["node0"]
    removal.do(to.LookThroughNodes, (sees(LED_BY_B, A),))
    pauses(removal, 1.0)
    assert NO_WORKER in removal.state.doing
    removal.do(to.Observe, sees(LED_BY_B, B, idle_nodes=("node2",)))
    assert nodes_asked(removal) == ["node0"]
    removal.do(to.LookThroughNodes, (sees(LED_BY_B, A),))
    pauses(removal, time_limits.OPERATION.ask_again_seconds)
    removal.do(to.Observe, sees(LED_BY_B, B, idle_nodes=("node2",)))
    assert nodes_asked(removal) == ["node0", "node2"]


def test_nobody_is_asked_where_no_node_has_a_worker() -> None:
    """What is missing is told at once."""
    removal = begin().do(to.Observe, sees(LED_BY_B, B, idle_nodes=("node0", "node2")))
    assert nodes_asked(removal) == []
    pauses(removal, 1.0)
    assert NO_WORKER in removal.state.doing
    assert NO_WORKER.replace("node2", "node0") in removal.state.doing


def test_recheck_asks_every_node_again() -> None:
    """Somebody has started a worker there, and says so."""
    removal = begin().do(to.Observe, sees(LED_BY_B, B)).do(to.LookThroughNodes, (silent(), silent()))
    removal.do(to.AskQueue, TakeTurnResult(turn=QueuePosition(granted=False))).next(to.Wait)
    removal.state = removal.state.changed(recheck=True)
    removal.result(after=1.0).do(to.Observe, sees(LED_BY_B, B))
    assert nodes_asked(removal) == ["node0", "node2"]


def test_node_whose_member_gives_no_list_is_not_left_alone() -> None:
    """Its worker has answered."""
    removal = begin().do(to.Observe, sees(LED_BY_B, B)).do(to.LookThroughNodes, (sees(None, A), sees(None, C)))
    pauses(removal, 1.0).do(to.Observe, sees(LED_BY_B, B))
    assert nodes_asked(removal) == ["node0", "node2"]


def test_nodes_that_were_seen_before_are_asked_where_the_worker_sees_nothing() -> None:
    """The worker of a node whose member has left can still be the one that takes the look."""
    removal = looked().turn()
    removal.do(to.Observe, sees(None, A))
    assert nodes_asked(removal) == ["node1", "node2"]
    removal.do(to.LookThroughNodes, (sees(WITHOUT_A, B), sees(WITHOUT_A, C)))
    assert removal.state.absent


def test_worker_that_sees_nothing_asks_nobody_before_others_were_seen() -> None:
    """It knows of none."""
    removal = begin().do(to.Observe, sees(None, A))
    assert nodes_asked(removal) == []
    removal.next(to.Wait)


def test_nodes_that_were_seen_are_handed_on_to_the_next_run() -> None:
    """Which may begin with a worker that sees nothing."""
    removal = looked()
    carried = OperationState.model_validate_json(within(removal.state).model_dump_json())
    assert carried.far_nodes == ("node0", "node1", "node2")


# --- steps ----------------------------------------------------------------------------------------------------------


def test_entry_comes_before_the_look_that_a_removal_stands_on() -> None:
    """A member whose disk hangs answers an idle cluster's reads; the removal then goes to a survivor's node."""
    removal = entry_first(looked().turn())
    command = removal.next(to.RemoveTarget)
    assert command.node == "node1"
    assert command.ask.seen == removal.state.view


def test_no_member_leaves_while_the_entry_is_not_acknowledged() -> None:
    """It is tried anew some times, and waited for then."""
    removal = looked().turn()
    for _ in range(time_limits.OPERATION.without_pause_steps):
        entry_first(removal, acknowledged=False)
    assert isinstance(upcoming(removal), to.AskQueue)
    assert removal.state.doing != "removing"
    assert "RemoveTarget" not in removal.taken


def test_entry_of_a_look_counts_for_one_step() -> None:
    """A look that follows has none."""
    removal = entry_first(looked().turn()).do(to.RemoveTarget, report(StepOutcome.REPLAN, None))
    removal.do(to.Observe, sees(LED_BY_B, B)).do(to.LookThroughNodes, (sees(LED_BY_B, A), sees(LED_BY_B, C)))
    assert removal.next(to.Observe).before_change


def test_transfer_goes_to_the_target_and_its_election_to_the_transferee() -> None:
    """Where only its own worker reaches each of them; what these see alone decides nothing."""
    removal = looked(LED_BY_A).turn()
    command = removal.next(to.TransferLeadership)
    assert (command.node, command.election.node, command.election.ask.others) == ("node0", "node1", (B,))
    removal.result(report(StepOutcome.MOVED, seen_by(LED_BY_B, {A})))
    removal.do(to.AwaitNewLeader, report(StepOutcome.ELECTED, None))
    removal.next(to.Observe)


def test_status_is_written_through_a_survivors_node() -> None:
    """The departing node's API server stands on the member that has left."""
    left = cluster(member(B, B), member(C, B, through_node="node2"))
    removed = report(StepOutcome.REMOVED, left, proposed=True)
    removed = removed.model_copy(update={"step": removed.step.model_copy(update={"node": "node1"})})
    removal = entry_first(looked().turn()).do(to.RemoveTarget, removed)
    assert removal.next(to.WriteStatus).node == "node1"


def test_lock_is_given_back_at_the_node_that_looked_last_where_nobody_knows_who_leads() -> None:
    """The worker that removed the member was killed, and so nobody sees its node; the departed one has no etcd."""
    left = cluster(member(B, B), member(C, B))
    removal = entry_first(looked().turn()).do(to.RemoveTarget, StepFailure("remove_member", "", "killed"))
    removal.do(to.Wait, after=1.0).do(to.Observe, sees(left, C))
    removal.do(to.LookThroughNodes, (silent(), sees(None, A)))
    assert removal.next(to.ReleaseLock).node == "node2"
