"""Conclude a round of the reconciler from its state, the EtcdMembers and a look at etcd. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from etcd_handoff import doubts
from etcd_handoff.command_lines import with_cluster
from etcd_handoff.doubts import Binding, ResourceClaim
from etcd_handoff.etcdmember import as_listed
from etcd_handoff.reconciler import annotation_orders, drift, leave_orders
from etcd_handoff.reconciler.member_resources import SyncMembersInput
from etcd_handoff.reconciler.ordered_removal import ordered_removal
from etcd_handoff.reconciler.pauses import retry_after
from etcd_handoff.reconciler.request_messages import standing_messages
from etcd_handoff.reconciler.state import LAST_EPOCH_SECOND, ReconcilerStatus, RemovalRetry

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from etcd_handoff.cluster_view import ClusterView, Doubt
    from etcd_handoff.reconciler.member_resources import MemberResource
    from etcd_handoff.reconciler.state import ReconcileEtcdMembersRequest, ReconcilerState, RunningRemoval

KEPT_REPAIRS: Final = 20
KEPT_LEFT: Final = 64
"""A cluster has at most seven members as a rule. So this covers the last nine times that all of them were replaced."""
ANY_GENERATION: Final = 0
"""In a retry: it waits whatever changes in the spec. A removal that an annotation asks for makes such a change."""


def list_doubt(state: ReconcilerState, resources: Sequence[MemberResource], view: ClusterView) -> Doubt | None:
    """Return why nothing may be concluded from a member list, whatever was known before; no confirmation settles it."""
    return doubts.contradiction(view, Binding(), _departed(state, resources))


def cluster_doubt(
    state: ReconcilerState, resources: Sequence[MemberResource], view: ClusterView, *, counts_left: bool = True
) -> Doubt | None:
    """Return why the cluster seems to be another one, or an older state of it; a confirmation settles it.

    The doubt that it was restored lasts, though the restored cluster grows beyond the known progress of the old one.

    Args:
        state: The reconciler's state.
        resources: All EtcdMembers.
        view: The view.
        counts_left: It counts as a doubt that a member that had left is listed again.
    """
    if state.restored is not None:
        return state.restored
    removed = {member_id for member_id, look in state.removed.items() if look < state.looks}  # else read before it left
    found = doubts.contradiction(view, state.binding, _departed(state, resources))
    return found or (doubts.listed_again(view, {*state.left, *removed}) if counts_left else None)


def after_change_of_cluster(state: ReconcilerState, resources: Sequence[MemberResource]) -> ReconcilerState:
    """Return the state after a confirmed change or restore of the cluster: all standing orders end."""
    orders, annotated = leave_orders.void(resources), annotation_orders.void(resources)
    update = {"orders": orders, "annotated": annotated, "retries": {}, "removed": {}, "listed": (), "left": ()}
    return state.model_copy(update={"binding": Binding(), "restored": None, **update})


def believing(state: ReconcilerState, view: ClusterView, *, installed: bool = True) -> ReconcilerState:
    """Return the state after a view that nothing contradicts: the cluster, its progress, and the members that left.

    Args:
        state: The reconciler's state.
        view: The view.
        installed: EtcdMembers are installed. Without them, few endpoints do not show which cluster is meant.
    """
    if view.few_answer and not installed and not state.binding.cluster_id:
        return state
    listed = tuple(member.id for member in view.members)
    left = (*state.left, *(member_id for member_id in state.listed if member_id not in listed))[-KEPT_LEFT:]
    binding = doubts.bound(state.binding, view)
    return state.model_copy(update={"binding": binding, "listed": listed, "left": left})


def without_orders_taken_back(state: ReconcilerState, resources: Sequence[MemberResource]) -> ReconcilerState:
    """Return the state without orders that were taken back; no member list is needed for this."""
    orders = leave_orders.without_taken_back(state.orders, resources)
    annotated = annotation_orders.without_taken_back(state.annotated, resources)
    return state.model_copy(update={"orders": orders, "annotated": annotated})


def with_orders(state: ReconcilerState, resources: Sequence[MemberResource], view: ClusterView) -> ReconcilerState:
    """Return the state with the orders of these EtcdMembers, and without what is needed no more.

    That is: retries of orders that have ended, and removals whose EtcdMember says Joined=False.
    """
    orders = leave_orders.updated(state.orders, resources, view)
    annotated = annotation_orders.updated(state.annotated, resources, view)
    about_somebody = {order.uid for order in (*orders.values(), *annotated.values()) if order.member_id}
    retries = {uid: retry for uid, retry in state.retries.items() if uid in about_somebody}
    unrecorded = {resource.member_id for resource in resources if resource.joined != "False"}
    removed = {member_id: look for member_id, look in state.removed.items() if member_id in unrecorded}
    return state.model_copy(update={"orders": orders, "annotated": annotated, "retries": retries, "removed": removed})


def removals_to_start(
    state: ReconcilerState, cluster: str, resources: Sequence[MemberResource], view: ClusterView, now: float
) -> tuple[ReconcilerState, tuple[RunningRemoval, ...]]:
    """Return the removals that orders ask for and that do not run yet.

    Args:
        state: The reconciler's state; the new state schedules a retry where a removed member is listed still.
        cluster: Cluster profile.
        resources: All EtcdMembers.
        view: The member list of the look with the number `state.looks`.
        now: Seconds since the epoch.
    """
    removals: list[RunningRemoval] = []
    for resource in resources:
        removal = ordered_removal(state, cluster, resource, view)
        if removal is None or resource.uid in state.running or _pauses(state, resource, now):
            continue
        removed_at = state.removed.get(removal.member_id)
        if removed_at is None:
            removals.append(removal)
        elif removed_at < state.looks:  # else the list was read before the removal ended
            removed = {key: look for key, look in state.removed.items() if key != removal.member_id}
            state = with_retry(state, resource.uid, resource.generation, now)
            state = state.model_copy(update={"removed": removed})
    return state, tuple(removals)


def with_retry(state: ReconcilerState, uid: str, generation: int, now: float) -> ReconcilerState:
    """Return the state in which a removal that failed now is tried again later.

    Args:
        state: The reconciler's state.
        uid: The EtcdMember that asks for it.
        generation: Its generation, or `ANY_GENERATION`.
        now: Seconds since the epoch.
    """
    before = state.retries.get(uid)
    failures = before.failures + 1 if before is not None and before.generation == generation else 1
    at_seconds = min(now + retry_after(failures), LAST_EPOCH_SECOND)
    retry = RemovalRetry(uid=uid, generation=generation, failures=failures, at_seconds=at_seconds)
    return state.model_copy(update={"retries": {**state.retries, uid: retry}})


def is_ordered(state: ReconcilerState, removal: RunningRemoval) -> bool:
    """Whether the order for this removal stands."""
    orders = (state.orders.get(removal.uid), state.annotated.get(removal.uid))
    return any(order is not None and order.member_id == removal.member_id for order in orders)


def with_repairs(state: ReconcilerState, repairs: Sequence[str]) -> ReconcilerState:
    """Return the state with these corrections among the last ones."""
    return state.model_copy(update={"repairs": (*state.repairs, *repairs)[-KEPT_REPAIRS:]})


def claims(resources: Sequence[MemberResource], view: ClusterView) -> list[ResourceClaim]:
    """Return the EtcdMembers' claims about members."""
    return [
        ResourceClaim(name=r.name, member_id=as_listed(r.member_id, view.members), joined=r.joined) for r in resources
    ]


def sync_input(
    state: ReconcilerState, cluster: str, resources: Sequence[MemberResource], view: ClusterView
) -> SyncMembersInput:
    """Return the input of `sync_members`.

    Args:
        state: The reconciler's state.
        cluster: Cluster profile.
        resources: All EtcdMembers, read before the member list.
        view: The member list.
    """
    return SyncMembersInput(
        cluster=cluster,
        status_digests={resource.name: resource.status_digest for resource in resources},
        view=view,
        explained=tuple(state.removed),
        standing={
            name: standing.model_copy(update={"message": with_cluster(standing.message, cluster)})
            for name, standing in standing_messages(state.orders, state.annotated, resources, view).items()
        },
        confirmed=state.confirmed,
        bound=bool(state.binding.cluster_id),
    )


def status(
    request: ReconcileEtcdMembersRequest,
    state: ReconcilerState,
    resources: tuple[MemberResource, ...],
    follow_errors: Iterable[str],
) -> ReconcilerStatus:
    """Return the answer of the query `status`.

    Args:
        request: The reconciler's request.
        state: The reconciler's state.
        resources: All EtcdMembers as last seen.
        follow_errors: Why removals that are under way cannot be followed.
    """
    by_uid = {resource.uid: resource for resource in resources}
    known = [*(order for order in state.annotated.values() if order.annotation), *state.orders.values()]
    return ReconcilerStatus(
        cluster=request.cluster,
        cluster_id=state.binding.cluster_id,
        resync_seconds=request.resync_seconds,
        members=resources,
        orders=tuple(o for o in known if o.uid in by_uid and leave_orders.stands(o, by_uid[o.uid])),
        removing=tuple(state.running),
        retries=tuple(state.retries.values()),
        doubt=state.doubt,
        doubt_digest=drift.digest_of(state.doubt),
        trouble="; ".join(text for text in (state.trouble, *follow_errors) if text),
        repaired=state.repairs,
    )


def _departed(state: ReconcilerState, resources: Sequence[MemberResource]) -> set[str]:
    """Return the members that are known to leave or to have left."""
    left = {resource.member_id for resource in resources if resource.joined == "False"} | state.removed.keys()
    return left | {removal.member_id for removal in state.running.values()}


def _pauses(state: ReconcilerState, resource: MemberResource, now: float) -> bool:
    """Whether its removal failed lately, and the EtcdMember's spec is unchanged since."""
    retry = state.retries.get(resource.uid)
    return retry is not None and retry.generation in (ANY_GENERATION, resource.generation) and retry.at_seconds > now
