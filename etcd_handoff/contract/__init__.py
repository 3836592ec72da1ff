"""The contract with users and other programs: requests, results, progress, names of states and failures, IDs.

All of it is immutable and fits a Temporal payload. It contains no endpoint and no secret, because all of it gets into
workflow histories.
"""

from etcd_handoff.contract.membership import (
    OPERATIONS,
    DesiredMember,
    ListedMember,
    MembershipRequest,
    MembershipResult,
    PartResult,
    PartsResult,
    ReplacementRequest,
    ReplacementResult,
)
from etcd_handoff.contract.requests import (
    SECONDS_IN_30_DAYS,
    AdditionRequest,
    Approval,
    CheckedRequest,
    JoiningRequest,
    OperationRequest,
    Pause,
    Recheck,
    RemovalRequest,
    Remover,
    removal_summary,
)
from etcd_handoff.contract.results import AdditionResult, OperationResult, Outcome, RemovalResult, Step, StepOutcome
from etcd_handoff.contract.states import BRIEF_STATES, FailureType, HandoffState, Progress
from etcd_handoff.contract.task_queues import TASK_QUEUE, node_queue
from etcd_handoff.contract.workflow_ids import names_in, record_id, workflow_id

__all__ = [
    "BRIEF_STATES",
    "OPERATIONS",
    "SECONDS_IN_30_DAYS",
    "TASK_QUEUE",
    "AdditionRequest",
    "AdditionResult",
    "Approval",
    "CheckedRequest",
    "DesiredMember",
    "FailureType",
    "HandoffState",
    "JoiningRequest",
    "ListedMember",
    "MembershipRequest",
    "MembershipResult",
    "OperationRequest",
    "OperationResult",
    "Outcome",
    "PartResult",
    "PartsResult",
    "Pause",
    "Progress",
    "Recheck",
    "RemovalRequest",
    "RemovalResult",
    "Remover",
    "ReplacementRequest",
    "ReplacementResult",
    "Step",
    "StepOutcome",
    "names_in",
    "node_queue",
    "record_id",
    "removal_summary",
    "workflow_id",
]
