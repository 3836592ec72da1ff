"""Resolve which member is meant: a name is resolved once, at the first look, and the member ID is pinned."""

from __future__ import annotations

from typing import TYPE_CHECKING

from etcd_handoff import doubts, time_limits
from etcd_handoff.activity_io import FindResourceInput, Target
from etcd_handoff.cluster_view import MemberView
from etcd_handoff.doubts import Binding
from etcd_handoff.etcdmember import resource_name
from etcd_handoff.etcdmember_matching import names_of_resources, resource_asked_for
from etcd_handoff.operation import failures, view_doubts
from etcd_handoff.operation.commands import Failure, FindResource
from etcd_handoff.operation.phases import LookDue
from etcd_handoff.operation.state import NextCommand
from etcd_handoff.planning import (
    Ambiguous,
    Blocked,
    NotFound,
    Refused,
    canonical_id,
    doubted,
    is_member_id,
    resolve,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from etcd_handoff.activity_io import FindResourceResult
    from etcd_handoff.cluster_view import ClusterView, Doubt
    from etcd_handoff.doubts import ResourceClaim
    from etcd_handoff.operation.state import OperationState


def decide(state: OperationState, view: ClusterView) -> NextCommand | OperationState | Blocked | Refused:
    """Pin the member that is to leave, as etcd lists it or as an EtcdMember remembers it.

    Returns:
        A command that is needed for that, the next state, or the doubt about this view. The next state has the pinned
            member or a failure. With a doubt nothing is pinned.
    """
    fit = resolve(view, state.request.subject)
    departed: Sequence[str] = ()
    target: Target | Failure
    if isinstance(fit, MemberView):
        target = pinned(view, fit)
        departed = doubts.silent_outsiders(view)  # they forbid a change, and leave no doubt about who has the name
    elif isinstance(fit, Ambiguous):
        target = failures.ambiguous(state.request.subject, fit)
    elif state.resource is None:
        return find(state, view)
    else:
        target = remembered(state, state.resource, view, fit)
        if isinstance(target, Target) and not target.present:
            departed = (target.member_id,)
    if found := doubt(state, view, departed):
        return found
    if isinstance(target, Target) and (found := absence_doubt(state, view, target)):
        return found
    if isinstance(fit, MemberView) and has_joined_since(state, view, fit.id):
        target = failures.joined_since(state.request, fit.id)
    return state.failing(target) if isinstance(target, Failure) else pin(state, view, target)


def resource_found(state: OperationState, resource: FindResourceResult) -> OperationState:
    """Return the state after the search for the EtcdMember.

    The look that did not show the member had read the EtcdMembers as well. An EtcdMember that describes another member
    now describes one that joined since, which the request did not mean.
    """
    claim = _claim(state)
    if claim is not None and claim.member_id not in ("", resource.member_id):
        former = {"name": claim.name, "member_id": claim.member_id, "peer_address": ""}
        resource = resource.model_copy(update=former)
    described_id = canonical_id(resource.member_id)
    if state.view is not None and lone_list(state, state.view, described_id) is not None:
        state = state.changed(described_id=described_id)
    return state.with_step(resource.step).changed(resource=resource)


def pinned(view: ClusterView, member: MemberView) -> Target:
    """Return the member that leaves, as it was first seen."""
    return pinned_as(view, member.id, member.name, member.peer_urls)


def pinned_as(
    view: ClusterView, member_id: str, name: str, peer_urls: tuple[str, ...], *, present: bool = True
) -> Target:
    """Return the member of an operation, with the leader at the first look."""
    leadership = view.leadership
    return Target(
        cluster_id=view.cluster_id,
        member_id=member_id,
        member_name=name,
        peer_urls=peer_urls,
        present=present,
        leader_before=leadership.id if leadership else None,
        term_before=leadership.term if leadership else 0,
    )


def has_joined_since(state: OperationState, view: ClusterView, member_id: str) -> bool:
    """Whether the member with this name joined after the request was made."""
    if state.unlisted_in and state.unlisted_in == view.cluster_id:
        return True
    return is_member_id(state.described_id) and state.described_id != member_id


def find(state: OperationState, view: ClusterView) -> NextCommand:
    """Ask for the EtcdMember of a member that no list shows.

    A member that has left and still runs casts doubt on the list, and nothing is decided until it ends. The list still
    shows which member has the name.
    """
    cluster, member = state.request.cluster, state.request.subject
    has_kubernetes = state.worker_info is not None and state.worker_info.kubernetes
    claim = _claim(state)
    lone = lone_list(state, view, claim.member_id if claim else "")
    if lone is None and doubt(state, view, doubts.silent_outsiders(view)) is None:
        state = state.changed(unlisted_in=view.cluster_id)
    return NextCommand(
        state,
        FindResource(
            ask=FindResourceInput(
                cluster=cluster, member=member, cluster_id=view.cluster_id, kubernetes=has_kubernetes
            ),
            most_seconds=time_limits.OPERATION.dry_run_seconds if state.request.dry_run else None,
            summary=f"find the EtcdMember that describes {member}",
        ),
    )


def remembered(
    state: OperationState, resource: FindResourceResult, view: ClusterView, fit: NotFound
) -> Target | Failure:
    """Return the member that no list shows, as its EtcdMember remembers it."""
    member = state.request.subject
    member_id = canonical_id(resource.member_id)
    if not is_member_id(member_id):
        return failures.unknown(state.request, fit, resource.step.note or "its EtcdMember has no member ID")
    if listed := view.member(member_id):
        if resource_name(listed.name) != resource_name(member):
            return failures.another_name(member, resource.name, listed)
        return pinned(view, listed)
    peers = (resource.peer_address,) if "://" in resource.peer_address else ()
    absent = MemberView(id=member_id, name=resource.name, peer_urls=peers)
    return pinned(view, absent).model_copy(update={"present": False})


def doubt(state: OperationState, view: ClusterView, departed: Sequence[str] = ()) -> Blocked | Refused | None:
    """Return what contradicts the view in which a member is to be pinned."""
    found = doubts.contradiction(view, state.binding, departed)
    if found is None and state.worker_info is not None:
        if not (expected := state.worker_info.cluster_id):
            found = doubts.resources_doubt(view, _claims_that_count(state, view), only=needs_witness(state))
        elif view.cluster_id not in {expected, state.binding.cluster_id}:  # its worker does not have the ID yet
            found = doubts.expected(view, expected).doubts[0]
    return doubted(found) if found else None


def _claim(state: OperationState) -> ResourceClaim | None:
    """Return what the EtcdMember of the requested member said beside the last list."""
    asked_for = state.request.subject
    return resource_asked_for(asked_for, canonical_id(asked_for), state.claims or ())


def _claims_that_count(state: OperationState, view: ClusterView) -> tuple[ResourceClaim, ...] | None:
    """Return the claims without those of members that this change has removed, and that are not recorded yet."""
    left = {member_id for member_id in view_doubts.leaving(state) if view.member(member_id) is None}
    return None if state.claims is None else tuple(claim for claim in state.claims if claim.member_id not in left)


def absence_doubt(state: OperationState, view: ClusterView, target: Target) -> Blocked | Refused | None:
    """Return the doubt about an unlisted member.

    Its EtcdMember was not read together with the list, or the list may be that of a member which was forced apart.
    """
    if target.present or state.resource is None:
        return None
    found = doubts.found_elsewhere(state.resource.name, state.claims) or lone_list(state, view, target.member_id)
    return doubted(found) if found else None


def lone_list(state: OperationState, view: ClusterView, target_id: str = "") -> Doubt | None:
    """Return the doubt that the list may be that of a member which was forced apart; it may lack the target."""
    if state.worker_info is None or not state.worker_info.kubernetes:
        return None
    leaving, described = (target_id, *view_doubts.leaving(state)), names_of_resources(view.members)
    return doubts.lone_list(view, state.claims, leaving, described, alone=state.own_member_alone)


def needs_witness(state: OperationState) -> bool:
    """Whether only EtcdMembers can show which cluster is meant."""
    info = state.worker_info
    bound = bool(state.binding.cluster_id or (info is not None and info.cluster_id))
    return info is not None and info.kubernetes and not bound


def lacks_witness(state: OperationState, view: ClusterView) -> bool:
    """Whether EtcdMembers are needed as the only witness of this list, and could not be read."""
    only = needs_witness(state) and view.few_answer
    return state.claims is None and state.pinned is None and (only or lone_list(state, view) is not None)


def pin(state: OperationState, view: ClusterView, target: Target) -> OperationState:
    """Return the state with this member pinned."""
    known = state.binding if state.binding.cluster_id else Binding(cluster_id=view.cluster_id)
    voters = tuple(member.id for member in view.voters)
    state = state.changed(pinned=target, binding=doubts.bound(known, view), voters_seen=voters)
    if target.present or state.request.adds:
        return state
    # It may have joined after the list was read, and before its EtcdMember was.
    return state.changed(look_due=LookDue.QUICK)
