"""Whom an audit trail names, and by which way they came; and what it says of ends that nobody has recorded here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pytest
from temporalio.api.common.v1 import Payloads

from etcd_handoff.cli.audit.behind import Behind, behind
from etcd_handoff.cli.audit.history import trail_of
from etcd_handoff.cli.audit.payloads import CARRIED
from etcd_handoff.cli.audit.trail import Entry
from etcd_handoff.cli.render.history import facts, overview_lines, trail_lines
from etcd_handoff.cli.render.operations import TemporalParts, temporal_lines, temporal_object
from etcd_handoff.contract import RemovalRequest
from etcd_handoff.operation.people import REQUESTER_MEMO
from etcd_handoff.search_attributes import STATE_ATTRIBUTE
from etcd_handoff.temporal.converter import DEFAULTS, data_converter
from tests.unit.history_events import REQUEST, event, payload, started, trail
from workflows.continuation import CARRIED_MEMO

if TYPE_CHECKING:
    from temporalio.api.history.v1 import HistoryEvent


@pytest.mark.parametrize(
    ("attributes", "by", "interface"),
    [
        ({"identity": "etcd-handoff:ann@laptop"}, "ann@laptop", "command line"),
        ({"identity": "temporal-cli:ann@laptop"}, "ann@laptop", "Temporal CLI"),
        ({"identity": "etcd-handoff-client:ann@laptop"}, "ann@laptop", "Python client"),
        ({"identity": "7@ci"}, "7@ci", "Temporal API"),
        ({"parent_workflow_execution": {"workflow_id": "etcd-watch/prod"}}, "new disk", "kubectl (EtcdMember)"),
        ({"parent_workflow_execution": {"workflow_id": "nightly"}}, "nightly", "another workflow"),
        (
            {"search_attributes": {"indexed_fields": {"TemporalScheduledById": payload("weekly").payloads[0]}}},
            "weekly",
            "Temporal Schedule",
        ),
    ],
)
def test_interface_is_reported(attributes: dict[str, Any], by: str, interface: str) -> None:
    """Whoever came by whichever way."""
    found = trail_of("etcd-remove/prod/node2", [[started(**attributes)]])
    assert (found.asked_by, found.interface) == (by, interface)
    requested = Entry("2026-01-01T00:00:00.000Z", "requested", "removal of node2: new disk", by, interface)
    assert found.entries == (requested,)


@pytest.mark.parametrize(
    ("key", "handed_on", "by"),
    [
        (REQUESTER_MEMO, "alice (by kubectl-patch)", "alice (by kubectl-patch)"),
        (REQUESTER_MEMO, "", "new disk"),
        (REQUESTER_MEMO, 7, "new disk"),
        (CARRIED, {"requester": "alice (by kubectl-patch)"}, "alice (by kubectl-patch)"),
        (CARRIED, {"requester": ""}, "new disk"),
        (CARRIED, {}, "new disk"),
    ],
)
def test_order_on_an_etcdmember_is_told_with_who_gave_it(key: str, handed_on: object, by: str) -> None:
    """From the memo; where Temporal has forgotten the first run, from what the next one was handed on."""
    memo = {"fields": {key: payload(handed_on).payloads[0]}}
    begin = started(parent_workflow_execution={"workflow_id": "etcd-watch/prod"}, memo=memo)
    found = trail_of("etcd-remove/prod/node2", [[begin]])
    assert (found.asked_by, found.reason, found.interface) == (by, "new disk", "kubectl (EtcdMember)")
    assert behind(begin, [begin]).asked_by == by
    assert trail_of("x", [[started(memo=memo)]]).asked_by == "1@host"  # nobody but a watcher is believed


def test_our_client_is_told_from_the_bare_api() -> None:
    """Its requests carry which fields were left out."""
    (made,) = data_converter.payload_converter.to_payloads([RemovalRequest(cluster="prod", member="node2")])
    assert DEFAULTS in made.metadata
    assert trail_of("x", [[started(input=Payloads(payloads=[made]))]]).interface == "Python client"


def test_authenticated_caller_is_named_before_what_they_say_of_themselves() -> None:
    """Where the server asks callers who they are."""
    begin = started(identity="etcd-handoff:root@laptop")
    begin.principal.name = "ann@example.org"
    assert trail_of("x", [[begin]]).asked_by == "ann@example.org (as root@laptop)"


def test_cancellation_is_told_with_who_and_why() -> None:
    """By the command line, or by the watcher when somebody has taken `spec.leave` back."""
    ours = event("workflow_execution_cancel_requested", 1, identity="etcd-handoff:ann@laptop", cause="wrong rack")
    watcher = event(
        "workflow_execution_cancel_requested",
        2,
        identity="history-service",
        external_workflow_execution={"workflow_id": "etcd-watch/prod"},
    )
    end = event("workflow_execution_canceled", 3)
    found = trail(ours, watcher, end)
    entries = [(entry.text, entry.by, entry.interface) for entry in found.entries[1:]]
    assert entries == [
        ("cancellation requested: wrong rack", "ann@laptop", "command line"),
        ("cancellation requested: no reason given", "etcd-watch/prod", ""),
        ("Cancelled: before the membership was changed for good", "", ""),
    ]
    assert found.outcome == "Cancelled"
    who = "2026-01-01 00:00:01.000Z by ann@laptop, command line: wrong rack"
    watched = "2026-01-01 00:00:02.000Z by etcd-watch/prod: no reason given"
    assert ("cancelled", f"{who}; {watched}") in facts(found)
    assert f"  cancelled    {who}; {watched}" in trail_lines(found)


def test_cancellation_that_has_not_ended_it_is_told_as_asked_for() -> None:
    """No worker has carried it out yet, or it came too late."""
    ours = event("workflow_execution_cancel_requested", 1, identity="etcd-handoff:ann@laptop", cause="wrong rack")
    lines = trail_lines(trail(ours))
    assert "  cancel requested  2026-01-01 00:00:01.000Z by ann@laptop, command line: wrong rack" in lines
    assert not any(name.startswith("cancel") for name, _ in facts(trail()))


def done(number: int, name: str, member_id: str, outcome: str) -> list[Any]:
    """A step that has changed the membership, as a part of a larger change."""
    step = {"name": name, "outcome": outcome, "note": "through n1", "node": "node1"}
    scheduled = event(
        "activity_task_scheduled", number, activity_type={"name": name}, input=payload({"target_id": member_id})
    )
    scheduled.event_id = number
    return [
        scheduled,
        event("activity_task_completed", number, scheduled_event_id=number, result=payload({"step": step})),
    ]


def test_change_of_several_members_cancelled_half_way_says_what_was_done() -> None:
    """Of a single removal a cancellation means that nothing was removed."""
    ends = event("workflow_execution_canceled", 5)
    part = [*done(1, "promote_member", "4", "promoted"), *done(3, "remove_member", "2", "removed")]
    begin = started(workflow_type={"name": "ReplaceMember"})
    found = trail_of("etcd-replace/prod/node2", [[begin, *part, ends]])
    assert found.outcome_text.startswith("after this was done: promote_member: promoted")
    assert found.entries[-1].text == f"Cancelled: {found.outcome_text}"
    assert "remove_member: removed" in found.outcome_text
    nothing = trail_of("etcd-replace/prod/node2", [[begin, ends]])
    assert nothing.outcome_text == "before the membership was changed for good"


def test_replaced_member_is_not_given_the_id_of_the_new_one() -> None:
    """The activities of the first part name the member that joins."""
    steps = done(1, "add_learner", "f7a80e98", "added")
    assert trail_of("x", [[started(workflow_type={"name": "ReplaceMember"}), *steps]]).member_id == ""
    assert trail_of("x", [[started(), *steps]]).member_id == "f7a80e98"
    ended = event("workflow_execution_completed", 4, result=payload({"outcome": "replaced", "member_id": "2"}))
    assert trail_of("x", [[started(workflow_type={"name": "ReplaceMember"}), *steps, ended]]).member_id == "2"


@pytest.mark.parametrize(
    ("update", "reason", "kind"),
    [("approve", "comment", "approved"), ("pause", "reason", "pause"), ("resume", "reason", "resume")],
)
@pytest.mark.parametrize(
    ("given", "by"),
    [
        ({"by": "ann"}, "ann"),  # the command line gives the shell's user
        ({"by": "bob"}, "bob (as ann@laptop)"),
        ({}, "ann@laptop"),
    ],
)
def test_name_that_somebody_gives_is_told_with_the_identity_of_another_user(
    update: str, reason: str, kind: str, given: dict[str, str], by: str
) -> None:
    """Whoever approves, pauses or resumes for somebody else; their own name stands there once."""
    request = {
        "meta": {"identity": "etcd-handoff:ann@laptop"},
        "input": {"name": update, "args": payload({**given, reason: "change 4711"})},
    }
    found = trail(event("workflow_execution_update_accepted", 1, accepted_request=request))
    assert found.entries[1] == Entry("2026-01-01T00:00:01.000Z", kind, "change 4711", by, "command line")


def approval(seconds: int, by: str) -> HistoryEvent:
    """Somebody approves."""
    request = {"meta": {"identity": f"etcd-handoff:{by}@laptop"}, "input": {"name": "approve", "args": payload({})}}
    return event("workflow_execution_update_accepted", seconds, accepted_request=request)


def waits_for_approval(seconds: int) -> HistoryEvent:
    """It begins to wait for an approval."""
    fields = {STATE_ATTRIBUTE: payload("AwaitingApproval").payloads[0]}
    return event("upsert_workflow_search_attributes", seconds, search_attributes={"indexed_fields": fields})


def test_last_approval_counts_until_it_waits_for_another_one() -> None:
    """An approval lapses, and the result knows better than the history."""
    assert trail().approved_by == ""
    assert trail(waits_for_approval(1), approval(2, "ann"), approval(3, "bob")).approved_by == "bob@laptop"
    lapsed = (approval(2, "ann"), waits_for_approval(3))
    assert trail(*lapsed).approved_by == ""
    ends = event("workflow_execution_completed", 4, result=payload({"outcome": "removed", "approved_by": "eve@x"}))
    assert trail(*lapsed, ends).approved_by == "eve@x"
    nobody = event("workflow_execution_completed", 4, result=payload({"outcome": "removed", "approved_by": ""}))
    assert trail(approval(2, "ann"), nobody).approved_by == ""


def test_who_is_behind_an_operation_that_was_continued() -> None:
    """The first run tells who asked for it; what was approved before the last run stands in what was handed on."""
    start = started(identity="etcd-handoff:ann@laptop")
    carried = {"approval": {"by": "bob"}, "approved": {"identity": "etcd-handoff:bob@laptop"}}
    memo = {"fields": {CARRIED: payload(carried).payloads[0]}}
    goes_on = started(identity="", memo=memo)
    known = Behind("ann@laptop", "new disk", began="2026-01-01T00:00:00.000+00:00")
    assert behind(start, [start]) == known
    assert behind(start, [goes_on]) == known._replace(approved_by="bob@laptop")
    assert behind(start, [goes_on, approval(1, "eve")]).approved_by == "eve@laptop"
    dry = started(input=payload({**REQUEST, "dry_run": True}))
    assert behind(dry, [dry]).dry_run
    assert CARRIED == CARRIED_MEMO


def test_beginning_and_cluster_of_an_operation_that_was_continued() -> None:
    """It began with its first run; the cluster is the one of its last look, else the one that it was handed on."""
    memo = {"fields": {CARRIED: payload({"pinned": {"cluster_id": "c1", "member_id": "1"}}).payloads[0]}}
    goes_on = event("workflow_execution_started", 30, memo=memo, input=payload(REQUEST))
    views = [payload({"view": {"cluster_id": cluster_id, "members": []}}) for cluster_id in ("c2", "c3")]
    looks = [event("activity_task_completed", 31, result=view) for view in views]
    assert behind(started(), [goes_on]).began == "2026-01-01T00:00:00.000+00:00"
    assert behind(goes_on, [goes_on]).began == "2026-01-01T00:00:30.000+00:00"
    clusters = [behind(started(), [goes_on, *looks[:seen]]).cluster_id for seen in range(3)]
    assert clusters == ["c1", "c2", "c3"]
    assert behind(started(), [started()]).cluster_id == ""


def test_termination_and_a_worker_in_trouble_are_told() -> None:
    """Neither ends as the operation would end by itself."""
    failure = {"message": "[TMPRL1100] Nondeterminism error", "application_failure_info": {}}
    found = trail(
        event("workflow_task_failed", 1, identity="9@node1", failure=failure),
        event("workflow_task_timed_out", 2),
        event("workflow_execution_terminated", 3, identity="temporal-cli:bob@host", reason="stuck"),
    )
    assert [(entry.event, entry.by) for entry in found.entries[1:]] == [
        ("trouble", "9@node1"),
        ("trouble", ""),
        ("ended", "bob@host"),
    ]
    assert (found.outcome, found.outcome_text) == ("Terminated", "stuck")


def test_dry_run_is_never_told_as_a_change() -> None:
    """In the list and in the trail."""
    end = event("workflow_execution_completed", 1, result=payload({"outcome": "planned", "plan": ["remove node2"]}))
    found = trail_of("etcd-plan/prod/node2", [[started(input=payload({**REQUEST, "dry_run": True})), end]])
    assert found.dry_run
    assert trail_lines(found)[0] == "dry run (removal) of node2, cluster prod: planned"
    assert "dry run (removal)" in overview_lines([found], "")[1]
    assert found.outcome_text == "it would remove node2"


ID: Final = "8e9e05c52164694d"
BY_ID: Final = started(input=payload({**REQUEST, "member": ID}))


@pytest.mark.parametrize(
    ("result", "listed", "name"),
    [
        ({"outcome": "removed", "member_id": ID, "member_name": "node2"}, ID, "node2"),
        (None, "node2", "node2"),
        (None, ID, ID),
        (None, "", ID),
    ],
)
def test_member_that_was_asked_for_by_id_is_named(result: dict[str, str] | None, listed: str, name: str) -> None:
    """As kubectl asks: by the result, else by Temporal's list; the ID stands beside the name."""
    failure = {"message": "it waits", "application_failure_info": {"type": "BlockedTooLong"}}
    end = (
        event("workflow_execution_completed", 1, result=payload(result))
        if result
        else event("workflow_execution_failed", 1, failure=failure)
    )
    found = trail_of(f"etcd-remove/prod/{ID}", [[BY_ID, end]], "", listed)
    words = ID if name == ID else f"{name} ({ID})"
    assert trail_lines(found)[0] == f"removal of {words}, cluster prod: {found.outcome}"
    assert f"  {words}  " in overview_lines([found], "")[1]
    last = temporal_object(TemporalParts(None, "", (), (found,)))["last"][0]
    assert f"  {words}  " in temporal_lines(TemporalParts(None, "", (), (found,)))[3]
    assert (last["member"], last["member_name"]) == (found.member, found.member_name) == (ID, name)


def test_member_that_was_asked_for_by_name_stands_in_tables_without_its_id() -> None:
    """Whatever case its letters had; a change of all members names none of them."""
    result = {"outcome": "removed", "member_id": ID, "member_name": "Node2"}
    end = event("workflow_execution_completed", 1, result=payload(result))
    found = trail_of("etcd-remove/prod/node2", [[started(), end]], "", "Node2")
    assert (found.whom, found.label) == (f"Node2 ({ID})", "Node2")
    membership = started(workflow_type={"name": "ApplyMembership"}, input=payload({"cluster": "prod"}))
    of_all = trail_of("etcd-apply/prod", [[membership, end]], "", "node0, node1")
    assert (of_all.member_name, of_all.whom, of_all.label) == ("", "", "")


@pytest.mark.parametrize(
    ("kind", "request_", "options"),
    [
        ("ReplaceMember", {"member": "node2", "name": "node2", "peer_urls": ["http://a:1"]}, {"name", "peer_urls"}),
        ("AddMember", {"name": "node2", "peer_urls": ["http://a:1"]}, {"peer_urls"}),
        (
            "RemoveMember",
            {"member": "node2", "blocked_timeout_seconds": 0.0, "snapshot": False},
            {"blocked_timeout_seconds"},
        ),
        ("RemoveMember", {"member": "node2", "blocked_timeout_seconds": 3600.0, "not_before": ""}, set()),
    ],
)
def test_options_are_what_differs_from_the_defaults(kind: str, request_: dict[str, Any], options: set[str]) -> None:
    """A new member of the old name is one, and so is a time-out of 0 s."""
    begin = started(workflow_type={"name": kind}, input=payload({"cluster": "prod", **request_}))
    assert set(trail_of("x", [[begin]]).options or ()) == options
