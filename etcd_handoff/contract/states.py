"""Where an operation stands: its state in lists, the type of its failure, its progress (contract)."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final

from pydantic import Field

from etcd_handoff.contract.results import Step
from etcd_handoff.wire import WireModel


class HandoffState(StrEnum):
    """Value of the search attribute `HandoffState` (contract)."""

    QUEUED = "Queued"
    CHECKING = "Checking"
    AWAITING_APPROVAL = "AwaitingApproval"
    AWAITING_WINDOW = "AwaitingWindow"
    PAUSED = "Paused"
    BLOCKED = "Blocked"
    TRANSFERRING = "Transferring"
    REMOVING = "Removing"
    ADDING = "Adding"
    SYNCING = "Syncing"
    PROMOTING = "Promoting"
    VERIFYING = "Verifying"
    RECORDING = "Recording"
    DONE = "Done"
    REFUSED = "Refused"
    FAILED = "Failed"


BRIEF_STATES: Final = frozenset(
    {
        HandoffState.CHECKING,
        HandoffState.TRANSFERRING,
        HandoffState.REMOVING,
        HandoffState.ADDING,
        HandoffState.PROMOTING,
        HandoffState.RECORDING,
    }
)
"""States that usually last some milliseconds. That is too short to read, so no search attribute shows them."""


class FailureType(StrEnum):
    """Type of the `ApplicationError` that an operation fails with (contract)."""

    REMOVAL_REFUSED = "RemovalRefused"
    CHANGE_REFUSED = "ChangeRefused"
    BLOCKED_TOO_LONG = "BlockedTooLong"
    TOO_LATE = "TooLate"
    INVALID_INPUT = "InvalidInput"
    UNKNOWN_CLUSTER = "UnknownCluster"
    UNKNOWN_MEMBER = "UnknownMember"
    PERMISSION_DENIED = "PermissionDenied"


KnownState = Annotated[HandoffState | str, Field(union_mode="left_to_right")]
"""Where a removal stands. A state that only a newer worker knows is text."""


class Progress(WireModel):
    """Answer of the query `progress`.

    Attributes:
        state: Where the removal stands.
        cluster: Cluster profile.
        member: The member as the request names it.
        member_id: The pinned member ID; empty before the first look.
        doing: What is happening now, in words.
        waiting_for: What would unblock it; empty when nothing blocks.
        blocked_reason: Which rule blocks it, such as `QuorumAtRisk`; empty when nothing blocks.
        since: Since when it is in its state, ISO 8601. Looks in between and brief states do not count.
        part: Which of its parts runs, in words; empty where it has none, and between two.
        point_of_no_return: True once the change may have been proposed. From there it only rolls forward.
        join_configuration: What etcd is to be started with, by environment variable, as long as a member that was added
            has not started.
        steps: Activities that have ended: the first 20 and the last 50.
        steps_left_out: How many activities between those are left out.
    """

    state: KnownState
    cluster: str
    member: str
    member_id: str = ""
    doing: str = ""
    waiting_for: str = ""
    blocked_reason: str = ""
    since: str = ""
    part: str = ""
    point_of_no_return: bool = False
    join_configuration: dict[str, str] = Field(default_factory=dict)
    steps: tuple[Step, ...] = ()
    steps_left_out: int = 0
