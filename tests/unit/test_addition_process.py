"""An addition whose member is started by its own node's worker."""

from __future__ import annotations

from typing import Any, cast

import pytest

from etcd_handoff.activity_io import NodeFacts, ProcessResult
from etcd_handoff.contract import HandoffState, Outcome, StepOutcome
from etcd_handoff.operation import commands as to
from etcd_handoff.operation import member_process, node_needs
from etcd_handoff.operation.commands import AddTarget, PromoteTarget
from etcd_handoff.operation.learner import AwaitSync
from etcd_handoff.operation.learner_removal import RemoveLearner
from etcd_handoff.operation.member_process import PreflightMember, StartMember, StopMember
from etcd_handoff.operation.phases import NodeProcess
from tests.unit.builders import A, D, E, cluster, step
from tests.unit.test_addition_loop import (
    THREE,
    UNSTARTED,
    VOTER,
    adding,
    begin,
    cancelled,
    ends_well,
    gives_turn_up,
    in_sync,
    looks_again,
    observed,
    works,
)
from tests.unit.test_removal_loop import NO_WORKER, report


def process_result(*, facts: bool = False, **fields: Any) -> ProcessResult:
    """What the worker of the member's node answers."""
    ready = NodeFacts(running=False, data_dir="/var/lib/etcd", version="3.6.16", free_bytes=1 << 40)
    outcome = StepOutcome.FAILED if fields.get("error") else StepOutcome.STARTED
    given = {"command": True, "facts": ready if facts else None, **fields}
    return ProcessResult(step=step("start_member", outcome), **given)


def test_member_is_started_by_its_node_and_nobody_types_anything() -> None:
    """Looked at before it is added, started after it, and promoted when it is in sync."""
    drive = adding()
    before = drive.next(PreflightMember)
    assert (before.node, before.ask.name) == ("node3", "node3")
    drive.result(process_result(facts=True))
    drive.do(AddTarget, report(StepOutcome.ADDED, UNSTARTED, added_id=D, proposed=True))
    start = drive.next(StartMember)
    assert (start.node, start.ask.member_id) == ("node3", D)
    assert start.ask.join["ETCD_INITIAL_CLUSTER_STATE"] == "existing"
    assert start.ask.join["ETCD_INITIAL_CLUSTER"].count("=http://") == 4
    gives_turn_up(drive.result(process_result(changed=True)))
    assert "etcd runs on node3" in drive.state.blocked.seen if drive.state.blocked else False
    looks_again(looks_again(drive, UNSTARTED), UNSTARTED).do(StartMember, process_result())
    in_sync(drive).turn()
    drive.do(PromoteTarget, report(StepOutcome.PROMOTED, VOTER, added_id=D, proposed=True))
    assert ends_well(works(drive)).outcome is Outcome.ADDED


def test_node_that_is_not_ready_keeps_the_member_from_being_added() -> None:
    """It is looked at again after the pause, and then the member is added."""
    drive = adding()
    drive.do(PreflightMember, process_result(error="`status` ended with status 1"))
    gives_turn_up(drive)
    drive.next(to.Wait)
    assert "NodeNotReady" in drive.state.doing
    drive.result(after=1.0).do(to.Observe, observed(THREE)).turn()
    drive.do(PreflightMember, process_result(facts=True))
    drive.next(AddTarget)


@pytest.mark.parametrize(("member_id", "cluster_id"), [(A, "cdf818194e3a8c32"), (A, "beef"), (E, "cdf818194e3a8c32")])
def test_node_of_a_member_is_not_to_be_cleared_for_another_one(member_id: str, cluster_id: str) -> None:
    """Its etcd has a vote, and its data is the log that etcd counts on; other data is only in the way."""
    assert THREE.cluster_id == "cdf818194e3a8c32"
    found = {"member_id": member_id, "cluster_id": cluster_id, "data_of": f"member {member_id}", "running": True}
    facts = NodeFacts.model_validate({"data_dir": "/var/lib/etcd", "free_bytes": 1 << 40, **found})
    (first, *others) = node_needs.obstacles(facts, "node0", THREE)
    is_resident = (member_id, cluster_id) == (A, THREE.cluster_id)
    assert ("stop it on node0" in first, "leave it as it is" in first) == (not is_resident, is_resident)
    assert any("move it away" in text for text in others) is not is_resident


@pytest.mark.parametrize(("version", "fits"), [("3.6.2", False), ("3.6.4", True), ("3.6.16", True), ("3.7.0", True)])
def test_etcd_that_may_forget_a_promotion_is_not_to_join(version: str, *, fits: bool) -> None:
    """It is said before anything is changed: once it has joined, nothing is promoted any more."""
    view = cluster(*(m.model_copy(update={"version": "3.6.16"}) for m in THREE.members))
    facts = NodeFacts(running=False, data_dir="/var/lib/etcd", version=version, free_bytes=1 << 40)
    texts = [*node_needs.obstacles(facts, "node3", view)]
    assert any("may forget that a learner was promoted" in text for text in texts) is not fits
    assert fits is (not texts)


def test_etcd_that_was_perhaps_started_is_stopped_although_nobody_has_said_that_there_is_a_command() -> None:
    """The node had no worker at first; one came, started etcd, and died. After the cancellation it is asked again."""
    drive = adding().do(PreflightMember, NO_WORKER)
    drive.do(AddTarget, report(StepOutcome.ADDED, UNSTARTED, added_id=D, proposed=True))
    looks_again(gives_turn_up(drive), UNSTARTED, after=600.0)
    drive.do(StartMember, to.StepFailure("start_member", "", "no worker took it", taken=False, tried=True))
    assert drive.state.joining.process.command is None
    drive.next(AwaitSync)
    cancelled(drive).do(to.Observe, observed(UNSTARTED))
    drive.do(RemoveLearner, report(StepOutcome.REMOVED, THREE, proposed=True))
    assert drive.next(StopMember).node == "node3"
    drive.result(NO_WORKER).next(to.Cancel)
    assert "etcd could not be stopped" in drive.state.doing


def test_start_whose_worker_died_counts_as_one() -> None:
    """Its next attempt may come too late to say so; a worker that has not begun has started nothing."""
    for tried in (True, False):
        drive = adding().do(PreflightMember, process_result(facts=True))
        drive.do(AddTarget, report(StepOutcome.ADDED, UNSTARTED, added_id=D, proposed=True))
        died = to.StepFailure("start_member", "", "its worker did not say that it is alive", tried=tried)
        gives_turn_up(drive.do(StartMember, died))
        looks_again(looks_again(drive, UNSTARTED), UNSTARTED)
        assert drive.next(StartMember).ask.begun is tried


def test_worker_that_cannot_start_anything_has_started_nothing() -> None:
    """It lacks the profile, or is too old: what runs there later a person has started."""
    drive = adding().do(PreflightMember, process_result(command=False))
    drive.do(AddTarget, report(StepOutcome.ADDED, UNSTARTED, added_id=D, proposed=True))
    state = drive.state.with_joining(process=NodeProcess())
    for kind, started in (("NotFoundError", False), ("UnknownCluster", False), ("", True)):
        failure = to.StepFailure("start_member", kind, "x")
        command = member_process.starting(state, {"ETCD_NAME": "node3"})
        assert command is not None
        failed = member_process.failed(state, cast("StartMember", command.command), failure, 0.0)
        assert failed.joining.process.started is started


def test_nothing_is_started_before_somebody_has_approved() -> None:
    """An addition that finds its learner asks first, as for every change."""
    drive = begin(require_approval=True).do(to.Observe, observed(UNSTARTED))
    gives_turn_up(drive)
    drive.next(AwaitSync)
    assert drive.unasked == []
    assert drive.state.handoff_state is HandoffState.BLOCKED


def test_dry_run_runs_no_command() -> None:
    """Not even the one that changes nothing."""
    drive = begin(dry_run=True).do(to.Observe, observed(THREE))
    assert drive.next(to.Finish).result.outcome is Outcome.PLANNED
    assert drive.unasked == []
