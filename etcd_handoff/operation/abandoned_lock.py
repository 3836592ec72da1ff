"""Release the lock in etcd of an attempt whose answer was lost, when the operation ends. Pure.

An attempt releases its lock once it knows the outcome of its proposal. One that was cut off does not, and the next look
may show that the member has left. The lock, in the name of an ended operation, would then hold up the next change until
it counts as stale (`etcd_handoff.etcd.lock`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from etcd_handoff.activity_io import ReleaseLockInput
from etcd_handoff.contract import StepOutcome
from etcd_handoff.operation import observation
from etcd_handoff.operation.commands import ReleaseLock
from etcd_handoff.operation.phases import EndPhase
from etcd_handoff.operation.state import NextCommand

if TYPE_CHECKING:
    from etcd_handoff.activity_io import ReleaseLockResult
    from etcd_handoff.operation.phases import EndState
    from etcd_handoff.operation.state import OperationState

BEFORE: Final = frozenset({EndPhase.UNDO, EndPhase.REMOVE_LEARNER, EndPhase.SETTLE, EndPhase.LOOK})
"""Phases of the end in which something may be proposed, or a proposal may still take place."""


def is_due(state: OperationState, end: EndState) -> bool:
    """Whether to release the lock now: before the record, and again after it where no member took that."""
    tries = 2 if end.phase is EndPhase.REPORT else 1
    return state.lock_abandoned and state.pinned is not None and end.phase not in BEFORE and end.lock_tries < tries


def release(state: OperationState, end: EndState) -> NextCommand:
    """Release the lock through a member that stays. Where that fails too, the next change takes the stale lock over."""
    ask = ReleaseLockInput(
        cluster=state.request.cluster,
        cluster_id=state.target.cluster_id,
        holder=state.chain_id,
        doubtful=observation.doubtful(state),
    )
    command = ReleaseLock(ask=ask, node=_node(state), summary="release the lock in etcd")
    return NextCommand(state.at_end(lock_tries=end.lock_tries + 1), command)


def _node(state: OperationState) -> str:
    """Return the node whose worker reaches a member that stays; empty where any worker does.

    Where the look could not show the leader, the worker that looked last has at least reached its own member.
    """
    if (node := observation.staying_node(state)) or state.view is None or state.view.healthy_voters:
        return node
    looks = (step for step in reversed(state.steps) if step.name == "check_leader")
    return next((step.node for step in looks if step.outcome == StepOutcome.OBSERVED), "")


def tried(state: OperationState, result: ReleaseLockResult) -> OperationState:
    """Return the state after the attempt."""
    return state.changed(lock_abandoned=not result.released)
