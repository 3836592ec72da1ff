"""Whom `spec.leave` is about: the table case by case."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

import pytest

from etcd_handoff.etcdmember_messages import OLD_REQUEST
from etcd_handoff.reconciler import leave_orders
from etcd_handoff.reconciler.leave_orders import MemberToRemove
from etcd_handoff.reconciler.request_messages import standing_messages
from etcd_handoff.reconciler.state import LeaveOrder
from tests.unit import builders
from tests.unit.builders import view_of

if TYPE_CHECKING:
    from etcd_handoff.cluster_view import ClusterView
    from etcd_handoff.reconciler.member_resources import MemberResource

EARLY, LATE = "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"


resource = partial(builders.resource, generation=2, joined_since=EARLY)


def about(one: MemberResource, seen: ClusterView, before: LeaveOrder | None = None, *others: MemberResource) -> str:
    """Whom the order of this EtcdMember is about."""
    known = {before.uid: before} if before else {}
    return leave_orders.updated(known, [one, *others], seen)[one.uid].member_id


THREE = view_of(("a1", "node1"), ("a2", "node2"), ("a3", "node3"))
REJOINED = view_of(("a1", "node1"), ("b2", "node2"), ("a3", "node3"))
GONE = view_of(("a1", "node1"), ("a3", "node3"))
TWINS = view_of(("b2", "node2"), ("c2", "node2"))
UNFLAGGED = LeaveOrder(uid="uid-node2", generation=1)
OUT: Final[dict[str, Any]] = {"joined": "False", "joined_since": EARLY}
SAID_OUT = UNFLAGGED.model_copy(update={"status_digest": resource("node2", "a2", leave=False, **OUT).status_digest})


@pytest.mark.parametrize(
    ("before", "one", "seen", "member_id"),
    [
        # The same generation keeps whom it is about, whatever has happened since.
        (LeaveOrder(uid="uid-node2", generation=2, member_id="a2"), resource("node2", "b2"), REJOINED, "a2"),
        (LeaveOrder(uid="uid-node2", generation=2), resource("node2", "a2"), THREE, ""),
        # A new one is about whom the EtcdMember carries while that one is a member.
        (UNFLAGGED, resource("node2", "a2"), THREE, "a2"),
        (UNFLAGGED, resource("node2", "a3"), THREE, "a3"),
        # Said to be out when it was ordered, and the node is back: the one that is there.
        (SAID_OUT, resource("node2", "a2", **OUT), REJOINED, "b2"),
        (SAID_OUT, resource("node2", "a2", **OUT), GONE, "a2"),
        (SAID_OUT, resource("node2", "a2", **OUT), TWINS, "a2"),
        (UNFLAGGED, resource("node2", "a2", leave_since=LATE, **OUT), REJOINED, "b2"),
        # Said to be out, but only since it was ordered, or nobody can tell.
        (UNFLAGGED, resource("node2", "a2", **OUT), REJOINED, "a2"),
        (UNFLAGGED, resource("node2", "a2", leave_since=EARLY, **OUT), REJOINED, "a2"),
        # Said to be in when it was ordered, and out by now: never its successor.
        (UNFLAGGED, resource("node2", "a2"), REJOINED, "a2"),
        # Without an ID, the only one of the name.
        (UNFLAGGED, resource("node2"), THREE, "a2"),
        (UNFLAGGED, resource("node2"), TWINS, ""),
        (UNFLAGGED, resource("node2"), view_of(("a2", "Node2")), "a2"),
        # Set by ourselves: nobody's wish.
        (UNFLAGGED, resource("node2", "a2", leave_by_us=True), THREE, ""),
        (SAID_OUT, resource("node2", "a2", leave_by_us=True, **OUT), REJOINED, ""),
        (None, resource("node2", "a2", leave_by_us=True, leave_since=LATE, **OUT), REJOINED, ""),
        (
            LeaveOrder(uid="uid-node2", generation=1, member_id="a2"),
            resource("node2", "a2", leave_by_us=True),
            THREE,
            "a2",
        ),
        # Taken back.
        (LeaveOrder(uid="uid-node2", generation=1, member_id="a2"), resource("node2", "a2", leave=False), THREE, ""),
        # Seen for the first time.
        (None, resource("node2", "a2"), THREE, "a2"),
        (None, resource("node2", "a2", leave_since=LATE), THREE, "a2"),
        (None, resource("node2", "b2", leave_since=EARLY, joined_since=LATE), REJOINED, ""),
        (None, resource("node2", "b2", leave_since=LATE, joined_since=LATE), REJOINED, ""),
        (None, resource("node2", "b2", leave_since=LATE, old_request=True), REJOINED, ""),
        (None, resource("node2", "a2", **OUT), REJOINED, "a2"),
        (None, resource("node2", "a2", leave_since=LATE, **OUT), REJOINED, "b2"),
        (None, resource("node2", "a2", leave_since=EARLY, **OUT), REJOINED, "a2"),
        (None, resource("node2", "a2", leave_since=LATE), REJOINED, "a2"),
        (None, resource("node2"), THREE, "a2"),
        # Created with the flag, as from a file: whoever did that has seen no status of it.
        (None, resource("node2", generation=1), THREE, ""),
        (None, resource("node2", "a2", generation=1, leave_since=LATE), THREE, ""),
        (None, resource("node2", "a2", generation=1, **OUT), REJOINED, ""),
        (UNFLAGGED, resource("node2", "a2", generation=3), THREE, "a2"),
        # Nobody knows whether its member has left: it is about that one, and never about its successor.
        (UNFLAGGED, resource("node2", "a2", joined="Unknown"), THREE, "a2"),
        (None, resource("node2", "a2", leave_since=LATE, joined="Unknown"), THREE, "a2"),
        (UNFLAGGED, resource("node2", "a2", leave_since=LATE, joined="Unknown"), REJOINED, "a2"),
    ],
)
def test_order_is_about_the_member_that_was_described(
    before: LeaveOrder | None, one: MemberResource, seen: ClusterView, member_id: str
) -> None:
    """Each row of the module's table."""
    assert about(one, seen, before) == member_id


def test_namesake_that_another_etcdmember_speaks_of_is_nobody_s() -> None:
    """Whoever has an EtcdMember of its own leaves by that one."""
    other = resource("node2-new", "b2", leave=False)
    assert about(resource("node2", "a2", **OUT), REJOINED, SAID_OUT, other) == "a2"


def test_decimal_id_is_read_as_what_it_is() -> None:
    """Where a listed member has it and none has it in hex."""
    decimal = view_of(("4d2", "node2"), ("a3", "node3"))
    assert about(resource("node2", "1234"), decimal) == "4d2"
    assert about(resource("node2", "1234"), view_of(("4d2", "node3"), ("1234", "node2"))) == "1234"


@pytest.mark.parametrize(
    ("one", "member_id", "seen", "started"),
    [
        (resource("node2", "a2"), "a2", THREE, MemberToRemove("a2", "node2")),
        (resource("node2", "a2"), "a2", view_of(("a2", "Node2")), MemberToRemove("a2", "Node2")),
        (resource("node2", "a2"), "a2", view_of(("a2", "")), MemberToRemove("a2", "a2")),
        (resource("node2", "b2"), "b2", TWINS, MemberToRemove("b2", "b2")),
        (resource("node2", "a2"), "", THREE, None),
        (resource("node2", "a2"), "a2", GONE, None),
        (resource("node2", "b2"), "a2", REJOINED, None),
        (resource("node2", "a3"), "a3", THREE, None),
        (resource("node2", "a2"), "a2", view_of(("a2", "renamed")), None),
        (resource("node2", "a2", leave=False), "a2", THREE, None),
    ],
)
def test_removal_is_of_the_member_that_the_order_is_about(
    one: MemberResource, member_id: str, seen: ClusterView, started: MemberToRemove | None
) -> None:
    """By its ID, called by its name where that is its own; a name never takes a member of another name."""
    order = LeaveOrder(uid=one.uid, generation=one.generation, member_id=member_id)
    assert leave_orders.member_to_remove(order, one, seen) == started


def test_present_member_says_why_its_flag_starts_nothing() -> None:
    """An old request is named as old, with whom it was for; a wrong ID is refused; a good order needs no words."""

    def message(one: MemberResource, member_id: str, seen: ClusterView) -> str:
        order = LeaveOrder(uid=one.uid, generation=one.generation, member_id=member_id)
        found = standing_messages({one.uid: order}, {}, [one], seen)
        return found[one.name].message if found else ""

    old = message(resource("node2", "a2", **OUT), "a2", REJOINED)
    assert old.startswith(OLD_REQUEST)
    assert "for member a2: take it back, and set it again" in old
    assert message(resource("node2", "a2"), "", THREE).startswith(f"{OLD_REQUEST}: take it back")
    renamed = view_of(("a2", "renamed"))
    assert "carries the ID of renamed (a2)" in message(resource("node2", "a2"), "a2", renamed)
    assert message(resource("node2", "a2"), "a2", THREE) == ""
    assert message(resource("node2", "a2", leave=False), "", THREE) == ""
    assert message(resource("node2", "a2", **OUT), "a2", GONE) == ""


def test_void_orders_are_about_nobody_until_the_spec_changes() -> None:
    """After a restore no generation that stands counts; the next one does."""
    one = resource("node2", "a2")
    orders = leave_orders.void([one])
    assert leave_orders.updated(orders, [one], THREE) == orders
    again = resource("node2", "a2", generation=4)
    assert leave_orders.updated(orders, [again], THREE)[one.uid].member_id == "a2"


def test_order_that_was_taken_back_ends_without_a_look_at_etcd() -> None:
    """A removal can be cancelled while etcd does not answer; an EtcdMember that was deleted asks for nothing."""
    numbers = (1, 2, 3)
    orders = {f"uid-node{n}": LeaveOrder(uid=f"uid-node{n}", generation=2, member_id=f"a{n}") for n in numbers}
    taken_back = resource("node2", "a2", leave=False, generation=3)
    left = leave_orders.without_taken_back(orders, [resource("node1", "a1"), taken_back])
    assert left == {
        "uid-node1": orders["uid-node1"],
        "uid-node2": LeaveOrder(uid="uid-node2", generation=3, status_digest=taken_back.status_digest),
    }


@pytest.mark.parametrize(
    ("manager", "again"),
    [("k0s", True), ("k0s-controller", True), ("etcd-handoff", True), ("", True), ("kubectl-patch", False)],
)
def test_order_to_k0s_is_given_again_unless_somebody_took_it_back(manager: str, again: bool) -> None:  # noqa: FBT001
    """k0s loses the order when it restarts; what a person takes back stays taken back."""
    assert leave_orders.may_ask_again(manager) is again


@pytest.mark.parametrize(
    ("manager", "member_id"), [("k0s", "a2"), ("etcd-handoff", "a2"), ("kubectl-patch", ""), ("", "")]
)
def test_flag_that_k0s_clears_is_not_taken_back(manager: str, member_id: str) -> None:
    """The removal that runs goes on, and nothing new starts; when nobody knows who cleared it, the member stays."""
    before = {"uid-node2": LeaveOrder(uid="uid-node2", generation=2, member_id="a2")}
    cleared = resource("node2", "a2", leave=False, generation=3, leave_manager=manager)
    orders = leave_orders.without_taken_back(before, [cleared])
    assert orders["uid-node2"].member_id == member_id
    assert leave_orders.updated(orders, [cleared], THREE) == orders
    assert leave_orders.member_to_remove(orders["uid-node2"], cleared, THREE) is None
    taken_back = cleared.model_copy(update={"generation": 5, "leave_manager": "kubectl-patch"})
    assert leave_orders.without_taken_back(orders, [taken_back])["uid-node2"].member_id == ""


@pytest.mark.parametrize(("start", "member_id"), [("second", "a2"), ("first", "")])
def test_flag_that_a_start_of_k0s_leaves_out_is_not_taken_back(start: str, member_id: str) -> None:
    """It owns the field as little as somebody who deletes the line; its start is another one then."""
    flagged = resource("node2", "a2", k0s_start="first")
    orders = leave_orders.updated({}, [flagged], THREE)
    cleared = resource("node2", "a2", leave=False, generation=3, k0s_start=start)
    orders = leave_orders.without_taken_back(orders, [cleared])
    assert orders["uid-node2"].member_id == member_id
    assert leave_orders.updated(orders, [cleared], THREE)["uid-node2"].member_id == member_id
