"""Inputs and results of activities. Workers of one version use them, and docs/reference.md does not promise them."""

from etcd_handoff.activity_io.departed import SeeDepartedInput, SeeDepartedResult
from etcd_handoff.activity_io.etcd_steps import (
    AdditionInput,
    AwaitElectionInput,
    AwaitSyncInput,
    ChangeInput,
    CheckHashInput,
    CheckLeaderInput,
    MemberHash,
    ReleaseLockInput,
    ReleaseLockResult,
    StepInput,
)
from etcd_handoff.activity_io.etcdmembers import (
    FindResourceInput,
    FindResourceResult,
    LeaveInput,
    ReadLeaveResult,
    UpdateStatusInput,
    UpdateStatusResult,
)
from etcd_handoff.activity_io.member_process import (
    NodeFacts,
    PreflightMemberInput,
    ProcessInput,
    ProcessResult,
    StartMemberInput,
    StopMemberInput,
)
from etcd_handoff.activity_io.step_result import DataOwner, StepResult
from etcd_handoff.activity_io.target import Target
from etcd_handoff.activity_io.worker_info import WorkerInfo, known_worker_info

__all__ = [
    "AdditionInput",
    "AwaitElectionInput",
    "AwaitSyncInput",
    "ChangeInput",
    "CheckHashInput",
    "CheckLeaderInput",
    "DataOwner",
    "FindResourceInput",
    "FindResourceResult",
    "LeaveInput",
    "MemberHash",
    "NodeFacts",
    "PreflightMemberInput",
    "ProcessInput",
    "ProcessResult",
    "ReadLeaveResult",
    "ReleaseLockInput",
    "ReleaseLockResult",
    "SeeDepartedInput",
    "SeeDepartedResult",
    "StartMemberInput",
    "StepInput",
    "StepResult",
    "StopMemberInput",
    "Target",
    "UpdateStatusInput",
    "UpdateStatusResult",
    "WorkerInfo",
    "known_worker_info",
]
