"""A replacement that is cancelled, and what becomes of a learner whose part was put off."""

from __future__ import annotations

from typing import TYPE_CHECKING

from etcd_handoff.contract import FailureType, Outcome, StepOutcome
from etcd_handoff.operation import commands as to
from etcd_handoff.operation import ending
from etcd_handoff.operation.commands import AddTarget
from etcd_handoff.operation.learner import AwaitSync
from etcd_handoff.operation.learner_removal import RemoveLearner
from etcd_handoff.operation.member_process import ArchiveMember, PreflightMember, StartMember, StopLearner, StopMember
from tests.unit.builders import A, B, D, E, cluster
from tests.unit.changes import (
    RECORDED,
    adds,
    gives_turn_up,
    learner,
    looks,
    looks_again,
    membership,
    node,
    nodes,
    records,
    removes,
    replacement,
    unstarted,
)
from tests.unit.test_addition_process import process_result
from tests.unit.test_process_end import did
from tests.unit.test_removal_loop import Drive, report
from tests.unit.test_replacement_loop import DEAD, FOUR, THREE, WITHOUT_IT, ends, removes_leader

if TYPE_CHECKING:
    from etcd_handoff.cluster_view import ClusterView


def test_learner_that_was_put_off_is_still_its_own_when_it_is_cancelled() -> None:
    """The part that goes on with it has not added it, and the replacement has."""
    change = looks(replacement(), THREE).turn()
    waiting = cluster(*THREE.members, unstarted(3))
    change.do(AddTarget, report(StepOutcome.ADDED, waiting, added_id=D, proposed=True))
    gives_turn_up(change)
    looks_again(change, cluster(*DEAD.members, learner(3, B))).turn()
    after = cluster(*WITHOUT_IT.members, unstarted(3))
    removes(change, after, 0)
    records(change, 0, joined=False)
    gives_turn_up(looks(change, after)).next(AwaitSync)
    change.state = ending.cancelled(change.state)
    assert looks(change, after).next(RemoveLearner).ask.target_id == D


def put_off() -> tuple[Drive, ClusterView]:
    """The removal waits for its turn: the old member died while the new one, which was added, was waited for."""
    change = looks(replacement(), THREE).turn()
    waiting = cluster(*THREE.members, unstarted(3))
    change.do(AddTarget, report(StepOutcome.ADDED, waiting, added_id=D, proposed=True))
    view = cluster(*DEAD.members, unstarted(3))
    looks_again(gives_turn_up(change), view).next(to.AskQueue)
    assert change.state.request.subject == A
    return change, view


def test_learner_that_was_put_off_leaves_when_the_removal_is_cancelled() -> None:
    """No part goes on with it, and it would keep everybody else from joining."""
    change, view = put_off()
    change.state = ending.cancelled(change.state)
    ask = looks(change, view).next(RemoveLearner).ask
    assert (ask.target_id, ask.learner_only) == (D, True)
    change.result(report(StepOutcome.REMOVED, DEAD, proposed=True)).next(to.Cancel)
    assert f"learner {D}, which was added before, has been removed" in change.state.doing


def put_off_on_a_node_with_a_command() -> tuple[Drive, ClusterView]:
    """The same; the new member's etcd was started by its node, and has not joined yet."""
    change = looks(replacement(), THREE).turn().do(PreflightMember, process_result(facts=True))
    waiting = cluster(*THREE.members, unstarted(3))
    change.do(AddTarget, report(StepOutcome.ADDED, waiting, added_id=D, proposed=True))
    gives_turn_up(change.do(StartMember, process_result(changed=True)))
    view = cluster(*DEAD.members, unstarted(3))
    looks_again(change, view)
    return change, view


def test_etcd_of_a_learner_that_was_put_off_is_stopped_once_it_is_out() -> None:
    """The removal that runs by then did not start it; nothing else would ever stop it."""
    change, view = put_off_on_a_node_with_a_command()
    change.next(to.AskQueue)
    change.state = ending.cancelled(change.state)
    looks(change, view).do(RemoveLearner, report(StepOutcome.REMOVED, DEAD, proposed=True))
    stop = change.next(StopLearner)
    assert (stop.node, stop.ask.member_id, stop.ask.name, stop.ask.needs_data) == ("node3", D, "node3", False)
    change.result(did(StepOutcome.STOPPED, "stopped", changed=True))
    assert change.next(ArchiveMember).ask.member_id == D
    change.result(did(StepOutcome.ARCHIVED, "its data is elsewhere now")).next(to.Cancel)
    assert f"learner {D}, which was added before, has been removed; on node3: etcd stopped" in change.state.doing


def test_etcd_that_was_started_before_its_part_was_put_off_is_started_again_with_the_members_of_now() -> None:
    """It has the settings of then, and looks for a member that has left since."""
    change, _ = put_off_on_a_node_with_a_command()
    change.turn()
    after = cluster(*WITHOUT_IT.members, unstarted(3))
    removes(change, after, 0)
    records(change, 0, joined=False)
    ask = looks(change, after).next(StartMember).ask
    assert (ask.begun, ask.again, ask.join["ETCD_INITIAL_CLUSTER"].count("=http://")) == (True, True, 3)


def test_addition_of_a_learner_that_somebody_has_removed_can_be_cancelled() -> None:
    """It is put off, removed by hand, and its etcd still runs where the new addition would begin."""
    change, _ = put_off_on_a_node_with_a_command()
    change.turn()
    removes(change, WITHOUT_IT, 0)
    records(change, 0, joined=False)
    looks(change, WITHOUT_IT).do(PreflightMember, process_result(error="etcd runs there already"))
    gives_turn_up(change).next(to.Wait)
    change.state = ending.cancelled(change.state)
    looks(change, WITHOUT_IT)
    assert change.next(StopLearner).ask.member_id == D
    change.result(did(StepOutcome.STOPPED, "stopped")).do(ArchiveMember, did(StepOutcome.ARCHIVED, "archived"))
    change.next(to.Cancel)
    assert f"learner {D}, which was added before, has been removed; on node3" in change.state.doing
    assert "learner  " not in change.state.doing


def test_part_that_goes_on_with_a_learner_that_has_joined_stops_it_when_it_is_cancelled() -> None:
    """No start of this part has asked its node, and the part before has."""
    change, _ = put_off_on_a_node_with_a_command()
    change.turn()
    after = cluster(*WITHOUT_IT.members, learner(3, B, raft_index=1))
    removes(change, after, 0)
    records(change, 0, joined=False)
    gives_turn_up(looks(change, after)).next(AwaitSync)
    change.state = ending.cancelled(change.state)
    looks(change, after).do(RemoveLearner, report(StepOutcome.REMOVED, WITHOUT_IT, proposed=True))
    assert change.next(StopLearner).ask.member_id == D


def test_learner_of_the_running_part_is_the_one_whose_etcd_is_stopped() -> None:
    """Somebody has removed the one that was put off: its successor on that node has another ID."""
    change, _ = put_off_on_a_node_with_a_command()
    change.turn()
    removes(change, WITHOUT_IT, 0)
    records(change, 0, joined=False)
    looks(change, WITHOUT_IT).do(PreflightMember, process_result(facts=True))
    again = cluster(*WITHOUT_IT.members, unstarted(3).model_copy(update={"id": E}))
    change.do(AddTarget, report(StepOutcome.ADDED, again, added_id=E, proposed=True))
    gives_turn_up(change.do(StartMember, process_result(changed=True))).next(AwaitSync)
    change.state = ending.cancelled(change.state)
    looks(change, again).do(RemoveLearner, report(StepOutcome.REMOVED, WITHOUT_IT, proposed=True))
    stop = change.next(StopMember)
    assert (type(stop), stop.ask.member_id) == (StopMember, E)
    change.result(did(StepOutcome.STOPPED, "stopped")).do(ArchiveMember, did(StepOutcome.ARCHIVED, "archived"))
    change.next(to.Cancel)
    assert f"its learner {E} has been removed; on node3: etcd stopped" in change.state.doing
    assert "was added before, has been removed" not in change.state.doing


def test_etcd_of_a_learner_that_was_put_off_and_has_a_vote_by_now_runs_on() -> None:
    """Somebody has promoted it; another part's learner is the one that leaves."""
    change = looks(membership(1, 2, 3, 4), THREE)
    change.turn().do(PreflightMember, process_result(facts=True))
    change.do(AddTarget, report(StepOutcome.ADDED, cluster(*THREE.members, unstarted(3)), added_id=D, proposed=True))
    gives_turn_up(change.do(StartMember, process_result(changed=True)))
    looks_again(change, cluster(*DEAD.members, unstarted(3))).turn()
    promoted = cluster(*WITHOUT_IT.members, node(3, B))
    removes(change, promoted, 0)
    records(change, 0, joined=False)
    looks(change, promoted).do(PreflightMember, process_result(facts=True))
    waiting = cluster(*promoted.members, unstarted(4))
    change.do(AddTarget, report(StepOutcome.ADDED, waiting, added_id=E, proposed=True))
    gives_turn_up(change.do(StartMember, process_result(changed=True))).next(AwaitSync)
    change.state = ending.cancelled(change.state)
    looks(change, waiting).do(RemoveLearner, report(StepOutcome.REMOVED, promoted, proposed=True))
    assert change.next(StopMember).ask.member_id == E


def test_order_to_k0s_is_revoked_as_well_when_a_learner_was_put_off() -> None:
    """Both are its own."""
    change, view = put_off()
    change.state = ending.cancelled(change.state.changed(leave_asked=True))
    looks(change, view).do(RemoveLearner, report(StepOutcome.REMOVED, DEAD, proposed=True))
    assert change.next(to.ReadLeave).ask.member_name == "node0"


def test_learner_that_was_put_off_and_got_a_vote_meanwhile_stays() -> None:
    """Somebody else has promoted it."""
    change, _ = put_off()
    change.state = ending.cancelled(change.state)
    looks(change, cluster(*DEAD.members, node(3, B))).next(to.Cancel)
    assert "learner" not in change.state.doing


def test_learner_that_was_put_off_is_named_when_the_removal_fails() -> None:
    """A failure removes nothing."""
    change, _ = put_off()
    change.state = change.state.failing(to.Failure(FailureType.BLOCKED_TOO_LONG, "it was blocked"))
    change.do(to.WriteStatus, RECORDED)
    failure = change.next(to.Fail).failure
    assert f"`etcd-handoff remove {D} -c prod` removes it" in failure.text


def test_cancellation_between_the_parts_ends_there() -> None:
    """Somebody cancels while the record is written: the removal does not begin."""
    change = looks(replacement(), THREE).turn()
    adds(change, THREE, 3)
    change.next(to.WriteStatus)
    change.state = change.state.changed(cancel_requested=True)
    change.result(RECORDED)
    looks(change, FOUR)
    change.next(to.Cancel)
    assert "node3 (" in change.state.doing
    assert "To go on: `etcd-handoff replace" in change.state.doing


def test_cancellation_after_the_last_part_has_begun_to_be_recorded_ends_well() -> None:
    """Nothing is left that could be cancelled."""
    change = looks(replacement(), DEAD).turn()
    removes(change, WITHOUT_IT, 0)
    records(change, 0, joined=False)
    looks(change, WITHOUT_IT)
    adds(change, WITHOUT_IT, 3).next(to.WriteStatus)
    change.state = change.state.changed(cancel_requested=True)
    looks(change.result(RECORDED), nodes(1, 2, 3, leader=B))
    assert ends(change).outcome == Outcome.REPLACED


def test_cancelled_part_says_what_is_half_done() -> None:
    """Before the learner has its vote."""
    change = looks(replacement(), THREE).turn()
    waiting = cluster(*THREE.members, unstarted(3))
    change.do(AddTarget, report(StepOutcome.ADDED, waiting, added_id=D, proposed=True))
    gives_turn_up(change)
    change.next(AwaitSync)
    change.state = ending.cancelled(change.state)
    looks(change, waiting).do(RemoveLearner, report(StepOutcome.REMOVED, THREE)).next(to.Cancel)
    assert f"its learner {D} has been removed" in change.state.doing
    assert "stopped at part 1 of 2: adding node3" in change.state.doing


def recorded() -> Drive:
    """Both members are as they are to be, and recorded; only a look has to show it."""
    change = looks(replacement(), THREE).turn()
    records(adds(change, THREE, 3), 3, joined=True)
    looks(change, FOUR)
    removes_leader(change)
    records(change, 0, joined=False)
    return change


def before_its_last_look() -> Drive:
    """The look that shows it is under way, and somebody cancels it."""
    change = recorded()
    change.next(to.Observe)
    change.state = ending.cancelled(change.state.changed(cancel_requested=True))
    return change


def test_replacement_that_is_complete_is_not_cancelled_in_its_last_look() -> None:
    """It would be told as cancelled, and the command to go on with would find nothing to do."""
    change = looks(before_its_last_look(), nodes(1, 2, 3, leader=B, term=8))
    assert ends(change).outcome is Outcome.REPLACED


def test_replacement_that_is_found_complete_after_a_look_without_a_list_ends_at_once() -> None:
    """It was blocked for want of a list when it was cancelled; what it waited for then is over."""
    change = looks(recorded(), None)
    change.next(to.AskQueue)
    assert change.state.blocked is not None
    change.state = ending.cancelled(change.state.changed(cancel_requested=True))
    looks(change, nodes(1, 2, 3, leader=B, term=8))
    assert isinstance(change.next(to.Finish), to.Finish)
    assert change.state.handoff_state != "Blocked"


def test_replacement_whose_new_member_has_left_is_cancelled_in_its_last_look() -> None:
    """Somebody else has taken the new member out: the replacement is not complete, and nothing more is done."""
    looks(before_its_last_look(), nodes(1, 2, leader=B, term=8)).next(to.Cancel)


def test_replacement_whose_last_look_shows_nothing_is_cancelled() -> None:
    """Nobody knows whether it is complete."""
    looks(before_its_last_look(), None).next(to.Cancel)
