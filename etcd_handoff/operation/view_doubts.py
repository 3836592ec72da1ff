"""Decide whether an operation's last look may be believed, alone and compared with earlier looks. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from etcd_handoff import doubts

if TYPE_CHECKING:
    from etcd_handoff.cluster_view import ClusterView, Doubt
    from etcd_handoff.operation.state import OperationState


def undoubted(state: OperationState) -> ClusterView | None:
    """Return the last view; None when there is none, or when something contradicts it."""
    if state.view is None or state.pinned is None:
        return None
    return None if contradiction(state) or remembered_doubt(state) else state.view


def contradiction(state: OperationState) -> Doubt | None:
    """Return why nothing may be concluded from the last view; None when nothing contradicts it."""
    if state.view is None:
        return None
    own = (state.pinned.member_id,) if state.pinned and not state.request.adds else ()
    return doubts.contradiction(state.view, state.binding, (*own, *leaving(state)))


def listed_again(state: OperationState) -> Doubt | None:
    """Return the doubt that the last view lists a member that this operation saw leave; else None.

    It may pass: the member may have been forced into a new cluster, whose list is the only one in this look.
    """
    ended = state.whole.ended if state.whole else ()
    left = {part.member_id for part in ended if part.kind == "remove"}
    if state.absent and state.pinned is not None:
        left.add(state.pinned.member_id)
    doubt = doubts.listed_again(state.view, left) if state.view is not None else None
    return doubt.model_copy(update={"lasting": False}) if doubt else None


def remembered_doubt(state: OperationState) -> Doubt | None:
    """Return what earlier looks of this operation hold against the last view; None when nothing."""
    return listed_again(state) or shorter_list(state)


def shorter_list(state: OperationState) -> Doubt | None:
    """Return the doubt that few endpoints give a list without voters that this operation saw.

    It is None where the list may be right. Another operation may have removed these voters meanwhile, which their
    EtcdMembers then show.
    """
    if state.view is None:
        return None
    target = (state.pinned.member_id,) if state.pinned else ()
    recorded = (claim.member_id for claim in state.claims or () if claim.joined == "False")
    return doubts.shorter_list(state.view, state.voters_seen, (*target, *leaving(state), *recorded))


def has_left(state: OperationState) -> bool:
    """Whether the member has left: an undoubted list was seen without it, and no restore has brought it back."""
    return state.absent and listed_again(state) is None


def leaving(state: OperationState) -> tuple[str, ...]:
    """Return all members that leave by the whole change, including those that have left."""
    return tuple(target.member_id for target in state.whole.leaves if target.member_id) if state.whole else ()
