"""A change of several members, one command after the other, without anybody who carries them out."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from etcd_handoff.activity_io import FindResourceResult, UpdateStatusResult
from etcd_handoff.contract import DesiredMember, MembershipRequest, ReplacementRequest, StepOutcome
from etcd_handoff.operation import commands as to
from etcd_handoff.operation.commands import AddTarget, PromoteTarget
from etcd_handoff.operation.learner import AwaitSync
from etcd_handoff.operation.queue_messages import QueuePosition, TakeTurnResult
from etcd_handoff.operation.state import OperationState
from etcd_handoff.operation.whole_change import WholeChange
from tests.unit.builders import A, B, C, D, E, cluster, member, step
from tests.unit.test_removal_loop import Drive, report

if TYPE_CHECKING:
    from etcd_handoff.cluster_view import ClusterView, MemberView
    from etcd_handoff.contract import OperationRequest

RECORDED = UpdateStatusResult(step=step("update_status", StepOutcome.RECORDED), recorded=True)
UNKNOWN = FindResourceResult(step=step("find_resource", StepOutcome.OBSERVED, "no EtcdMember describes it"))
IDS = (A, B, C, D, E)


def url(number: int) -> str:
    """The peer URL of a member."""
    return f"http://node{number}:2380"


def node(number: int, leader: str = A, **changes: Any) -> MemberView:
    """The member `node<number>`, healthy but for `changes`."""
    return member(IDS[number], leader, **{"peer_urls": (url(number),), **changes})


def nodes(*numbers: int, leader: str = A, term: int = 7, **others: MemberView) -> ClusterView:
    """Healthy members with these numbers, and others."""
    return cluster(*(node(number, leader, term=term) for number in numbers), *others.values())


def learner(number: int, leader: str = A, **changes: Any) -> MemberView:
    """A learner that runs and is in sync, but for `changes`."""
    return node(number, leader, **{"is_learner": True, "serves_reads": False, **changes})


def unstarted(number: int) -> MemberView:
    """A learner that has not started."""
    silent: dict[str, Any] = {"name": "", "reachable": False, "leader_id": None, "term": 0, "raft_index": 0}
    return learner(number, **silent)


def begin(request: OperationRequest) -> Drive:
    """A change that has just begun."""
    patience = request.blocked_timeout_seconds
    whole = WholeChange(request=request)
    return Drive(
        OperationState(run_id="run", chain_id="chain", request=request, whole=whole, blocked_remaining_seconds=patience)
    )


def replacement(old: str = "node0", new: int = 3, **options: Any) -> Drive:
    """A replacement that has just begun."""
    given = {"cluster": "prod", "member": old, "name": f"node{new}", "peer_urls": (url(new),), **options}
    return begin(ReplacementRequest.model_validate(given))


def membership(*numbers: int, **options: Any) -> Drive:
    """A membership of nodes with these numbers that is applied."""
    members = tuple(DesiredMember(name=f"node{number}", peer_urls=(url(number),)) for number in numbers)
    return begin(MembershipRequest(cluster="prod", members=members, **options))


def observed(view: ClusterView | None, **fields: Any) -> Any:
    """What a look answers."""
    return report(StepOutcome.OBSERVED, view, **fields)


def looks(change: Drive, view: ClusterView | None, *, once: bool = False) -> Drive:
    """The cluster is looked at, and shows this, also where a voter that is sick in it is looked at again."""
    change.do(to.Observe, observed(view))
    return change if once else _looked_again_at_once(change, view)


def _looked_again_at_once(change: Drive, view: ClusterView | None) -> Drive:
    ahead, again = Drive(change.state, change.now), False
    with contextlib.suppress(AssertionError):  # another command is next
        again = ahead.next(to.Observe).patient
    return looks(change, view, once=True) if again else change


def gives_turn_up(change: Drive) -> Drive:
    """It is blocked, so others may change the cluster."""
    request = change.next(to.AskQueue)
    assert not request.waits
    return change.result(TakeTurnResult(turn=QueuePosition(granted=False)))


def looks_again(change: Drive, view: ClusterView) -> Drive:
    """A pause ends with this look, or the wait for a learner that is not in sync."""
    waits = change.next((to.Wait, AwaitSync))  # type: ignore[arg-type]  # one of these
    if isinstance(waits, AwaitSync):
        return _looked_again_at_once(change.result(report(StepOutcome.NOT_IN_SYNC, view), after=1.0), view)
    assert waits.until is to.Until.RECHECK
    return looks(change.result(after=1.0), view)


def adds(change: Drive, before: ClusterView, number: int) -> Drive:
    """The learner is added, starts, and gets its vote; the cluster is then as before, with it."""
    ask = change.next(AddTarget).ask
    assert (ask.name, ask.peer_urls) == (f"node{number}", (url(number),))
    waiting = cluster(*before.members, unstarted(number))
    leader = before.members[0].leader_id or A
    term = before.members[0].term
    change.result(report(StepOutcome.ADDED, waiting, added_id=IDS[number], proposed=True))
    gives_turn_up(change)
    in_sync = cluster(*before.members, learner(number, leader, term=term))
    change.do(AwaitSync, report(StepOutcome.IN_SYNC, in_sync), after=1.0).turn()
    after = cluster(*before.members, node(number, leader, term=term))
    change.do(PromoteTarget, report(StepOutcome.PROMOTED, after, added_id=IDS[number], proposed=True))
    wait = change.next(to.Wait)
    assert wait.until is to.Until.TIME
    return looks(change.result(after=wait.seconds), after)


def records(change: Drive, number: int, *, joined: bool) -> Drive:
    """The EtcdMember of a member is written."""
    ask = change.next(to.WriteStatus).ask
    assert (ask.member_name, ask.joined, ask.failed) == (f"node{number}", joined, False)
    return change.result(RECORDED)


def removes(change: Drive, after: ClusterView, number: int) -> Drive:
    """A member that does not lead is removed."""
    ask = change.next(to.RemoveTarget).ask
    assert ask.target_id == IDS[number]
    return change.result(report(StepOutcome.REMOVED, after, proposed=True))
