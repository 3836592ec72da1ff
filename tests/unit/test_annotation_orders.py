"""Whom the annotation is about: the table case by case, with `spec.leave` beside it, and every sequence of events."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import pytest

from etcd_handoff.cluster_view import ClusterView, MemberView
from etcd_handoff.etcdmember_matching import member_of
from etcd_handoff.etcdmember_messages import OLD_ANNOTATION
from etcd_handoff.reconciler import annotation_orders, leave_orders, rounds
from etcd_handoff.reconciler.leave_orders import MemberToRemove
from etcd_handoff.reconciler.member_resources import MemberResource
from etcd_handoff.reconciler.request_messages import standing_messages
from etcd_handoff.reconciler.state import (
    LeaveOrder,
    ReconcileEtcdMembersRequest,
    ReconcilerState,
    RunningRemoval,
)
from tests.unit import builders
from tests.unit.builders import view_of
from tests.unit.test_leave_orders import EARLY, GONE, LATE, OUT, REJOINED, THREE, TWINS
from tests.unit.world_search import reached

BEFORE: Final = "2025-01-01T00:00:00Z"
NEW: Final = "b2"


def resource(name: str, member_id: str = "", value: str = "true", **fields: object) -> MemberResource:
    """An EtcdMember that says that its member has joined, annotated after that."""
    times = {"joined_since": EARLY, "created": BEFORE, "annotation_since": LATE if value else ""}
    return builders.resource(name, member_id, **{"leave": False, "annotation": value, **times, **fields})


def known(member_id: str = "", value: str = "", one: MemberResource | None = None) -> LeaveOrder:
    """What was known of node2's EtcdMember."""
    digest = one.status_digest if one else ""
    return LeaveOrder(uid="uid-node2", generation=1, annotation=value, member_id=member_id, status_digest=digest)


@pytest.mark.parametrize(
    ("before", "one", "seen", "member_id"),
    [
        # The same value keeps whom it is about, however young its manager's last write is.
        (known("a2", "true"), resource("node2", NEW), REJOINED, "a2"),
        (known("", "true"), resource("node2", "a2"), THREE, ""),
        (known("a2", "true"), resource("node2", NEW, generation=5), REJOINED, "a2"),
        # An ID is that member alone, whatever else is known.
        (known(), resource("node2", "a2", "a2"), THREE, "a2"),
        (None, resource("node2", NEW, "0x00A2".lower()), REJOINED, "a2"),
        (known("a2", "true"), resource("node2", NEW, NEW), REJOINED, NEW),
        # A new value means the member that is described.
        (known(), resource("node2", "a2"), THREE, "a2"),
        (known("a3", "a3"), resource("node2", "a2"), THREE, "a2"),
        (known(), resource("node2"), THREE, "a2"),
        (known(), resource("node2"), TWINS, ""),
        (known(), resource("node2", "a2"), REJOINED, "a2"),
        (known(one=resource("node2", "a2", "", **OUT)), resource("node2", "a2", **OUT), REJOINED, NEW),
        # Seen for the first time.
        (None, resource("node2", "a2"), THREE, "a2"),
        (None, resource("node2", "a2", annotation_since=EARLY), THREE, ""),
        (None, resource("node2", "a2", annotation_since=""), THREE, ""),
        (None, resource("node2", "a2", old_annotation=True), THREE, ""),
        (None, resource("node2", "a2", created=LATE), THREE, ""),
        (None, resource("node2", created=LATE), THREE, ""),
        (None, resource("node2", "a2", **OUT), REJOINED, "a2"),
        (known(), resource("node2", "a2", **OUT), REJOINED, NEW),
        (None, resource("node2", "a2", annotation_since=EARLY, **OUT), REJOINED, "a2"),
        # No value that means anybody.
        (None, resource("node2", "a2", "yes"), THREE, ""),
        (known("a2", "true"), resource("node2", "a2", "yes"), THREE, ""),
        # Gone: taken away, or followed by a removal of ours.
        (known("a2", "true"), resource("node2", "a2", ""), THREE, ""),
        (known("a2", "true"), resource("node2", "a2", "", leave=True, leave_by_us=True, **OUT), GONE, "a2"),
        (known("a2", "true"), resource("node2", "a2", "", leave=True, leave_by_us=True), THREE, ""),
        (known("a2", "true"), resource("node2", "a2", "", leave=True, **OUT), GONE, ""),
        (None, resource("node2", "a2", ""), THREE, ""),
    ],
)
def test_order_is_about_the_member_that_was_described(
    before: LeaveOrder | None, one: MemberResource, seen: ClusterView, member_id: str
) -> None:
    """Each row of the module's table, and the same after what needs no member list."""
    table = {before.uid: before} if before else {}
    assert annotation_orders.updated(table, [one], seen)[one.uid].member_id == member_id
    standing = annotation_orders.without_taken_back(table, [one])
    assert annotation_orders.updated(standing, [one], seen)[one.uid].member_id == member_id


@pytest.mark.parametrize(("value", "stays"), [("true", True), ("a2", True), ("", False), ("a3", False), ("yes", False)])
def test_removal_goes_on_as_long_as_its_member_is_meant(value: str, *, stays: bool) -> None:
    """Without a look at etcd, so that a removal can be cancelled while etcd does not answer."""
    one = resource("node2", "a2", value)
    state = ReconcilerState(annotated={one.uid: known("a2", "true")}, orders={})
    removal = RunningRemoval(
        uid=one.uid, resource="node2", generation=1, member_id="a2", label="node2", workflow_id="w"
    )
    assert rounds.is_ordered(state, removal)
    assert rounds.is_ordered(rounds.without_orders_taken_back(state, [one]), removal) is stays
    assert not rounds.is_ordered(rounds.without_orders_taken_back(state, []), removal)


@pytest.mark.parametrize(
    ("one", "seen", "started"),
    [
        (resource("node2", "a2"), THREE, MemberToRemove("a2", "node2")),
        (resource("node2", "a2", "a2"), THREE, MemberToRemove("a2", "node2")),
        (resource("node2", "a2", "a3"), THREE, None),
        (resource("node2", "a2", "a2"), GONE, None),
        (resource("node2", "a2", ""), THREE, None),
    ],
)
def test_watcher_starts_the_removal_and_says_what_asked_for_it(
    one: MemberResource, seen: ClusterView, started: MemberToRemove | None
) -> None:
    """A name never takes a member of another name."""
    state = rounds.with_orders(ReconcilerState(), [one], seen)
    _, removals = rounds.removals_to_start(state, "prod", [one], seen, now=0.0)
    assert [MemberToRemove(r.member_id, r.label) for r in removals] == ([started] if started else [])
    assert {r.source for r in removals} <= {"annotation etcd-handoff.io/leave"}


def test_both_orders_start_one_removal_and_each_is_remembered_for_itself() -> None:
    """The flag is about the member that left, the annotation about the one that has joined since."""
    flagged = resource("node2", "a2", "", leave=True, generation=2, leave_since=LATE)
    state = rounds.with_orders(ReconcilerState(), [flagged], THREE)
    both = resource("node2", NEW, leave=True, generation=2, leave_since=EARLY, joined_since=EARLY)
    state = rounds.with_orders(state, [both], REJOINED)
    _, removals = rounds.removals_to_start(state, "prod", [both], REJOINED, now=0.0)
    assert [(r.member_id, r.source) for r in removals] == [(NEW, "annotation etcd-handoff.io/leave")]
    assert standing_messages(state.orders, state.annotated, [both], REJOINED) == {}
    status = rounds.status(request(), state, (both,), ())
    assert status.about(both) == NEW
    left = both.model_copy(update={"annotation": "", "annotation_since": ""})
    state = rounds.with_orders(state, [left], REJOINED)
    assert rounds.removals_to_start(state, "prod", [left], REJOINED, now=0.0)[1] == ()
    assert "spec.leave is an old request for member a2" in messages(state, left, REJOINED)


def request() -> ReconcileEtcdMembersRequest:
    """Of a watcher."""
    return ReconcileEtcdMembersRequest(cluster="prod")


def messages(state: ReconcilerState, one: MemberResource, seen: ClusterView) -> str:
    """What the EtcdMember has to say."""
    found = standing_messages(state.orders, state.annotated, [one], seen)
    return found[one.name].message if found else ""


@pytest.mark.parametrize(
    ("before", "one", "seen", "words"),
    [
        (known("a2", "true"), resource("node2", NEW), REJOINED, f"{OLD_ANNOTATION} for member a2: take it away"),
        (None, resource("node2", "a2", annotation_since=EARLY), THREE, f"{OLD_ANNOTATION}: take it away"),
        (known(), resource("node2", "a2", "yes"), THREE, "is 'yes'; write true, or the member's ID, a2"),
        (known(), resource("node2", "a2"), view_of(("a2", "renamed")), "carries the ID of renamed (a2)"),
        (known(), resource("node2", "a2"), THREE, ""),
        (known("a2", "true"), resource("node2", "a2", **OUT), GONE, ""),
    ],
)
def test_present_member_says_why_its_annotation_starts_nothing(
    before: LeaveOrder | None, one: MemberResource, seen: ClusterView, words: str
) -> None:
    """And what to do."""
    state = ReconcilerState(annotated={one.uid: before} if before else {})
    message = messages(rounds.with_orders(state, [one], seen), one, seen)
    assert words in message
    assert bool(message) is bool(words)


def test_void_orders_are_about_nobody_until_the_annotation_is_taken_away() -> None:
    """After a restore no annotation that stands counts; the next one does."""
    one = resource("node2", "a2")
    orders = annotation_orders.void([one])
    assert annotation_orders.updated(orders, [one], THREE)[one.uid].member_id == ""
    gone = annotation_orders.updated(orders, [resource("node2", "a2", "")], THREE)
    assert annotation_orders.updated(gone, [one], THREE)[one.uid].member_id == "a2"


# --- every sequence of events ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class World:
    """node2 and its annotated EtcdMember beside a member that stays, a watcher, and what operators meant.

    Attributes:
        member_id: ID of node2's member; empty while it is none.
        told_id: memberID of its EtcdMember.
        joined: What it says.
        since: Since when.
        value: The annotation.
        annotated: When its manager wrote last.
        marked: A removal has set `spec.leave`, since the member has left.
        generation: Counts changes of the spec.
        called_old: Its message calls the annotation an old request.
        orders: What the watcher knows of annotations; None before it has seen anything.
        flags: What it knows of `spec.leave`.
        target_ids: Members whose removal the annotation asks for.
        open_ended: It was set while the EtcdMember said that its member has left, and that one says so still.
        must: The member that the next look has to remove.
        seen: Nothing has happened since the last look.
        clock: Seconds.
        born: How many members there have been.
    """

    member_id: str = "d1"
    told_id: str = "d1"
    joined: bool = True
    since: int = 1
    value: str = ""
    annotated: int = 0
    marked: bool = False
    generation: int = 1
    called_old: bool = False
    orders: LeaveOrder | None = None
    flags: LeaveOrder | None = None
    target_ids: frozenset[str] = frozenset()
    open_ended: bool = False
    must: str = ""
    seen: bool = False
    clock: int = 1
    born: int = 1

    @property
    def resource(self) -> MemberResource:
        """The EtcdMember as a watcher reads it."""
        return MemberResource(
            name="node2",
            uid="u",
            generation=self.generation,
            leave=self.marked,
            leave_since=f"{self.annotated:04}" if self.marked else "",
            leave_by_us=self.marked,
            annotation=self.value,
            annotation_since=f"{self.annotated:04}" if self.value else "",
            old_annotation=self.called_old and bool(self.value),
            created="0000",
            member_id=self.told_id,
            joined=str(self.joined),
            joined_since=f"{self.since:04}",
        )

    @property
    def view(self) -> ClusterView:
        """The member list."""
        own = (MemberView(id=self.member_id, name="node2"),) if self.member_id else ()
        return ClusterView(cluster_id="cafe", members=(MemberView(id="a1", name="node1"), *own))

    @property
    def key(self) -> tuple[object, ...]:
        """What tells worlds apart: times, generations and IDs count by their order alone."""
        times = sorted({self.since, self.annotated, self.clock})
        tables = [order for order in (self.orders, self.flags) if order]
        ids = sorted({self.member_id, self.told_id, *self.target_ids, *(o.member_id for o in tables)})
        value = self.value if self.value in ("", "true") else ids.index(self.value) if self.value in ids else "other"
        fresh = [o.status_digest == self.resource.status_digest for o in tables]
        known_values = [(o.annotation == self.value, bool(o.annotation), ids.index(o.member_id)) for o in tables]
        return (
            ids.index(self.member_id), ids.index(self.told_id), self.joined, value, self.marked, self.called_old,
            times.index(self.since), times.index(self.annotated), times.index(self.clock), len(ids),
            str(known_values), str(fresh), str(sorted(self.target_ids)), self.open_ended, self.must, self.seen,
        )  # fmt: skip


def annotate(w: World) -> World:
    """`true`: it means the member that the EtcdMember describes."""
    if w.value:
        return w
    target_id = w.told_id if w.joined else w.member_id
    missed = w.orders is not None and bool(w.orders.annotation)  # nobody has seen that it was gone
    same_status = w.orders is not None and w.orders.status_digest == w.resource.status_digest
    younger = w.clock > w.since and not w.called_old and (w.joined or w.orders is not None)
    certain = not missed and (same_status or younger)
    must = target_id if target_id == w.member_id and certain else ""
    w = replace(w, target_ids=frozenset({target_id} - {""}), open_ended=not w.joined, must=must)
    return replace(w, value="true", annotated=w.clock, seen=False)


def annotate_by_id(w: World) -> World:
    """The ID that the EtcdMember carries, also over another value."""
    if w.value == w.told_id:
        return w
    must = w.told_id if w.told_id == w.member_id else ""
    w = replace(w, value=w.told_id, annotated=w.clock, target_ids=frozenset({w.told_id}), open_ended=False)
    return replace(w, must=must, seen=False)


def take_away(w: World) -> World:
    """The annotation goes."""
    return replace(w, value="", target_ids=frozenset(), open_ended=False, must="", seen=False) if w.value else w


def annotate_something_else(w: World) -> World:
    """The same manager writes another annotation, once a watcher has seen what is there."""
    return replace(w, annotated=w.clock) if w.value and w.seen else w


def leave(w: World) -> World:
    """Somebody removes the member, and tells no EtcdMember."""
    return replace(w, member_id="", must="", seen=False)


def record(w: World) -> World:
    """Somebody's EtcdMember is brought up to date after that."""
    if w.told_id == w.member_id or not w.joined:
        return w
    return replace(w, joined=False, since=w.clock, open_ended=False, seen=False)


def rejoin(w: World) -> World:
    """The node joins again, with a new ID."""
    if w.member_id:
        return w
    member_id = f"d{w.born + 1}"
    target_ids = w.target_ids | {member_id} if w.open_ended else w.target_ids
    return replace(w, member_id=member_id, born=w.born + 1, target_ids=target_ids, seen=False)


def start_k0s(w: World) -> World:
    """A controller starts: it clears `spec.leave` and writes its member's ID."""
    if not w.member_id or (w.told_id == w.member_id and w.joined):
        return w
    target_ids = w.target_ids & {w.member_id} if w.open_ended else w.target_ids
    w = replace(
        w, generation=w.generation + w.marked, marked=False, target_ids=target_ids, open_ended=False, seen=False
    )
    return replace(w, told_id=w.member_id, joined=True, since=w.clock, must="")


def look(w: World, *, recorded: bool = True, marks: bool = True) -> World:
    """A round of the watcher: orders, corrections, removals."""
    state = ReconcilerState(
        annotated={"u": w.orders} if w.orders else {},
        orders={"u": w.flags} if w.flags else {},
    )
    state = rounds.with_orders(rounds.without_orders_taken_back(state, [w.resource]), [w.resource], w.view)
    orders, flags = state.annotated["u"], state.orders["u"]
    by_flag = leave_orders.member_to_remove(flags, w.resource, w.view)
    assert by_flag is None, "a flag that we have set is taken for somebody's wish"
    target = leave_orders.member_to_remove(orders, w.resource, w.view)
    assert target is None or target.member_id in w.target_ids, "a member is removed that nobody asked to leave"
    assert not w.must or target == MemberToRemove(w.must, "node2"), "an order is not carried out"
    standing = standing_messages(state.orders, state.annotated, [w.resource], w.view).get("node2")
    called_old = standing is not None and standing.message.startswith(OLD_ANNOTATION)
    w = replace(w, orders=orders, flags=flags, must="", called_old=called_old, seen=True)
    named = member_of("node2", w.told_id, w.view.members)
    if named is None and w.joined:
        w = replace(w, joined=False, since=w.clock, open_ended=False)
    elif named is not None and (named.id, True) != (w.told_id, w.joined):
        target_ids = w.target_ids & {named.id} if w.open_ended else w.target_ids
        w = replace(w, told_id=named.id, joined=True, since=w.clock, open_ended=False, target_ids=target_ids)
    if target is None:
        return w
    w = replace(w, member_id="", seen=False)
    if not recorded:
        return w
    w = replace(w, joined=False, since=w.clock)
    if marks:  # with the same write the annotation goes
        w = replace(w, marked=True, generation=w.generation + 1, value="", target_ids=frozenset(), open_ended=False)
    return w


def look_without_marking(w: World) -> World:
    """As `look`, where the profile does not set `spec.leave`: the annotation stays."""
    return look(w, marks=False)


def look_and_lose_the_record(w: World) -> World:
    """As `look`, but nobody can write the EtcdMember after the removal."""
    return look(w, recorded=False)


def restart(w: World) -> World:
    """The watcher is stopped and started: it knows nothing."""
    return replace(w, orders=None, flags=None, must="")


EVENTS: Final = (
    annotate, annotate_by_id, take_away, annotate_something_else, leave, record, rejoin, start_k0s, look,
    look_without_marking, look_and_lose_the_record, restart,
)  # fmt: skip


@pytest.mark.parametrize("seconds", [1, 0], ids=["each event in a second of its own", "all within a second"])
def test_nobody_is_removed_whom_no_annotation_is_about(seconds: int) -> None:
    """Whatever happens in whatever order: annotations, removals, rejoins, lost records, restarts of anybody."""
    assert reached(World(), EVENTS, 11, seconds) > 500, "hardly anything has been tried"
