"""Define the commands that are activities.

Each has the activity's input as `ask` and a `summary` for people.
"""

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
from etcd_handoff.operation.queue_messages import MoveLeaderInTurnInput, TakeTurnInput
from etcd_handoff.wire import WireModel


class Activity(WireModel):
    """Base class of the commands that are activities.

    Attributes:
        proposes: It proposes a change of the membership. Until its result is known, the change may be pending.
        ask: The activity's input.
        node: The node whose worker carries it out; empty for any worker.
        summary: One line for people.
        resumable: A new run of the operation may begin in place of this command.
    """

    proposes: ClassVar[bool] = False

    ask: WireModel
    summary: str
    node: str = ""
    resumable: bool = False


class Observe(Activity):
    """Look at the cluster; the result is a `StepResult`.

    Attributes:
        patient: This look ends a wait.
        before_change: The look commits an entry first. The change that follows is one that no worker can judge alone.
    """

    ask: CheckLeaderInput
    patient: bool = False
    before_change: bool = False


class FindResource(Activity):
    """Find the EtcdMember of a member that no list shows; the result is a `FindResourceResult`.

    Attributes:
        most_seconds: Time limit over all attempts; None where only the attempts limit it.
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
        election: The command that follows once leadership has moved. The driver may start it beside the transfer, which
            saves a round trip.
    """

    ask: StepInput
    election: AwaitNewLeader

    def in_turn(self, turn: TakeTurnInput) -> TransferOnceGranted:
        """Return the transfer that takes the turn first."""
        ask = MoveLeaderInTurnInput(transfer=self.ask, turn=turn)
        return TransferOnceGranted(ask=ask, election=self.election, summary=self.summary)


class TransferOnceGranted(Activity):
    """Take the turn, then move leadership away from the target; the result is a `MoveLeaderResult`.

    The driver may carry this out in place of two commands, `AskQueue` and `TransferLeadership`.

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
    """Write the EtcdMember; the result is an `UpdateStatusResult`.

    Attributes:
        most_seconds: Time limit over all attempts.
    """

    ask: UpdateStatusInput
    most_seconds: float


class ReleaseLock(Activity):
    """Release the lock in etcd that an attempt did not release; the result is a `ReleaseLockResult`."""

    ask: ReleaseLockInput


class SeeDeparted(Activity):
    """Check whether the etcd of a removed member still runs; the result is a `SeeDepartedResult`."""

    ask: SeeDepartedInput
