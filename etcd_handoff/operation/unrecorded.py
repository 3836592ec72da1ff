"""Record changes that were made before a larger change began and that no EtcdMember shows. Pure.

An earlier start may have been terminated between a change and its record, or the change was made otherwise. The record
comes at the end of the larger change.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from etcd_handoff.cluster_view import MemberView
from etcd_handoff.contract import MembershipRequest, ReplacementRequest
from etcd_handoff.operation import identity, parts
from etcd_handoff.operation.whole_change import Part
from etcd_handoff.reconciler import drift

if TYPE_CHECKING:
    from etcd_handoff.activity_io import Target
    from etcd_handoff.cluster_view import ClusterView, Doubt
    from etcd_handoff.operation.state import OperationState
    from etcd_handoff.planning import MembersChanged


def left_before(state: OperationState, view: ClusterView) -> tuple[Target, ...]:
    """Return members that have left while their EtcdMember did not say Joined=False at the first look.

    One of them may have joined between the reading of the list and that of its EtcdMember. So another look has to
    follow. The result is empty where the reconciler would hold the correction back too. An operation with another
    purpose must not make a correction that many EtcdMembers contradict.
    """
    if not isinstance(state.request, MembershipRequest) or _is_held(state, view):
        return ()
    out = (claim for claim in state.claims or () if drift.becomes_absent(view, claim))
    return tuple(identity.pinned_as(view, claim.member_id, claim.name, (), present=False) for claim in out)


def lone_list(state: OperationState, view: ClusterView) -> Doubt | None:
    """Return the doubt that one member alone lists itself, against more EtcdMembers than a missing record explains."""
    return identity.lone_list(state, view) if state.claims is not None and _is_held(state, view) else None


def _is_held(state: OperationState, view: ClusterView) -> bool:
    """Whether the reconciler would hold corrections after this list back."""
    named = state.worker_info.cluster_id if state.worker_info else ""
    return drift.hold(view, state.claims or (), (), named) is not None


def part(state: OperationState, goal: MembersChanged) -> Part | None:
    """Return the part that makes a missing record; None when none is missing."""
    whole, view = parts.whole_of(state), state.view
    if view is None:
        return None
    number = len(whole.ended) + 1
    replaces = isinstance(whole.request, ReplacementRequest)
    for target in whole.leaves if replaces else whole.left_before:
        if whole.ended_for("remove", target.member_id) is None and view.member(target.member_id) is None:
            return Part(kind="remove", leaves=target.model_copy(update={"present": False}), number=number, of=number)
    if not replaces:
        return None
    joiner = goal.joins[0]
    member = goal.member_in(view, joiner)
    last = whole.ended_for("add", member.id) if isinstance(member, MemberView) else None
    # An EtcdMember that both members share may have described the leaving one until now.
    if last is None or (not last.status_recorded and last is not whole.ended[-1]):
        return Part(kind="add", name=joiner.name, peer_urls=joiner.peer_urls, number=number, of=number)
    return None
