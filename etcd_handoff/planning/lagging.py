"""Measure how far members are behind, and set the limit. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from etcd_handoff.cluster_view import ClusterView, MemberView

CAUGHT_UP_ENTRIES: Final = 5_000
"""Largest lag in raft log entries. It limits a transferee, a learner that gets a vote, and the voters that make up the
quorum after a change.

A follower further behind may need a snapshot first (etcd `DefaultSnapshotCatchUpEntries`). While it catches up, no
member accepts writes."""


def lag(view: ClusterView, member: MemberView) -> int:
    """Return how many raft log entries `member` is behind the furthest healthy voter of `view`."""
    return _furthest(view) - member.raft_index


def caught_up(view: ClusterView, members: Iterable[MemberView]) -> tuple[MemberView, ...]:
    """Return those of `members` that are at most `CAUGHT_UP_ENTRIES` behind."""
    furthest = _furthest(view)
    return tuple(m for m in members if furthest - m.raft_index <= CAUGHT_UP_ENTRIES)


def _furthest(view: ClusterView) -> int:
    return max((m.raft_index for m in view.healthy_voters), default=0)
