"""Who has asked a member to leave through its EtcdMember: what is read, what is remembered, where it stands."""

from __future__ import annotations

from typing import Any

import pytest

from activities.etcdmember_repairs import to_member_resource
from etcd_handoff.annotations import LEAVE_ANNOTATION, REQUESTER_ANNOTATION
from etcd_handoff.leave_requester import LONGEST_MANAGERS, LONGEST_USER, requester_of
from etcd_handoff.managed_fields import SPEC_LEAVE
from etcd_handoff.reconciler import rounds
from etcd_handoff.reconciler.member_resources import MemberResource, WatchMembersResult
from etcd_handoff.reconciler.state import ReconcilerState, RunningRemoval
from tests.unit.builders import etcdmember, view_of

EARLY, NOON, LATE = "2026-01-01T08:00:00Z", "2026-01-01T12:00:00Z", "2026-01-01T18:00:00Z"
LEAVE: dict[str, Any] = {"f:spec": {"f:leave": {}}}
ANNOTATED: dict[str, Any] = {"f:metadata": {"f:annotations": {".": {}, f"f:{LEAVE_ANNOTATION}": {}}}}
THREE = view_of(("a1", "node1"), ("a2", "node2"), ("a3", "node3"))


def read(*owners: tuple[str, str], leave: bool = True, **annotations: Any) -> dict[str, Any]:
    """EtcdMember node2 as an API server tells it, with these owners of the flag, and when each last wrote something."""
    entries = [{"manager": who, "fieldsV1": LEAVE, **({"time": when} if when else {})} for who, when in owners]
    metadata = {
        "generation": 2,
        "creationTimestamp": EARLY,
        "managedFields": entries,
        "annotations": {REQUESTER_ANNOTATION: annotations["user"]} if annotations else {},
    }
    conditions = [{"type": "Joined", "status": "True", "lastTransitionTime": EARLY}]
    return etcdmember("node2", "a2", leave=leave, metadata=metadata, conditions=conditions)


# --- what is read -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("owners", "user", "requester"),
    [
        ([("kubectl-patch", NOON)], "", "kubectl-patch"),
        ([("kubectl-patch", NOON)], "alice", "alice (by kubectl-patch)"),
        ([("", NOON)], "alice", "alice"),
        ([], "alice", "alice"),
        ([], "", ""),
        # Whoever applies what stands there already has no time; which of several has set it, nobody can say for sure.
        ([("argocd", ""), ("flux", LATE), ("kubectl-patch", NOON)], "", "kubectl-patch, flux, argocd"),
        ([("kubectl", NOON), ("kubectl", LATE)], "", "kubectl"),
        # What we set is nobody's wish.
        ([("etcd-handoff", EARLY), ("kubectl", NOON)], "", "kubectl"),
        ([("etcd-handoff", NOON)], "", ""),
        ([("kubectl-patch", NOON)], "al\x1b[31mice\n\u202eeve ", "al?[31mice??eve (by kubectl-patch)"),
    ],
)
def test_user_and_programs_are_told(owners: list[tuple[str, str]], user: str, requester: str) -> None:
    """The user where the annotation names one, and every program that owns the field."""
    assert requester_of(read(*owners, user=user), SPEC_LEAVE) == requester


def test_requester_has_a_bounded_length() -> None:
    """It goes along in a memo, and stands in Events and tables."""
    text = requester_of(read(("m" * 128, NOON), ("n" * 128, LATE), user="u" * 10_000), SPEC_LEAVE)
    assert len(text) == LONGEST_USER + LONGEST_MANAGERS + len(" (by )")
    assert text.startswith(f"{'u' * (LONGEST_USER - 3)}... (by mmm")


@pytest.mark.parametrize("annotations", [None, [], "x", {}, {REQUESTER_ANNOTATION: None}, {REQUESTER_ANNOTATION: ""}])
def test_annotations_of_another_shape_name_nobody(annotations: object) -> None:
    """Another definition of the resource lets anything through."""
    resource = read(("kubectl", NOON))
    resource["metadata"]["annotations"] = annotations
    assert requester_of(resource, SPEC_LEAVE) == "kubectl"


def test_each_order_has_its_own_requester_while_it_asks() -> None:
    """The annotation may be another program's, and what does not ask has none."""
    resource = read(("kubectl-patch", NOON), user="alice")
    annotate = {"manager": "kubectl-annotate", "time": LATE, "fieldsV1": ANNOTATED}
    resource["metadata"]["managedFields"].append(annotate)
    seen = to_member_resource(resource)
    assert (seen.leave_asked_by, seen.annotation_asked_by) == ("alice (by kubectl-patch)", "")
    resource["metadata"]["annotations"][LEAVE_ANNOTATION] = "true"
    resource["spec"]["leave"] = False
    seen = to_member_resource(resource)
    assert (seen.leave_asked_by, seen.annotation_asked_by) == ("", "alice (by kubectl-annotate)")


def test_requester_is_no_news() -> None:
    """A worker of an older version tells none: its digest is the same, and nothing is done twice because of it."""
    seen = to_member_resource(read(("kubectl", NOON), user="alice"))
    older = MemberResource.model_validate(seen.model_dump(exclude={"leave_asked_by", "annotation_asked_by"}))
    by_us, by_older = WatchMembersResult(resources=(seen,)), WatchMembersResult(resources=(older,))
    assert seen.leave_asked_by
    assert seen != older
    assert by_us.digest == by_older.digest
    assert seen.compared == older.compared
    again = seen.model_copy(update={"generation": 4})
    assert WatchMembersResult(resources=(again,)).digest != by_us.digest


# --- what is remembered -------------------------------------------------------------------------------------------


def removal_of(state: ReconcilerState, seen: MemberResource) -> tuple[ReconcilerState, RunningRemoval]:
    """The only removal that is started for the EtcdMember."""
    state = rounds.with_orders(state, [seen], THREE)
    _, (removal,) = rounds.removals_to_start(state, "prod", [seen], THREE, now=0.0)
    return state, removal


def test_removal_has_the_requester_of_its_order_and_says_since_when() -> None:
    """Later writes of the same program, and others that apply the same, do not change who gave the order and when."""
    state, removal = removal_of(ReconcilerState(), to_member_resource(read(("kubectl-patch", NOON), user="alice")))
    assert removal.requester == "alice (by kubectl-patch)"
    assert removal.reason == f"spec.leave of EtcdMember node2, set at {NOON}"
    later = to_member_resource(read(("argocd", ""), ("kubectl-patch", LATE), user="alice"))
    assert later.leave_asked_by == "alice (by kubectl-patch, argocd)"
    assert removal_of(state, later)[1] == removal


def test_order_that_is_given_again_has_its_own_requester() -> None:
    """Also when the watcher has not seen that it was taken back: the generation tells."""
    state, _ = removal_of(ReconcilerState(), to_member_resource(read(("kubectl-patch", NOON), user="alice")))
    again = read(("curl", LATE), user="bob")
    again["metadata"]["generation"] = 4
    _, removal = removal_of(state, to_member_resource(again))
    assert (removal.requester, removal.since) == ("bob (by curl)", LATE)


def test_order_that_k0s_has_lost_and_we_repeat_stays_its_requesters() -> None:
    """k0s clears the flag when a controller starts; a removal that asks k0s sets it again."""
    first = to_member_resource(read(("kubectl-patch", NOON), user="alice"))
    state, removal = removal_of(ReconcilerState(), first)
    cleared = read(("k0s", LATE), leave=False)
    cleared["metadata"]["generation"] = 3
    state = rounds.with_orders(state, [to_member_resource(cleared)], THREE)
    repeated = read(("etcd-handoff", LATE), user="system:serviceaccount:etcd-handoff:etcd-handoff")
    repeated["metadata"]["generation"] = 4
    _, again = removal_of(state, to_member_resource(repeated))
    assert (again.requester, again.since) == (removal.requester, removal.since)


def test_requester_of_the_annotation_is_remembered_like_that_of_the_flag() -> None:
    """By the value, since the generation does not count annotations."""
    seen = MemberResource(
        name="node2",
        uid="u",
        generation=1,
        leave=False,
        annotation="true",
        annotation_since=NOON,
        annotation_asked_by="alice (by kubectl-annotate)",
        created=EARLY,
        member_id="a2",
        joined="True",
        joined_since=EARLY,
    )
    state, removal = removal_of(ReconcilerState(), seen)
    assert removal.requester == "alice (by kubectl-annotate)"
    assert removal.reason == f"annotation {LEAVE_ANNOTATION} of EtcdMember node2, set at {NOON}"
    labelled = seen.model_copy(update={"annotation_since": LATE, "annotation_asked_by": "argocd"})
    assert removal_of(state, labelled)[1] == removal
    away = seen.model_copy(update={"annotation": "", "annotation_since": "", "annotation_asked_by": ""})
    state = rounds.with_orders(state, [away], THREE)
    assert state.annotated["u"].asked_by == ""
    by_bob = seen.model_copy(update={"annotation_since": LATE, "annotation_asked_by": "bob (by kubectl-annotate)"})
    assert removal_of(state, by_bob)[1].requester == "bob (by kubectl-annotate)"


def test_watcher_of_an_older_version_hands_on_orders_without_a_requester() -> None:
    """It is told from the next look on, and the removal is the same."""
    seen = to_member_resource(read(("kubectl-patch", NOON), user="alice"))
    state, removal = removal_of(ReconcilerState(), seen)
    old = {uid: order.model_copy(update={"asked_by": "", "since": ""}) for uid, order in state.orders.items()}
    assert removal_of(state.model_copy(update={"orders": old}), seen)[1] == removal
    fields = removal.model_dump(exclude={"requester", "since"})
    assert RunningRemoval.model_validate(fields).reason == "spec.leave of EtcdMember node2"
