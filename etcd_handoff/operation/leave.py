"""Ask k0s to remove a member, where k0s does that, and revoke the order.

k0s's own reconciler removes a member whose EtcdMember asks to leave. The order can be lost: k0s writes `spec.leave:
false` whenever a controller starts (k0s `pkg/component/controller/etcd_member_reconciler.go`, createMemberObject). So
each round reads the order anew, as it reads etcd anew. It decides by who wrote the order last.

While the order stands, k0s may remove the member at any moment, so the removal keeps its turn. It is past the point of
no return only while the order is being written: afterwards the order can be revoked. Waiting for k0s has no time limit
besides `blocked_timeout_seconds`: the removal is blocked (`AwaitingK0s`).

With `remover = "both"` k0s is asked once, so that it stops the node. k0s does so only for a member that is still in
etcd's list, through an API server that the member still serves. Whatever comes of that, the member is removed next.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from etcd_handoff.activity_io import LeaveInput
from etcd_handoff.contract import HandoffState, StepOutcome
from etcd_handoff.etcdmember import resource_name
from etcd_handoff.managed_fields import FIELD_MANAGER
from etcd_handoff.operation import failures, observation, proposal, texts
from etcd_handoff.operation.commands import ReadLeave, RequestLeave
from etcd_handoff.operation.phases import LeavePhase, LookDue
from etcd_handoff.operation.state import NextCommand
from etcd_handoff.planning import Reason
from etcd_handoff.reconciler.leave_orders import may_ask_again
from etcd_handoff.reconciler.removal_progress import ASKING_K0S

if TYPE_CHECKING:
    from etcd_handoff.activity_io import ReadLeaveResult
    from etcd_handoff.contract import Step
    from etcd_handoff.operation.state import OperationState
    from etcd_handoff.planning import Blocked

REMOVES_TOO: Final = "both"
"""The remover that asks k0s without waiting for it."""
UNSAFE: Final = frozenset(
    {
        Reason.QUORUM_AT_RISK,
        Reason.VOTER_HANGS,
        Reason.VOTER_LAGS,
        Reason.CLUSTER_CORRUPT,
        Reason.NO_QUORUM,
        Reason.NOT_VERIFIED,
        Reason.MIXED_CLUSTERS,
        Reason.LISTS_DIFFER,
        Reason.UNLISTED_MEMBER,
    }
)
"""Reasons why the member must not leave now, in contrast to reasons why its safety is unknown."""


def is_due(state: OperationState) -> bool:
    """Whether k0s is asked first: always where k0s alone removes, once where we remove as well."""
    remover = state.worker_info.remover if state.worker_info is not None else "etcd"
    return remover == "k0s" or (remover == REMOVES_TOO and not state.leave_asked)


def begin(state: OperationState) -> OperationState:
    """Return the state in which the order is to stand; only etcd shows whether k0s has followed it."""
    return state.changed(leave_step=LeavePhase.CHECK if state.leave_asked else LeavePhase.ORDER)


def revoke(state: OperationState) -> OperationState:
    """Return the state in which our order is to be revoked; what k0s has begun may still take place."""
    return state.changed(leave_step=LeavePhase.REVOKE_IF_OURS) if state.leave_asked else state


def revoke_if_unsafe(state: OperationState, blocked: Blocked) -> OperationState:
    """Return the state in which the order is revoked if the member must not leave now.

    k0s would follow the order without checking which members take part.
    """
    return revoke(state) if blocked.reason in UNSAFE else state


def standing_order(state: OperationState) -> str:
    """Return what to do about an order that could not be revoked, as the end of a sentence; empty when none stands."""
    if not state.leave_asked:
        return ""
    name = resource_name(state.target.member_name) or state.label
    return (
        f"; spec.leave of EtcdMember {name} still stands, so k0s may remove the member at any time; to take it back:"
        f""" `kubectl patch etcdmember {name} --type merge -p '{{"spec":{{"leave":false}}}}'`"""
    )


def decide(state: OperationState, now: float) -> NextCommand:
    """Return what is next about the order."""
    match state.leave_step:
        case LeavePhase.ORDER:
            state = state.showing(HandoffState.REMOVING, f"{ASKING_K0S} {state.label}")
            # From here on it counts as asked, as an answer may be lost.
            return _request(state.changed(in_flight=True, leave_asked=True), leave=True)
        case LeavePhase.REVOKE:
            return _request(state, leave=False)
        case LeavePhase.REVOKE_IF_OURS:
            state = proposal.ended(state, now, may_be_pending=True, by_k0s=True)
    ask = _ask(state, leave=True)
    return NextCommand(state, ReadLeave(ask=ask, summary=f"read spec.leave of the EtcdMember of {state.label}"))


def read(state: OperationState, order: ReadLeaveResult, now: float) -> OperationState:
    """Return the state after the order was read."""
    if state.leave_step is LeavePhase.REVOKE_IF_OURS:
        if order.leave and order.manager == FIELD_MANAGER:
            return state.changed(leave_step=LeavePhase.REVOKE)
        # An order that stands may be an earlier one that is not ours.
        return state.changed(leave_step=LeavePhase.NONE) if order.leave else _revoked(state)
    if order.leave:  # the answer to our order may have been lost
        return _awaiting(state.changed(leave_stored=True))
    state = state.with_step(order.step)
    if state.leave_stored and order.present and not may_ask_again(order.manager):
        return state.failing(failures.taken_back(order.name, order.manager))
    if observation.is_old(state, now):  # no worker was there to read it, and k0s follows an order without looking
        return state.changed(leave_step=LeavePhase.NONE, look_due=LookDue.PATIENT)
    return state.changed(leave_step=LeavePhase.ORDER)


def requested(state: OperationState, step: Step) -> OperationState:
    """Return the state after the order was given or revoked."""
    state = state.with_step(step)
    if state.leave_step is LeavePhase.REVOKE:
        if step.outcome != StepOutcome.REQUESTED:  # Kubernetes refuses it: the order stands, as `standing_order` tells
            return state.changed(leave_step=LeavePhase.NONE)
        return _revoked(state)
    state = state.changed(in_flight=False)
    if _removes_too(state):  # what was seen before is some seconds old by now
        stored = step.outcome == StepOutcome.REQUESTED
        return state.changed(leave_step=LeavePhase.NONE, leave_stored=stored, look_due=LookDue.QUICK)
    if step.outcome != StepOutcome.REQUESTED:
        return state.changed(leave_asked=False).failing(failures.no_leave(step.note))
    return _awaiting(state.changed(leave_stored=True, pauses=0))


def failed(state: OperationState) -> tuple[OperationState, bool]:
    """Return the state after a failed call, and whether the removal has to wait for that."""
    waits = state.leave_step in (LeavePhase.CHECK, LeavePhase.ORDER) and not _removes_too(state)
    return state.changed(leave_step=LeavePhase.NONE, in_flight=False), waits


def _removes_too(state: OperationState) -> bool:
    return state.worker_info is not None and state.worker_info.remover == REMOVES_TOO


def _awaiting(state: OperationState) -> OperationState:
    return state.changed(leave_step=LeavePhase.NONE).blocked_by(texts.awaiting_k0s(state.label))


def _revoked(state: OperationState) -> OperationState:
    return state.changed(leave_step=LeavePhase.NONE, leave_asked=False, leave_stored=False)


def _request(state: OperationState, *, leave: bool) -> NextCommand:
    what = "ask k0s to remove" if leave else "withdraw the request to k0s to remove"
    return NextCommand(state, RequestLeave(ask=_ask(state, leave=leave), summary=f"{what} {state.label}"))


def _ask(state: OperationState, *, leave: bool) -> LeaveInput:
    target = state.target
    return LeaveInput(
        cluster=state.request.cluster,
        member_name=target.member_name,
        member_id=target.member_id,
        leave=leave,
        until_marked=leave and _removes_too(state),
        cluster_id=target.cluster_id,
    )
