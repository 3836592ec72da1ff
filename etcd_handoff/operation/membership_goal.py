"""Return the goal of a change of several members, for the planner. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from etcd_handoff.contract import MembershipRequest, ReplacementRequest
from etcd_handoff.operation import parts
from etcd_handoff.planning import Joiner, MembersChanged

if TYPE_CHECKING:
    from etcd_handoff.operation.state import OperationState
    from etcd_handoff.operation.whole_change import WholeChange


def members_changed(state: OperationState) -> MembersChanged:
    """Return the goal for the planner."""
    whole = parts.whole_of(state)
    target = whole.pinned or state.target
    return MembersChanged(
        target.cluster_id,
        joins(state),
        tuple(target.member_id for target in whole.leaves),
        exact=isinstance(whole.request, MembershipRequest),
        min_voters=_min_voters(state, whole),
        begun=whole.begun or whole.possible,
        seen_term=state.binding.term,
        seen_index=state.binding.raft_index,
    )


def joins(state: OperationState) -> tuple[Joiner, ...]:
    """Return the members that are to be present at the end.

    Raises:
        TypeError: The request asks for no change of several members.
    """
    request = parts.whole_of(state).request
    if isinstance(request, ReplacementRequest):
        return (Joiner(request.name, request.peer_urls),)
    if isinstance(request, MembershipRequest):
        return tuple(Joiner(member.name, member.peer_urls) for member in request.members)
    msg = f"{request} asks for no change of several members"
    raise TypeError(msg)


def _min_voters(state: OperationState, whole: WholeChange) -> int:
    """Return the profile's minimum; for a change that has begun, no more than its planned number of voters."""
    least = state.worker_info.min_voters if state.worker_info else 1
    return min(least, whole.voters or 1) if whole.begun else least
