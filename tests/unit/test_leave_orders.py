"""Whom `spec.leave` is about: the table case by case, and every sequence of events up to a length."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import pytest

from etcd_handoff.etcdmember_messages import OLD_REQUEST
from etcd_handoff.operation import leave_orders
from etcd_handoff.operation.leave_orders import MemberToRemove
from etcd_handoff.operation.matching import member_of
from etcd_handoff.operation.member_resources import MemberResource
from etcd_handoff.operation.reconciler_state import LeaveOrder
from etcd_handoff.operation.standing import standing_messages
from tests.unit.builders import view_of

if TYPE_CHECKING:
    from etcd_handoff.cluster_view import ClusterView

EARLY, LATE = "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"


def resource(name: str, member_id: str = "", *, leave: bool = True, **fields: object) -> MemberResource:
    """An EtcdMember that says that its member has joined."""
    usual = {"uid": f"uid-{name}", "generation": 2, "joined": "True" if member_id else "Unknown", "joined_since": EARLY}
    return MemberResource.model_validate({"name": name, "member_id": member_id, "leave": leave, **usual, **fields})


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

    def said(one: MemberResource, member_id: str, seen: ClusterView) -> str:
        order = LeaveOrder(uid=one.uid, generation=one.generation, member_id=member_id)
        found = standing_messages({one.uid: order}, {}, [one], seen)
        return found[one.name].message if found else ""

    old = said(resource("node2", "a2", **OUT), "a2", REJOINED)
    assert old.startswith(OLD_REQUEST)
    assert "for member a2: take it back, and set it again" in old
    assert said(resource("node2", "a2"), "", THREE).startswith(f"{OLD_REQUEST}: take it back")
    renamed = view_of(("a2", "renamed"))
    assert "carries the ID of renamed (a2)" in said(resource("node2", "a2"), "a2", renamed)
    assert said(resource("node2", "a2"), "a2", THREE) == ""
    assert said(resource("node2", "a2", leave=False), "", THREE) == ""
    assert said(resource("node2", "a2", **OUT), "a2", GONE) == ""


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
    left = leave_orders.withdrawn(orders, [resource("node1", "a1"), taken_back])
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
    orders = leave_orders.withdrawn(before, [cleared])
    assert orders["uid-node2"].member_id == member_id
    assert leave_orders.updated(orders, [cleared], THREE) == orders
    assert leave_orders.member_to_remove(orders["uid-node2"], cleared, THREE) is None
    taken_back = cleared.model_copy(update={"generation": 5, "leave_manager": "kubectl-patch"})
    assert leave_orders.withdrawn(orders, [taken_back])["uid-node2"].member_id == ""


@pytest.mark.parametrize(("start", "member_id"), [("second", "a2"), ("first", "")])
def test_flag_that_a_start_of_k0s_leaves_out_is_not_taken_back(start: str, member_id: str) -> None:
    """It owns the field as little as somebody who deletes the line; its start is another one then."""
    flagged = resource("node2", "a2", k0s_start="first")
    orders = leave_orders.updated({}, [flagged], THREE)
    cleared = resource("node2", "a2", leave=False, generation=3, k0s_start=start)
    orders = leave_orders.withdrawn(orders, [cleared])
    assert orders["uid-node2"].member_id == member_id
    assert leave_orders.updated(orders, [cleared], THREE)["uid-node2"].member_id == member_id


# --- every sequence of events ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Stored:
    """What a backup of the cluster holds, and a restore brings back.

    Attributes:
        member_id: ID of node2's member; empty while it is none.
        leave: `spec.leave` of its EtcdMember.
        generation: Its generation.
        leave_since: When the flag was set.
        told_id: Its memberID.
        joined: What it says.
        since: Since when.
        called_old: Its message calls the flag an old request.
        called_at: Since when it does.
        called_generation: The generation that it names.
        by_us: A removal has set the flag, since its member is out.
    """

    member_id: str = "d1"
    leave: bool = False
    generation: int = 1
    leave_since: int = 0
    told_id: str = "d1"
    joined: bool = True
    since: int = 1
    called_old: bool = False
    called_at: int = 0
    called_generation: int = 0
    by_us: bool = False


@dataclass(frozen=True)
class World:
    """node2 and its EtcdMember beside another member that stays, a watcher, and what operators meant.

    Attributes:
        now: What is.
        backup: What was, when it was saved.
        orders: What the watcher knows; None before it has seen anything.
        restored: The watcher waits for a confirmation.
        meant: Members whose removal the standing flag asks for.
        open_ended: It was set while the EtcdMember said that its member is out, and that one says so still: whoever is
            there under the name is meant.
        must: The member that the next look has to remove.
        clock: Seconds.
        born: How many members there have been.
        voided: There was a restore.
    """

    now: Stored = Stored()
    backup: Stored | None = None
    orders: tuple[LeaveOrder, ...] | None = None
    restored: bool = False
    meant: frozenset[str] = frozenset()
    open_ended: bool = False
    must: str = ""
    clock: int = 1
    born: int = 1
    voided: bool = False

    def set(self, **fields: object) -> World:
        """The world with other facts."""
        return replace(self, now=replace(self.now, **fields))  # type: ignore[arg-type]

    @property
    def resource(self) -> MemberResource:
        """The EtcdMember as a watcher reads it."""
        now = self.now
        return MemberResource(
            name="node2",
            uid="u",
            generation=now.generation,
            leave=now.leave,
            leave_since=f"{now.leave_since:04}" if now.leave else "",
            leave_by_us=now.by_us and now.leave,
            old_request=now.called_old
            and now.leave
            and (now.called_generation == now.generation or now.leave_since <= now.called_at),
            member_id=now.told_id,
            joined=str(now.joined),
            joined_since=f"{now.since:04}",
        )

    @property
    def view(self) -> ClusterView:
        """The member list."""
        own = [(self.now.member_id, "node2")] if self.now.member_id else []
        return view_of(("a1", "node1"), *own)

    @property
    def key(self) -> tuple[object, ...]:
        """What tells worlds apart: times, generations and IDs count by their order alone."""
        stored = [s for s in (self.now, self.backup) if s]
        times = sorted({t for s in stored for t in (s.leave_since, s.since, s.called_at)} | {self.clock})
        orders = self.orders or ()
        generations = sorted(
            {g for s in stored for g in (s.generation, s.called_generation)} | {o.generation for o in orders}
        )
        ids = sorted({i for s in stored for i in (s.member_id, s.told_id)} | {o.member_id for o in orders} | self.meant)

        def short(s: Stored) -> tuple[object, ...]:
            place = times.index
            who = (ids.index(s.member_id), ids.index(s.told_id))
            return (
                *who,
                s.leave,
                s.called_old,
                s.by_us,
                generations.index(s.generation),
                place(s.leave_since),
                s.joined,
                place(s.since),
                place(s.called_at) if s.called_old else -1,
                generations.index(s.called_generation) if s.called_old else -1,
            )

        known: object = None
        if self.orders is not None:
            fresh = [o.status_digest == self.resource.status_digest for o in orders]
            known = [(generations.index(o.generation), o.member_id) for o in orders], fresh
        told = [short(s) for s in stored]
        rest = (
            self.restored,
            sorted(self.meant),
            self.open_ended,
            self.must,
            times.index(self.clock),
            len(ids),
            self.voided,
        )
        return (*told, str(known), str(rest))


def flag(w: World) -> World:
    """`spec.leave` is set: it means the member that the EtcdMember describes."""
    if w.now.leave:
        return w
    now = w.now
    meant = now.told_id if now.joined else now.member_id
    if w.orders is None:
        known = w.clock > now.since and not (now.called_old and w.clock <= now.called_at)
    else:
        known = w.clock > now.since or w.orders[0].status_digest == w.resource.status_digest
    must = meant if meant == now.member_id and known and not w.restored else ""
    w = replace(w, meant=frozenset({meant} - {""}), open_ended=not now.joined, must=must)
    return w.set(leave=True, generation=now.generation + 1, leave_since=w.clock, by_us=False)


def patch_a_label(w: World) -> World:
    """Whoever has set the flag writes something else: the flag looks younger, and its message still says what it is."""
    now = w.now
    told = now.leave and not now.by_us and now.called_old and now.called_generation == now.generation
    return w.set(leave_since=w.clock) if told else w


def mark(w: World) -> World:
    """A removal sets the flag of a member that is out; late, it may not know that the node has joined again."""
    if w.now.leave or w.now.joined:
        return w
    return w.set(leave=True, generation=w.now.generation + 1, leave_since=w.clock, by_us=True)


def unflag(w: World) -> World:
    """It is taken back."""
    if not w.now.leave:
        return w
    w = replace(w, meant=frozenset(), open_ended=False, must="")
    return w.set(leave=False, generation=w.now.generation + 1)


def leave(w: World) -> World:
    """Somebody takes the member out, and tells no EtcdMember."""
    return replace(w.set(member_id=""), must="")


def record(w: World) -> World:
    """Somebody's EtcdMember is brought up to date after that."""
    if w.now.told_id == w.now.member_id or not w.now.joined:
        return w
    return replace(w.set(joined=False, since=w.clock), open_ended=False)


def rejoin(w: World) -> World:
    """The node joins again, with a new ID."""
    if w.now.member_id:
        return w
    member_id = f"d{w.born + 1}"
    meant = w.meant | {member_id} if w.open_ended else w.meant
    return replace(w.set(member_id=member_id), born=w.born + 1, meant=meant)


def look(w: World, *, recorded: bool = True) -> World:
    """A round of the watcher: orders, corrections, removals."""
    if w.restored:
        return w
    known = leave_orders.withdrawn({o.uid: o for o in w.orders or ()}, [w.resource])
    orders = leave_orders.updated(known, [w.resource], w.view)
    target = leave_orders.member_to_remove(orders["u"], w.resource, w.view)
    assert target is None or target.member_id in w.meant, "a member is removed that nobody asked to leave"
    assert not w.must or target == MemberToRemove(w.must, "node2"), "an order is not carried out"
    w = replace(w, orders=tuple(orders.values()), must="")
    called_old = "node2" in standing_messages(orders, {}, [w.resource], w.view)
    if called_old and (not w.now.called_old or w.now.called_generation != w.now.generation):
        w = w.set(called_at=w.clock, called_generation=w.now.generation)
    w = w.set(called_old=called_old)
    told = member_of("node2", w.now.told_id, w.view.members)
    if told is None and w.now.joined:
        w = replace(w.set(joined=False, since=w.clock), open_ended=False)
    elif told is not None and (told.id, True) != (w.now.told_id, w.now.joined):
        meant = w.meant & {told.id} if w.open_ended else w.meant
        w = replace(w.set(told_id=told.id, joined=True, since=w.clock), open_ended=False, meant=meant)
    if target is not None:
        w = w.set(member_id="")
        if recorded:
            w = w.set(joined=False, since=w.clock)
    return w


def look_and_lose_the_record(w: World) -> World:
    """As `look`, but nobody can write the EtcdMember after the removal."""
    return look(w, recorded=False)


def restart(w: World) -> World:
    """The watcher is stopped and started: it knows nothing. After a restore it could not tell that there was one.

    Of a member that is out no message says that its flag was void: it counts again for who joins next.
    """
    if w.restored:
        return w
    if w.voided and w.now.leave and not w.now.joined:
        w = replace(w, open_ended=True, meant=w.meant | ({w.now.member_id} - {""}))
    return replace(w, orders=None, must="")


def save(w: World) -> World:
    """A backup is made."""
    return w if w.restored else replace(w, backup=w.now)


def restore(w: World) -> World:
    """The cluster is restored from it, under a watcher that has seen the cluster; what is ordered then is void."""
    if w.backup is None or w.orders is None:
        return w
    return replace(w, now=w.backup, restored=True, voided=True, meant=frozenset(), open_ended=False, must="")


def confirm(w: World) -> World:
    """`watch resync --confirm`."""
    if not w.restored:
        return w
    w = replace(w, orders=tuple(leave_orders.void([w.resource]).values()), restored=False)
    return look(replace(w, meant=frozenset(), open_ended=False, must=""))


EVENTS: Final = (
    flag, patch_a_label, mark, unflag, leave, record, rejoin,
    look, look_and_lose_the_record, restart, save, restore, confirm,
)  # fmt: skip


@pytest.mark.parametrize("seconds", [1, 0], ids=["each event in a second of its own", "all within a second"])
def test_nobody_is_removed_whom_no_order_is_about(seconds: int) -> None:
    """Whatever happens in whatever order: flags, removals, rejoins, lost records, restarts, restores."""
    worlds, steps = {World().key: World()}, 0
    fresh = list(worlds.values())
    for _ in range(9):
        later: list[World] = []
        for world in fresh:
            for event in EVENTS:
                after = event(replace(world, clock=world.clock + seconds))
                steps += 1
                if after.key not in worlds:
                    worlds[after.key] = after
                    later.append(after)
        fresh = later
    assert len(worlds) > 2_000, "hardly anything has been tried"
    print(f"\n{len(worlds)} worlds, {steps} events")  # noqa: T201
