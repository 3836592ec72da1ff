"""What of an operation is told outside of Temporal: each thing once, with an ID that follows from the run alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from etcd_handoff.contract import Approval, HandoffState, RemovalRequest, StepOutcome
from etcd_handoff.operation import commands as to
from etcd_handoff.operation import ending, noticing, parts
from etcd_handoff.operation.carried_state import CarriedState
from etcd_handoff.operation.learner import AwaitSync
from etcd_handoff.operation.loop import apply, decide
from etcd_handoff.operation.phases import SentNotices
from etcd_handoff.operation.queue_messages import QueuePosition, TakeTurnResult
from etcd_handoff.operation.state import OperationState
from etcd_handoff.webhook_notice import NoticeEvent, cloud_event
from tests.unit.builders import A, B, C, cluster, down, hangs, member
from tests.unit.test_addition_loop import LAGS, UNSTARTED, added, looks_again, with_it
from tests.unit.test_removal_loop import LED_BY_B, RISKY, report

if TYPE_CHECKING:
    from etcd_handoff.cluster_view import ClusterView
    from etcd_handoff.operation.commands import Command
    from etcd_handoff.webhook_notice import Notice

ALL = tuple(NoticeEvent)
NO_LEADER = cluster(member(A, None), member(B, None), down(C))


class NoticedRemoval:
    """A removal of node0 by its loop, and what is told of it.

    Args:
        notifies: What the webhook is told.
        fields: Options of the request.
    """

    def __init__(self, notifies: tuple[str, ...] = ALL, **fields: Any) -> None:
        request = RemovalRequest(**{"cluster": "prod", "member": "node0", **fields})
        patience = request.blocked_timeout_seconds
        self.state = OperationState(
            run_id="run-2", chain_id="chain", origin="run-1", request=request, blocked_remaining_seconds=patience
        )
        self.notifies, self.now = notifies, 1_700_000_000.0
        self.notices: list[Notice] = []
        self.command: Command

    def next(self) -> Command:
        """The next command, with what is told before it."""
        self.state, self.command = decide(self.state, self.now)
        self.state, notice = noticing.due(self.state, self.command, self.state.original_request.start_id)
        self.notices += [notice] if notice is not None else []
        return self.command

    def until(self, kind: type[Any], view: ClusterView) -> NoticedRemoval:
        """Go on to a command of this kind, while the cluster looks like this."""
        for _ in range(20):
            if isinstance(self.next(), kind):
                return self
            self.result(self._answer(view))
        raise AssertionError(f"{self.command} instead of {kind}")

    def result(self, result: Any = None) -> NoticedRemoval:
        """The command has come to this, a second later."""
        self.now += 1
        assert not isinstance(self.command, to.Finish | to.Fail | to.Cancel)
        self.state = apply(self.state, self.command, result, self.now)
        return self

    def _answer(self, view: ClusterView) -> Any:
        match self.command:
            case to.AskQueue():
                turn = QueuePosition(granted=self.command.waits, chain_id="chain", request=self.state.turn_request)
                return TakeTurnResult(turn=turn)
            case to.LookThroughNodes():
                return ()
            case to.Wait():
                return None
        return report(StepOutcome.OBSERVED, view, worker_info={"notifies": self.notifies})

    def ids(self) -> list[str]:
        """The IDs of what was told."""
        return [notice.event_id for notice in self.notices]


def test_blocked_removal_is_told_once_however_often_it_looks() -> None:
    """Ten looks and waits later it is the same trouble."""
    noticed = NoticedRemoval().until(to.Wait, RISKY)
    for _ in range(10):
        noticed.result().until(to.Wait, RISKY)
    (notice,) = noticed.notices
    assert (notice.event_id, notice.reason, notice.state) == ("run-1-blocked-QuorumAtRisk-1", "QuorumAtRisk", "Blocked")
    assert notice.next == ("etcd-handoff recheck node0 -c prod", "etcd-handoff cancel node0 -c prod")
    assert notice.time == "2023-11-14T22:13:23.000Z"
    assert notice.waiting_for


def test_other_trouble_is_news() -> None:
    """Though the removal has done nothing but look in between."""
    noticed = NoticedRemoval().until(to.Wait, RISKY).result().until(to.Wait, NO_LEADER)
    assert noticed.ids() == ["run-1-blocked-QuorumAtRisk-1", "run-1-blocked-NoLeader-2"]
    assert [notice.reason for notice in noticed.notices] == ["QuorumAtRisk", "NoLeader"]


def test_trouble_that_comes_back_after_the_removal_has_gone_on_is_news() -> None:
    """Whoever has healed it has to know that it was not enough."""
    noticed = NoticedRemoval()
    for _ in range(2):
        noticed.until(to.RemoveTarget, LED_BY_B).result(report(StepOutcome.REFUSED_BY_ETCD, LED_BY_B))
        noticed.until(to.Wait, LED_BY_B).result()
    assert noticed.ids() == ["run-1-blocked-RefusedByEtcd-1", "run-1-blocked-RefusedByEtcd-2"]
    assert {notice.reason for notice in noticed.notices} == {"RefusedByEtcd"}


def test_request_for_an_approval_and_the_end_are_notified() -> None:
    """And the approval itself is nothing that anybody has to be told."""
    noticed = NoticedRemoval(require_approval=True, reason="see http://10.0.0.9:8080/ticket").until(to.Wait, LED_BY_B)
    noticed.state = noticed.state.changed(approval=Approval(by="ann"))
    noticed.result().until(to.RemoveTarget, LED_BY_B)
    noticed.state = ending.cancelled(noticed.state.changed(in_flight=False))
    noticed.until(to.Cancel, LED_BY_B)
    assert noticed.ids() == ["run-1-approval-requested-1", "run-1-ended-cancelled-1"]
    proposal, ended = noticed.notices
    assert proposal.next[0] == "etcd-handoff approve node0 -c prod"
    assert proposal.request_reason == "see ..."
    assert (ended.outcome, ended.next) == ("cancelled", ("etcd-handoff history node0 -c prod",))


def test_request_for_an_approval_has_the_plan() -> None:
    """Whoever approves it reads what they approve; nothing follows while a member is down, nor after the end."""
    noticed = NoticedRemoval(require_approval=True).until(to.Wait, cluster(member(A), member(B), member(C)))
    (proposal,) = noticed.notices
    assert [line.partition(" ")[0] for line in proposal.plan] == ["hand", "wait", "remove", "record"]
    assert cloud_event(proposal)["data"]["plan"] == list(proposal.plan)
    cancelled = NoticedRemoval(require_approval=True).until(to.Wait, LED_BY_B)
    cancelled.state = ending.cancelled(cancelled.state)
    cancelled.until(to.Cancel, LED_BY_B)
    noticed.state = noticed.state.changed(approval=Approval(by="ann"))
    noticed.result().until(to.Wait, cluster(member(A), hangs(B), down(C)))
    later = (noticed.notices[-1], cancelled.notices[-1])
    assert [(notice.event, notice.plan) for notice in later] == [("blocked", ()), ("ended", ())]


def test_plan_names_no_address() -> None:
    """As no text of an event does."""
    noticed = NoticedRemoval(require_approval=True).until(to.Wait, LED_BY_B)
    noticed.state = noticed.state.changed(planned=("add node4 at http://10.0.0.4:2380",), noticed=SentNotices())
    _, notice = noticing.due(noticed.state, noticed.command, "etcd-remove/prod/node0")
    assert notice is not None
    assert notice.plan == ("add node4 at ...",)


def test_removal_that_gives_up_tells_how_it_has_ended() -> None:
    """By the failure's type."""
    noticed = NoticedRemoval(blocked_timeout_seconds=0).until(to.Fail, RISKY)
    assert [(notice.event, notice.outcome) for notice in noticed.notices] == [("ended", "BlockedTooLong")]


@pytest.mark.parametrize(("notifies", "ids"), [((), []), (("ended",), ["run-1-ended-BlockedTooLong-1"])])
def test_only_what_is_wanted_is_told(notifies: tuple[str, ...], ids: list[str]) -> None:
    """A worker without a webhook, as all were before there were any, orders nothing more than it did."""
    assert NoticedRemoval(notifies, blocked_timeout_seconds=3).until(to.Fail, RISKY).ids() == ids


def test_dry_run_is_told_to_nobody() -> None:
    """It changes nothing, and whoever started it reads the answer."""
    assert NoticedRemoval(dry_run=True).until(to.Finish, LED_BY_B).ids() == []


def test_next_run_knows_what_was_told() -> None:
    """A wait of days goes on as a new run, and a part of a larger change goes on from the part before."""
    noticed = NoticedRemoval().until(to.Wait, RISKY)
    carried = CarriedState.model_validate_json(noticed.state.model_dump_json())
    assert (carried.origin, carried.noticed) == ("run-1", noticed.state.noticed)
    assert {"origin", "noticed"} <= parts.SHARED


def test_event_is_a_cloud_event_without_addresses() -> None:
    """With the attributes that CloudEvents 1.0 demands; texts name no address."""
    noticed = NoticedRemoval().until(to.Wait, RISKY)
    noticed.state = noticed.state.showing(
        HandoffState.BLOCKED, "node1 at https://10.0.0.1:2379 is silent", "10.0.0.2:2380"
    )
    noticed.state = noticed.state.changed(noticed=noticed.state.noticed.model_copy(update={"last": ""}))
    _, notice = noticing.due(noticed.state, noticed.command, "etcd-remove/prod/node 0")
    assert notice is not None
    event = cloud_event(notice)
    assert {name: event[name] for name in ("specversion", "id", "type", "source", "subject")} == {
        "specversion": "1.0",
        "id": "run-1-blocked-QuorumAtRisk-2",
        "type": "io.etcd-handoff.operation.blocked",
        "source": "/etcd-handoff//etcd-remove/prod/node%200",
        "subject": "prod/node0",
    }
    assert (event["data"]["text"], event["data"]["waiting_for"]) == ("node1 at ... is silent", "...")
    assert not {"event_id", "event", "time"} & event["data"].keys()


def test_id_says_what_the_event_does() -> None:
    """A reset counts anew: an end like the one before has its ID, another end and another trouble have their own."""

    def ended(noticed: NoticedRemoval) -> list[str]:
        noticed.state = ending.cancelled(noticed.state.changed(in_flight=False))
        return noticed.until(to.Cancel, LED_BY_B).ids()

    failed = NoticedRemoval(blocked_timeout_seconds=0).until(to.Fail, RISKY).ids()
    assert (
        failed
        == NoticedRemoval(blocked_timeout_seconds=0).until(to.Fail, RISKY).ids()
        == ["run-1-ended-BlockedTooLong-1"]
    )
    assert ended(NoticedRemoval().until(to.RemoveTarget, LED_BY_B)) == ["run-1-ended-cancelled-1"]
    assert NoticedRemoval().until(to.Wait, RISKY).ids() != NoticedRemoval().until(to.Wait, NO_LEADER).ids()


def test_learner_that_needs_somebody_is_told_once() -> None:
    """Though an activity waits for it, and no timer: to be started, to be reachable, to get on."""
    addition = added(progress_timeout_seconds=60)
    info = report(StepOutcome.OBSERVED, None, worker_info={"notifies": ALL}).worker_info
    addition.state = addition.state.changed(worker_info=info, origin="run-1")
    away = with_it(reachable=False)
    reasons = []
    views = [(UNSTARTED, 1.0), (away, 1.0), (away, 1.0), (LAGS, 1.0), (LAGS, 61.0), (LAGS, 1.0), (LAGS, 1.0)]
    for view, seconds in views:
        addition.next(AwaitSync)
        addition.state, notice = noticing.due(addition.state, addition.command, "etcd-add/prod/node3")
        reasons += [notice.reason] if notice is not None else []
        addition.result(report(StepOutcome.NOT_IN_SYNC, view), after=seconds)
    assert reasons == ["LearnerNotStarted", "LearnerUnreachable", "LearnerStalls"]


def test_learner_that_catches_up_is_no_trouble() -> None:
    """It needs nobody."""
    addition = looks_again(added(), LAGS)
    addition.next(AwaitSync)
    assert addition.shown() == "Syncing"
    info = report(StepOutcome.OBSERVED, None, worker_info={"notifies": ALL}).worker_info
    assert noticing.due(addition.state.changed(worker_info=info), addition.command, "etcd-add/prod/node3")[1] is None


def test_member_is_told_as_somebody_has_named_it() -> None:
    """docs/reference.md says so: what looks like an address is masked in texts alone."""
    address = "10.0.0.3:2380"
    noticed = NoticedRemoval(member=address, reason=f"disk of {address}")
    info = report(StepOutcome.OBSERVED, None, worker_info={"notifies": ALL}).worker_info
    noticed.state = ending.cancelled(noticed.state.changed(worker_info=info))
    noticed.until(to.Cancel, LED_BY_B)
    (notice,) = noticed.notices
    assert (notice.member, notice.workflow_id) == (address, f"etcd-remove/prod/{address}")
    assert notice.next == (f"etcd-handoff history {address} -c prod",)
    assert notice.request_reason == "disk of ..."
    assert address not in notice.text
    event = cloud_event(notice)
    assert (event["subject"], event["source"]) == (
        "prod/10.0.0.3%3A2380",
        "/etcd-handoff//etcd-remove/prod/10.0.0.3%3A2380",
    )
