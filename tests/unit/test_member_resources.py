"""An EtcdMember as the reconciler sees it, and who wrote its fields."""

from __future__ import annotations

from typing import Any

import pytest

from activities.etcdmember_repairs import to_member_resource
from etcd_handoff.annotations import LEAVE_ANNOTATION
from etcd_handoff.etcdmember import SHUTDOWN_ON_LEAVE_LABEL, DesiredStatus, status_for
from etcd_handoff.etcdmember_messages import MESSAGE_JOINED, old_annotation, old_request
from etcd_handoff.managed_fields import SPEC_LEAVE, Write, last_write, value_since
from etcd_handoff.reconciler import annotation_orders, leave_orders
from tests.unit.builders import etcdmember, view_of

EARLY, NOON, LATE = "2026-01-01T08:00:00Z", "2026-01-01T12:00:00Z", "2026-01-01T18:00:00Z"
LATER = "2026-01-01T18:00:01Z"
LEAVE: dict[str, Any] = {"f:spec": {"f:leave": {}}}
ANNOTATED: dict[str, Any] = {"f:metadata": {"f:annotations": {".": {}, f"f:{LEAVE_ANNOTATION}": {}}}}
MESSAGE: dict[str, Any] = {"f:status": {"f:message": {}, "f:memberID": {}}}


def resource(*writes: tuple[str, str, dict[str, Any]], leave: bool = True, message: str = "") -> dict[str, Any]:
    """An EtcdMember with these field managers: who, when, which fields."""
    fields = [{"manager": who, "time": when, "fieldsV1": what} for who, when, what in writes]
    condition = {"type": "Joined", "status": "True", "lastTransitionTime": EARLY}
    metadata = {"generation": 2, "managedFields": fields}
    return etcdmember("node0", "a1", leave=leave, metadata=metadata, message=message, conditions=[condition])


@pytest.mark.parametrize(
    ("flagged", "called", "old"),
    [(EARLY, NOON, True), (NOON, NOON, True), (LATE, NOON, False), (LATE, "", True), ("", NOON, True)],
)
def test_message_calls_old_only_the_flag_that_was_set_before_it(flagged: str, called: str, old: bool) -> None:  # noqa: FBT001
    """A flag that was taken back and set again while nothing watched is a new request, whatever the message says."""
    before = old_request("b2", 1)
    read = resource(("kubectl", flagged, LEAVE), ("etcd-handoff", called, MESSAGE), message=before)
    assert to_member_resource(read).old_request is old
    assert not to_member_resource({**read, "spec": {"leave": False}}).old_request
    assert not to_member_resource(resource(("kubectl", flagged, LEAVE), message="Member joined")).old_request


def test_flag_stays_old_for_its_generation_whatever_its_manager_writes() -> None:
    """A label that is patched later moves the time of the flag, and not the generation."""
    called, label = ("etcd-handoff", NOON, MESSAGE), {**LEAVE, "f:metadata": {"f:labels": {"f:zone": {}}}}
    read = resource(("kubectl", LATE, label), called, message=old_request("b2", 2))
    assert to_member_resource(read).leave_since == LATE
    assert to_member_resource(read).old_request
    read["metadata"]["generation"] = 4
    assert not to_member_resource(read).old_request


def test_start_of_k0s_is_read() -> None:
    """Labels of another shape are none."""
    read = resource()
    for labels, start in ((None, ""), ({}, ""), ([], ""), ({SHUTDOWN_ON_LEAVE_LABEL: "abc"}, "abc")):
        read["metadata"]["labels"] = labels
        assert to_member_resource(read).k0s_start == start


def test_manager_that_cleared_the_flag_is_read() -> None:
    """It tells an order that was taken back from one that k0s has lost; of a flag that stands it tells nothing."""
    writes = [("kubectl", EARLY, LEAVE), ("k0s", LATE, LEAVE), ("etcd-handoff", LATE, MESSAGE)]
    assert to_member_resource(resource(*writes, leave=False)).leave_manager == "k0s"
    flagged = to_member_resource(resource(*writes))
    assert (flagged.leave_manager, flagged.leave_since, flagged.joined_since) == ("", EARLY, EARLY)


@pytest.mark.parametrize("worker", [EARLY, LATE])
@pytest.mark.parametrize("annotated", [False, True])
def test_order_for_the_member_before_is_not_about_the_next_one_by_a_slow_clock(worker: str, *, annotated: bool) -> None:
    """The worker writes who has joined, and a watcher without a memory reads it: that one has come after the order."""
    read = resource(("kubectl", NOON, ANNOTATED if annotated else LEAVE), leave=not annotated)
    read["metadata"] |= {"annotations": {LEAVE_ANNOTATION: "true"} if annotated else {}, "creationTimestamp": EARLY}
    read["status"] |= status_for(read, DesiredStatus("b2", joined=True, message=MESSAGE_JOINED), worker)
    seen = to_member_resource(read)
    orders = (annotation_orders if annotated else leave_orders).updated
    assert orders({}, [seen], view_of(("b2", "node0")))["uid-node0"].member_id == ""
    assert (seen.member_id, seen.joined_since) == ("b2", max(worker, NOON))
    later = seen.model_copy(update={"leave_since": LATER, "annotation_since": LATER})
    assert orders({}, [later], view_of(("b2", "node0")))["uid-node0"].member_id == "b2"


def test_annotation_is_read_with_its_age() -> None:
    """`false` asks for nothing; a message that calls it old counts whatever is younger."""
    read = resource(("kubectl-annotate", LATE, ANNOTATED), ("etcd-handoff", NOON, MESSAGE), leave=False)
    read["metadata"] |= {"annotations": {LEAVE_ANNOTATION: " True"}, "creationTimestamp": EARLY}
    seen = to_member_resource(read)
    assert (seen.annotation, seen.annotation_since, seen.created) == ("true", LATE, EARLY)
    assert not seen.old_annotation
    read["status"]["message"] = old_annotation("b2")
    assert to_member_resource(read).old_annotation
    for value in ("false", "", None):
        read["metadata"]["annotations"] = {LEAVE_ANNOTATION: value} if value is not None else None
        seen = to_member_resource(read)
        assert (seen.annotation, seen.annotation_since, seen.old_annotation) == ("", "", False)


@pytest.mark.parametrize(
    ("owners", "ours"), [(["etcd-handoff"], True), (["kubectl"], False), (["k", "etcd-handoff"], True)]
)
def test_flag_that_we_have_set_is_told_from_others(owners: list[str], *, ours: bool) -> None:
    """Also when somebody has applied the same since; one that does not stand is nobody's."""
    writes = [(who, EARLY, LEAVE) for who in owners]
    assert to_member_resource(resource(*writes)).leave_by_us is ours
    assert not to_member_resource(resource(*writes, leave=False)).leave_by_us


def test_owners_of_a_field() -> None:
    """The first owner tells since when it has its value, the last one who wrote it last; without one nobody knows."""
    read = resource(("kubectl", NOON, LEAVE), ("k0s", EARLY, LEAVE), ("x", "", LEAVE), ("y", LATE, MESSAGE))
    assert value_since(read, SPEC_LEAVE) == EARLY
    assert last_write(read, SPEC_LEAVE) == Write(NOON, "kubectl")
    assert value_since(resource(), SPEC_LEAVE) == ""
    assert last_write(resource(), SPEC_LEAVE) == Write("", "")
