"""What happens to a cluster of the model at each fault, and how it is healed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from etcd_handoff.etcdmember import member_id_of
from tests.model.fault_kinds import TO_API_CALLS, TO_CALLS, TO_NODES, Fault
from tests.model.members import Member, most, resource, status_saying

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.model.cluster import Cluster

FAR_BEHIND: Final = 20_000
"""Entries that a voter lags by: more than the planner takes for caught up."""
RESTORED_TERM: Final = 2
RESTORED_INDEX: Final = 10
"""Where the log of a restored cluster begins anew."""


def inject(cluster: Cluster, fault: Fault) -> None:
    """It happens now, as far as it can; what only a call runs into does not."""
    if fault in (*TO_CALLS, *TO_API_CALLS, *TO_NODES):
        return
    if fault in WITHOUT_QUORUM:
        WITHOUT_QUORUM[fault](cluster)
    elif fault in ON_OTHERS:
        if cluster.others:
            ON_OTHERS[fault](cluster, cluster.others[-1])
    elif most(cluster.members.values(), "writes"):
        CHANGES[fault](cluster)
        cluster.commit()
        cluster.invariants.fresh.clear()


def heal(cluster: Cluster) -> None:
    """Everybody is well, somebody leads, and whoever interfered is gone."""
    sick = [member.heal() for member in cluster.members.values()]
    if any(sick):
        cluster.invariants.fresh.clear()
    _be_known(cluster)
    cluster.lists, cluster.runs_on = None, False
    cluster.running_on.clear()
    if cluster.lock is not None and not cluster.lock.ours:
        cluster.lock = None
    if not cluster.leader:
        cluster.elect(next((m for m in cluster.members.values() if m.voter), None))


def _be_known(cluster: Cluster) -> None:
    """K0s writes who has started; with EtcdMembers of others alone, nothing tells this cluster from another one."""
    if not cluster.is_told_apart:
        started = (m for m in cluster.members.values() if m.name and m.name not in cluster.resources)
        cluster.resources.update({m.name: resource(m.name, m.id) for m in started})


# --- what needs no quorum -----------------------------------------------------------------------------------------


def _leader_moves(cluster: Cluster) -> None:
    target = cluster.leaving
    to_target = target is not None and target.voter and target.writes and cluster.leader != target.id
    others = [m for m in cluster.others if m.id != cluster.leader and m.writes]
    cluster.elect(target if to_target else next(iter(others), None))


def _no_leader(cluster: Cluster) -> None:
    cluster.leader, cluster.term = "", cluster.term + 1
    cluster.invariants.fresh.clear()


def _target_dies(cluster: Cluster) -> None:
    if (target := cluster.leaving) is not None:
        target.alive = False
        cluster.lose(target)


def _target_hangs(cluster: Cluster) -> None:
    if (target := cluster.leaving) is not None and target.well:
        target.memory = cluster.standing
        cluster.lose(target)


def _runs_on(cluster: Cluster) -> None:
    cluster.runs_on = True


def _lock_held(cluster: Cluster) -> None:
    cluster.take_lock_for_another()


def _foreign(cluster: Cluster) -> None:
    cluster.lists = Fault.FOREIGN_LIST
    cluster.invariants.fresh.clear()


def _foreign_alone(cluster: Cluster) -> None:
    cluster.lists = Fault.FOREIGN_ALONE
    cluster.invariants.fresh.clear()


WITHOUT_QUORUM: Final[dict[Fault, Callable[[Cluster], None]]] = {
    Fault.LEADER_MOVES: _leader_moves,
    Fault.NO_LEADER: _no_leader,
    Fault.TARGET_DIES: _target_dies,
    Fault.TARGET_HANGS: _target_hangs,
    Fault.RUNS_ON: _runs_on,
    Fault.LOCK_HELD: _lock_held,
    Fault.FOREIGN_LIST: _foreign,
    Fault.FOREIGN_ALONE: _foreign_alone,
}


# --- what another voter meets -------------------------------------------------------------------------------------


def _left_behind(cluster: Cluster, other: Member) -> None:
    other.memory = cluster.standing
    cluster.lose(other, elect_anew=True)


def _dies(cluster: Cluster, other: Member) -> None:
    other.alive = False
    cluster.lose(other)


def _hangs(cluster: Cluster, other: Member) -> None:
    other.memory = cluster.standing
    cluster.lose(other)


def _would_hang(cluster: Cluster, other: Member) -> None:
    other.doomed = True
    cluster.invariants.fresh.clear()


def _lags(cluster: Cluster, other: Member) -> None:
    other.lag = FAR_BEHIND
    cluster.lose(other)


def _diverges(_cluster: Cluster, other: Member) -> None:
    other.diverged = True


def _lists(fault: Fault) -> Callable[[Cluster, Member], None]:
    """What happens when another voter gives a list of its own, as this fault has it."""

    def happens(cluster: Cluster, other: Member) -> None:
        cluster.lists, cluster.lone = fault, other.id
        cluster.invariants.fresh.clear()

    return happens


ON_OTHERS: Final[dict[Fault, Callable[[Cluster, Member], None]]] = {
    Fault.LEFT_BEHIND: _left_behind,
    Fault.OTHER_DIES: _dies,
    Fault.OTHER_HANGS: _hangs,
    Fault.OTHER_WOULD_HANG: _would_hang,
    Fault.OTHER_LAGS: _lags,
    Fault.DIVERGES: _diverges,
    Fault.LISTS_DIFFER: _lists(Fault.LISTS_DIFFER),
    Fault.LONE_LIST: _lists(Fault.LONE_LIST),
    Fault.ROLES_DIFFER: _lists(Fault.ROLES_DIFFER),
}


# --- changes of somebody else's, which need a quorum --------------------------------------------------------------


def _other_removed(cluster: Cluster) -> None:
    if len(cluster.others) > 1:
        cluster.drop(cluster.others[-1])


def _target_removed(cluster: Cluster) -> bool:
    target = cluster.leaving
    removable = target is not None and bool(cluster.others or not target.voter)
    if target is not None and removable:
        cluster.drop(target)
    return removable


def _namesake(cluster: Cluster) -> None:
    target = cluster.leaving
    if target is not None and _target_removed(cluster):
        cluster.add("e", target.name, voter=target.voter)


def _rejoined(cluster: Cluster) -> None:
    """Also after we have removed it: then its node only joins."""
    _namesake(cluster)
    if not any(m.name == cluster.target for m in cluster.members.values()):
        cluster.add("e", cluster.target)
    new = next(m for m in cluster.members.values() if m.name == cluster.target)
    if new.id in (cluster.target_ids or ()):
        return
    if cluster.target not in cluster.resources:
        cluster.resources[cluster.target] = resource(cluster.target, new.id)
    cluster.touch(cluster.target)
    cluster.resources[cluster.target]["status"] = status_saying(new.id, "True")


def _added(cluster: Cluster) -> None:
    cluster.add("f", "", alive=False)


def _restored(cluster: Cluster) -> None:
    """A second time would look like none: the log is as short before it as after it."""
    if cluster.index > FAR_BEHIND:
        cluster.restore(RESTORED_TERM, RESTORED_INDEX)


def _resource_deleted(cluster: Cluster) -> None:
    if cluster.target in cluster.resources:
        cluster.touch(cluster.target)
        del cluster.resources[cluster.target]


def _lie(cluster: Cluster) -> None:
    if cluster.resources:
        name, member_id = max((name, member_id_of(r)) for name, r in cluster.resources.items())
        cluster.touch(name)
        cluster.resources[name]["status"] = status_saying(member_id, str(member_id not in cluster.members))


CHANGES: Final[dict[Fault, Callable[[Cluster], object]]] = {
    Fault.OTHER_REMOVED: _other_removed,
    Fault.TARGET_REMOVED: _target_removed,
    Fault.NAMESAKE: _namesake,
    Fault.REJOINED: _rejoined,
    Fault.ADDED: _added,
    Fault.RESTORED: _restored,
    Fault.RESOURCE_DELETED: _resource_deleted,
    Fault.LIE: _lie,
}
