"""What is wrong with a decision about a member that is to be added.

As in `planner_oracle` everything is counted by hand from the members' own fields.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from etcd_handoff.planning import AddLearner, Blocked, Decision, Done, MemberPresent, PromoteLearner, Reason, Refused
from tests.unit.planner_oracle import CAUGHT_UP, believable, corrupt, count, judged_by, lags

if TYPE_CHECKING:
    from collections.abc import Iterator

    from etcd_handoff.cluster_view import ClusterView, MemberView


def wanted_in(view: ClusterView, goal: MemberPresent) -> MemberView | None:
    """The member of the goal: its peer URLs and no others, and its name unless it has not started."""
    for m in view.members:
        if sorted(m.peer_urls) == sorted(goal.peer_urls) and m.name in (goal.name, ""):
            return m
    return None


def room(view: ClusterView) -> tuple[bool, bool]:
    """Whether one voter more, which works not at all, leaves a quorum of healthy ones, and of those that caught up."""
    facts = count(view)
    needed = 1 if len(facts.voters) == 1 else (len(facts.voters) + 1) // 2 + 1
    current = [i for i, at in lags(view, facts).items() if at <= CAUGHT_UP] if facts.healthy else []
    return len(facts.healthy) >= needed, len(current) >= needed


def full(view: ClusterView) -> bool:
    """Whether anybody is out of space."""
    return any(a.kind == "NOSPACE" for a in view.alarms) or any("NOSPACE" in m.alarms for m in view.members)


def works(view: ClusterView, learner: MemberView) -> bool:
    """Whether a learner has started, answers, and follows the leader of the voters."""
    facts = count(view)
    return bool(learner.name) and learner.reachable and (learner.leader_id, learner.term) == (facts.leader, facts.term)


def current(view: ClusterView, learner: MemberView) -> bool:
    """Whether a learner is near the furthest voter, by our rule and by etcd's."""
    facts = count(view)
    furthest = max((m.raft_index for m in view.members if m.id in facts.healthy), default=0)
    return furthest - learner.raft_index <= CAUGHT_UP and 10 * learner.raft_index >= 9 * furthest


def number(member: MemberView) -> tuple[int, int, int]:
    """The member's version; 0.0.0 for one that is not told."""
    parts = member.version.split("-")[0].split(".")
    return (int(parts[0]), int(parts[1]), int(parts[2])) if len(parts) == len((3, 6, 16)) else (0, 0, 0)


def forgets(view: ClusterView) -> bool:
    """Whether some member's etcd may forget a promotion."""
    return any(
        (version[:2] == (3, 5) and version[2] < 24) or (version[:2] == (3, 6) and version[2] < 4)
        for version in map(number, view.members)
    )


def demands_everybody(view: ClusterView) -> bool:
    """Whether etcd adds nobody as long as a voter is down, and one is."""
    facts = count(view)
    asked_member = (
        facts.leader if facts.leader in facts.healthy else min(facts.healthy, default="", key=lambda i: int(i, 16))
    )
    version = next((number(m) for m in view.members if m.id == asked_member), (0, 0, 0))
    old = (version[:2] == (3, 5) and version[2] < 30) or (version[:2] == (3, 6) and version[2] < 11)
    return old and any(not m.reachable for m in view.members if not m.is_learner)


def right_kind(view: ClusterView, goal: MemberPresent) -> tuple[type[Decision], str]:
    """The one kind of decision that is right, and why: the first rule that holds."""
    if (doubt := believable(view, goal)) is not None:
        return doubt
    facts, joiner = count(view), wanted_in(view, goal)
    healthy_room, current_room = room(view)
    others = [m for m in view.members if m is not joiner]
    taken = any(m.name and set(m.peer_urls) & set(goal.peer_urls) for m in others)
    rules: tuple[tuple[bool, type[Decision], str], ...] = (
        (joiner is not None and not joiner.is_learner and bool(joiner.name), Done, "it is a voter that has started"),
        (joiner is not None and not joiner.is_learner, Blocked, "it has a vote and has not started"),
        (joiner is None and taken, Refused, "another member has one of its peer URLs"),
        (facts.leader is None, Blocked, "no leader is agreed"),
        (2 * len(facts.healthy) <= len(facts.voters), Blocked, "no healthy quorum can commit the change"),
        (bool(corrupt(view)), Blocked, "somebody's data are bad"),
        (not healthy_room, Blocked, "the healthy voters would be no quorum beside one that fails"),
        (not current_room, Blocked, "the voters that have caught up would be no quorum beside one that fails"),
        (forgets(view), Blocked, "etcd may forget the promotion"),
        (full(view), Blocked, "etcd takes no writes"),
        (joiner is None and any(m.is_learner or not m.name for m in others), Blocked, "another member is being added"),
        (joiner is None and demands_everybody(view), Blocked, "etcd would refuse it"),
        (joiner is None, AddLearner, "it can be added"),
        (joiner is not None and not works(view, joiner), Blocked, "the learner does not work"),
        (joiner is not None and not current(view, joiner), Blocked, "the learner lags"),
    )
    return next(((kind, why) for holds, kind, why in rules if holds), (PromoteLearner, "it can have its vote"))


def unsafe(view: ClusterView, goal: MemberPresent, decision: Decision) -> Iterator[str]:
    """What must never leave the planner, whichever strategy chose it."""
    facts, joiner = count(view), wanted_in(view, goal)
    if isinstance(decision, Done) and (joiner is None or joiner.is_learner or not joiner.name):
        yield "identity: the wanted member is no voter that has started"
    if isinstance(decision, Blocked | Refused | Done):
        return
    if not isinstance(decision, AddLearner | PromoteLearner):
        yield "no step of an addition"
        return
    if facts.leader is None or 2 * len(facts.healthy) <= len(facts.voters) or not all(room(view)):
        yield "quorum: too few voters would work if the new one failed"
    if corrupt(view) or full(view) or view.doubts or forgets(view):
        yield "alarms, doubts or a fault of etcd are overlooked"
    if decision.via_id not in facts.healthy:
        yield "via: no healthy voter"
    if isinstance(decision, AddLearner) and any(m.is_learner or not m.name for m in view.members):
        yield "one change: another member is being added"
    if isinstance(decision, AddLearner) and any(set(m.peer_urls) & set(goal.peer_urls) for m in view.members):
        yield "identity: the peer URL is in use"
    if isinstance(decision, PromoteLearner):
        yield from _unsafe_promotion(view, joiner, decision)


def _unsafe_promotion(view: ClusterView, joiner: MemberView | None, decision: PromoteLearner) -> Iterator[str]:
    if joiner is None or not joiner.is_learner or decision.learner_id != joiner.id:
        yield "identity: not the learner that was added"
    elif not works(view, joiner) or not current(view, joiner):
        yield "the learner does not work or lags"


def violations(view: ClusterView, goal: MemberPresent, decision: Decision) -> list[str]:
    """Everything that is wrong with `decision`."""
    kind, why = right_kind(view, goal)
    wrong = [] if isinstance(decision, kind) else [f"{type(decision).__name__} instead of {kind.__name__}: {why}"]
    wrong += unsafe(view, goal, decision)
    if isinstance(decision, Blocked) and decision.reason is Reason.UNSAFE_STEP:
        wrong.append("it had to stop itself")
    leader = count(view).leader
    if isinstance(decision, AddLearner | PromoteLearner) and decision.via_id != leader in count(view).healthy:
        wrong.append("via: not the leader although it is healthy")
    return wrong


def judge(view: ClusterView, goal: MemberPresent) -> list[str]:
    """What is wrong with what the planner, as it is at the moment, answers; no answer is wrong too."""
    return judged_by(partial(violations, view, goal), view, goal)
