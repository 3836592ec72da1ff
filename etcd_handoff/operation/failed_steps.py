"""Decide what follows when an activity failed in all its attempts. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from etcd_handoff import time_limits
from etcd_handoff.operation import (
    failures,
    learner_removal,
    leave,
    member_process,
    process_end,
    proposal,
    recording,
    texts,
)
from etcd_handoff.operation.commands import (
    Activity,
    AddTarget,
    FindResource,
    Observe,
    ReadLeave,
    ReleaseLock,
    RequestLeave,
    WriteStatus,
)
from etcd_handoff.operation.learner_removal import RemoveLearner
from etcd_handoff.operation.member_process import ArchiveMember, PreflightMember, StartMember, StopMember
from etcd_handoff.operation.resource_progress import WriteProgress

if TYPE_CHECKING:
    from etcd_handoff.operation.commands import Effect, StepFailure
    from etcd_handoff.operation.state import OperationState


def after(state: OperationState, command: Effect, failure: StepFailure, now: float) -> OperationState:
    """Return the state after an activity failed in all its attempts."""
    match command:
        case WriteStatus():
            return recording.not_written(state, failure, now)
        case ReleaseLock() | WriteProgress():
            return state
        case PreflightMember() | StartMember():
            return member_process.failed(state, command, failure, now)
        case StopMember() | ArchiveMember():
            return process_end.failed(state, command, failure)
        case RemoveLearner():
            return learner_removal.failed(state, failure)
    return _waited_for(state, command, failure, now)


def _waited_for(state: OperationState, command: Effect, failure: StepFailure, now: float) -> OperationState:
    """Return the state after any other such failure: the operation waits for it to pass."""
    if isinstance(command, Observe):
        state = state.changed(view=None)  # what was seen before is no word on what is true now
    if isinstance(command, Activity) and command.proposes:
        state = proposal.failed(state, failure, now)
        if isinstance(command, AddTarget):  # as in `addition.after_command`: whose a learner is then nobody knows
            state = state.with_joining(sent=False)
    waits = state.ending is None
    if isinstance(command, ReadLeave | RequestLeave):
        state, waits = leave.failed(state)
    if not waits:
        return state
    # It was allowed to write the order, so it will be allowed to read it again.
    kind = "" if isinstance(command, ReadLeave) else failure.kind
    if final := failures.failed_step(kind, failure.text, pinned=state.pinned is not None):
        return state.failing(final)
    blocked = texts.step_fails(failure.step, failure.text)
    if state.request.dry_run and isinstance(command, FindResource | Observe):
        finds = isinstance(command, FindResource)
        waited_seconds = time_limits.OPERATION.dry_run_seconds if finds else round(now - state.looked_at, 1)
        return state.failing(failures.blocked_too_long(blocked, waited_seconds, state.original_request.noun))
    return state.blocked_by(blocked)
