"""Lead a larger change from one part to the next. Each part is an operation on the same state.

`SHARED` names what the parts share: the turn in the queue, the approval and the checks, the time that remains for
waiting, the view of the cluster, the steps. All else begins anew with each part. tests/unit/test_parts.py lists that
too, so that no field is reset by oversight.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from etcd_handoff.contract import (
    FailureType,
    HandoffState,
    MembershipRequest,
    PartResult,
    RemovalResult,
    ReplacementRequest,
)
from etcd_handoff.operation.commands import Failure
from etcd_handoff.operation.phases import LookDue
from etcd_handoff.operation.state import OperationState
from etcd_handoff.operation.whole_change import OwnLearner

if TYPE_CHECKING:
    from etcd_handoff.contract import OperationResult
    from etcd_handoff.operation.whole_change import Part, WholeChange

SHARED: Final = frozenset(
    {
        "run_id",
        "chain_id",
        "namespace",
        "began",
        "origin",
        "noticed",
        "worker_info",
        "binding",
        "voters_seen",
        "blocked_remaining_seconds",
        "steps",
        "steps_left_out",
        "pauses",
        "started_by",
        "requester",
        "approval",
        "approved",
        "approval_lapsed",
        "paused",
        "gates_passed_at",
        "hash_omitted",
        "snapshot",
        "lock_abandoned",
        "turn_request",
        "wants_turn",
        "holds_turn",
        "queue_knows",
        "queue_silent",
        "behind",
        "far_nodes",
        "silent_nodes",
        "own_member_alone",
        "looked_at",
        "claims",
        "cancel_requested",
        "recheck",
        "doing",
    }
)


def whole_of(state: OperationState) -> WholeChange:
    """Return the larger change that the state is a part of.

    Raises:
        RuntimeError: It is no part of anything.
    """
    if state.whole is None:
        msg = f"{state.request.noun} has no parts"
        raise RuntimeError(msg)
    return state.whole


def found_possible(state: OperationState) -> OperationState:
    """Return the state after the planner decided on a change: a larger change is possible."""
    return state if state.whole is None else state.changed(whole=state.whole.changed(possible=True))


def begun(state: OperationState, part: Part, *, look_due: LookDue = LookDue.NO) -> OperationState:
    """Return the state of the part that begins; it uses the last view, unless a look is due before."""
    whole = whole_of(state).changed(part=part, begun=True)
    return _anew(state, whole).changed(
        request=part.request(whole.request), pinned=part.leaves, view=state.view, look_due=look_due
    )


def ended(state: OperationState, result: OperationResult) -> OperationState:
    """Return the state after a part ended well: the cluster is looked at, and the next part decided."""
    whole = whole_of(state)
    part = PartResult(
        kind="add" if state.request.adds else "remove",
        member_id=result.member_id,
        member_name=result.member_name,
        outcome=result.outcome,
        status_recorded=result.status_recorded,
        status_note=result.status_note,
        writes_acknowledged=result.writes_acknowledged if isinstance(result, RemovalResult) else None,
        process=state.ending.process if state.ending else "",
    )
    whole = whole.changed(ended=(*whole.ended, part), was_leader=whole.was_leader or state.was_leader)
    return _between(state, whole)


def deferred(state: OperationState) -> OperationState:
    """Return the state after a part was put off, because another one has to come before it."""
    whole = whole_of(state)
    if state.joining.sent and state.target.member_id:
        whole = whole.changed(own=(*whole.own, state.target.member_id))
        process = state.joining.process
        if process.may_run:
            known = OwnLearner(name=state.target.member_name, started=process.started, join=process.join)
            whole = whole.changed(learners={**whole.learners, state.target.member_id: known})
    return _between(state, whole).changed(view=state.view, look_due=LookDue.NO)


def own_learner(state: OperationState) -> str:
    """Return the ID of the own learner, which a cancellation removes: the running part's, else one put off."""
    if state.pinned is None:
        return ""
    if state.joining.sent:
        return state.pinned.member_id
    return state.whole.put_off if state.whole else ""


def put_off(state: OperationState) -> str:
    """Return what becomes of a learner whose part was put off, as the end of a sentence.

    It is empty where there is none, or where the running part reports it.
    """
    member_id = state.whole.put_off if state.whole else ""
    is_this_part = state.request.adds and state.pinned is not None and state.pinned.member_id == member_id
    if not member_id or is_this_part:
        return ""
    learner = f"; learner {member_id}, which was added before,"
    if state.ending is not None and state.ending.learner_removed and own_learner(state) == member_id:
        return f"{learner} has been removed{f'; {state.ending.process}' * bool(state.ending.process)}"
    member = state.view.member(member_id) if state.view else None
    if state.view is not None and (member is None or not member.is_learner):
        return ""
    return f"{learner} stays in the cluster without a vote: `etcd-handoff remove {member_id}` removes it"


def failed(state: OperationState, failure: Failure) -> Failure:
    """Return the failure of the whole where a part fails: with what is half done, and what to type to go on."""
    if state.whole is None:
        return failure
    refused = failure.kind == FailureType.REMOVAL_REFUSED
    text = f"{failure.text}{put_off(state)}{half_done(state.whole)}"
    return Failure(FailureType.CHANGE_REFUSED if refused else failure.kind, text)


def half_done(whole: WholeChange) -> str:
    """Return what has been done when it stops, and how to go on, as the end of a sentence.

    It is empty when nothing was begun.
    """
    if not whole.begun:
        return ""
    done = [f"{p.member_name or p.member_id} ({p.member_id}) {_DONE[p.kind]}" for p in whole.ended]
    stopped = f"stopped at {whole.part.words}" if whole.part else "" if done else "no part is finished"
    return f". So far: {'; '.join(filter(None, (*done, stopped)))}. To go on: {_again(whole)}"


_DONE: Final = {"add": "has joined", "remove": "has left"}


def _again(whole: WholeChange) -> str:
    request = whole.request
    if isinstance(request, ReplacementRequest):
        old = (whole.pinned.member_id if whole.pinned else "") or request.member
        new = f"{' '.join(f'--peer-url {url}' for url in request.peer_urls)} -c {request.cluster}"
        if whole.ended_for("remove", old):  # nobody need remember the ID of a removed member
            return f"`etcd-handoff add {request.name} {new}`"
        return f"`etcd-handoff replace {old} --with {request.name} {new}`"
    if isinstance(request, MembershipRequest):
        return f"`etcd-handoff apply FILE -c {request.cluster}` with the same list"
    return "start it again"


def _between(state: OperationState, whole: WholeChange) -> OperationState:
    """Return the state between two parts, in which the next one is decided."""
    doing = "deciding what is next"
    fresh = _anew(state, whole.changed(part=None)).showing(HandoffState.CHECKING, doing)
    return fresh.changed(request=whole.request, pinned=whole.pinned)


def _anew(state: OperationState, whole: WholeChange) -> OperationState:
    return OperationState.model_construct(**{name: getattr(state, name) for name in SHARED}, whole=whole)
