"""Outline a larger change from beginning to end, if nothing goes wrong, and how safe the cluster is meanwhile.

It plans again and again, on the cluster as each part would leave it. So it shows what would be decided. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from etcd_handoff.cluster_view import MemberView, quorum
from etcd_handoff.planning import leadership, part_order
from etcd_handoff.planning.decisions import Blocked, Refused, StartAddition, StartRemoval

if TYPE_CHECKING:
    from etcd_handoff.cluster_view import ClusterView
    from etcd_handoff.planning.goals import MembersChanged
    from etcd_handoff.planning.part_order import Part

MOST_PARTS: Final = 64


@dataclass(frozen=True, slots=True)
class Stage:
    """A part, and the cluster after it.

    Attributes:
        part: The part.
        voters: The number of voters after it.
        healthy: The number of healthy ones among them.
    """

    part: Part
    voters: int
    healthy: int

    @property
    def quorum(self) -> int:
        """Return how many voters have to agree after it."""
        return quorum(self.voters)

    @property
    def tolerated(self) -> int:
        """Return how many voters may fail after it."""
        return max(0, self.healthy - self.quorum)


@dataclass(frozen=True, slots=True)
class Outline:
    """A larger change from beginning to end.

    Attributes:
        stages: Its parts, in order.
        obstacle: Why it goes no further; None when it reaches its end.
    """

    stages: tuple[Stage, ...] = ()
    obstacle: Blocked | Refused | None = None


def outline(view: ClusterView, goal: MembersChanged) -> Outline:
    """Return all parts of the change; `view` contradicts neither itself nor what is known."""
    stages: list[Stage] = []
    while len(stages) < MOST_PARTS:
        decision = part_order.plan(view, goal)
        if isinstance(decision, Blocked | Refused):
            return Outline(tuple(stages), decision)
        if not isinstance(decision, StartAddition | StartRemoval):
            break
        enough = min(goal.min_voters, part_order.voters_at_the_end(view, goal))
        view, goal = _after(view, goal, decision), replace(goal, begun=True, min_voters=enough)
        stages.append(Stage(decision, len(view.voters), len(view.healthy_voters)))
    return Outline(tuple(stages))


def warnings(view: ClusterView, goal: MembersChanged) -> tuple[str, ...]:
    """Return what does not forbid the change, and what people must know before it."""
    count = part_order.voters_at_the_end(view, goal)
    lines = []
    if goal.exact and count % 2 == 0:
        lines.append(f"{count} voters survive no more failures than {count - 1}")
    for joiner in goal.joins:
        member = goal.member_in(view, joiner)
        if member is not None and member.name not in ("", joiner.name):
            lines.append(
                f"the member with {', '.join(joiner.peer_urls)} is called {member.name} ({member.id}), and not"
                f" {joiner.name}: it is taken for that one, and keeps its name until its etcd starts with another one"
            )
    return tuple(lines)


def _after(view: ClusterView, goal: MembersChanged, part: Part) -> ClusterView:
    """Return the cluster after the part has ended well."""
    leader = view.leadership
    if isinstance(part, StartRemoval):
        return _without(view, goal, part.member_id)
    joiner = next(j for j in goal.joins if j.name == part.name)
    listed = goal.member_in(view, joiner)
    member = MemberView(
        id=listed.id if listed else _free_id(view, goal),
        name=part.name,
        peer_urls=part.peer_urls,
        reachable=True,
        serves_reads=True,
        leader_id=leader.id if leader else None,
        term=leader.term if leader else 0,
        raft_index=max((m.raft_index for m in view.healthy_voters), default=0),
    )
    others = (m for m in view.members if m.id != member.id)
    return view.model_copy(update={"members": tuple(sorted((*others, member), key=lambda m: int(m.id, 16)))})


def _without(view: ClusterView, goal: MembersChanged, member_id: str) -> ClusterView:
    leader, remaining = view.leadership, view.only({m.id for m in view.members} - {member_id})
    if leader is None or leader.id != member_id:
        return remaining
    able = leadership.candidates(view, member_id, goal.leaves)
    if not able:
        return remaining
    follows = {"leader_id": leadership.preferred(view, able).id, "term": leader.term + 1}
    members = tuple(m.model_copy(update=follows) if m in view.healthy_voters else m for m in remaining.members)
    return remaining.model_copy(update={"members": members})


def _free_id(view: ClusterView, goal: MembersChanged) -> str:
    """Return an ID that no member has or had; etcd gives the real one."""
    taken = {*(m.id for m in view.members), *goal.leaves}
    return next(f"{number:x}" for number in range(1, len(taken) + 2) if f"{number:x}" not in taken)
