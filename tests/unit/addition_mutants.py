"""The planner, broken on purpose in what it knows of additions."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from etcd_handoff.planning import addition, joining, leadership, obstacles
from etcd_handoff.planning.goals import MemberPresent
from etcd_handoff.planning.projection import after

if TYPE_CHECKING:
    from etcd_handoff.cluster_view import ClusterView
    from etcd_handoff.planning import Decision
    from etcd_handoff.planning.projection import Projection

REAL_PLAN = addition.plan


def best_of_a_joiner(view: ClusterView, *, removing: str = "", adding: int = 0) -> Projection:
    """`after` that takes one that joins for healthy."""
    there = after(view, removing=removing)
    return replace(
        there,
        voters=there.voters + adding,
        healthy=there.healthy + there.healthy[:adding],
        caught_up=there.caught_up + there.caught_up[:adding],
    )


def no_room_for_a_joiner(view: ClusterView, *, removing: str = "", adding: int = 0) -> Projection:
    """`after` that does not count one that joins."""
    return after(view, removing=removing, adding=adding - adding)


def adds_for_ever(view: ClusterView, goal: MemberPresent) -> Decision:
    """Sees no member that is not yet a voter."""
    voters = view.model_copy(update={"members": view.voters})
    return REAL_PLAN(voters, goal)


def by_name(goal: MemberPresent, view: ClusterView) -> object:
    """`member_in` that goes by the name alone."""
    return next((m for m in view.members if m.name == goal.name), None)


def nothing(*_: Any) -> None:
    """Finds no obstacle."""


MUTANTS: Final[dict[str, tuple[object, str, object]]] = {
    "a joiner counts as healthy": (obstacles, "after", best_of_a_joiner),
    "a joiner does not count": (obstacles, "after", no_room_for_a_joiner),
    "a member without space is copied": (joining, "no_space", nothing),
    "corrupt data are copied": (obstacles, "_corrupt", nothing),
    "a learner of somebody else is not seen": (joining, "learner_in_the_way", nothing),
    "a voter that has not started is not seen": (joining, "change_pending", nothing),
    "an etcd that forgets promotions is taken": (joining, "etcd_bug", nothing),
    "etcd is asked for what it refuses": (joining, "add_would_be_refused", nothing),
    "its newest releases count as old": (joining, "COUNTS_CONNECTED", {(3, 6): (3, 6, 99)}),
    "a peer URL is given twice": (joining, "peer_url_taken", nothing),
    "a learner that is down is promoted": (joining, "not_running", nothing),
    "a learner that lags is promoted": (joining, "learner_lags", nothing),
    "etcd's own rule alone counts": (joining, "CAUGHT_UP_ENTRIES", 10**9),
    "our own rule alone counts": (joining, "LEARNER_READY_RATIO", 0.0),
    "an unstarted voter is taken for one": (joining, "unstarted_voter", nothing),
    "learners are not seen": (addition, "plan", adds_for_ever),
    "a name is enough": (MemberPresent, "member_in", by_name),
    "it asks anybody": (leadership, "via", lambda view, leaving="": max(m.id for m in view.members)),  # noqa: ARG005
}
ON_GENERATED_VIEWS: Final = (
    "a peer URL is given twice",
    "a learner that is down is promoted",
    "etcd's own rule alone counts",
    "our own rule alone counts",
    "a name is enough",
)
"""Small worlds have no lags near the limits, no two members with one name or peer URL, and none that is cut off."""
IN_LARGER_WORLDS: Final = (
    "a voter that has not started is not seen",
    "an etcd that forgets promotions is taken",
    "etcd is asked for what it refuses",
    "its newest releases count as old",
)
"""It takes four voters to have one too many, and small worlds have the newest etcd."""
