"""Project the voters of a cluster after a change, with the worst assumed of a member that joins. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from etcd_handoff.cluster_view import quorum
from etcd_handoff.planning import lagging

if TYPE_CHECKING:
    from etcd_handoff.cluster_view import ClusterView, MemberView


@dataclass(frozen=True, slots=True)
class Projection:
    """The voters of a cluster after a change.

    Attributes:
        voters: The number of voters.
        staying: Those of them that vote today.
        healthy: Those that are known to be healthy. One that joins is not among them: it may fail at once.
        caught_up: The healthy ones that are at most `CAUGHT_UP_ENTRIES` behind.
    """

    voters: int
    staying: tuple[MemberView, ...]
    healthy: tuple[MemberView, ...]
    caught_up: tuple[MemberView, ...]

    @property
    def quorum(self) -> int:
        """Return how many voters will have to agree."""
        return quorum(self.voters)


def after(view: ClusterView, *, removing: str = "", adding: int = 0) -> Projection:
    """Return the voters of `view` without `removing`, and with `adding` more whose health is unknown."""
    staying = tuple(m for m in view.voters if m.id != removing)
    healthy = tuple(m for m in view.healthy_voters if m.id != removing)
    return Projection(len(staying) + adding, staying, healthy, lagging.caught_up(view, healthy))
