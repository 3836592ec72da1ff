"""The library for scripts: start operations or attach to them, follow them, approve and cancel them.

`etcd_handoff.client.blocking` has the same without `await`. The names of `__all__` stay.

import asyncio

from etcd_handoff.client import connect


async def main() -> None:
    handoff = await connect()
    removal = await handoff.remove("prod", "node2")
    async for now in removal.progress():
        print(now.state, now.doing)
    print((await removal.result()).outcome)


asyncio.run(main())
"""

from etcd_handoff.client.errors import (
    BlockedTooLongError,
    ClientError,
    InvalidInputError,
    NotTakenError,
    OperationCancelledError,
    OperationError,
    OperationTerminatedError,
    OperationTimedOutError,
    PermissionDeniedError,
    RefusedError,
    TemporalRefusedError,
    TemporalUnreachableError,
    TooLateError,
    UnknownClusterError,
    UnknownMemberError,
    UnknownOperationError,
    WorkerSilentError,
)
from etcd_handoff.client.handoff import AdditionOptions, Handoff, Options, connect
from etcd_handoff.client.operation import Operation
from etcd_handoff.contract import (
    AdditionRequest,
    AdditionResult,
    DesiredMember,
    HandoffState,
    MembershipRequest,
    MembershipResult,
    OperationResult,
    Outcome,
    Progress,
    RemovalRequest,
    RemovalResult,
    ReplacementRequest,
    ReplacementResult,
)

__all__ = [
    "AdditionOptions",
    "AdditionRequest",
    "AdditionResult",
    "BlockedTooLongError",
    "ClientError",
    "DesiredMember",
    "Handoff",
    "HandoffState",
    "InvalidInputError",
    "MembershipRequest",
    "MembershipResult",
    "NotTakenError",
    "Operation",
    "OperationCancelledError",
    "OperationError",
    "OperationResult",
    "OperationTerminatedError",
    "OperationTimedOutError",
    "Options",
    "Outcome",
    "PermissionDeniedError",
    "Progress",
    "RefusedError",
    "RemovalRequest",
    "RemovalResult",
    "ReplacementRequest",
    "ReplacementResult",
    "TemporalRefusedError",
    "TemporalUnreachableError",
    "TooLateError",
    "UnknownClusterError",
    "UnknownMemberError",
    "UnknownOperationError",
    "WorkerSilentError",
    "connect",
]
