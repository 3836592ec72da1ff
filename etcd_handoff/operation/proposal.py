"""Decide whether etcd may still carry out what this operation has proposed. Pure.

This is the point of no return. The member may disappear at any moment while `remove_member` runs. The same holds after
any attempt that may have sent the proposal without learning its outcome. Until then the removal can only roll forward.

It ends when nothing can be pending any more, which takes two proofs:

1. The last attempt ended at least `settle_seconds` (`time_limits.OPERATION`) ago. Until then the proposal may be in no
   member's log yet: it waits in the member that was asked, or on its way to the leader. etcd gives a proposal up after
   its own request time-out: 5 s and two election time-outs, 7 s by default (etcd `server/config/config.go`,
   ReqTimeout).
2. After that an entry has been committed, and a linearizable list read later still shows the member. The leader of that
   entry commits only what is in its own log, in order (raft, Log Matching and Leader Completeness). A removal that
   stood before the entry is applied and would show in the list. One that stood only in another member's log, left
   from an earlier term, has been overwritten or never will be committed.

An attempt that Temporal has given up may go on: its worker was paused, or cut off from Temporal. So each attempt asks
Temporal whether it still counts, beside the look that its proposal follows (`activities.attempts`).

Two cases cannot be excluded:

1. An attempt that was given up within that look, while etcd was slow or the worker was paused once more.
2. A member that was stopped as a whole (SIGSTOP, a paused virtual machine) with the unread call in its socket. It reads
   the call when it wakes. The call's deadline and the closed connection make etcd drop it, unless the handler wins that
   race.

Then the list is what counts: the next look, or the next resync, finds the member gone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from etcd_handoff import time_limits
from etcd_handoff.contract import FailureType

if TYPE_CHECKING:
    from etcd_handoff.operation.commands import StepFailure
    from etcd_handoff.operation.state import OperationState


def ended(state: OperationState, now: float, *, may_be_pending: bool, by_k0s: bool = False) -> OperationState:
    """Return the state after an attempt to propose the change; an earlier attempt may still be pending.

    Args:
        state: The state before.
        now: Workflow time in seconds.
        may_be_pending: The attempt may have proposed it.
        by_k0s: It has asked k0s for it, which takes no lock in etcd.
    """
    pending_since = now if may_be_pending else state.pending_since
    lock_abandoned = state.lock_abandoned or (may_be_pending and not by_k0s)
    return state.changed(in_flight=False, pending_since=pending_since, lock_abandoned=lock_abandoned)


def seconds_to_settle(state: OperationState, now: float) -> float:
    """Return how long to wait until a look with a probe can show that nothing is pending; 0 when it can already."""
    if state.pending_since is None:
        return 0.0
    return max(0.0, state.pending_since + time_limits.OPERATION.settle_seconds - now)


def wants_probe(state: OperationState, now: float) -> bool:
    """Whether the next look is to commit an entry first."""
    return state.pending_since is not None and seconds_to_settle(state, now) <= 0


def failed(state: OperationState, failure: StepFailure, now: float) -> OperationState:
    """Return the state after the activity of a change failed, perhaps after proposing it.

    Args:
        state: The state before.
        failure: Why its last attempt failed.
        now: Workflow time in seconds.
    """
    # Etcd denies it instead of proposing it; but an attempt before may have proposed it and died.
    denied = failure.kind == FailureType.PERMISSION_DENIED and failure.attempts == 1
    return ended(state, now, may_be_pending=failure.tried and not denied)


def settled(state: OperationState, *, acknowledged: bool | None, unchanged: bool) -> OperationState:
    """Return the state after a look with a probe, which may have shown that nothing is pending.

    Args:
        state: The state before.
        acknowledged: The entry was committed.
        unchanged: The undoubted list that was read after it shows that the change has not taken place.
    """
    return state.changed(pending_since=None) if acknowledged is True and unchanged else state
