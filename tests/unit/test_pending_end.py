"""The end of a removal whose proposal may still be pending: what is written, and what the failure says."""

from __future__ import annotations

import pytest

from etcd_handoff import time_limits
from etcd_handoff.activity_io import StepResult, UpdateStatusResult
from etcd_handoff.contract import FailureType, Outcome, StepOutcome
from etcd_handoff.operation import commands as to
from etcd_handoff.operation.commands import StepFailure
from etcd_handoff.operation.loop import decide
from tests.unit.builders import step
from tests.unit.test_removal_loop import FAILED, LED_BY_B, NO_WORKER, RISKY, WITHOUT_A, Drive, begin, removing, report

LOST = StepFailure("remove_member", "", "etcd is silent")
"""An attempt whose answer was lost, so that it may have proposed the removal."""
BLIND = StepFailure("check_leader", "", "no quorum")
RECORDED = UpdateStatusResult(step=step("update_status", StepOutcome.RECORDED), recorded=True)
PENDING, SETTLED = "Removal was proposed, not confirmed: ", "Not removed: "
MAY_HAVE = "may have taken place"


def ended(last_look: StepResult | StepFailure) -> Drive:
    """A removal whose time is up after a lost answer, and what its last look came to."""
    removal = removing(blocked_timeout_seconds=0).do(to.RemoveTarget, LOST)
    assert removal.next(to.Wait).seconds == time_limits.OPERATION.settle_seconds
    removal.result(after=time_limits.OPERATION.settle_seconds)
    assert removal.next(to.Observe).ask.probe
    return removal.result(last_look).do(to.ReleaseLock, NO_WORKER)


def seen(*, acknowledged: bool) -> StepResult:
    """A look that shows the member."""
    return report(StepOutcome.OBSERVED, LED_BY_B, writes_acknowledged=acknowledged)


@pytest.mark.parametrize(
    ("last_look", "joined", "message"),
    [
        pytest.param(seen(acknowledged=True), True, SETTLED, id="etcd-has-given-it-up"),
        pytest.param(seen(acknowledged=False), None, PENDING, id="listed-but-nothing-is-committed"),
        pytest.param(BLIND, None, PENDING, id="nobody-answers"),
    ],
)
def test_removal_that_ends_writes_what_is_known(
    last_look: StepResult | StepFailure, message: str, *, joined: bool | None
) -> None:
    """Unknown where etcd may still carry it out, and the failure says so too."""
    removal = ended(last_look)
    command = removal.next(to.WriteStatus)
    assert (command.ask.joined, command.ask.failed) == (joined, True)
    assert command.ask.message.startswith(message)
    assert command.summary == f"write Joined={'Unknown' if joined is None else joined} to the EtcdMember of node0"
    failure = removal.result(RECORDED).do(to.ReleaseLock, NO_WORKER).next(to.Fail).failure
    assert failure.kind == FailureType.BLOCKED_TOO_LONG
    assert (MAY_HAVE in failure.text) is (joined is None)


def test_cancelled_removal_of_a_member_that_somebody_else_has_removed_records_that() -> None:
    """It came too late for the proposal, to which etcd answers that there is no such member."""
    removal = removing()
    removal.next(to.RemoveTarget)
    removal.state = removal.state.changed(cancel_requested=True)
    removal.result(report(StepOutcome.ALREADY_ABSENT, WITHOUT_A))
    assert removal.next(to.WriteStatus).ask.joined is False
    assert removal.result(RECORDED).next(to.Finish).result.outcome == Outcome.REMOVED


@pytest.mark.parametrize("last_look", [seen(acknowledged=True), BLIND])
def test_record_of_a_proposed_removal_that_cannot_be_written_goes_on(last_look: StepResult | StepFailure) -> None:
    """The removal fails after a minute, and its failure names the workflow that goes on."""
    removal = ended(last_look)
    seconds = 0.0
    while seconds < time_limits.OPERATION.record_at_least_seconds:
        command = removal.next(to.WriteStatus)
        seconds += command.most_seconds
        removal.result(FAILED, after=command.most_seconds)
    handed = removal.next(to.HandRecordOver)
    assert handed.record == command.ask.model_copy(update={"late": False})
    assert handed.record.made
    text = removal.result(result=True).do(to.ReleaseLock, NO_WORKER).next(to.Fail).failure.text
    assert f"503; it goes on: workflow {handed.workflow_id}" in text


def test_run_that_began_before_records_of_failed_removals_went_on_says_nothing_of_it() -> None:
    """It ends as it always did."""
    removal = ended(BLIND)
    while not isinstance(decide(removal.state, removal.now)[1], to.HandRecordOver):
        removal.do(to.WriteStatus, FAILED, after=60.0)
    text = removal.do(to.HandRecordOver, result=False).do(to.ReleaseLock, NO_WORKER).next(to.Fail).failure.text
    assert "could not be written within" in text
    assert "goes on" not in text


def test_record_of_a_removal_that_has_proposed_nothing_does_not_go_on() -> None:
    """Its time for waiting is up: the EtcdMember said what is true before, and says it still."""
    removal = begin(blocked_timeout_seconds=0).do(to.Observe, report(StepOutcome.OBSERVED, RISKY))
    for _ in range(4):
        removal.do(to.WriteStatus, FAILED, after=60.0)
        if not isinstance(decide(removal.state, removal.now)[1], to.WriteStatus):
            break
    assert "goes on" not in removal.next(to.Fail).failure.text
