"""Define what an operation can ask for: a small sealed set of commands.

The driver carries out a command and passes back its result. A command for an activity has the activity's input as `ask`
and a `summary` for people.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from etcd_handoff.activity_io import UpdateStatusInput
from etcd_handoff.command_lines import with_cluster
from etcd_handoff.contract import OperationResult
from etcd_handoff.operation.activity_commands import (
    Activity,
    AddTarget,
    AwaitNewLeader,
    CheckHash,
    FindResource,
    Observe,
    PromoteTarget,
    ReadLeave,
    ReleaseLock,
    RemoveTarget,
    RequestLeave,
    SeeDeparted,
    TakeSnapshot,
    TransferLeadership,
    TransferOnceGranted,
    WriteStatus,
)
from etcd_handoff.wire import WireModel

__all__ = [
    "Activity",
    "AddTarget",
    "AskQueue",
    "AwaitNewLeader",
    "Cancel",
    "CheckHash",
    "Command",
    "DescribeWorker",
    "Effect",
    "End",
    "Fail",
    "Failure",
    "FindResource",
    "Finish",
    "HandRecordOver",
    "HashThroughNodes",
    "LookThroughNodes",
    "Observe",
    "PromoteTarget",
    "ReadLeave",
    "ReleaseLock",
    "RemoveTarget",
    "RequestLeave",
    "SeeDeparted",
    "StepFailure",
    "TakeSnapshot",
    "TransferLeadership",
    "TransferOnceGranted",
    "Until",
    "Wait",
    "WriteStatus",
]


@dataclass(frozen=True, slots=True)
class Failure:
    """A failure of an operation.

    Attributes:
        kind: Type of the failure, one of the contract's (`FailureType`).
        text: What was seen and what to do.
        short: The same in a few words, for an EtcdMember; empty where `text` is short enough.
    """

    kind: str
    text: str
    short: str = ""

    def with_cluster(self, cluster: str) -> Failure:
        """Return the same failure, with the cluster profile named in its commands."""
        return replace(self, text=with_cluster(self.text, cluster), short=with_cluster(self.short, cluster))


class LookThroughNodes(WireModel):
    """Look at members that the worker of the last look does not reach, through their own nodes' workers.

    The result is a tuple of a `StepResult` or a `StepFailure` for each node. It is empty where no node was asked.

    Attributes:
        looks: The looks, side by side, one for each node.
    """

    looks: tuple[Observe, ...]


class HashThroughNodes(WireModel):
    """Hash members' data through the workers of their own nodes.

    The result is a tuple of a `StepResult` or a `StepFailure` for each member. A run that began before nodes were asked
    for hashes carries out `whole`: its result is one `StepResult` of all members that one worker reaches.

    Attributes:
        checks: The hashes, side by side, one for each member.
        whole: The check that such an older run makes instead.
    """

    checks: tuple[CheckHash, ...]
    whole: CheckHash


class DescribeWorker(WireModel):
    """Ask this worker for what it knows of the cluster profile; the result is a `WorkerInfo`."""

    cluster: str


class AskQueue(WireModel):
    """Inform the cluster's queue whether a turn is wanted; the result is a `TakeTurnResult`.

    Attributes:
        waits: A turn is wanted; False gives it up.
        wakes: The queue learns at once of a turn that is given up.
        news: The operation has no turn and wants none. The queue only informs its EtcdMember that it waits for an
            approval.
    """

    waits: bool
    wakes: bool
    news: bool = False

    @property
    def summary(self) -> str:
        """Return what is asked, for a timeline."""
        if self.news:
            return "report to the change queue that an approval is awaited"
        return "enter the change queue of the cluster" if self.waits else "give up its place in the change queue"


LONGEST_SUMMARY: Final = 120
"""Characters of a summary of long words: it is one bar of a timeline, and the server takes 400 bytes."""


class Until(StrEnum):
    """The event that ends a wait early."""

    TIME = "time"
    APPROVAL = "approval"
    TURN = "turn"
    WINDOW = "window"
    RECHECK = "recheck"
    RESUME = "resume"


class Wait(WireModel):
    """Wait; there is no result.

    Attributes:
        until: The event that ends it early.
        seconds: Longest duration; None for no bound.
        summary: One line for people.
        resumable: A new run of the removal may begin in place of it.
    """

    until: Until
    seconds: float | None = None
    summary: str = ""
    resumable: bool = True


class HandRecordOver(WireModel):
    """Start the workflow that goes on writing the EtcdMember; the result shows whether it does.

    Attributes:
        workflow_id: Its workflow ID.
        record: The record to write.
        summary: One line for people.
    """

    workflow_id: str
    record: UpdateStatusInput
    summary: str


class Finish(WireModel):
    """The operation has ended well."""

    result: OperationResult


@dataclass(frozen=True, slots=True)
class Fail:
    """The operation has failed."""

    failure: Failure


class Cancel(WireModel):
    """The operation has ended because somebody cancelled it."""


@dataclass(frozen=True, slots=True)
class StepFailure:
    """The result of an activity that failed in all its attempts.

    Attributes:
        step: Activity type.
        kind: Type of the failure, one of the contract's or another; empty when no attempt answered.
        text: The cause, as far as it is known.
        attempts: The number of attempts, as far as the last one reported it.
        taken: A worker took the last attempt.
        tried: A worker took any attempt; if none did, nothing was done.
    """

    step: str
    kind: str
    text: str
    attempts: int = 1
    taken: bool = True
    tried: bool = True


Effect = Activity | LookThroughNodes | HashThroughNodes | DescribeWorker | AskQueue | Wait | HandRecordOver
"""Commands that have a result."""
End = Finish | Fail | Cancel
"""Commands after which there is nothing to do."""
Command = Effect | End
