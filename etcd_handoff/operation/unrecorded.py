"""What was true of a larger change before it began, and its EtcdMembers do not say: it is recorded at the end. Pure.

An earlier start may have been terminated between a change and its record, or somebody else has made the change.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from etcd_handoff.cluster_view import MemberView
from etcd_handoff.contract import MembershipRequest, ReplacementRequest
from etcd_handoff.operation import identity, parts
from etcd_handoff.operation.whole import Part
from etcd_handoff.reconciler import drift

if TYPE_CHECKING:
    from etcd_handoff.activity_io import Target
    from etcd_handoff.cluster_view import ClusterView
    from etcd_handoff.operation.state import OperationState
    from etcd_handoff.planning import MembersChanged


def left_before(state: OperationState, view: ClusterView) -> tuple[Target, ...]:
    """Members that are out, and whose EtcdMember did not say Joined=False beside the first look at a list's cluster.

    One of them may have joined after the list was read, and before its EtcdMember was: so another look has to follow.
    None where the reconciler would hold the correction back too: one that many EtcdMembers contradict is not for an
    operation to make that was asked for something else.
    """
    claims = state.claims or ()
    named = state.traits.cluster_id if state.traits else ""
    if not isinstance(state.request, MembershipRequest) or drift.hold(view, claims, (), named):
        return ()
    out = (claim for claim in claims if drift.becomes_absent(view, claim))
    return tuple(identity.pinned_as(view, claim.member_id, claim.name, (), present=False) for claim in out)


def part(state: OperationState, goal: MembersChanged) -> Part | None:
    """The part that records what nothing of this operation has recorded; None when nothing is left."""
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
    # An EtcdMember that both members share may have spoken of the one that left until now.
    if last is None or (not last.status_recorded and last is not whole.ended[-1]):
        return Part(kind="add", name=joiner.name, peer_urls=joiner.peer_urls, number=number, of=number)
    return None
