"""Compare a look with earlier knowledge: which cluster is meant, and how far it had come. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from etcd_handoff.cluster_view import Doubt
from etcd_handoff.doubts.kinds import CLUSTER_CHANGED, CLUSTER_RESTORED, LISTS_DIFFER, OLD_ETCD, WRONG_CLUSTER
from etcd_handoff.wire import WireModel

if TYPE_CHECKING:
    from collections.abc import Container, Iterable

    from etcd_handoff.cluster_view import ClusterView

OLDEST_ETCD: Final = (3, 5)
"""MemberListRequest has the field `linearizable` from 3.5 on (etcd `api/etcdserverpb/rpc.proto`)."""
INDEX_SLACK: Final = 10_000
"""A new leader may briefly know fewer entries to be committed than the old one did: it has written them, but the old
leader had not yet heard of that. At 50,000 entries per second and 100 ms for an fsync these are 5,000."""
INDEX_FLOOR: Final = 100
"""From this raft index on, a leader at less than half of it has lost its log: a restored member's log starts anew (etcd
`etcdutl/snapshot/v3_snapshot.go`, saveWALAndSnap)."""


ORDER_AGAIN: Final = "what was ordered before a restore counts no more: check the cluster, then order it again"


class Binding(WireModel):
    """The cluster that is meant, and its furthest known progress.

    Attributes:
        cluster_id: Cluster ID; empty while nothing is known.
        term: Highest term at which a leader was agreed. It never goes back in a living cluster.
        raft_index: Highest committed index of an agreed leader.
    """

    cluster_id: str = ""
    term: int = 0
    raft_index: int = 0


def contradiction(view: ClusterView, binding: Binding, departed: Container[str] = ()) -> Doubt | None:
    """Return why nothing may be concluded from this view; None when nothing contradicts it.

    Args:
        view: The view.
        binding: The cluster that is meant.
        departed: Members that are known to leave or to have left. One of them may still run without being listed, as
            long as it gives no linearizable list.
    """
    for doubt in view.doubts:
        if not (doubt.by_status_alone and doubt.member_id in departed):
            return doubt
    if old := [f"{m.label} runs {m.version}" for m in view.members if _older(m.version, OLDEST_ETCD)]:
        return Doubt(
            kind=OLD_ETCD,
            text=f"etcd below 3.5 gives no linearizable member list: {', '.join(old)}",
            remedy="upgrade etcd first",
            lasting=True,
        )
    if binding.cluster_id and view.cluster_id != binding.cluster_id:
        return Doubt(
            kind=CLUSTER_CHANGED,
            text=f"the endpoints now answer for cluster {view.cluster_id}, cluster {binding.cluster_id} is meant",
            remedy="check the endpoints of the cluster profile, then start again",
            lasting=True,
        )
    return _restored(view, binding)


def bound(binding: Binding, view: ClusterView) -> Binding:
    """Return the binding after this view, which nothing contradicts."""
    leadership = view.leadership
    if leadership is None:
        return binding if binding.cluster_id else binding.model_copy(update={"cluster_id": view.cluster_id})
    leader = view.member(leadership.id)
    return Binding(
        cluster_id=view.cluster_id,
        term=max(binding.term, leadership.term),
        raft_index=max(binding.raft_index, leader.raft_index if leader else 0),
    )


def listed_again(view: ClusterView, left: Container[str]) -> Doubt | None:
    """Return the doubt that members that have left are listed again; None when none of them is.

    etcd takes no member ID for a second time (etcd `server/etcdserver/api/membership/cluster.go`, ErrIDRemoved). So a
    state from before they left is back. It may stand at a later term and at nearly the same index.

    Args:
        view: The view.
        left: IDs of members that were seen to leave this cluster.
    """
    back = [f"{m.label} ({m.id})" for m in view.members if m.id in left]
    if not back:
        return None
    return Doubt(
        kind=CLUSTER_RESTORED,
        text=f"members that had left cluster {view.cluster_id} are listed again, and etcd takes no member ID for a"
        f" second time, so it was restored or set back: {', '.join(back)}",
        remedy=ORDER_AGAIN,
        lasting=True,
    )


def shorter_list(view: ClusterView, voters: Iterable[str], leaving: Container[str]) -> Doubt | None:
    """Return the doubt that few endpoints give a list of one voter, without others that there were before.

    A member that is started with `--force-new-cluster` keeps the cluster's ID, goes on at a higher term, and lists only
    itself (etcd `server/etcdserver/bootstrap.go`). While the others are not reached, nothing in a look contradicts it.
    If it has another voter since, an operator wants it to be the cluster.

    Args:
        view: The view.
        voters: IDs of the voters in the last list that was believed.
        leaving: IDs of those that may be missing.
    """
    missing = [member_id for member_id in voters if view.member(member_id) is None and member_id not in leaving]
    if not missing or not view.few_answer or len(view.voters) > 1:
        return None
    return Doubt(
        kind=LISTS_DIFFER,
        text=f"the member list lacks voters {', '.join(missing)}, listed before, and only {view.answering} of"
        f" {view.endpoints} endpoints answer: it may be that of a member which was forced into a cluster of its own",
        remedy="make more of the endpoints reachable, or start the workers on their nodes; if these members have left,"
        " their EtcdMembers say so in a moment, or start the operation again",
    )


def expected(view: ClusterView, cluster_id: str) -> ClusterView:
    """Return the view, in doubt when the profile names another cluster."""
    if not cluster_id or view.cluster_id == cluster_id:
        return view
    doubt = Doubt(
        kind=WRONG_CLUSTER,
        text=f"the profile's cluster_id is {cluster_id}, its endpoints answer for {view.cluster_id}",
        remedy="correct the endpoints or the cluster_id of the cluster profile",
    )
    return view.model_copy(update={"doubts": (doubt, *view.doubts)})


def _older(version: str, oldest: tuple[int, int]) -> bool:
    """Whether a version such as `3.4.23` is below `oldest`; an unreadable one is not."""
    parts = version.split(".")[:2]
    return len(parts) == len(oldest) and all(p.isdecimal() for p in parts) and tuple(map(int, parts)) < oldest


def _restored(view: ClusterView, binding: Binding) -> Doubt | None:
    leadership = view.leadership
    leader = view.member(leadership.id) if leadership else None
    if leadership is None or leader is None:
        return None
    index, before = leader.raft_index, binding.raft_index
    # Where several workers looked, the leader may have been seen at another moment than its followers.
    leads = not view.merged or (leader.leader_id, leader.term) == (leadership.id, leadership.term)
    fell_back = (
        leader.reachable and leads and (index + INDEX_SLACK < before or (before >= INDEX_FLOOR and 2 * index < before))
    )
    if leadership.term >= binding.term and not fell_back:
        return None
    return Doubt(
        kind=CLUSTER_RESTORED,
        text=f"cluster {view.cluster_id} stood at term {binding.term}, index {before}, and now stands at term"
        f" {leadership.term}, index {index}: it was restored or made anew",
        remedy=ORDER_AGAIN,
        lasting=True,
    )
