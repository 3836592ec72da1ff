"""Apply the result of a command to the state."""

from __future__ import annotations

from typing import TYPE_CHECKING

from etcd_handoff.operation import (
    abandoned_lock,
    approvals,
    blocked_waiting,
    departed,
    failed_steps,
    gates,
    identity,
    learner_removal,
    leave,
    member_process,
    node_looks,
    pause_resume,
    process_end,
    queue_requests,
    recording,
    resource_progress,
    strategy,
)
from etcd_handoff.operation.commands import (
    Activity,
    AskQueue,
    CheckHash,
    DescribeWorker,
    FindResource,
    HandRecordOver,
    HashThroughNodes,
    LookThroughNodes,
    Observe,
    ReadLeave,
    ReleaseLock,
    RequestLeave,
    SeeDeparted,
    StepFailure,
    TakeSnapshot,
    Until,
    Wait,
    WriteStatus,
)
from etcd_handoff.operation.learner_removal import RemoveLearner
from etcd_handoff.operation.member_process import ArchiveMember, PreflightMember, StartMember, StopMember
from etcd_handoff.operation.phases import LookDue
from etcd_handoff.operation.resource_progress import WriteProgress

if TYPE_CHECKING:
    from typing import Any

    from etcd_handoff.operation.commands import Effect
    from etcd_handoff.operation.state import OperationState


def apply(state: OperationState, command: Effect, result: Any, now: float) -> OperationState:
    """Return the state after a command was carried out.

    Args:
        state: The state that was decided, with what has reached the operation since.
        command: The command.
        result: Its result (see the command's class), or a `StepFailure`.
        now: Workflow time in seconds.
    """
    state = blocked_waiting.counted(state, command, now)
    if isinstance(result, StepFailure):
        return approvals.with_approval_used(failed_steps.after(state, command, result, now), command, result)
    match command:
        case Observe():
            after = node_looks.looked(state, command, result, now)
        case LookThroughNodes():
            after = node_looks.answered(state, result, now)
        case FindResource():
            after = identity.resource_found(state, result)
        case DescribeWorker():
            after = state.changed(worker_info=result)
        case CheckHash() | HashThroughNodes():
            after = gates.hashed(state, result, now)
        case TakeSnapshot():
            after = gates.snapshot_taken(state, result, now)
        case AskQueue():
            after = queue_requests.answered(state, command, result)
        case Wait() | WriteProgress():
            after = _waited(state, command, now)
        case _:
            after = _acted(state, command, result, now)
    return after


def _acted(state: OperationState, command: Activity | HandRecordOver, result: Any, now: float) -> OperationState:
    """Return the state after a change was made, or its effect recorded."""
    match command:
        case ReadLeave():
            after = leave.read(state, result, now)
        case RequestLeave():
            after = leave.requested(state, result)
        case PreflightMember() | StartMember():
            after = member_process.applied(state, command, result, now)
        case StopMember() | ArchiveMember():
            after = process_end.applied(state, command, result)
        case WriteStatus():
            after = recording.written(state, result)
        case ReleaseLock():
            after = abandoned_lock.tried(state, result)
        case SeeDeparted():
            after = departed.seen(state, result)
        case HandRecordOver():
            after = recording.handed_over(state, command, now, goes_on=result)
        case RemoveLearner():
            after = learner_removal.tried(state, result)
        case _:
            after = approvals.with_approval_used(
                strategy.of(state).after_command(state, command, result, now), command, result
            )
    return after


def _waited(state: OperationState, command: Wait | WriteProgress, now: float) -> OperationState:
    if isinstance(command, WriteProgress):
        return resource_progress.delivered(state)
    state = resource_progress.waited(state)
    match command.until:
        case Until.APPROVAL:
            after = gates.approval_wait_over(state)
        case Until.TURN:
            after = queue_requests.waited(state)
        case Until.WINDOW:
            after = gates.window_opened(state)
        case Until.RECHECK:
            after = blocked_waiting.paused(state, now)
        case Until.RESUME:
            after = pause_resume.resumed(state)
        case Until.TIME:
            after = recording.rested(state) if state.ending else state.changed(look_due=LookDue.PATIENT)
    return after
