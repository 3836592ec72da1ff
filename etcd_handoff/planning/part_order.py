"""Order the parts of a larger change: which member joins or leaves next. Pure.

Each part is an ordinary addition or removal, which has decisions of its own. The order of the parts follows from the
view, and never from a memory of earlier decisions:

1. Leaving members that do not work go first. Without them the quorum is no larger and all healthy voters are still
   there, so no fewer voters may fail than before. etcd itself refuses an addition while too few voters are connected
   (etcd `server/etcdserver/server.go`, mayAddMember).
2. A member that is already a learner, or was added and has not started, joins next: etcd takes one at a time.
3. With an odd number of voters, one joins. With an even number, one that works leaves. Neither changes how many voters
   may fail. So a replacement joins before a working member leaves, and there is never more than one voter too many.
4. A member whose peer URL another one is to have leaves before that one joins.
5. A member that works leaves only while all present members that stay work as voters.

Leaders leave last, and hand leadership to a voter that stays. A part that its own plan forbids now is not begun. The
next one in this order begins instead, where it does not weaken the cluster.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from etcd_handoff import peer_url
from etcd_handoff.planning import addition, joining, obstacles, removal, safety
from etcd_handoff.planning.decisions import Blocked, Done, Refused, StartAddition, StartRemoval
from etcd_handoff.planning.goals import Joiner
from etcd_handoff.planning.projection import after
from etcd_handoff.planning.reasons import Reason
from etcd_handoff.planning.wording import ailments, names, voters

if TYPE_CHECKING:
    from collections.abc import Iterator

    from etcd_handoff.cluster_view import ClusterView, MemberView
    from etcd_handoff.planning.decisions import ChangeDecision, Decision
    from etcd_handoff.planning.goals import MembersChanged

Part = StartAddition | StartRemoval


def plan(view: ClusterView, goal: MembersChanged) -> ChangeDecision:
    """Return the next part; `view` contradicts neither itself nor what is known."""
    decision = _forbidden(view, goal) or _unplanned(view, goal) or _next(view, goal)
    if isinstance(decision, Blocked | Refused):
        return decision
    return unsafe(view, goal, decision) or decision


def pending(view: ClusterView, goal: MembersChanged) -> tuple[Joiner, ...]:
    """Return the members that were added and are not yet voters that have started."""
    found = ((joiner, goal.member_in(view, joiner)) for joiner in goal.joins)
    return tuple(joiner for joiner, member in found if member and (member.is_learner or not member.name))


def absent(view: ClusterView, goal: MembersChanged) -> tuple[Joiner, ...]:
    """Return the members that are to join and have not been added."""
    return tuple(joiner for joiner in goal.joins if goal.member_in(view, joiner) is None)


def leaving(view: ClusterView, goal: MembersChanged) -> tuple[MemberView, ...]:
    """Return the members that are to leave and are still present: broken ones first, the leader last."""
    leader = view.leadership

    def place(member: MemberView) -> tuple[bool, bool, bool, bool, int]:
        works, leads = member in view.healthy_voters, leader is not None and leader.id == member.id
        return works, leads, bool(member.name), member.is_learner, int(member.id, 16)

    return tuple(sorted((m for m in view.members if not goal.stays(m)), key=place))


def voters_at_the_end(view: ClusterView, goal: MembersChanged) -> int:
    """Return the number of voters at the end."""
    staying = [m for m in view.voters if goal.stays(m) and m.name]
    return len(staying) + len(absent(view, goal)) + len(pending(view, goal))


def min_voters_after_removal(view: ClusterView, goal: MembersChanged) -> int:
    """Return how many voters must remain when one leaves now, for `min_voters` once all have joined.

    It is 1, no bound, in two cases: no fewer voters at the end than now, or an exact list of members, which is counted
    as a whole.
    """
    if goal.exact or voters_at_the_end(view, goal) >= len(view.voters):
        return 1
    return max(1, goal.min_voters - len(absent(view, goal)) - len(pending(view, goal)))


def _next(view: ClusterView, goal: MembersChanged) -> ChangeDecision:
    begun = pending(view, goal)
    obstacle: Blocked | Refused | None = None
    for part in _parts(view, goal, begun):
        decision = _first_decision(view, goal, part)
        waits_well = isinstance(part, StartAddition) and any(part.name == joiner.name for joiner in begun)
        if not isinstance(decision, Blocked | Refused) or waits_well:
            return part
        obstacle = obstacle or decision
    return obstacle or Done()


def _parts(view: ClusterView, goal: MembersChanged, begun: tuple[Joiner, ...]) -> Iterator[Part]:
    """Yield all parts that may be next, in the order of preference."""
    leave, healthy = leaving(view, goal), view.healthy_voters
    works = [m for m in leave if m in healthy]
    yield from (StartRemoval(m.id) for m in leave if m not in healthy)
    yield from (StartAddition(joiner.name, joiner.peer_urls) for joiner in begun)
    occupied = [url for m in leave for url in m.peer_urls]
    free = [joiner for joiner in absent(view, goal) if not peer_url.shared(joiner.peer_urls, occupied)]
    surplus = len(view.voters) > voters_at_the_end(view, goal)
    even = len(view.voters) % 2 == 0
    if not free or (even and surplus):
        yield from (StartRemoval(m.id) for m in works)
    yield from (StartAddition(joiner.name, joiner.peer_urls) for joiner in free[:1])


def _first_decision(view: ClusterView, goal: MembersChanged, part: Part) -> Decision:
    """Return the planner's decision for the part now."""
    if isinstance(part, StartRemoval):
        leave = goal.leaving(view, part.member_id)
        return safety.check(view, leave, removal.plan(view, leave))
    join = goal.joining(next(joiner for joiner in goal.joins if joiner.name == part.name))
    return safety.check(view, join, addition.plan(view, join))


# --- what forbids the change as a whole ----------------------------------------------------------------------


def _forbidden(view: ClusterView, goal: MembersChanged) -> Refused | None:
    return _too_few(view, goal) or _taken(view, goal) or _quorum_gone(view, goal)


def _too_few(view: ClusterView, goal: MembersChanged) -> Refused | None:
    """Return a refusal if the change leaves too few voters.

    An exact list counts by its length. Any other change is refused only where fewer voters than now would be left. A
    member may be removed while a replacement runs, which leaves one fewer than the replacement counted on.
    """
    count = len(goal.joins) if goal.exact else voters_at_the_end(view, goal)
    if count >= goal.min_voters or not (goal.exact or count < len(view.voters)):
        return None
    remedy = "name more members" if goal.exact else "name a new member that is not there yet"
    if goal.begun and not goal.exact:
        remedy = "add another member, then start this again"
    return Refused(
        Reason.TOO_FEW_VOTERS,
        f"the cluster would have {voters(count)}, and min_voters of its profile is {goal.min_voters}",
        f"{remedy}, or lower min_voters in the workers' configuration",
    )


def _taken(view: ClusterView, goal: MembersChanged) -> Refused | None:
    """Return a refusal if a peer URL or a name is taken.

    etcd gives no peer URL to two members, and people mistake two members of one name for one.
    """
    for joiner in absent(view, goal):
        for other in view.members:
            shared = ", ".join(peer_url.shared(joiner.peer_urls, other.peer_urls))
            if shared and (goal.stays(other) or (goal.exact and not peer_url.same(other.peer_urls, joiner.peer_urls))):
                return Refused(
                    Reason.PEER_URL_TAKEN,
                    f"{joiner.name} is to have {shared}, which is a peer URL of {other.label} ({other.id})"
                    f" with {', '.join(other.peer_urls)}",
                    f"give {joiner.name} other peer URLs, or exactly those of that member",
                )
            if goal.stays(other) and (taken := joining.name_taken([other], joiner.name)):
                return taken
    return None


def _quorum_gone(view: ClusterView, goal: MembersChanged) -> Refused | None:
    """Return a refusal if a change that has not begun lacks a quorum.

    One that was found possible before waits, as a voter may come back.
    """
    answering, needed = [m for m in view.voters if m.reachable], after(view).quorum
    if goal.begun or len(answering) >= needed:
        return None
    return Refused(
        Reason.NO_QUORUM,
        f"only {len(answering)} of {len(view.voters)} voters answer{ailments(view, view.voters, answering)}:"
        " without a quorum no change can be committed",
        f"bring voters back until {needed} answer; if they are lost for good, restore the cluster from a snapshot",
    )


def _unplanned(view: ClusterView, goal: MembersChanged) -> Blocked | None:
    """Return an obstacle if there is a member that is neither wanted nor known when the plan was made."""
    if not goal.exact:
        return None
    present = [goal.member_in(view, joiner) for joiner in goal.joins]
    others = [m for m in view.members if goal.stays(m) and m not in present]
    if not others:
        return None
    return Blocked(
        Reason.UNPLANNED_MEMBER,
        f"{names(others)} {'is' if len(others) == 1 else 'are'} not in the list of wanted members and"
        f" {'has' if len(others) == 1 else 'have'} joined since the plan was made",
        "remove it; or cancel this change, and start it again with a list that names it, or with this one if it is to"
        " leave",
    )


# --- what leaves the planner -----------------------------------------------------------------------------------


def unsafe(view: ClusterView, goal: MembersChanged, decision: Decision) -> Blocked | Refused | None:
    """Return why the part must not begin; the part's own decisions are checked separately."""
    surplus = [m.label for m in view.members if not goal.stays(m)]
    there = [goal.member_in(view, joiner) for joiner in goal.joins]
    match decision:
        case Done():
            missing = any(m is None or m.is_learner or not m.name for m in there)
            return safety.stopped(decision, "it is not what is wanted") if surplus or missing else None
        case StartAddition():
            is_listed = Joiner(decision.name, decision.peer_urls) in goal.joins
            return None if is_listed else safety.stopped(decision, "nobody wants it to join")
        case StartRemoval():
            target = view.member(decision.member_id)
            if target is None or goal.stays(target):
                return safety.stopped(decision, "nobody wants it to leave")
            return obstacles.obstacle(view, leaving=target) or obstacles.successor_fails(
                view, target, goal.successors(view)
            )
    return safety.stopped(decision, "it is no part of a larger change")
