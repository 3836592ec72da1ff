"""Define the progress of an operation in what takes more than one command."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from etcd_handoff.activity_io import StepResult, UpdateStatusInput, UpdateStatusResult
from etcd_handoff.operation.commands import Failure, Observe
from etcd_handoff.wire import WireModel


class LookDue(StrEnum):
    """Whether the cluster is looked at before anything else is decided."""

    NO = ""
    QUICK = "quick"
    PATIENT = "patient"
    """Members that did not answer the last time get their full time-out again."""


class HalfLook(WireModel):
    """A look that waits for the looks of other nodes' workers.

    Attributes:
        command: The look.
        report: What its own worker saw.
        nodes: The nodes that are asked.
    """

    command: Observe
    report: StepResult
    nodes: tuple[str, ...]


class ApprovedChange(WireModel):
    """The change that somebody approves, as their page shows it.

    Attributes:
        target: The member that leaves or joins, with its ID.
        members: All members.
        leader: The leader.
        plan: Which changes follow.
    """

    target: str = ""
    members: tuple[str, ...] = ()
    leader: str = ""
    plan: tuple[str, ...] = ()

    def differs(self, now: ApprovedChange) -> str:
        """Return what has changed, in words; empty when nothing has."""
        was_and_is = (
            ("target", (self.target or "unknown",), (now.target or "unknown",)),
            ("members", self.members, now.members),
            ("leader", (self.leader or "unknown",), (now.leader or "unknown",)),
            ("plan", self.plan, now.plan),
        )
        return "; ".join(f"{what}: {_change(was, its)}" for what, was, its in was_and_is if was != its)


def _change(was: tuple[str, ...], its: tuple[str, ...]) -> str:
    """Return what was added to and removed from a list; both lists in full may be long."""
    gone, come = (", ".join(w for w in one if w not in other) for one, other in ((was, its), (its, was)))
    if gone and come:
        return f"{gone} when it was given, {come} now"
    if not gone and not come:
        return "in another order now"
    return f"{come} as well now" if come else f"{gone} no more"


class ApprovalState(WireModel):
    """An approval that was given.

    Attributes:
        identity: The identity that Temporal recorded for its sender.
        counts_from: When its time begins to count.
        change: The change that it covers.
        used: Something was changed under it.
    """

    identity: str = ""
    counts_from: float = 0.0
    change: ApprovedChange = ApprovedChange()
    used: bool = False

    def without_change(self) -> ApprovalState:
        """Return the same without the change, which is compared with nothing once the approval is used."""
        return self.model_copy(update={"change": ApprovedChange()})


class NodeProcess(WireModel):
    """What is known of the etcd process on the node of a member that joins.

    Attributes:
        command: The node's configuration names a command for it; None while that is unknown.
        asked_at: When the node was last asked, in workflow time; None when it is to be asked before a change.
        starts: The last start succeeded; None before the first one.
        error: Why it failed; empty when it did not.
        started: It was started for this operation, by the node's answer, or may have been.
        join: The settings of the last start; empty before the first one.
    """

    command: bool | None = None
    asked_at: float | None = None
    starts: bool | None = None
    error: str = ""
    started: bool = False
    join: dict[str, str] = Field(default_factory=dict)

    @property
    def may_run(self) -> bool:
        """Whether there may be a process that the node's command stops: the node has a command, or started it."""
        return self.command is True or self.started


class JoinState(WireModel):
    """The progress of a member that joins.

    Attributes:
        sent: Its addition is being proposed, or etcd has confirmed it: a learner with its peer URLs is our own.
        has_started: Its learner has been seen to have started.
        least_lag: The smallest lag of its learner since that was down or near, in raft entries; None before.
        was_down: Its learner did not answer the last look.
        mark_at: When it last made such progress, in workflow time; None while there is no learner.
        progresses: The operation waits for a learner that makes progress, which does not count as being blocked.
        in_sync: It was in sync in two looks, and nothing has contradicted that since.
        followed: The raft index that it had to reach for that, by its own answer; 0 where none was required.
        has_vote: It has been seen with a vote, and had none at first.
        works_since: Since when it has worked as a voter without a break; None when it has not.
        settings: The settings for etcd as they were last shown, by environment variable.
        process: What is known of its process on its node.
    """

    sent: bool = False
    has_started: bool = False
    least_lag: int | None = None
    was_down: bool = False
    mark_at: float | None = None
    progresses: bool = False
    in_sync: bool = False
    followed: int = 0
    has_vote: bool = False
    works_since: float | None = None
    settings: dict[str, str] = Field(default_factory=dict)
    process: NodeProcess = NodeProcess()


class LastingState(WireModel):
    """The state of an operation and since when it lasts; a look in between does not end it.

    Attributes:
        what: Its state, with the reason where it is blocked.
        since: Since when, in workflow time.
    """

    what: str = ""
    since: float = 0.0


class SentNotices(WireModel):
    """The notifications that an operation has sent outside of Temporal.

    Attributes:
        last: The trouble that people know of; empty where it is over.
        counts: How often each event has occurred.
    """

    last: str = ""
    counts: dict[str, int] = Field(default_factory=dict)


class HashCheck(WireModel):
    """A hash check through the workers of several nodes.

    Attributes:
        tries: How many comparisons gave no result.
        newest: The first voter's hash, at whose revision the others are hashed next; None before.
    """

    tries: int = 0
    newest: StepResult | None = None


class LeavePhase(StrEnum):
    """The next step about the order to k0s; see `leave.py`."""

    NONE = ""
    CHECK = "check"
    ORDER = "order"
    REVOKE_IF_OURS = "revoke-if-ours"
    REVOKE = "revoke"


class EndPhase(StrEnum):
    """The phases of an operation's end; see `ending.py`."""

    UNDO = "undo"
    REMOVE_LEARNER = "remove-learner"
    SETTLE = "settle"
    LOOK = "look"
    CLASSIFY = "classify"
    RECORD = "record"
    SEE = "see"
    STOP = "stop"
    ARCHIVE = "archive"
    REPORT = "report"


class EndState(WireModel):
    """The progress of an operation's end.

    Attributes:
        phase: What is next.
        failure: Why it fails; None when the member has left, or when it was cancelled.
        proposed: The change may have been proposed before it failed.
        record: What is written on the EtcdMember; None until that is known.
        call_seconds: How long the present call may take; 0 before the first.
        rest_seconds: How long to wait before the next call.
        error: Why the last call failed; None when none has.
        given_up: No further call is made.
        recorded: How it ended.
        looked: The last look at the cluster was made.
        tries: The number of attempts to remove the own learner.
        learner_removed: The own learner was there and has been removed.
        lock_tries: The number of attempts to release an abandoned lock.
        runs_on: The etcd of the removed member still runs; None when that is not known.
        rechecked: The cluster was looked at again before that, since the record had to wait.
        process_asked: The node of the removed member was asked to stop its etcd.
        process: What became of that etcd and its data, or what is left to do; empty where the node has no command.
    """

    phase: EndPhase = EndPhase.UNDO
    failure: Failure | None = None
    proposed: bool = False
    record: UpdateStatusInput | None = None
    call_seconds: float = 0.0
    rest_seconds: float = 0.0
    error: str | None = None
    given_up: bool = False
    recorded: UpdateStatusResult | None = None
    looked: bool = False
    tries: int = 0
    learner_removed: bool = False
    lock_tries: int = 0
    runs_on: bool | None = None
    rechecked: bool = False
    process_asked: bool = False
    process: str = ""
