"""Small clusters whose members are to change, by raft's own rules, and what is wrong with what is done to them.

Nothing of the planner is used to judge: everything is counted by hand, from who is up and who has a vote. Members are
up, up and far behind, down, or have never been started. A part runs as the operation runs it: it plans its own steps,
and gives way to another part when it cannot go on and the whole wants that one.
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
    part_order,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from etcd_handoff.planning import Decision

CLUSTER: Final = "c"
UP, LAGGING, DOWN, UNSTARTED = "up", "lags", "down", "unstarted"
INDEX: Final = {UP: 1_000_000, LAGGING: 100}
"""Raft index of members that are up."""
STAYS, LEAVES, JOINS, FOREIGN = "stays", "leaves", "joins", "foreign"
ITS_URL, ITS_NAME, ONE_URL = "its peer URL", "its name", "one of its peer URLs"
"""What the first that joins is to have of another member: the first that stays, or, for one URL, that leaves."""
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
        clash: What the first that joins is to have of another member, so that nothing can be done; empty: nothing.
        min_voters: So many voters the cluster's profile wants at least.
        running: The part that runs.
        begun: It is not the first look.
        enough: So many voters it was to end with when it began.
    """

    members: tuple[Member, ...]
    leader: str
    joiners: tuple[str, ...] = ()
    leaves: tuple[str, ...] = ()
    stays: tuple[str, ...] = ()
    exact: bool = False
    same_url: bool = False
    clash: str = ""
    min_voters: int = 1
    running: Part | None = None
    begun: bool = False
    enough: int = 0

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
    def alive(self) -> list[Member]:
        """Voters that are up, however far behind."""
        return [m for m in self.voters if m.state in INDEX]

    @property
    def current(self) -> str:
        """The condition of who has caught up with the furthest voter."""
        return UP if any(m.state == UP for m in self.voters) else LAGGING

    @property
    def working(self) -> list[Member]:
        """Voters that are up and have caught up."""
        return [m for m in self.voters if m.state == self.current]

    @property
    def has_quorum(self) -> bool:
        """More than half of the voters are up."""
        return enough(len(self.alive), len(self.voters))

    @property
    def leads(self) -> str | None:
        """Who leads: an election follows when the leader is down, gone, or behind."""
        able = [m.id for m in self.working]
        if not self.has_quorum:
            return None
        return self.leader if self.leader in able else min(able)

    @property
    def goal_ids(self) -> tuple[str, ...]:
        """IDs of the members that are to be voters at the end, as far as the change names them."""
        return (*self.joiners, *self.stays) if self.exact else self.joiners

    @property
    def spare(self) -> int:
        """How many voters that are up may fail."""
        return len(self.working) - (len(self.voters) // 2 + 1)

    def view(self) -> ClusterView:
        """A fresh look."""
        return ClusterView(cluster_id=CLUSTER, members=tuple(self._seen(m) for m in self.members))

    def _seen(self, m: Member) -> MemberView:
        up = m.state in INDEX
        return MemberView(
            id=m.id,
            name="" if m.state == UNSTARTED else f"n{m.id}",
            peer_urls=(self.url(m.id),),
            is_learner=not m.votes,
            reachable=up,
            serves_reads=up and m.votes,
            leader_id=self.leads if up else None,
            term=7 if up else 0,
            raft_index=INDEX.get(m.state, 0),
        )

    def goal(self) -> MembersChanged:
        """What is wanted."""
        joins = tuple(self._joiner(i) for i in self.goal_ids)
        return MembersChanged(CLUSTER, joins, self.leaves, exact=self.exact, min_voters=self.demanded, begun=self.begun)

    @property
    def demanded(self) -> int:
        """How many voters the profile wants, or of a change that has begun no more than it was to end with."""
        return min(self.min_voters, self.enough or 1) if self.begun else self.min_voters

    def _joiner(self, member_id: str) -> Joiner:
        name, urls = f"n{member_id}", [self.url(member_id)]
        clash = self.clash if member_id in self.joiners[:1] else ""
        if clash == ITS_URL:
            urls = [self.url(self.stays[0])]
        elif clash == ITS_NAME:
            name = f"n{self.stays[0]}"
        elif clash == ONE_URL:
            urls += [self.url(self.leaves[0])]
        return Joiner(name, tuple(urls))

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
        mine = (
            replace(goal.leaving(view, part.member_id), min_voters=part_order.min_voters_after_removal(view, goal))
            if isinstance(part, StartRemoval)
            else _joining(goal, part)
        )
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
                planned = self.enough if self.begun else at_the_end(self)
                after = replace(self, running=decision, begun=True, enough=planned)
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
            yield from _bad_promotion(world, decision)
        case Transfer():
            heir = world.member(decision.transferee_id)
            if heir is None or heir.id in world.leaves or heir not in world.working:
                yield "leadership goes to one that leaves, or does not work"
        case _:
            yield from _bad_part(world, decision)


def _bad_part(world: World, decision: Decision) -> Iterator[str]:
    match decision:
        case StartAddition():
            yield from _bad_start(world)
            if decision.name.removeprefix("n") not in world.goal_ids:
                yield "one is to join that nobody asked for"
        case StartRemoval():
            yield from _bad_start(world)
            yield from _bad_order(world, decision)
        case Done() if world.running is None:
            yield from _bad_end(world)
        case Blocked() if not world.begun and not world.has_quorum:
            yield "it begins by waiting where no change can be committed"


def _bad_promotion(world: World, decision: PromoteLearner) -> Iterator[str]:
    yield from _no_room(world)
    learner = world.member(decision.learner_id)
    if learner is None or learner.votes or learner.state not in (UP, world.current):
        yield "no learner that works and has caught up gets a vote"
    elif learner.id not in world.goal_ids:
        yield "somebody else's learner gets a vote"


def at_the_end(world: World) -> int:
    """How many voters there will be."""
    if world.exact:
        return len(world.goal_ids)
    stay = [m for m in world.voters if m.id not in world.leaves and m.state != UNSTARTED]
    return len(stay) + len([i for i in world.joiners if world.member(i) not in stay])


def too_few(world: World) -> bool:
    """The cluster would have fewer voters than its profile wants, and fewer than now."""
    if world.exact:
        return len(world.goal_ids) < world.min_voters
    return at_the_end(world) < min(world.demanded, len(world.voters))


def _bad_start(world: World) -> Iterator[str]:
    if world.clash:
        yield f"a change begins that cannot end: one that joins is to have {world.clash}"
    if too_few(world):
        yield "a change begins after which there are fewer voters than the profile wants"
    if not world.begun and not world.has_quorum:
        yield "a change begins that cannot be committed"


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
    named = [world.member(i) for i in world.goal_ids]
    if any(m is None or not m.votes or m.state == UNSTARTED for m in named):
        yield "it is done although somebody is missing"
    if any(m.id in world.leaves or (world.exact and m.fate == FOREIGN) for m in world.members):
        yield "it is done although somebody is too many"


def _no_room(world: World) -> Iterator[str]:
    voters = len(world.voters)
    if voters > 1 and not enough(len(world.working), voters + 1):
        yield "the quorum would depend on the member that joins"


def can_go(world: World, target: Member) -> bool:
    """Without the member, voters that work are a quorum."""
    left = [m for m in world.voters if m.id != target.id]
    return bool(left) and enough(len([m for m in left if m in world.working]), len(left))


def _bad_removal(world: World, decision: Remove) -> Iterator[str]:
    part = world.running
    target = world.member(part.member_id) if isinstance(part, StartRemoval) else None
    if target is None or target.id not in world.leaves:
        yield "somebody is removed who was not to leave"
        return
    if target.id in (world.leads, decision.via_id):
        yield "the leader is removed, or asked to remove itself"
    named = [world.member(i) for i in world.goal_ids]
    if target in world.alive and any(m and m not in world.alive for m in named):
        yield "one that works leaves while one that is to stay does not"
    if not can_go(world, target):
        yield "fewer voters than a quorum are left that work"
    if too_few(world):
        yield "one leaves although fewer voters than the profile wants would be left"


def _bad_order(world: World, decision: StartRemoval) -> Iterator[str]:
    target = world.member(decision.member_id)
    if target is None or target.id not in world.leaves:
        yield "somebody is to leave who was not to"
        return
    if not can_go(world, target):
        yield "one begins to leave without whom too few work"
    if target not in world.alive:
        return
    sick = [m for m in world.members if m.id in world.leaves and m not in world.alive and can_go(world, m)]
    if sick:
        yield "one that works leaves before one that does not"
    followers = [m for m in world.alive if m.id in world.leaves and m.id != world.leads]
    if target.id == world.leads and followers:
        yield "the leader leaves before a follower"
    absent = [i for i in world.joiners if world.member(i) is None]
    occupied = {world.url(m.id) for m in world.members}
    if any(world.url(i) not in occupied for i in absent) and len(world.voters) % 2:
        yield "one that works leaves although one more could join first"


# --- what happens besides ----------------------------------------------------------------------------------------


def starts(world: World) -> World | None:
    """The operator starts the member of ours that has not run yet; None when there is none."""
    new = [m for m in world.members if m.state == UNSTARTED and m.fate in (JOINS, STAYS)]
    return world.with_member(replace(new[0], state=LAGGING)) if new else None


def catches_up(world: World) -> World | None:
    """One that is behind is not any more; None when nobody is behind."""
    behind = [m for m in world.members if m.state == LAGGING]
    return world.with_member(replace(behind[0], state=UP)) if behind else None


def events(world: World) -> Iterator[World]:
    """One thing that others do, or that goes wrong; etcd itself refuses what costs its quorum."""
    yield from filter(None, (starts(world), catches_up(world)))
    yield replace(world, running=None, begun=False)  # it was stopped, and is started again
    for m in world.members:
        if m.state in INDEX:
            fails = world.with_member(replace(m, state=DOWN))
            if fails.has_quorum:
                yield fails
        elif m.state == DOWN:
            yield world.with_member(replace(m, state=UP))
        left = world.without(m.id)
        if left.voters and left.has_quorum and m.id != world.leads:
            yield left
        if not m.votes and m.state == UP and enough(len(world.alive) + 1, len(world.voters) + 1):
            yield world.with_member(replace(m, votes=True))
    yield from _foreign(world)


def _foreign(world: World) -> Iterator[World]:
    """Somebody adds a member of theirs, as a learner or at once as a voter, or starts the one that they have added."""
    theirs = world.member("f")
    if theirs is not None and theirs.state == UNSTARTED:
        yield world.with_member(replace(theirs, state=LAGGING))
    if theirs is not None or not world.has_quorum:
        return
    if all(m.votes for m in world.members):
        yield world.with_member(Member("f", FOREIGN, votes=False, state=UNSTARTED))
    started = [m for m in world.voters if m.state != UNSTARTED]
    if len(world.voters) == 1 or (enough(len(world.alive), len(world.voters) + 1) and started == world.voters):
        yield world.with_member(Member("f", FOREIGN, state=UNSTARTED))
