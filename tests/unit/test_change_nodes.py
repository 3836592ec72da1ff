"""Changes of several members where a worker does not answer, or a member answers although it has left."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from activities.etcd_looks import doubt as doubt_of_step
from etcd_handoff.operation import commands as to
from etcd_handoff.operation.commands import StepFailure
from tests.unit.builders import A, B, C, doubt
from tests.unit.changes import gives_turn_up, looks, membership, nodes, records, removes, replacement
from tests.unit.test_node_looks import nodes_asked, sees, silent

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.unit.test_removal_loop import Drive

THREE = nodes(0, 1, 2)
WORKER_INFO = {"cluster_id": THREE.cluster_id}
DOWN = StepFailure("check_leader", "", "connection refused", taken=True)


def first_looks(change: Drive, of_others: StepFailure) -> Drive:
    """Two looks of node0's worker, which sees its own member; those of the other two nodes come to this."""
    for _ in range(2):
        change.do(to.Observe, sees(THREE, A, worker_info=WORKER_INFO))
        if others := nodes_asked(change):
            change.do(to.LookThroughNodes, tuple(of_others for _ in others), after=1.0)
    return change


@pytest.mark.parametrize("change", [replacement, lambda: membership(1, 2, 3)])
def test_change_waits_for_workers_that_restart_instead_of_being_refused(change: Callable[[], Drive]) -> None:
    """Their members may work; a node that took no look is not asked again at once, so two looks tell nothing."""
    waits = gives_turn_up(first_looks(change(), silent()))
    assert waits.next(to.Wait).summary.startswith("blocked: NoQuorum, until start the workers on node1, node2; or ")
    waits.result(after=11.0).do(to.Observe, sees(THREE, A, worker_info=WORKER_INFO))
    waits.do(to.LookThroughNodes, (sees(THREE, B), silent()))
    assert waits.state.blocked is None


def test_second_look_that_sees_nothing_itself_does_not_end_the_wait_for_workers() -> None:
    """Its worker's own etcd is down, and another node's member gives the list."""
    waits = replacement().do(to.Observe, sees(THREE, A, worker_info=WORKER_INFO))
    waits.do(to.LookThroughNodes, (silent(), silent()), after=1.0)
    blind = sees(None, B, worker_info=WORKER_INFO, worker_nodes=("node0",)).model_copy(update={"alone": False})
    waits.do(to.Observe, blind)
    waits.do(to.LookThroughNodes, (sees(THREE, A),))
    assert gives_turn_up(waits).next(to.Wait).summary.startswith("blocked: NoQuorum, until start the workers on ")


def test_change_is_refused_where_the_workers_say_that_their_members_are_down() -> None:
    """So it cannot be done, and nobody waits an hour for it."""
    assert first_looks(replacement(), DOWN).next(to.Fail).failure.text.startswith("NoQuorum: ")


def test_members_that_are_out_and_run_on_do_not_hold_up_the_next_removal() -> None:
    """They hear of nothing and answer by their status; neither the workflow nor a check of the data waits for them."""
    change = looks(membership(2, 3, 4), nodes(0, 1, 2, 3, 4, leader=C)).turn()
    runs = doubt("UnlistedMember", A, by_status_alone=True)
    left = nodes(1, 2, 3, 4, leader=C).model_copy(update={"doubts": runs})
    records(removes(change, left, 0), 0, joined=False)
    second = looks(change, left).next(to.RemoveTarget).ask
    assert second.target_id == B
    assert doubt_of_step(left, second) == ""
    assert doubt_of_step(left, second.model_copy(update={"leaving_later": ()})).startswith("UnlistedMember: ")
