"""What a change of several members says of itself, before it begins and at its end, in words. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from etcd_handoff.operation import texts
from etcd_handoff.planning import StartAddition
from etcd_handoff.planning.outline import outline, warnings
from etcd_handoff.planning.part_order import absent, leaving, pending

if TYPE_CHECKING:
    from etcd_handoff.cluster_view import ClusterView
    from etcd_handoff.operation.whole import Whole
    from etcd_handoff.planning import MembersChanged
    from etcd_handoff.planning.outline import Stage


def plan_lines(view: ClusterView, goal: MembersChanged) -> tuple[str, ...]:
    """What would be done, in order, after what people should know before it."""
    foreseen = outline(view, goal)
    lines = [f"WARNING: {line}" for line in warnings(view, goal)]
    lines += [f"{stage_line(view, stage)}" for stage in foreseen.stages]
    if foreseen.obstacle is not None:
        verb = "be refused then" if not hasattr(foreseen.obstacle, "unblocks") else "wait then"
        lines.append(f"it would {verb}: {foreseen.obstacle.reason}: {foreseen.obstacle.seen}")
    return tuple(lines)


def records(whole: Whole) -> tuple[str, ...]:
    """What would be written that was true before, in words."""
    return tuple(
        f"record on its EtcdMember that {target.member_name} ({target.member_id}) has left"
        for target in whole.left_before
    )


def stage_line(view: ClusterView, stage: Stage) -> str:
    """`add node4 (http://10.0.0.4:2380), then promote it: 4 voters, quorum 3, 1 may fail`."""
    part = stage.part
    if isinstance(part, StartAddition):
        what = f"add {part.name} ({', '.join(part.peer_urls)}) as a learner, and promote it when it is in sync"
    else:
        member = view.member(part.member_id)
        named = f"{member.name} ({part.member_id})" if member and member.name else part.member_id
        what = f"remove {named}"
    voters = f"{stage.voters} voter{'s' if stage.voters != 1 else ''}"
    return f"{what}: {voters} then, quorum {stage.quorum}, {stage.tolerated} may fail"


def changes(view: ClusterView, goal: MembersChanged) -> dict[str, list[str]]:
    """Names of members by what happens to them: added, removed, and replaced by one of the same name."""
    joins = [joiner.name for joiner in (*pending(view, goal), *absent(view, goal))]
    leaves = [member.label for member in leaving(view, goal)]
    return {
        "added": [name for name in joins if name not in leaves],
        "removed": [name for name in leaves if name not in joins],
        "replaced": [name for name in joins if name in leaves],
    }


def so_far(whole: Whole) -> str:
    """What has been done, in words."""
    done = {"add": "is a voter", "remove": "is out"}
    results = [
        f"{p.member_name or p.member_id} {done[p.kind]}{texts.no_writes(p.writes_acknowledged)}" for p in whole.ended
    ]
    return "; ".join(results) or "nothing was left to do"
