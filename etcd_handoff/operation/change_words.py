"""Describe a change of several members in words, before it begins and at its end. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from etcd_handoff.operation import texts
from etcd_handoff.planning import StartAddition
from etcd_handoff.planning.outline import outline, warnings
from etcd_handoff.planning.part_order import leaving

if TYPE_CHECKING:
    from etcd_handoff.cluster_view import ClusterView
    from etcd_handoff.operation.whole_change import WholeChange
    from etcd_handoff.planning import MembersChanged
    from etcd_handoff.planning.outline import Stage


def plan_lines(view: ClusterView, goal: MembersChanged) -> tuple[str, ...]:
    """Return the warnings, then the planned parts in order."""
    foreseen = outline(view, goal)
    lines = [f"WARNING: {line}" for line in warnings(view, goal)]
    lines += [stage_line(view, goal, stage) for stage in foreseen.stages]
    if foreseen.obstacle is not None:
        verb = "be refused then" if not hasattr(foreseen.obstacle, "unblocks") else "wait then"
        lines.append(f"it would {verb}: {foreseen.obstacle.reason}: {foreseen.obstacle.seen}")
    return tuple(lines)


def records(whole: WholeChange) -> tuple[str, ...]:
    """Return the records that are missing for changes made before, in words."""
    return tuple(
        f"record on its EtcdMember that {target.member_name} ({target.member_id}) has left"
        for target in whole.left_before
    )


def stage_line(view: ClusterView, goal: MembersChanged, stage: Stage) -> str:
    """`remove node2 (a1): 3 voters then, quorum 2, 1 may fail`."""
    part = stage.part
    if isinstance(part, StartAddition):
        joins = f"add {part.name} ({', '.join(part.peer_urls)}) as a learner{_in_place_of(view, goal, part.name)}"
        what = f"{joins}, and promote it when it is in sync"
    else:
        member = view.member(part.member_id)
        named = f"{member.name} ({part.member_id})" if member and member.name else part.member_id
        what = f"remove {named}"
    voters = f"{stage.voters} voter{'s' if stage.voters != 1 else ''}"
    return f"{what}: {voters} then, quorum {stage.quorum}, {stage.tolerated} may fail"


def _in_place_of(view: ClusterView, goal: MembersChanged, name: str) -> str:
    """Return which member a new one of the same name replaces; the name alone would not distinguish them."""
    old = (f"{m.name} ({m.id}) at {', '.join(m.peer_urls)}" for m in leaving(view, goal) if m.name == name)
    return "".join(f", in place of {member}" for member in old)


def so_far(whole: WholeChange) -> str:
    """Return what has been done, in words."""
    done = {"add": "is a voter", "remove": "has left"}
    results = [
        f"{p.member_name or p.member_id} {done[p.kind]}{texts.no_writes(p.writes_acknowledged)}" for p in whole.ended
    ]
    return "; ".join(results) or "nothing was left to do"
