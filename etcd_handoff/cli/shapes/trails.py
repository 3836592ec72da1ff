"""Shapes of one operation: `describe`, `history`, `report`."""

from __future__ import annotations

from typing import Any

from etcd_handoff.cli.shapes.base import Document, Shape
from etcd_handoff.cli.shapes.cluster import SeenCluster


class ShownEntry(Shape):
    """One entry of a trail.

    Attributes:
        at: When, by the server's clock, in UTC. For a step, when it ended.
        event: Kind of the entry. Kinds may be added.
        text: What happened, in words.
        by: A person, or the node whose worker it was.
        interface: How a person reached the operation.
        step: Activity type, for a step.
        outcome: How the step ended.
        began: When the step began.
        milliseconds: Duration of its last attempt; null if there was none.
        attempts: Number of attempts.
        leader: The leader that was seen; empty if that is unknown.
        term: The raft term then.
        times: How often the same entry was repeated.
        until: When it was repeated last.
    """

    at: str
    event: str
    text: str
    by: str
    interface: str
    step: str
    outcome: str
    began: str
    milliseconds: float | None
    attempts: int
    leader: str
    term: int
    times: int
    until: str


class TrailOutput(Document):
    """Printed by `report`, and for each operation by `history`: who started it, what was seen and done.

    Attributes:
        workflow_id: Its workflow ID.
        operation: Its kind.
        cluster: Cluster profile.
        member: Its member, as in the request.
        member_name: The member's name if it is known, otherwise as in the request.
        member_id: The member's ID; empty if no record has it.
        dry_run: Whether it was to change nothing.
        asked_at: When it was started.
        asked_by: Who started it.
        interface: How that person reached the server.
        reason: Why.
        options: Other options of the request, by field; only those that differ from the default.
        outcome: How it ended: the result's outcome, the failure's type, `Cancelled`, `Terminated`, `TimedOut`; empty
            while it runs.
        outcome_text: The outcome in words.
        ended_at: When it ended; empty while it runs.
        runs: Number of runs of its workflow.
        note: What is missing; empty if nothing is.
        entries: All entries, in the order of time.
        result: The recorded result; null if there is none.
    """

    workflow_id: str
    operation: str
    cluster: str
    member: str
    member_name: str
    member_id: str
    dry_run: bool
    asked_at: str
    asked_by: str
    interface: str
    reason: str
    options: dict[str, Any]
    outcome: str
    outcome_text: str
    ended_at: str
    runs: int
    note: str
    entries: tuple[ShownEntry, ...]
    result: dict[str, Any] | None


class HistoryOutput(Document):
    """Printed by `history`.

    Attributes:
        operations: All operations, the last one first.
    """

    operations: tuple[TrailOutput, ...]


class PendingStepOutput(Shape):
    """A step that runs or is being retried.

    Attributes:
        name: Activity type.
        attempt: The running attempt, or the next one.
        worker: The last worker that took it; empty if none did.
        failure: Why the previous attempt failed; empty if none failed.
        kind: Type of that failure; empty if it has none.
    """

    name: str
    attempt: int
    worker: str
    failure: str
    kind: str


class DescribeOutput(Document):
    """Printed by `describe`.

    Attributes:
        state: State of the operation.
        state_since: When the state began; empty if that is unknown.
        doing: Its present activity; empty if it does not answer, or has ended.
        trouble: Why it does not answer, with what to do; empty if it answers, or has ended.
        waiting_for: What would unblock it; empty if it is not blocked.
        point_of_no_return: Whether it only rolls forward; null if that is unknown.
        join_configuration: Settings that the new member's etcd is to start with.
        queue: Its place in the queue; empty if it is in no queue.
        pending: Steps that run or are being retried.
        next: What a person can do, with the commands.
        seen_at: When the cluster was last seen; empty if it was not.
        seen: The cluster as the operation last saw it.
        operation: Its trail.
    """

    state: str
    state_since: str
    doing: str
    trouble: str
    waiting_for: str
    point_of_no_return: bool | None
    join_configuration: dict[str, str]
    queue: str
    pending: tuple[PendingStepOutput, ...]
    next: tuple[str, ...]
    seen_at: str
    seen: SeenCluster | None
    operation: TrailOutput
