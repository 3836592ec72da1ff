"""Approval, checks and pauses of a replacement: asked for once, for both parts."""

from __future__ import annotations

import pytest

from etcd_handoff import time_limits
from etcd_handoff.activity_io import StepResult
from etcd_handoff.contract import Approval, HandoffState, Pause, StepOutcome
from etcd_handoff.operation import commands as to
from etcd_handoff.operation import observation, pause_resume
from etcd_handoff.operation.commands import AddTarget
from tests.unit.builders import A, cluster, step
from tests.unit.changes import (
    RECORDED,
    adds,
    gives_turn_up,
    looks,
    node,
    records,
    replacement,
)
from tests.unit.test_removal_loop import Drive, report
from tests.unit.test_replacement_loop import FOUR, THREE


@pytest.mark.parametrize("policy", ["snapshot", "hash_check"])
def test_checks_that_the_profile_wants_are_made_in_its_turn(policy: str) -> None:
    """Not while somebody else changes the cluster, as those that the request wants."""
    change = replacement().do(to.Observe, report(StepOutcome.OBSERVED, THREE, worker_info={policy: True}))
    change.turn().next(to.TakeSnapshot if policy == "snapshot" else to.CheckHash)


def _leaving(change: Drive) -> set[str]:
    ask = change.next(to.TakeSnapshot).ask
    return {ask.target_id, *ask.leaving_later}


def test_snapshot_is_stored_by_a_node_that_stays() -> None:
    """The step is told who leaves: the target as a whole, or what leaves after the addition that is about to begin."""
    change = looks(replacement(snapshot=True), THREE).turn()
    assert _leaving(change) == {A}
    each = cluster(*(node(number, through_node=f"worker{number}") for number in (0, 1, 2)))
    assert observation.staying_node(change.state.changed(view=each)) == "worker1"


def test_checks_are_made_again_before_an_addition_that_had_to_wait_for_an_hour() -> None:
    """As an addition that was asked for alone makes them."""
    change = looks(replacement(snapshot=True), THREE).turn()
    saved = StepResult(step=step("take_snapshot", StepOutcome.SAVED, "node1: a file"))
    looks(change.do(to.TakeSnapshot, saved), THREE)
    change.do(AddTarget, report(StepOutcome.REFUSED_BY_ETCD, THREE))
    gives_turn_up(change).next(to.Wait)
    looks(change.result(after=time_limits.OPERATION.gates_last_seconds + 1), THREE).turn()
    assert A in _leaving(change)


def test_paused_while_a_part_ends_it_holds_before_the_next_one() -> None:
    """The addition is recorded; the removal begins when somebody says so."""
    change = looks(replacement(), THREE).turn()
    adds(change, THREE, 3)
    change.next(to.WriteStatus)
    assert pause_resume.refusal(change.state) == ""
    change.state = change.state.changed(paused=Pause(by="ann"))
    change.result(RECORDED)
    gives_turn_up(change)
    assert change.next(to.Wait).until is to.Until.RESUME
    assert change.state.handoff_state is HandoffState.PAUSED
    change.state = change.state.changed(paused=None)
    looks(change.result(), FOUR).turn()
    change.next(to.TransferLeadership)


def test_approval_and_checks_are_asked_once_for_the_whole() -> None:
    """Not again before the second part."""
    change = looks(replacement(require_approval=True, hash_check=True, snapshot=True), THREE)
    assert change.next(to.Wait).until is to.Until.APPROVAL
    assert "replacement of node0" in change.state.title
    change.state = change.state.changed(approval=Approval(by="ann"))
    looks(change.result(), THREE).turn()
    change.do(to.CheckHash, report(StepOutcome.CONSISTENT, None))
    change.do(to.TakeSnapshot, StepResult(step=step("take_snapshot", StepOutcome.SAVED, "node1: a file")))
    looks(change, THREE)
    records(adds(change, THREE, 3), 3, joined=True)
    looks(change, FOUR)
    change.next(to.TransferLeadership)


def test_approval_counts_for_all_parts_and_the_time_for_waiting_is_shared() -> None:
    """Nobody is asked again between the parts, and no part begins with all the time there was."""
    change = looks(replacement(require_approval=True, blocked_timeout_seconds=100), THREE)
    change.next(to.Wait)
    change.state = change.state.changed(approval=Approval(by="ann"))
    looks(change.result(), THREE).turn()
    records(adds(change, THREE, 3), 3, joined=True)
    assert change.state.blocked_remaining_seconds == 99.0
    looks(change, FOUR)
    change.next(to.TransferLeadership)
    assert change.state.blocked_remaining_seconds == 99.0


def test_pause_holds_the_whole_also_between_the_parts() -> None:
    """Somebody pauses it while a step runs that ends a part: the next one does not begin."""
    change = looks(replacement(), THREE).turn()
    adds(change, THREE, 3)
    change.next(to.WriteStatus)
    change.state = change.state.changed(paused=Pause(by="ann"))
    change.result(RECORDED)
    gives_turn_up(change)
    assert change.next(to.Wait).until is to.Until.RESUME
    assert change.state.title == "the replacement of node0"
    change.state = change.state.changed(paused=None)
    looks(change.result(), FOUR).turn()
    change.next(to.TransferLeadership)
