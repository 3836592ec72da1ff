"""Decide when an operation may make its first change: change windows, `not_before` and `not_after`.

The windows are the profile's, the other two the request's. Where something is half done, no time stops it: an added
learner, a proposed change, leadership that was just moved. A larger change waits between two of its parts only where
the cluster is well as it is: an odd number of voters, all healthy, and no learner. An even number needs a larger quorum
and survives no more failures. So the part after it is carried out whatever the clock shows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from etcd_handoff import time_limits
from etcd_handoff.change_windows import next_closing, next_opening, seconds_of, shown, zone
from etcd_handoff.contract import FailureType, Outcome
from etcd_handoff.operation.commands import Failure

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from etcd_handoff.cluster_view import ClusterView
    from etcd_handoff.operation.state import OperationState


def may_wait(state: OperationState) -> bool:
    """Whether nothing is half done, so that the operation can wait here for as long as it takes."""
    learner = state.request.adds and state.pinned is not None and bool(state.pinned.member_id)
    if state.change_pending or state.leadership_moved or state.joining.sent or learner:
        return False
    return not has_changed(state) or (state.view is not None and _is_well(state.view))


def has_changed(state: OperationState) -> bool:
    """Whether a part of a larger change has changed anything."""
    whole = state.whole
    if whole is None:
        return False
    return bool(whole.own) or any(part.outcome in (Outcome.ADDED, Outcome.REMOVED) for part in whole.ended)


def opens_at(state: OperationState, now: float) -> float:
    """Return the first moment from now on at which it may make a change: now, where it may."""
    request, info = state.original_request, state.worker_info
    earliest = max(now, seconds_of(request.not_before)) if request.not_before else now
    windows = info.change_windows if info else ()
    return next_opening(windows, zone_of(state), earliest) if windows else earliest


def too_late(state: OperationState, now: float) -> Failure | None:
    """Return the failure of an operation that may make no change any more; None when it may, or has to."""
    request = state.original_request
    if not request.not_after or state.ending is not None or not may_wait(state):
        return None
    last = seconds_of(request.not_after)
    again = f"start the {request.noun} again with a later not_after"
    if now >= last:
        return Failure(FailureType.TOO_LATE, f"not_after, {request.not_after}, has passed; {again}")
    if (opens := opens_at(state, now)) >= last:
        text = f"no change may begin before not_after, {request.not_after}: the next change window opens at"
        return Failure(FailureType.TOO_LATE, f"{text} {moment_text(state, opens)}; {again}, or change the windows")
    return None


def remaining_seconds(state: OperationState) -> float | None:
    """Return the longest wait from now that ends at `not_after`; None for no bound."""
    if not state.original_request.not_after or not may_wait(state):
        return None
    remaining = seconds_of(state.original_request.not_after) - state.since
    return max(0.0, min(remaining, time_limits.OPERATION.longest_wait_seconds))


def begin_before(state: OperationState, now: float) -> float:
    """Return until when a change that is ordered now may begin, in seconds since 1970; 0 for any time.

    An order may wait for hours until a worker takes it.
    """
    if not may_wait(state):
        return 0.0
    windows = state.worker_info.change_windows if state.worker_info else ()
    closes = next_closing(windows, zone_of(state), now) if windows else None
    bounds = [closes, seconds_of(state.original_request.not_after) if state.original_request.not_after else None]
    return min((bound for bound in bounds if bound is not None), default=0.0)


def why_closed(state: OperationState, now: float) -> str:
    """Return what keeps it from making a change now."""
    if state.original_request.not_before and now < seconds_of(state.original_request.not_before):
        return "not_before has not come"
    return "no change window is open"


def moment_text(state: OperationState, time: float) -> str:
    """Return a moment for people, in the time zone of the profile's windows."""
    zone = zone_of(state)
    return f"{shown(time, zone)} ({zone.key})"


def zone_of(state: OperationState) -> ZoneInfo:
    """Return the time zone of the profile's windows."""
    return zone(state.worker_info.time_zone if state.worker_info else "UTC")


def _is_well(view: ClusterView) -> bool:
    """Whether the cluster can stay as it is: one member more or less would gain nothing."""
    voters = len(view.voters)
    return voters % 2 == 1 and voters == len(view.members) == len(view.healthy_voters)
