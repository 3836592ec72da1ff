"""What becomes of the etcd process of a member that has left, where its node names a command for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from etcd_handoff import time_limits
from etcd_handoff.activity_io import ProcessResult
from etcd_handoff.contract import Pause, StepOutcome
from etcd_handoff.operation import commands as to
from etcd_handoff.operation import process_end
from etcd_handoff.operation.commands import AddTarget
from etcd_handoff.operation.learner import AwaitSync
from etcd_handoff.operation.learner_removal import RemoveLearner
from etcd_handoff.operation.member_process import ArchiveMember, PreflightMember, StartMember, StopMember
from etcd_handoff.operation.queue_messages import QueuePosition, TakeTurnResult
from tests.unit.builders import A, B, C, D, cluster, step
from tests.unit.changes import RECORDED, adds, looks, membership, node, nodes, records, removes, replacement, url
from tests.unit.test_addition_loop import THREE, UNSTARTED, adding, cancelled, gives_turn_up, observed
from tests.unit.test_addition_process import process_result
from tests.unit.test_removal_loop import Drive, begin, report
from tests.unit.test_replaced_member import REMEMBERED
from tests.unit.test_replacement_loop import DEAD, FOUR, WITHOUT_IT, ends

if TYPE_CHECKING:
    from etcd_handoff.cluster_view import ClusterView

NO_WORKER = to.StepFailure("stop_member", "", "no worker on node0: start one there", taken=False)
SLOW = to.StepFailure("stop_member", "", "it was not done in time")


def did(outcome: StepOutcome, note: str, **fields: Any) -> ProcessResult:
    """What the worker of the node answers."""
    return ProcessResult(step=step("stop_member", outcome, note), **{"command": True, **fields})


STOPPED = did(StepOutcome.STOPPED, "stopped (pid 7)", changed=True)
ARCHIVED = did(StepOutcome.ARCHIVED, "/var/lib/etcd is /var/lib/etcd.member now", changed=True)
FAILED = did(StepOutcome.FAILED, "no unit", error="no unit")
ANOTHERS = "/var/lib/etcd holds data of member 9 of cluster f; it is another member's"
UNTOUCHED = did(StepOutcome.FAILED, ANOTHERS, error=ANOTHERS, untouched=True)


# --- the learner of an addition that was cancelled ---------------------------------------------------------------


def started() -> Drive:
    """An addition whose learner its node's worker has started, and that was cancelled then."""
    addition = adding().do(PreflightMember, process_result(facts=True))
    addition.do(AddTarget, report(StepOutcome.ADDED, UNSTARTED, added_id=D, proposed=True))
    gives_turn_up(addition.do(StartMember, process_result(changed=True))).next(AwaitSync)
    return cancelled(addition).do(to.Observe, observed(UNSTARTED))


@pytest.mark.parametrize(("attempts", "needs_data"), [(1, True), (2, False)])
def test_etcd_that_ran_already_is_stopped_only_on_the_learners_data(attempts: int, *, needs_data: bool) -> None:
    """It may be somebody else's; but a second attempt may find what the first one has started."""
    addition = adding().do(PreflightMember, process_result(facts=True))
    addition.do(AddTarget, report(StepOutcome.ADDED, UNSTARTED, added_id=D, proposed=True))
    ran = process_result(changed=False)
    ran = ran.model_copy(update={"step": ran.step.model_copy(update={"attempts": attempts})})
    gives_turn_up(addition.do(StartMember, ran)).next(AwaitSync)
    addition = cancelled(addition).do(to.Observe, observed(UNSTARTED))
    addition.do(RemoveLearner, report(StepOutcome.REMOVED, THREE, proposed=True))
    assert addition.next(StopMember).ask.needs_data is needs_data


def test_learner_that_was_started_is_stopped_and_archived_once_it_is_out() -> None:
    """On its own node, by its own IDs; it may run on no data yet, as it was started here."""
    addition = started().do(RemoveLearner, report(StepOutcome.REMOVED, THREE, proposed=True))
    stop = addition.next(StopMember)
    assert (stop.node, stop.ask.member_id, stop.ask.needs_data) == ("node3", D, False)
    addition.result(STOPPED)
    assert addition.next(ArchiveMember).ask.member_id == D
    addition.result(ARCHIVED).next(to.Cancel)
    where = "on node3: etcd stopped (pid 7); /var/lib/etcd is /var/lib/etcd.member now"
    note = f"its learner {D} has been removed; {where}"
    assert note in addition.state.doing


@pytest.mark.parametrize(
    ("answers", "words"),
    [
        ([FAILED], "could not be stopped: no unit. Left to do there: stop it"),
        ([NO_WORKER], "could not be stopped: no worker on node0"),
        ([STOPPED, FAILED], "its data could not be archived: no unit. Left to do there: move it away"),
        ([STOPPED, SLOW], "its data could not be archived: it was not done in time"),
    ],
)
def test_what_is_left_is_told(answers: list[Any], words: str) -> None:
    """The addition ends all the same."""
    addition = started().do(RemoveLearner, report(StepOutcome.REMOVED, THREE, proposed=True))
    for answer, kind in zip(answers, (StopMember, ArchiveMember), strict=False):
        addition.do(kind, answer)
    addition.next(to.Cancel)
    assert words in addition.state.doing


def test_learner_that_is_not_out_is_not_stopped() -> None:
    """It may get its vote, and then it counts."""
    addition = started()
    for number in range(time_limits.OPERATION.learner_removal_attempts):
        addition.do(RemoveLearner, report(StepOutcome.LOCKED, UNSTARTED))
        if number < time_limits.OPERATION.learner_removal_attempts - 1:
            addition.next(to.Wait)
            addition.result().do(to.Observe, observed(UNSTARTED))
    addition.next(to.Cancel)
    assert "StopMember" not in [*addition.taken, *addition.unasked]


def test_node_without_a_command_is_not_asked_again() -> None:
    """A person has started etcd there, and stops it."""
    addition = adding().do(PreflightMember, process_result(command=False))
    addition.do(AddTarget, report(StepOutcome.ADDED, UNSTARTED, added_id=D, proposed=True))
    gives_turn_up(addition).next(AwaitSync)
    cancelled(addition).do(to.Observe, observed(UNSTARTED))
    addition.do(RemoveLearner, report(StepOutcome.REMOVED, THREE, proposed=True)).next(to.Cancel)
    assert "StopMember" not in addition.unasked


# --- the member that is replaced ---------------------------------------------------------------------------------


def removed() -> Drive:
    """The old member of a replacement has left, and its EtcdMember says so."""
    change = looks(replacement(old="node2"), FOUR).turn()
    assert "StopMember" not in change.unasked
    return records(removes(change, nodes(0, 1, 3), 2), 2, joined=False)


def test_old_member_is_stopped_and_archived_once_it_is_out() -> None:
    """After the record; the result says it."""
    change = removed()
    stop = change.next(StopMember)
    assert (stop.node, stop.ask.member_id, stop.ask.needs_data) == ("node2", C, True)
    change.result(STOPPED).do(ArchiveMember, ARCHIVED)
    looks(change, nodes(0, 1, 3))
    looks(records(change, 3, joined=True), nodes(0, 1, 3))
    part = ends(change).parts[0]
    assert part.process == "on node2: etcd stopped (pid 7); /var/lib/etcd is /var/lib/etcd.member now"


def test_node_of_a_member_that_never_had_a_name_is_not_asked() -> None:
    """Nobody knows which it is."""
    change = removed()
    change.next(StopMember)
    target = change.state.target
    assert process_end.is_due(change.state)
    assert not process_end.is_due(change.state.changed(pinned=target.model_copy(update={"member_name": ""})))


RESTORED = cluster(*(node(number, term=2, raft_index=50) for number in (0, 1, 2)))


@pytest.mark.parametrize(
    ("seen", "stops"), [(nodes(0, 1, 3), True), (nodes(0, 1, 2, 3), False), (RESTORED, False), (None, False)]
)
def test_old_member_whose_record_had_to_wait_is_looked_for_again(seen: ClusterView | None, *, stops: bool) -> None:
    """A restore may have brought it back meanwhile, with the IDs that its data have: then it is needed."""
    change = removes(looks(replacement(old="node2"), FOUR).turn(), nodes(0, 1, 3), 2)
    change.do(to.WriteStatus, to.StepFailure("update_status", "NotRecorded", "503"), after=4.0)
    gives_turn_up(change)
    change.do(to.WriteStatus, RECORDED)
    looks(change, seen)
    if stops:
        change.next(StopMember)
    else:
        change.next(to.Observe)
        assert "StopMember" not in [*change.taken, *change.unasked]
        whole = change.state.whole
        assert whole is not None
        assert "its node was not changed" in whole.ended[0].process


def test_old_member_that_a_restore_brings_back_while_it_is_held_is_left_alone() -> None:
    """Somebody else has removed it, and somebody pauses; then the cluster is restored, with the member in it."""
    change = looks(replacement(old="node2"), FOUR).turn()
    change.next(to.RemoveTarget)
    change.state = change.state.changed(paused=Pause(by="ann"))
    change.result(report(StepOutcome.ALREADY_ABSENT, nodes(0, 1, 3)))
    change.next(to.AskQueue)
    change.result(TakeTurnResult(turn=QueuePosition(granted=False))).next(to.Wait)
    change.state = change.state.changed(paused=None)
    looks(change.result(after=3600.0), cluster(*(node(number, term=2, raft_index=50) for number in range(4))))
    assert change.next(to.Fail).failure.text.startswith("ClusterRestored: ")
    assert "StopMember" not in [*change.taken, *change.unasked]


@pytest.mark.parametrize(
    ("answers", "done"),
    [
        ([UNTOUCHED], "on node2: nothing was touched"),
        ([did(StepOutcome.STOPPED, "did not run"), UNTOUCHED], "on node2: etcd did not run; no data was moved"),
    ],
)
def test_nobody_is_told_to_stop_another_member_on_that_node(answers: list[Any], done: str) -> None:
    """The node of that name may be a new machine, with the new member on it."""
    change = removed()
    for answer, kind in zip(answers, (StopMember, ArchiveMember), strict=False):
        change.do(kind, answer)
    looks(change, nodes(0, 1, 3))
    looks(records(change, 3, joined=True), nodes(0, 1, 3))
    process = ends(change).parts[0].process
    assert process == f"{done}: {ANOTHERS}. If the etcd of node2 ({C}) still runs somewhere, stop that one"


def test_answer_of_an_older_worker_can_be_read() -> None:
    """It does not say why it has refused."""
    older = UNTOUCHED.model_dump_json(exclude={"untouched"})
    assert ProcessResult.model_validate_json(older) == UNTOUCHED.model_copy(update={"untouched": False})


@pytest.mark.parametrize("answer", [NO_WORKER, did(StepOutcome.NO_COMMAND, "", command=False)])
def test_node_of_the_old_member_that_has_no_command_costs_nothing_but_the_question(answer: Any) -> None:
    """The process is for people to stop, as ever."""
    change = removed().do(StopMember, answer)
    looks(change, nodes(0, 1, 3))
    looks(records(change, 3, joined=True), nodes(0, 1, 3))
    assert ends(change).parts[0].process == ""
    assert "ArchiveMember" not in change.unasked


def test_old_member_is_not_stopped_while_it_may_be_a_member() -> None:
    """Etcd refuses the removal, and nothing proves that it has left."""
    change = looks(replacement(old="node2"), FOUR).turn()
    change.do(to.RemoveTarget, report(StepOutcome.REFUSED_BY_ETCD, FOUR))
    gives_turn_up(change).next(to.Wait)
    assert "StopMember" not in change.unasked


def test_old_member_that_is_still_there_is_not_stopped_when_it_is_cancelled() -> None:
    """Its removal waits; nobody has proposed it."""
    change = looks(replacement(old="node2"), FOUR)
    change.do(to.AskQueue, TakeTurnResult(turn=QueuePosition(granted=False, behind=("another",)))).next(to.Wait)
    cancelled(change).next(to.Cancel)
    assert "StopMember" not in change.unasked


def test_old_member_that_was_out_before_is_not_stopped() -> None:
    """Somebody else has removed it, and may have plans with its node."""
    change = looks(replacement(old=A), WITHOUT_IT).do(to.FindResource, REMEMBERED)
    looks(change, WITHOUT_IT).turn()
    looks(records(adds(change, WITHOUT_IT, 3), 3, joined=True), nodes(1, 2, 3, leader=B))
    looks(records(change, 0, joined=False), nodes(1, 2, 3, leader=B))
    assert ends(change).outcome == "replaced"
    assert "StopMember" not in change.unasked


def test_member_that_a_list_leaves_out_is_not_stopped() -> None:
    """As one that somebody removes alone."""
    change = looks(membership(0, 1), THREE).turn()
    records(removes(change, nodes(0, 1), 2), 2, joined=False)
    looks(change, nodes(0, 1)).next(to.Finish)
    assert "StopMember" not in change.unasked


def test_node_is_made_free_before_the_new_member_comes_to_the_same_address() -> None:
    """The preflight of the addition wants an empty data directory."""
    change = looks(replacement(old=A, new=0), DEAD).turn()
    records(removes(change, WITHOUT_IT, 0), 0, joined=False)
    change.do(StopMember, STOPPED).do(ArchiveMember, ARCHIVED)
    looks(change, WITHOUT_IT)
    assert change.next(PreflightMember).ask.peer_urls == (url(0),)


def test_removal_that_was_asked_for_alone_stops_nothing() -> None:
    """Whoever asks for it has other plans with the node."""
    left = nodes(1, 2, leader=B, term=8)
    removal = begin().do(to.Observe, observed(nodes(0, 1, 2, leader=B, term=8))).turn()
    removal.do(to.RemoveTarget, report(StepOutcome.REMOVED, left, proposed=True))
    records(removal, 0, joined=False)
    removal.next(to.Finish)
    assert removal.unasked == []
