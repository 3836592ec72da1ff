"""Small clusters whose members are to change, by raft's own rules, and what is wrong with what is done to them.

Nothing of the planner is used to judge: everything is counted by hand, from who is up and who has a vote. Members are
up, down, or have never been started. A part runs as the operation runs it: it plans its own steps, and gives way to
another part when it cannot go on and the whole wants that one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from etcd_handoff import planning
from etcd_handoff.cluster_view import ClusterView, MemberView
from etcd_handoff.planning import (
    AddLearner,
    Blocked,
    Done,
    Joiner,
    MembersChanged,
    PromoteLearner,
    Refused,
    Remove,
    StartAddition,
    StartRemoval,
    Transfer,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from etcd_handoff.planning import Decision

CLUSTER: Final = "c"
UP, DOWN, UNSTARTED = "up", "down", "unstarted"
STAYS, LEAVES, JOINS, FOREIGN = "stays", "leaves", "joins", "foreign"
Part = StartAddition | StartRemoval


@dataclass(frozen=True, slots=True, order=True)
class Member:
    """A member: its ID, what is wanted of it, whether it has a vote, and its condition."""

    id: str
    fate: str
    votes: bool = True
    state: str = UP


@dataclass(frozen=True, slots=True)
class World:
    """A cluster, and the operation on it.

    Attributes:
        members: Who is listed, by ID.
        leader: Who leads while a majority is up.
        joiners: IDs that the members which are to join have, or will have once they are added.
        leaves: IDs that are pinned to leave.
        stays: IDs that an exact change names besides.
        exact: Nobody else is to be a member.
        same_url: The first that joins has the peer URL of the first that leaves.
        running: The part that runs.
        begun: It is not the first look.
    """

    members: tuple[Member, ...]
    leader: str
    joiners: tuple[str, ...] = ()
    leaves: tuple[str, ...] = ()
    stays: tuple[str, ...] = ()
    exact: bool = False
    same_url: bool = False
    running: Part | None = None
    begun: bool = False

    def url(self, member_id: str) -> str:
        """The peer URL of a member."""
        if self.same_url and self.joiners and member_id == self.joiners[0]:
            member_id = self.leaves[0]
        return f"http://{member_id}:2380"

    def member(self, member_id: str) -> Member | None:
        """The member, if it is listed."""
        return next((m for m in self.members if m.id == member_id), None)

    @property
    def voters(self) -> list[Member]:
        """Who has a vote."""
        return [m for m in self.members if m.votes]

    @property
    def working(self) -> list[Member]:
        """Voters that are up."""
        return [m for m in self.voters if m.state == UP]

    @property
    def has_quorum(self) -> bool:
        """More than half of the voters are up."""
        return 2 * len(self.working) > len(self.voters)

    @property
    def leads(self) -> str | None:
        """Who leads: an election follows when the leader is down or gone."""
        up = [m.id for m in self.working]
        if not self.has_quorum:
            return None
        return self.leader if self.leader in up else min(up)

    @property
    def spare(self) -> int:
        """How many voters that are up may fail."""
        return len(self.working) - (len(self.voters) // 2 + 1)

    def view(self) -> ClusterView:
        """A fresh look."""
        return ClusterView(cluster_id=CLUSTER, members=tuple(self._seen(m) for m in self.members))

    def _seen(self, m: Member) -> MemberView:
        up = m.state == UP
        return MemberView(
            id=m.id,
            name="" if m.state == UNSTARTED else f"n{m.id}",
            peer_urls=(self.url(m.id),),
            is_learner=not m.votes,
            reachable=up,
            serves_reads=up and m.votes,
            leader_id=self.leads if up else None,
            term=7 if up else 0,
            raft_index=1000 if up else 0,
        )

    def goal(self) -> MembersChanged:
        """What is wanted."""
        named = (*self.joiners, *self.stays) if self.exact else self.joiners
        joins = tuple(Joiner(f"n{i}", (self.url(i),)) for i in named)
        return MembersChanged(CLUSTER, joins, self.leaves, exact=self.exact, begun=self.begun)

    def with_member(self, member: Member) -> World:
        """The same with this member, in this condition."""
        others = (m for m in self.members if m.id != member.id)
        return replace(self, members=tuple(sorted((*others, member))))

    def without(self, member_id: str) -> World:
        """The same without this member."""
        return replace(self, members=tuple(m for m in self.members if m.id != member_id))

    # --- the operation ----------------------------------------------------------------------------------------

    def decision(self) -> Decision:
        """What the part that runs, or else the whole, decides; another part comes first where it is blocked."""
        view, goal, part = self.view(), self.goal(), self.running
        if part is None:
            return planning.plan(view, goal)
        mine = goal.leaving(view, part.member_id) if isinstance(part, StartRemoval) else _joining(goal, part)
        decision: Decision = planning.plan(view, mine)
        if isinstance(decision, Blocked | Refused):
            other = planning.plan(view, goal)
            if isinstance(other, StartAddition | StartRemoval) and other != part:
                return other
        return decision

    def after(self, decision: Decision) -> World:
        """The cluster once it is carried out."""
        part, after = self.running, self
        match decision:
            case StartAddition() | StartRemoval():
                after = replace(self, running=decision, begun=True)
            case Remove() if isinstance(part, StartRemoval):
                after = self.without(part.member_id)
            case Transfer():
                after = replace(self, leader=decision.transferee_id)
            case AddLearner() if isinstance(part, StartAddition):
                after = self.with_member(Member(part.name.removeprefix("n"), JOINS, votes=False, state=UNSTARTED))
            case PromoteLearner() if learner := self.member(decision.learner_id):
                after = self.with_member(replace(learner, votes=True))
            case Done() if part is not None:
                after = replace(self, running=None)
        return after


def _joining(goal: MembersChanged, part: StartAddition) -> planning.MemberPresent:
    return goal.joining(next(joiner for joiner in goal.joins if joiner.name == part.name))


def enough(working: int, voters: int) -> bool:
    """Raft's rule: so many that are up are a majority of so many voters."""
    return 2 * working > voters


def faults(world: World, decision: Decision) -> Iterator[str]:
    """What must not be done to this cluster, whoever decides it."""
    match decision:
        case Remove():
            yield from _bad_removal(world, decision)
        case AddLearner():
            yield from _bad_addition(world)
        case PromoteLearner():
            yield from _no_room(world)
            learner = world.member(decision.learner_id)
            if learner is None or learner.votes or learner.state != UP or learner.fate not in (JOINS, STAYS):
                yield "no learner of ours that works gets a vote"
        case Transfer():
            heir = world.member(decision.transferee_id)
            if heir is None or heir.id in world.leaves or heir not in world.working:
                yield "leadership goes to one that leaves, or does not work"
        case StartRemoval():
            yield from _bad_order(world, decision)
        case Done() if world.running is None:
            yield from _bad_end(world)


def _bad_addition(world: World) -> Iterator[str]:
    yield from _no_room(world)
    joiner = world.running.name.removeprefix("n") if isinstance(world.running, StartAddition) else ""
    if any(not m.votes or m.state == UNSTARTED for m in world.members):
        yield "a second member is added before the first one has its vote"
    if world.url(joiner) in {world.url(m.id) for m in world.members}:
        yield "a peer URL is given twice"
    if joiner not in (*world.joiners, *world.stays):
        yield "nobody asked for that member"


def _bad_end(world: World) -> Iterator[str]:
    wanted = [world.member(i) for i in (*world.joiners, *(world.stays if world.exact else ()))]
    if any(m is None or not m.votes or m.state == UNSTARTED for m in wanted):
        yield "it is done although somebody is missing"
    if any(m.id in world.leaves or (world.exact and m.fate == FOREIGN) for m in world.members):
        yield "it is done although somebody is too many"


def _no_room(world: World) -> Iterator[str]:
    voters = len(world.voters)
    if voters > 1 and not enough(len(world.working), voters + 1):
        yield "the quorum would depend on the member that joins"


def _bad_removal(world: World, decision: Remove) -> Iterator[str]:
    part = world.running
    target = world.member(part.member_id) if isinstance(part, StartRemoval) else None
    if target is None or target.id not in world.leaves:
        yield "somebody is removed who was not to leave"
        return
    if target.id in (world.leads, decision.via_id):
        yield "the leader is removed, or asked to remove itself"
    wanted = [world.member(i) for i in (*world.joiners, *(world.stays if world.exact else ()))]
    if target in world.working and any(m and m not in world.working for m in wanted):
        yield "one that works leaves while one that is to stay does not"
    left = world.without(target.id)
    if not left.voters or not enough(len(left.working), len(left.voters)):
        yield "fewer voters than a quorum are left that work"


def _bad_order(world: World, decision: StartRemoval) -> Iterator[str]:
    target = world.member(decision.member_id)
    if target is None or target not in world.working:
        return
    sick = [m for m in world.members if m.id in world.leaves and m not in world.working]
    if sick:
        yield "one that works leaves before one that does not"
    followers = [m for m in world.working if m.id in world.leaves and m.id != world.leads]
    if target.id == world.leads and followers:
        yield "the leader leaves before a follower"
    absent = [i for i in world.joiners if world.member(i) is None]
    occupied = {world.url(m.id) for m in world.members}
    if any(world.url(i) not in occupied for i in absent) and len(world.voters) % 2:
        yield "one that works leaves although one more could join first"


# --- what happens besides ----------------------------------------------------------------------------------------


def starts(world: World) -> World | None:
    """The operator starts the member of ours that has not run yet; None when there is none."""
    new = [m for m in world.members if m.state == UNSTARTED and m.fate in (JOINS, STAYS) and not m.votes]
    return world.with_member(replace(new[0], state=UP)) if new else None


def events(world: World) -> Iterator[World]:
    """One thing that others do, or that goes wrong; etcd itself refuses what costs its quorum."""
    if begins := starts(world):
        yield begins
    yield replace(world, running=None, begun=False)  # it was stopped, and is started again
    for m in world.members:
        if m.state == UP:
            fails = world.with_member(replace(m, state=DOWN))
            if fails.has_quorum:
                yield fails
        elif m.state == DOWN:
            yield world.with_member(replace(m, state=UP))
        left = world.without(m.id)
        if left.voters and left.has_quorum and m.id != world.leads:
            yield left
        if not m.votes and m.state == UP and enough(len(world.working) + 1, len(world.voters) + 1):
            yield world.with_member(replace(m, votes=True))
    if all(m.votes for m in world.members) and world.member("f") is None and world.has_quorum:
        yield world.with_member(Member("f", FOREIGN, votes=False, state=UNSTARTED))
