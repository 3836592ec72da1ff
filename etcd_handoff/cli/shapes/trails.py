"""Shapes of what is told of one operation: `describe`, `history`, `report`."""

from __future__ import annotations

from typing import Any

from etcd_handoff.cli.shapes.base import Document, Shape
from etcd_handoff.cli.shapes.cluster import SeenCluster


class ShownEntry(Shape):
    """One line of a trail.

    Attributes:
        at: When, by the server's clock, in UTC. Of a step, when it ended.
        event: What kind of entry it is. Kinds may be added.
        text: What happened, in words.
        by: Who: a person, or the node whose worker it was.
        door: By which way a person came.
        step: Activity type, of a step.
        outcome: How the step ended.
        began: When the step began.
        milliseconds: How long its last attempt took; null if it was none.
        attempts: How many attempts it took.
        leader: Who led then; empty if that is not known.
        term: The raft term then.
        times: How often the same was repeated.
        until: When it was repeated last.
    """

    at: str
    event: str
    text: str
    by: str
    door: str
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
    """Printed by `report`, and for each operation by `history`: who asked for it, what was seen and done.

    Attributes:
        workflow_id: Its workflow ID.
        operation: What it is.
        cluster: Cluster profile.
        member: Its member, as it was asked for.
        member_name: The same by name if that is known.
        member_id: The member's ID; empty if no record tells.
        dry_run: It was to change nothing.
        asked_at: When it was asked for.
        asked_by: By whom.
        door: By which way.
        reason: Why.
        options: What else was asked for, by field; what differs from the default alone.
        outcome: How it ended: the result's outcome, the failure's type, `Cancelled`, `Terminated`, `TimedOut`; empty
            while it runs.
        outcome_text: The same in words.
        ended_at: When it ended; empty while it runs.
        runs: How many runs of its workflow there are.
        note: What is missing; empty if nothing is.
        entries: All lines, in the order of time.
        result: Its result as it was recorded; null if it has none.
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
    door: str
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
        operations: The last one first.
    """

    operations: tuple[TrailOutput, ...]


class PendingStepOutput(Shape):
    """A step that runs or is tried again.

    Attributes:
        name: Activity type.
        attempt: The attempt that runs, or comes next.
        worker: Who took it last; empty if nobody has.
        failure: Why the attempt before has failed; empty if none has.
        kind: The type of that failure; empty if it has none.
    """

    name: str
    attempt: int
    worker: str
    failure: str
    kind: str


class DescribeOutput(Document):
    """Printed by `describe`.

    Attributes:
        state: Where the operation stands.
        state_since: Since when; empty if that is not known.
        doing: What is happening; empty if it does not say, or has ended.
        trouble: Why it does not say, with what to do; empty if it does, or has ended.
        waiting_for: What would unblock it; empty if nothing blocks.
        point_of_no_return: It only rolls forward; null if that is not known.
        join_configuration: What etcd is to be started with.
        queue: Its place in the queue; empty if it stands in none.
        pending: Steps that run or are tried again.
        next: What a person can do, with the commands.
        seen_at: When the cluster was seen last; empty if it was not.
        seen: The cluster as the operation saw it last.
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
