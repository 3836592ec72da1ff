"""Commands that are activities: each has the activity's input as `ask` and a `summary` for people."""

from __future__ import annotations

from typing import ClassVar

from etcd_handoff.activity_io import (
    AdditionInput,
    AwaitElectionInput,
    CheckHashInput,
    CheckLeaderInput,
    FindResourceInput,
    LeaveInput,
    ReleaseLockInput,
    SeeDepartedInput,
    StepInput,
    UpdateStatusInput,
)
from etcd_handoff.operation.queue_state import MoveLeaderInTurnInput, TakeTurnInput
from etcd_handoff.wire import Message


class Activity(Message):
    """Base of what an activity does.

    Attributes:
        proposes: It proposes a change of the membership: until it has said what became of that, it may be pending.
        ask: The activity's input.
        node: The node whose worker is to do it; empty for any worker.
        summary: One line for people.
        resumable: A new run of the operation may begin in place of this command.
    """

    proposes: ClassVar[bool] = False

    ask: Message
    summary: str
    node: str = ""
    resumable: bool = False


class Observe(Activity):
    """Look at the cluster; the result is a `StepResult`.

    Attributes:
        patient: It is the look that ends a wait.
        before_change: It commits an entry because a change follows that no worker can judge alone.
    """

    ask: CheckLeaderInput
    patient: bool = False
    before_change: bool = False


class FindResource(Activity):
    """Find the EtcdMember of a member that no list shows; the result is a `FindResourceResult`.

    Attributes:
        most_seconds: How long it is tried in all; None for no bound but that of its attempts.
    """

    ask: FindResourceInput
    most_seconds: float | None = None


class CheckHash(Activity):
    """Compare the members' data, or hash one member's; the result is a `StepResult`."""

    ask: CheckHashInput


class TakeSnapshot(Activity):
    """Store a snapshot; the result is a `StepResult`."""

    ask: StepInput


class AwaitNewLeader(Activity):
    """Wait until a majority follows a new leader; the result is a `StepResult`."""

    ask: AwaitElectionInput


class TransferLeadership(Activity):
    """Move leadership away from the target; the result is a `MoveLeaderResult`.

    Attributes:
        election: The command that follows when leadership has moved. Whoever drives the operation may begin it
            beside the transfer, which saves a round trip.
    """

    ask: StepInput
    election: AwaitNewLeader

    def in_turn(self, turn: TakeTurnInput) -> TransferOnceGranted:
        """The same, once the queue has granted the turn."""
        ask = MoveLeaderInTurnInput(transfer=self.ask, turn=turn)
        return TransferOnceGranted(ask=ask, election=self.election, summary=self.summary)


class TransferOnceGranted(Activity):
    """Take the turn, then move leadership away from the target; the result is a `MoveLeaderResult`.

    Whoever drives the operation may carry this out in place of two commands, `AskQueue` and `TransferLeadership`.

    Attributes:
        election: As in `TransferLeadership`.
    """

    ask: MoveLeaderInTurnInput
    election: AwaitNewLeader


class RemoveTarget(Activity):
    """Remove the target from the membership; the result is a `StepResult`."""

    proposes = True

    ask: StepInput


class AddTarget(Activity):
    """Add the target as a learner; the result is a `StepResult`."""

    proposes = True

    ask: AdditionInput


class PromoteTarget(Activity):
    """Give the learner a vote; the result is a `StepResult`."""

    proposes = True

    ask: AdditionInput


class ReadLeave(Activity):
    """Read whether the order to k0s stands; the result is a `ReadLeaveResult`."""

    ask: LeaveInput


class RequestLeave(Activity):
    """Order the removal from k0s, or revoke the order; the result is a `Step`."""

    ask: LeaveInput


class WriteStatus(Activity):
    """Write the EtcdMember; the result is a `UpdateStatusResult`.

    Attributes:
        most_seconds: How long it is tried in all.
    """

    ask: UpdateStatusInput
    most_seconds: float


class ReleaseLock(Activity):
    """Give back the lock in etcd that an attempt has left behind; the result is a `ReleaseLockResult`."""

    ask: ReleaseLockInput


class SeeDeparted(Activity):
    """See whether the etcd of a member that is out still runs; the result is a `SeeDepartedResult`."""

    ask: SeeDepartedInput
