"""Who leads next, how far members are behind, and through whom a change is made. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Container, Iterable

    from etcd_handoff.cluster_view import ClusterView, MemberView

CAUGHT_UP_ENTRIES: Final = 5_000
"""Largest lag, in raft log entries, of a transferee, of a learner that gets a vote, and of the voters that make up the
quorum after a change.

A follower further behind may need a snapshot first (etcd `DefaultSnapshotCatchUpEntries`), and while it catches up
nobody accepts writes.
"""


def lag(view: ClusterView, member: MemberView) -> int:
    """How many raft log entries `member` is behind the furthest healthy voter of `view`."""
    return max((m.raft_index for m in view.healthy_voters), default=0) - member.raft_index


def caught_up(view: ClusterView, members: Iterable[MemberView]) -> tuple[MemberView, ...]:
    """Those of `members` that are at most `CAUGHT_UP_ENTRIES` behind."""
    return tuple(m for m in members if lag(view, m) <= CAUGHT_UP_ENTRIES)


def candidates(view: ClusterView, target_id: str, leaving_later: Container[str] = ()) -> tuple[MemberView, ...]:
    """Voters that are healthy, have caught up and stay: each of them may take over.

    Args:
        view: A view with an agreed leader.
        target_id: The member that leaves.
        leaving_later: Members that leave after it.
    """
    return caught_up(view, (m for m in view.healthy_voters if m.id != target_id and m.id not in leaving_later))


def preferred(view: ClusterView, members: Iterable[MemberView]) -> MemberView:
    """The one to take over: the smallest lag; ties go to one without an alarm, then to the smallest ID."""
    return min(members, key=lambda m: (lag(view, m), bool(m.alarms), int(m.id, 16)))


def via(view: ClusterView, leaving: str = "") -> str:
    """ID of the member to ask for a change: the leader saves a hop, another healthy voter forwards it to the leader.

    Args:
        view: A view with at least one healthy voter that stays.
        leaving: ID of the member that leaves. It is never asked: the answer would be lost with it.
    """
    leader = view.leadership
    others = [m for m in view.healthy_voters if m.id != leaving]
    return min(others, key=lambda m: (leader is None or m.id != leader.id, int(m.id, 16))).id
