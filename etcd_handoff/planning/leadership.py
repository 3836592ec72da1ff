"""Choose the next leader, and the member through which a change is made. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from etcd_handoff.planning.lagging import caught_up, lag

if TYPE_CHECKING:
    from collections.abc import Container, Iterable

    from etcd_handoff.cluster_view import ClusterView, MemberView


def candidates(view: ClusterView, target_id: str, leaving_later: Container[str] = ()) -> tuple[MemberView, ...]:
    """Return the voters that may take over: healthy, caught up, and staying.

    Args:
        view: A view with an agreed leader.
        target_id: The member that leaves.
        leaving_later: Members that leave after it.
    """
    return caught_up(view, (m for m in view.healthy_voters if m.id != target_id and m.id not in leaving_later))


def preferred(view: ClusterView, members: Iterable[MemberView]) -> MemberView:
    """Return the transferee: the smallest lag; ties go to one without an alarm, then to the smallest ID."""
    return min(members, key=lambda m: (lag(view, m), bool(m.alarms), int(m.id, 16)))


def via(view: ClusterView, leaving: str = "") -> str:
    """Return the ID of the member to ask for a change.

    The leader saves a hop; another healthy voter forwards the change to the leader.

    Args:
        view: A view with at least one healthy voter that stays.
        leaving: ID of the member that leaves. It is never asked: the answer would be lost with it.
    """
    leader = view.leadership
    others = [m for m in view.healthy_voters if m.id != leaving]
    return min(others, key=lambda m: (leader is None or m.id != leader.id, int(m.id, 16))).id
