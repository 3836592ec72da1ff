"""What an EtcdMember is told whose removal waits before any queue knows of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from etcd_handoff.contract import FailureType, Pause, RemovalRequest, StepOutcome
from etcd_handoff.operation import commands as to
from etcd_handoff.operation import ending
from etcd_handoff.operation.commands import StepFailure
from etcd_handoff.operation.queue_messages import QueuePosition, TakeTurnResult
from etcd_handoff.operation.resource_progress import WriteProgress
from etcd_handoff.operation.state import OperationState
from etcd_handoff.planning import Reason
from tests.unit.builders import A, C, cluster, doubt, member
from tests.unit.test_removal_loop import OBSERVED_B, RISKY, Drive, begin, report

if TYPE_CHECKING:
    from etcd_handoff.activity_io import StepResult
    from etcd_handoff.reconciler.removal_progress import NoteProgressInput

DOUBTED = report(StepOutcome.OBSERVED, cluster(member(A), doubts=doubt(Reason.LISTS_DIFFER)))
UNSEEN = report(StepOutcome.UNAVAILABLE, None)
NOT_TOLD = StepFailure("note_progress", "", "503")


def asked_for(member: str = A) -> Drive:
    """A removal that the flag of EtcdMember node0 has started."""
    request = RemovalRequest(cluster="prod", member=member)
    return Drive(
        OperationState(
            run_id="run", chain_id="chain", request=request, blocked_remaining_seconds=3600, etcdmember="node0"
        )
    )


@pytest.mark.parametrize(
    ("first_look", "words"),
    [
        (UNSEEN, "Blocked: ClusterUnavailable: no linearizable member list can be read; what unblocks it: start"),
        (StepFailure("check_leader", "StepFails", "no such thing"), "Blocked: StepFails: "),
        (DOUBTED, "Blocked: ListsDiffer: node0 says this, node1 says that; what unblocks it: stop one"),
    ],
)
def test_first_look_that_shows_no_member_is_told_once(first_look: StepResult | StepFailure, words: str) -> None:
    """The EtcdMember says why before the pause begins, and not again while the reason is the same."""
    removal = asked_for().do(to.Observe, first_look)
    note: NoteProgressInput = removal.next(WriteProgress).ask
    assert (note.cluster, note.resource, note.member_id, note.failed) == ("prod", "node0", A, False)
    assert note.message.startswith(words)
    removal.result("").do(to.Wait).do(to.Observe, first_look).do(to.Wait)
    other = StepFailure("check_leader", "StepFails", "something else")
    assert "something else" in removal.do(to.Observe, other).next(WriteProgress).ask.message


def test_sentence_that_could_not_be_written_is_tried_again_after_the_pause() -> None:
    """Never at once: the API server may be away for as long as etcd is."""
    removal = asked_for().do(to.Observe, UNSEEN).do(WriteProgress, NOT_TOLD).do(to.Wait)
    removal.do(to.Observe, UNSEEN).do(WriteProgress, "").do(to.Wait).do(to.Observe, UNSEEN).next(to.Wait)


def test_pause_ends_the_word_that_it_is_blocked() -> None:
    """What the EtcdMember says stays true."""
    removal = asked_for().do(to.Observe, UNSEEN).do(WriteProgress, "").do(to.Wait)
    removal.state = removal.state.changed(paused=Pause(by="ann", reason="lunch"))
    resume = f"`etcd-handoff resume {A} -c prod`"
    assert removal.next(WriteProgress).ask.message == f"Paused by ann: lunch; what unblocks it: {resume}"


def test_queue_tells_once_it_knows_the_removal() -> None:
    """Two writers would only repeat each other; where the queue is silent the removal tells it itself."""
    removal = asked_for().do(to.Observe, report(StepOutcome.OBSERVED, RISKY))
    removal.next(to.AskQueue)
    removal.result(TakeTurnResult(turn=QueuePosition(granted=False))).next(to.Wait)
    removal = asked_for().do(to.Observe, report(StepOutcome.OBSERVED, RISKY))
    removal.next(to.AskQueue)
    removal.result(TakeTurnResult(turn=QueuePosition(granted=False), silent="it hangs"))
    assert removal.next(WriteProgress).ask.message.startswith("Blocked: QuorumAtRisk: ")


def test_nobody_is_told_of_a_removal_that_no_etcdmember_asks_for() -> None:
    """A name that no look has shown may be another member's: see docs/decisions/0023."""
    begin().do(to.Observe, UNSEEN).next(to.Wait)
    asked_for(C).do(to.Observe, OBSERVED_B).turn().next(to.RemoveTarget)


def test_end_before_the_first_look_is_told_too() -> None:
    """The watcher tells it as well where it runs; a stopped one would leave `Blocked` for ever."""
    removal = asked_for()
    removal.state = removal.state.changed(blocked_remaining_seconds=0)
    removal.do(to.Observe, UNSEEN)
    note: NoteProgressInput = removal.next(WriteProgress).ask
    assert note.message.startswith("Not removed: ClusterUnavailable: ")
    assert (note.failed, removal.result(NOT_TOLD).next(to.Fail).failure.kind) == (True, FailureType.BLOCKED_TOO_LONG)
    removal = asked_for().do(to.Observe, UNSEEN).do(WriteProgress, "")
    removal.next(to.Wait)
    removal.state = ending.cancelled(removal.state)
    assert removal.next(WriteProgress).ask.message == "Ended: cancelled before anything was removed"
    removal.result("").next(to.Cancel)
    quick = asked_for()
    quick.state = ending.cancelled(quick.state)
    quick.next(to.Cancel)


def test_what_was_told_is_carried_by_the_next_run() -> None:
    """A removal that waits for days does not repeat itself."""
    state = asked_for().do(to.Observe, UNSEEN).do(WriteProgress, "").state
    carried = OperationState.model_validate_json(state.model_dump_json())
    assert (carried.etcdmember, carried.last_note, carried.note_again) == ("node0", state.last_note, False)
