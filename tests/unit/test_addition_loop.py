"""The loop of an addition, one command after the other, without anybody who carries them out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from etcd_handoff import time_limits
from etcd_handoff.activity_io import ReleaseLockResult, StepResult, UpdateStatusResult
from etcd_handoff.contract import AdditionRequest, Approval, FailureType, HandoffState, Outcome, StepOutcome
from etcd_handoff.operation import commands as to
from etcd_handoff.operation import current_details, ending, schedule
from etcd_handoff.operation.commands import AddTarget, PromoteTarget, StepFailure, Until
from etcd_handoff.operation.learner import AwaitSync
from etcd_handoff.operation.queue_messages import QueuePosition, TakeTurnResult
from etcd_handoff.operation.state import OperationState
from tests.unit.builders import INDEX, A, B, C, D, E, cluster, down, member, step
from tests.unit.test_removal_loop import Drive, report

if TYPE_CHECKING:
    from etcd_handoff.cluster_view import ClusterView

URL = "http://node3:2380"
OTHERS = tuple(member(m, peer_urls=(f"http://node{i}:2380",)) for i, m in enumerate((A, B, C)))
THREE = cluster(*OTHERS)


def with_it(**changes: Any) -> ClusterView:
    """The cluster with the member that joins: a learner that has started and is in sync, but for `changes`."""
    return cluster(*OTHERS, member(D, peer_urls=(URL,), is_learner=True, serves_reads=False).model_copy(update=changes))


UNSTARTED = with_it(name="", reachable=False, leader_id=None, term=0, raft_index=0)
IN_SYNC = with_it()
LAGS = with_it(raft_index=INDEX // 2)
VOTER = with_it(is_learner=False, serves_reads=True)
RECORDED = UpdateStatusResult(step=step("update_status", StepOutcome.RECORDED), recorded=True)


def begin(**options: Any) -> Drive:
    """An addition that has just begun."""
    request = AdditionRequest.model_validate({"cluster": "prod", "name": "node3", "peer_urls": (URL,), **options})
    patience = request.blocked_timeout_seconds
    return Drive(OperationState(run_id="run", chain_id="chain", request=request, blocked_remaining_seconds=patience))


def adding(**options: Any) -> Drive:
    """An addition whose learner is about to be added."""
    return begin(**options).do(to.Observe, observed(THREE)).turn()


def observed(view: ClusterView | None, **fields: Any) -> Any:
    """What a look answers."""
    return report(StepOutcome.OBSERVED, view, **fields)


def added(**options: Any) -> Drive:
    """An addition whose learner has been added, and which waits for its start."""
    addition = adding(**options).do(AddTarget, report(StepOutcome.ADDED, UNSTARTED, added_id=D, proposed=True))
    return gives_turn_up(addition)


def gives_turn_up(addition: Drive) -> Drive:
    """It is blocked, so others may change the cluster."""
    request = addition.next(to.AskQueue)
    assert not request.waits
    return addition.result(TakeTurnResult(turn=QueuePosition(granted=False)))


def looks_again(addition: Drive, view: ClusterView, *, after: float = 1.0) -> Drive:
    """The wait for the learner ends with this look, in which it is not in sync twice."""
    ask = addition.next(AwaitSync).ask
    assert (ask.learner_id, ask.waits_for != "", ask.seconds > 0) == (D, True, True)
    return addition.result(report(StepOutcome.NOT_IN_SYNC, view), after=after)


def in_sync(addition: Drive) -> Drive:
    """The wait for the learner ends since it is in sync in two looks."""
    return addition.do(AwaitSync, report(StepOutcome.IN_SYNC, IN_SYNC), after=1.0)


def works(addition: Drive) -> Drive:
    """The new voter works for as long as it has to, which cannot be undone any more."""
    wait = addition.next(to.Wait)
    assert (wait.until, addition.shown(), addition.cannot_be_undone()) == (Until.TIME, "Verifying", True)
    return addition.result(after=wait.seconds).do(to.Observe, observed(VOTER))


def promoted() -> Drive:
    """An addition whose learner has just got its vote."""
    addition = in_sync(added()).turn()
    return addition.do(PromoteTarget, report(StepOutcome.PROMOTED, VOTER, added_id=D, proposed=True))


def ends_well(addition: Drive) -> Any:
    """The member is recorded, and the addition ends."""
    record = addition.next(to.WriteStatus).ask
    assert (record.joined, record.failed, record.member_id, record.member_name) == (True, False, D, "node3")
    assert addition.cannot_be_undone()
    addition.result(RECORDED)
    result = addition.next(to.Finish).result
    assert (result.member_id, result.member_name, result.peer_urls) == (D, "node3", (URL,))
    return result


def test_record_that_no_api_server_takes_is_handed_over() -> None:
    """A cancellation ends the addition, which has succeeded, and another workflow records it."""
    addition = works(promoted())
    addition.state = addition.state.changed(cancel_requested=True)
    addition.do(to.WriteStatus, StepFailure("update_status", "NotRecorded", "503"), after=4.0)
    handed = addition.next(to.HandRecordOver)
    assert (handed.workflow_id, handed.record.joined) == (f"etcd-record/prod/{D}", True)
    assert handed.summary == "Record that node3 is a member of prod"
    result = addition.result(result=True).next(to.Finish).result
    assert (result.outcome, result.status_recorded) == ("added", False)
    assert f"it goes on: workflow {handed.workflow_id}" in result.status_note


def test_name_that_another_operation_has_given_meanwhile_is_refused() -> None:
    """Two additions, or one and a replacement, have waited for their turns: etcd itself would take both."""
    addition = begin().do(to.Observe, observed(THREE))
    addition.next(to.AskQueue)
    request = addition.state.turn_request
    behind = QueuePosition(granted=False, chain_id="chain", request=request, behind=("the replacement of node0",))
    addition.result(TakeTurnResult(turn=behind)).next(to.Wait)
    addition.state = addition.state.changed(holds_turn=True, turn_news=True)
    other = cluster(*OTHERS, member(D, peer_urls=("http://elsewhere:2380",)))
    failure = addition.result(after=60.0).do(to.Observe, observed(other)).next(to.Fail).failure
    assert (failure.kind, failure.text.partition(":")[0]) == (FailureType.CHANGE_REFUSED, "NameTaken")


@pytest.mark.parametrize("tried", [False, True])
def test_order_that_no_worker_has_taken_adds_nothing_of_its_own(*, tried: bool) -> None:
    """What is found with its peer URLs later may be somebody else's, also where an attempt has died unheard."""
    failure = StepFailure("add_learner", "", "no worker on node1", taken=False, tried=tried)
    addition = adding().do(AddTarget, failure)
    assert (addition.state.joining.sent, schedule.may_wait(addition.state)) == (False, not tried)


def cancelled(addition: Drive) -> Drive:
    """It is cancelled while it waits."""
    addition.state = ending.cancelled(addition.state)
    return addition


def test_member_is_added_started_promoted_and_recorded() -> None:
    """Look, turn, learner, wait for its start, turn, promotion, record."""
    addition = begin().do(to.Observe, observed(THREE)).turn()
    ask = addition.next(AddTarget).ask
    assert (ask.name, ask.peer_urls, ask.holder) == ("node3", (URL,), "chain")
    assert "addition of node3" in ask.holder_label
    assert addition.shown() == "Adding"
    addition.result(report(StepOutcome.ADDED, UNSTARTED, added_id=D, proposed=True))
    gives_turn_up(addition)
    in_sync(addition).turn()
    addition.next(PromoteTarget)
    assert addition.shown() == "Promoting"
    addition.result(report(StepOutcome.PROMOTED, VOTER, added_id=D, proposed=True))
    result = ends_well(works(addition))
    assert (result.outcome, result.join_configuration["ETCD_NAME"]) == (Outcome.ADDED, "node3")


def test_wait_for_the_start_says_what_to_start_etcd_with() -> None:
    """In `progress`, on the page and in the words of the block; names that are missing or odd become IDs."""
    addition = added()
    addition.next(AwaitSync)
    progress = current_details.progress(addition.state)
    initial = f"node0=http://node0:2380,node1=http://node1:2380,node2=http://node2:2380,node3={URL}"
    assert progress.join_configuration == {
        "ETCD_NAME": "node3",
        "ETCD_INITIAL_CLUSTER": initial,
        "ETCD_INITIAL_CLUSTER_STATE": "existing",
        "ETCD_INITIAL_ADVERTISE_PEER_URLS": URL,
    }
    assert f"start etcd with ETCD_NAME=node3 ETCD_INITIAL_CLUSTER={initial}" in progress.waiting_for
    assert f"`ETCD_INITIAL_CLUSTER={initial}`" in current_details.details(addition.state)
    twins = [m.model_copy(update={"name": "node3" if m.id == A else "twin"}) for m in OTHERS]
    addition.state = addition.state.changed(view=cluster(*twins, *UNSTARTED.members[3:]))
    settings = current_details.progress(addition.state).join_configuration
    named = f"{A}=http://node0:2380,{B}=http://node1:2380,{C}=http://node2:2380,node3={URL}"
    assert settings["ETCD_INITIAL_CLUSTER"] == named


def test_lost_answer_of_the_addition_is_found_again_by_the_peer_url() -> None:
    """Nothing is added twice, and what was seen is not pending any more."""
    addition = adding().do(AddTarget, report(StepOutcome.REPLAN, None, proposed=True))
    assert addition.cannot_be_undone()
    addition.do(to.Observe, observed(UNSTARTED))
    assert not addition.cannot_be_undone()
    assert addition.state.target.member_id == D
    gives_turn_up(addition)
    assert addition.next(AwaitSync)
    assert not addition.state.joining.sent, "it may be somebody else's, too"


def test_addition_that_never_took_place_stays_pending_until_etcd_has_given_it_up() -> None:
    """It is proposed again at once: etcd gives a peer URL to one member alone."""
    addition = adding().do(AddTarget, StepFailure("add_learner", "", "the worker sent no heartbeat in time"))
    assert addition.cannot_be_undone()
    assert addition.next(to.Wait).until is Until.RECHECK
    addition.result(after=time_limits.OPERATION.settle_seconds)
    assert addition.next(to.Observe).ask.probe
    addition.result(observed(THREE, writes_acknowledged=True))
    assert not addition.cannot_be_undone()
    addition.next(AddTarget)


def test_learner_that_somebody_adds_after_an_addition_that_never_took_place_is_theirs() -> None:
    """Etcd has given the own proposal up: what is found later by its peer URL was added by another hand."""
    addition = adding().do(AddTarget, StepFailure("add_learner", "", "the worker sent no heartbeat in time"))
    addition.next(to.Wait)
    addition.result(after=time_limits.OPERATION.settle_seconds)
    at_risk = cluster(*OTHERS[:2], down(C))
    addition.do(to.Observe, observed(at_risk, writes_acknowledged=True))
    gives_turn_up(addition).next(to.Wait)
    theirs = cluster(*at_risk.members, UNSTARTED.members[-1])
    addition.result(after=1.0).do(to.Observe, observed(theirs))
    addition.next((to.Wait, AwaitSync))  # type: ignore[arg-type]  # one of these
    cancelled(addition).do(to.ReleaseLock, ReleaseLockResult(released=True)).next(to.Cancel)
    assert f"learner {D} stays" in addition.state.doing


@pytest.mark.parametrize("view", [LAGS, with_it(reachable=False, leader_id=None)], ids=["lags", "silent"])
def test_unknown_outcome_of_a_promotion_is_settled_before_the_learner_is_waited_for(view: ClusterView) -> None:
    """Only a look with an entry before it shows that nothing is pending; then others have their turn, as always."""
    addition = in_sync(added()).turn()
    addition.do(PromoteTarget, report(StepOutcome.REPLAN, view, proposed=True))
    assert (addition.cannot_be_undone(), addition.next(to.Wait).until) == (True, Until.RECHECK)
    addition.result(after=time_limits.OPERATION.settle_seconds)
    assert addition.next(to.Observe).ask.probe
    gives_turn_up(addition.result(observed(view, writes_acknowledged=True)))
    assert not addition.cannot_be_undone()
    addition.next(AwaitSync)


def test_lost_answer_of_the_promotion_is_read() -> None:
    """A voter in the list is a promotion that took place, whoever has proposed it; its lock is given back."""
    addition = in_sync(added()).turn()
    addition.do(PromoteTarget, report(StepOutcome.REPLAN, None, proposed=True))
    assert addition.cannot_be_undone()
    addition.do(to.Observe, observed(VOTER))
    works(addition).do(to.ReleaseLock, ReleaseLockResult(released=True))
    assert ends_well(addition).outcome == Outcome.ADDED


def test_learner_that_nobody_starts_ends_the_addition_with_what_is_left() -> None:
    """The failure says how to start it, how to remove it, and that a new start goes on."""
    addition = adding(blocked_timeout_seconds=0).do(AddTarget, report(StepOutcome.ADDED, UNSTARTED, added_id=D))
    failure = addition.next(to.Fail).failure
    assert failure.kind == FailureType.BLOCKED_TOO_LONG
    assert "LearnerNotStarted" in failure.text
    assert "ETCD_INITIAL_CLUSTER_STATE=existing" in failure.text
    assert f"to remove it: `etcd-handoff remove {D} -c prod`" in failure.text


def test_learner_that_is_waited_for_is_asked_for_its_own_word() -> None:
    """It was silent in the last look, as one that has only just started is: others like that are not waited for."""
    addition = looks_again(added(), with_it(reachable=False))
    assert D not in addition.next(AwaitSync).ask.doubtful
    assert addition.state.doing.startswith("LearnerUnreachable")


def test_learner_that_is_in_sync_once_is_asked_again() -> None:
    """One look is not enough, whoever took it; what speaks against it meanwhile makes it wait."""
    addition = looks_again(added(), IN_SYNC).turn()
    ask = addition.next(AwaitSync).ask
    assert (ask.waits_for, addition.state.holds_turn) == ("", True)
    addition.result(report(StepOutcome.NOT_IN_SYNC, LAGS))
    gives_turn_up(addition)
    in_sync(addition).turn().next(PromoteTarget)


def test_membership_that_changes_before_the_start_makes_the_configuration_anew() -> None:
    """A member that has the old one would not be let in: it compares how many there are."""
    addition = added()
    five = cluster(*OTHERS, *UNSTARTED.members[3:], member(E, peer_urls=("http://node4:2380",)))
    looks_again(addition, five).next(AwaitSync)
    settings = current_details.progress(addition.state).join_configuration
    assert "node4=http://node4:2380" in settings["ETCD_INITIAL_CLUSTER"]
    assert settings == addition.state.joining.settings


def test_learner_that_is_down_is_not_promoted() -> None:
    """Etcd would do it."""
    addition = looks_again(added(), with_it(reachable=False, note="connection refused"))
    assert addition.next(AwaitSync).summary.startswith("wait: LearnerUnreachable, until ")


def test_learner_of_somebody_else_is_waited_for_and_left_alone() -> None:
    """Etcd takes one at a time."""
    foreign = cluster(*OTHERS, member(D, name="other", peer_urls=("http://other:2380",), is_learner=True))
    addition = gives_turn_up(begin().do(to.Observe, observed(foreign)))
    assert addition.next(to.Wait).summary.startswith("blocked: LearnerInTheWay, until ")
    assert addition.state.target.member_id == ""


def test_learner_with_the_peer_url_from_an_earlier_start_is_gone_on_with() -> None:
    """Nothing is added."""
    addition = in_sync(begin().do(to.Observe, observed(IN_SYNC)).turn())
    addition.do(PromoteTarget, report(StepOutcome.PROMOTED, VOTER, added_id=D, proposed=True))
    assert ends_well(works(addition)).outcome == Outcome.ADDED


def test_name_that_a_member_has_is_refused_before_anything_is_changed() -> None:
    """Two members of one name would share one EtcdMember, and a name would name neither."""
    failure = begin(name="node1").do(to.Observe, observed(THREE)).next(to.Fail).failure
    assert failure.kind == FailureType.CHANGE_REFUSED
    assert f"node1 is a member already ({OTHERS[1].id})" in failure.text


def test_somebody_else_promotes_it() -> None:
    """The goal is reached, once it works."""
    assert ends_well(works(looks_again(added(), VOTER))).outcome == Outcome.ADDED


def test_somebody_else_removes_it() -> None:
    """It is not added again behind somebody's back."""
    addition = looks_again(added(), THREE)
    failure = addition.next(to.Fail).failure
    assert failure.kind == FailureType.CHANGE_REFUSED
    assert "somebody has removed it" in failure.text
    assert addition.state.handoff_state is HandoffState.REFUSED


def test_voter_of_that_name_and_peer_url_is_present_already() -> None:
    """Only its EtcdMember is written."""
    assert ends_well(begin().do(to.Observe, observed(VOTER))).outcome == Outcome.ALREADY_PRESENT


def test_peer_url_of_another_member_is_refused() -> None:
    """A member does not change into another one."""
    taken = cluster(*OTHERS, member(D, name="other", peer_urls=(URL,)))
    failure = begin().do(to.Observe, observed(taken)).next(to.Fail).failure
    assert failure.kind == FailureType.CHANGE_REFUSED
    assert failure.text.startswith("PeerUrlTaken: ")


def test_addition_that_would_risk_the_quorum_waits() -> None:
    """Three voters, one of them dead: a fourth that fails would stop the cluster."""
    addition = gives_turn_up(begin().do(to.Observe, observed(cluster(*OTHERS[:2], down(C)))))
    assert addition.next(to.Wait).summary.startswith("blocked: QuorumAtRisk, until ")


@pytest.mark.parametrize("member_id", ["", D])
def test_checks_come_before_the_first_change_alone(member_id: str) -> None:
    """Before the learner is added, or before one that was found is promoted; not again an hour later."""
    addition = begin(snapshot=True, hash_check=True)
    addition.do(to.Observe, observed(IN_SYNC if member_id else THREE)).turn()
    assert addition.next(to.CheckHash).ask.target_id == (member_id or "0")
    addition.result(report(StepOutcome.CONSISTENT, THREE))
    assert addition.next(to.TakeSnapshot).ask.target_id == (member_id or "0")
    saved = StepResult(step=step("take_snapshot", StepOutcome.SAVED, "file on node0"), view=THREE)
    addition.result(saved).do(to.Observe, observed(IN_SYNC if member_id else THREE))
    addition.next(AwaitSync if member_id else AddTarget)
    if not member_id:
        addition.result(report(StepOutcome.ADDED, UNSTARTED, added_id=D, proposed=True))
        gives_turn_up(addition).do(
            AwaitSync, report(StepOutcome.IN_SYNC, IN_SYNC), after=2 * time_limits.OPERATION.gates_last_seconds
        )
        addition.turn().next(PromoteTarget)


def test_data_that_differ_are_not_copied_to_another_member() -> None:
    """It fails as an addition."""
    addition = begin(hash_check=True).do(to.Observe, observed(THREE)).turn()
    failure = addition.do(to.CheckHash, report(StepOutcome.INCONSISTENT, THREE)).next(to.Fail).failure
    assert (failure.kind, "before another one copies them" in failure.text) == (FailureType.CHANGE_REFUSED, True)


def test_addition_that_is_approved_goes_on() -> None:
    """The gate is the same as that of a removal."""
    addition = begin(require_approval=True).do(to.Observe, observed(THREE))
    assert addition.next(to.Wait).until is Until.APPROVAL
    addition.state = addition.state.changed(approval=Approval(by="ann"))
    addition.result().do(to.Observe, observed(THREE)).turn().next(AddTarget)


def test_next_run_goes_on_with_the_learner_that_was_added() -> None:
    """What is carried is enough: the ID, and that it was not there at first."""
    addition = added()
    addition.next(AwaitSync)
    carried = OperationState.model_validate_json(addition.state.model_dump_json())
    after = Drive(carried.changed(request=addition.state.request, chain_id="chain"))
    assert after.state.joining.sent
    after.do(to.Observe, observed(VOTER))
    assert ends_well(works(after)).outcome == Outcome.ADDED


def test_dry_run_says_the_steps_or_what_it_would_wait_for() -> None:
    """Nothing is changed."""
    result = begin(dry_run=True).do(to.Observe, observed(THREE)).next(to.Finish).result
    assert (result.outcome, result.blocked_by) == (Outcome.PLANNED, "")
    assert [line.split()[0] for line in result.plan] == ["add", "wait", "promote", "make", "record"]
    assert result.join_configuration["ETCD_INITIAL_CLUSTER"].endswith(f",node3={URL}")
    one_is_down = observed(cluster(*OTHERS[:2], down(C)))
    result = begin(dry_run=True).do(to.Observe, one_is_down).do(to.Observe, one_is_down).next(to.Finish).result
    assert result.blocked_by.startswith("QuorumAtRisk: ")


def test_dry_run_looks_again_at_a_voter_that_one_look_found_sick() -> None:
    """It may have been slow for a second; a change that waits looks again as well."""
    planned = begin(dry_run=True).do(to.Observe, observed(cluster(*OTHERS[:2], down(C))))
    assert planned.next(to.Observe).patient
    assert planned.result(observed(THREE)).next(to.Finish).result.blocked_by == ""


def test_etcd_that_refuses_for_now_is_asked_again_after_a_pause() -> None:
    """Its own measure of being in sync is another one."""
    addition = in_sync(added()).turn()
    addition.do(PromoteTarget, report(StepOutcome.REFUSED_BY_ETCD, IN_SYNC))
    assert not addition.cannot_be_undone()
    assert gives_turn_up(addition).next(to.Wait).summary.startswith("blocked: RefusedByEtcd, until ")


@pytest.mark.parametrize(
    "peer_urls", [(), ("node3:2380",), ("http://node3",), ("http://u:p@node3:2380",), ("http://node3:2380/",)]
)
def test_peer_url_has_scheme_host_and_port_alone(peer_urls: tuple[str, ...]) -> None:
    """Etcd takes no path, and none of ours has a user."""
    with pytest.raises(ValueError, match="peer_urls"):
        AdditionRequest(cluster="prod", name="node3", peer_urls=peer_urls)
