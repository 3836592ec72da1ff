"""Make the messages of EtcdMembers whose request starts no removal. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from etcd_handoff.annotations import LEAVE_ANNOTATION
from etcd_handoff.etcdmember import as_listed
from etcd_handoff.etcdmember_matching import member_of
from etcd_handoff.etcdmember_messages import HELD_BACK, NOT_STARTED, old_annotation, old_request
from etcd_handoff.reconciler.annotation_orders import is_understood
from etcd_handoff.reconciler.leave_orders import member_to_remove, stands
from etcd_handoff.reconciler.member_resources import StandingMessage
from etcd_handoff.reconciler.removal_progress import NoteProgressInput

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from etcd_handoff.cluster_view import ClusterView, MemberView
    from etcd_handoff.reconciler.member_resources import MemberResource
    from etcd_handoff.reconciler.state import LeaveOrder, ReconcilerState

LONGEST_VALUE: Final = 40


def standing_messages(
    flags: Mapping[str, LeaveOrder],
    annotated: Mapping[str, LeaveOrder],
    resources: Iterable[MemberResource],
    view: ClusterView,
) -> dict[str, StandingMessage]:
    """Return the messages of present members' EtcdMembers whose request starts no removal, by their names.

    Args:
        flags: Orders by `spec.leave`, by UID.
        annotated: Orders by annotation, by UID.
        resources: All EtcdMembers.
        view: The member list.
    """
    messages: dict[str, StandingMessage] = {}
    for resource in resources:
        member = member_of(resource.name, as_listed(resource.member_id, view.members), view.members)
        by_annotation, by_flag = annotated.get(resource.uid), flags.get(resource.uid)
        known = (by_annotation if resource.annotation else None, by_flag)
        orders = [order for order in known if order is not None and stands(order, resource)]
        if member is None or any(member_to_remove(order, resource, view) is not None for order in orders):
            continue
        if idle := [order for order in orders if order.annotation or not _is_ours(resource)]:
            messages[resource.name] = _message(idle[0], resource, member)
    return messages


def waiting_notes(
    cluster: str, state: ReconcilerState, resources: Iterable[MemberResource]
) -> tuple[NoteProgressInput, ...]:
    """Return the messages of EtcdMembers that ask for a removal after a failed round; none after any other.

    It is not known then whether the member is present, so the message does not say it. A message that calls a request
    old is not changed: a new watcher has to read it there.

    Args:
        cluster: Cluster profile.
        state: The state after the round.
        resources: All EtcdMembers.
    """
    if not state.failed_rounds:
        return ()
    waiting = [r for r in resources if r.joined != "False" and r.uid not in state.running and _waits(state, r)]
    message = f"{NOT_STARTED}{state.trouble}"
    return tuple(
        NoteProgressInput(
            cluster=cluster, resource=r.name, member_id=r.member_id, message=message, yields_to=(HELD_BACK,)
        )
        for r in waiting
    )


def _waits(state: ReconcilerState, resource: MemberResource) -> bool:
    """Whether it asks for a removal that the next good round may start."""
    if resource.old_request or resource.old_annotation:
        return False
    flag, annotated = state.orders.get(resource.uid), state.annotated.get(resource.uid)
    idle_flag = flag is not None and flag.generation == resource.generation and not flag.member_id
    idle_annotation = annotated is not None and annotated.annotation == resource.annotation and not annotated.member_id
    by_flag = resource.leave and not resource.leave_by_us and not idle_flag
    return by_flag or (bool(resource.annotation) and not idle_annotation)


def _message(order: LeaveOrder, resource: MemberResource, member: MemberView) -> StandingMessage:
    misunderstood = bool(order.annotation) and not is_understood(order.annotation)
    refused = order.member_id == member.id
    if misunderstood:
        text = (
            f"{NOT_STARTED}annotation {LEAVE_ANNOTATION} is {order.annotation[:LONGEST_VALUE]!r}; write true, or the"
            f" member's ID, {member.id}"
        )
    elif refused:
        text = _refusal(resource, member)
    else:
        whom = order.member_id
        text = old_annotation(whom) if order.annotation else old_request(whom, resource.generation)
    return StandingMessage(
        generation=resource.generation,
        annotation=resource.annotation,
        message=text,
        failed=refused or misunderstood,
    )


def _is_ours(resource: MemberResource) -> bool:
    """Whether the flag is our order to k0s to remove the member that the EtcdMember describes."""
    return resource.leave_by_us and resource.leave_since > resource.joined_since


def _refusal(resource: MemberResource, member: MemberView) -> str:
    return (
        f"{NOT_STARTED}EtcdMember {resource.name} carries the ID of {member.name} ({member.id}): correct its status, or"
        f" remove {member.name} by its own EtcdMember or with `etcd-handoff remove {member.id}`"
    )
