"""Whom `spec.leave` is about, after every sequence of events up to a length."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import pytest

from etcd_handoff.etcdmember_matching import member_of
from etcd_handoff.reconciler import leave_orders
from etcd_handoff.reconciler.leave_orders import MemberToRemove
from etcd_handoff.reconciler.member_resources import MemberResource
from etcd_handoff.reconciler.request_messages import standing_messages
from tests.unit.builders import view_of
from tests.unit.world_search import reached

if TYPE_CHECKING:
    from etcd_handoff.cluster_view import ClusterView
    from etcd_handoff.reconciler.state import LeaveOrder


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
        by_us: A removal has set the flag, since its member has left.
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
        target_ids: Members whose removal the standing flag asks for.
        open_ended: It was set while the EtcdMember said that its member has left, and it says so still: whoever is
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
    target_ids: frozenset[str] = frozenset()
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
        ids = sorted(
            {i for s in stored for i in (s.member_id, s.told_id)} | {o.member_id for o in orders} | self.target_ids
        )

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
        parts = [short(s) for s in stored]
        rest = (
            self.restored,
            sorted(self.target_ids),
            self.open_ended,
            self.must,
            times.index(self.clock),
            len(ids),
            self.voided,
        )
        return (*parts, str(known), str(rest))


def flag(w: World) -> World:
    """`spec.leave` is set: it means the member that the EtcdMember describes."""
    if w.now.leave:
        return w
    now = w.now
    target_id = now.told_id if now.joined else now.member_id
    if w.orders is None:
        known = w.clock > now.since and not (now.called_old and w.clock <= now.called_at)
    else:
        known = w.clock > now.since or w.orders[0].status_digest == w.resource.status_digest
    must = target_id if target_id == now.member_id and known and not w.restored else ""
    w = replace(w, target_ids=frozenset({target_id} - {""}), open_ended=not now.joined, must=must)
    return w.set(leave=True, generation=now.generation + 1, leave_since=w.clock, by_us=False)


def patch_a_label(w: World) -> World:
    """Whoever has set the flag writes something else: the flag looks younger, and its message still says what it is."""
    now = w.now
    is_called_old = now.leave and not now.by_us and now.called_old and now.called_generation == now.generation
    return w.set(leave_since=w.clock) if is_called_old else w


def mark(w: World) -> World:
    """A removal sets the flag of a member that has left; late, it may not know that the node has joined again."""
    if w.now.leave or w.now.joined:
        return w
    return w.set(leave=True, generation=w.now.generation + 1, leave_since=w.clock, by_us=True)


def unflag(w: World) -> World:
    """It is taken back."""
    if not w.now.leave:
        return w
    w = replace(w, target_ids=frozenset(), open_ended=False, must="")
    return w.set(leave=False, generation=w.now.generation + 1)


def leave(w: World) -> World:
    """Somebody removes the member, and tells no EtcdMember."""
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
    target_ids = w.target_ids | {member_id} if w.open_ended else w.target_ids
    return replace(w.set(member_id=member_id), born=w.born + 1, target_ids=target_ids)


def look(w: World, *, recorded: bool = True) -> World:
    """A round of the watcher: orders, corrections, removals."""
    if w.restored:
        return w
    known = leave_orders.without_taken_back({o.uid: o for o in w.orders or ()}, [w.resource])
    orders = leave_orders.updated(known, [w.resource], w.view)
    target = leave_orders.member_to_remove(orders["u"], w.resource, w.view)
    assert target is None or target.member_id in w.target_ids, "a member is removed that nobody asked to leave"
    assert not w.must or target == MemberToRemove(w.must, "node2"), "an order is not carried out"
    w = replace(w, orders=tuple(orders.values()), must="")
    called_old = "node2" in standing_messages(orders, {}, [w.resource], w.view)
    if called_old and (not w.now.called_old or w.now.called_generation != w.now.generation):
        w = w.set(called_at=w.clock, called_generation=w.now.generation)
    w = w.set(called_old=called_old)
    named = member_of("node2", w.now.told_id, w.view.members)
    if named is None and w.now.joined:
        w = replace(w.set(joined=False, since=w.clock), open_ended=False)
    elif named is not None and (named.id, True) != (w.now.told_id, w.now.joined):
        target_ids = w.target_ids & {named.id} if w.open_ended else w.target_ids
        w = replace(w.set(told_id=named.id, joined=True, since=w.clock), open_ended=False, target_ids=target_ids)
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

    Of a member that has left no message says that its flag was void: it counts again for who joins next.
    """
    if w.restored:
        return w
    if w.voided and w.now.leave and not w.now.joined:
        w = replace(w, open_ended=True, target_ids=w.target_ids | ({w.now.member_id} - {""}))
    return replace(w, orders=None, must="")


def save(w: World) -> World:
    """A backup is made."""
    return w if w.restored else replace(w, backup=w.now)


def restore(w: World) -> World:
    """The cluster is restored from it, under a watcher that has seen the cluster; what is ordered then is void."""
    if w.backup is None or w.orders is None:
        return w
    return replace(w, now=w.backup, restored=True, voided=True, target_ids=frozenset(), open_ended=False, must="")


def confirm(w: World) -> World:
    """`watch resync --confirm`."""
    if not w.restored:
        return w
    w = replace(w, orders=tuple(leave_orders.void([w.resource]).values()), restored=False)
    return look(replace(w, target_ids=frozenset(), open_ended=False, must=""))


EVENTS: Final = (
    flag, patch_a_label, mark, unflag, leave, record, rejoin,
    look, look_and_lose_the_record, restart, save, restore, confirm,
)  # fmt: skip


@pytest.mark.parametrize("seconds", [1, 0], ids=["each event in a second of its own", "all within a second"])
def test_nobody_is_removed_whom_no_order_is_about(seconds: int) -> None:
    """Whatever happens in whatever order: flags, removals, rejoins, lost records, restarts, restores."""
    assert reached(World(), EVENTS, 9, seconds) > 2_000, "hardly anything has been tried"
