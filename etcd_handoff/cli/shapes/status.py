"""Shape of the output of `status`."""

from __future__ import annotations

from etcd_handoff.cli.shapes.base import Document, Shape
from etcd_handoff.cli.shapes.members import ShownMember


class ShownDoubt(Shape):
    """Why etcd's answers cannot be trusted.

    Attributes:
        kind: The reason, in one word.
        text: The contradiction.
        remedy: How to resolve it.
    """

    kind: str
    text: str
    remedy: str


class ShownResource(Shape):
    """An EtcdMember, compared with etcd.

    Attributes:
        name: Its name, or the name of a member without an EtcdMember.
        joined: Its condition Joined; `-` for a member without an EtcdMember.
        member_id: The member ID in its status.
        message: Its message.
        wrong: How it disagrees with etcd; empty if it agrees.
    """

    name: str
    joined: str
    member_id: str
    message: str
    wrong: str


class ShownOperation(Shape):
    """A running operation.

    Attributes:
        workflow_id: Its workflow ID.
        operation: Its kind.
        dry_run: Whether it changes nothing.
        member: Its member.
        state: Its state.
        started: When its first run began.
        doing: Its present activity; empty if it does not answer.
        trouble: Why it does not answer, with what to do; empty if it answers.
        waiting_for: What would unblock it; empty if it is not blocked.
        next: What a person can do, with the commands.
        queue: Its place in the queue; empty if it is in no queue, `?` if that is unknown.
        chain_id: ID of its first run.
        asked_by: Who started it; empty if that is unknown.
        reason: Why.
        approved_by: Whose approval is valid; empty if there is none.
    """

    workflow_id: str
    operation: str
    dry_run: bool
    member: str
    state: str
    started: str
    doing: str
    trouble: str
    waiting_for: str
    next: tuple[str, ...]
    queue: str
    chain_id: str
    asked_by: str
    reason: str
    approved_by: str


class ShownRecord(Shape):
    """An EtcdMember that is still to be written after its operation has ended.

    Attributes:
        workflow_id: ID of the workflow `RecordStatus` that writes it.
        member: The member's name, or its ID if the name is unknown.
        member_id: The member's ID.
        summary: What is to be recorded.
        since: When the first attempt began.
        until: When it gives up.
        attempt: The running attempt, or the next one; 0 if no step runs.
        waiting_for: Why it has not been written yet.
        next: What a person can do, with the commands.
    """

    workflow_id: str
    member: str
    member_id: str
    summary: str
    since: str
    until: str
    attempt: int
    waiting_for: str
    next: tuple[str, ...]


class EndedOperation(Shape):
    """An operation that has ended.

    Attributes:
        workflow_id: Its workflow ID.
        operation: Its kind.
        dry_run: Whether it was to change nothing.
        member: Its member, as in the request.
        member_name: The member's name if it is known, otherwise as in the request.
        outcome: How it ended.
        ended_at: When it ended.
        asked_by: Who started it.
        reason: Why.
        approved_by: Whose approval was valid at the end; empty if there was none.
        next: The command that explains a bad end and its remedy; none if it ended well.
    """

    workflow_id: str
    operation: str
    dry_run: bool
    member: str
    member_name: str
    outcome: str
    ended_at: str
    asked_by: str
    reason: str
    approved_by: str
    next: tuple[str, ...]


class ShownWorker(Shape):
    """A worker that polls for work.

    Attributes:
        node: Its node; empty if its identity does not name one.
        version: Its version; empty if its identity does not contain one.
        build: Digest of its code. Workers with the same digest decide alike.
        host: Its host.
        asked_seconds_ago: Seconds since its last poll.
        config: Digest of the settings that affect decisions, without paths and addresses; empty if its identity does
            not contain one.
        profiles: Its cluster profiles.
        certificates: The earliest expiry of each profile's certificates and tokens, as a date, by profile; without
            profiles that have none.
        expiring: Profiles with a certificate or token that has expired, or expires within 30 days.
    """

    node: str
    version: str
    build: str
    host: str
    asked_seconds_ago: float
    config: str
    profiles: tuple[str, ...]
    certificates: dict[str, str]
    expiring: tuple[str, ...]


class ShownWatcher(Shape):
    """The health of the watcher.

    Attributes:
        runs: Whether it runs.
        trouble: What is wrong with it; empty if nothing is.
        resync_seconds: Interval at which it compares everything; null if that is unknown.
        removing: Number of running removals that EtcdMembers have asked for.
    """

    runs: bool
    trouble: str
    resync_seconds: float | None
    removing: int


class StatusOutput(Document):
    """Printed by `status`. A part that could not be read is null, and `errors` has its error.

    Attributes:
        cluster: Cluster profile.
        cluster_id: Cluster ID that etcd reports. This and the next four fields are left out if etcd cannot be read.
        leader_id: ID of the leader that a majority names; null if there is none.
        term: Its raft term.
        foreign: Members of other clusters that have answered.
        alarms: Alarms that etcd has raised, each with its member.
        members: All members.
        doubt: Why etcd's answers cannot be trusted; null if nothing contradicts them.
        etcdmembers: All EtcdMembers, and all members without one.
        operations: Running operations, the last one first.
        records: EtcdMembers that are still to be written after their operation has ended, the oldest first.
        last: The last ended operations, the very last one first.
        workers: Workers that poll for work.
        watcher: The health of the watcher.
        errors: The error of each missing part, by `etcd`, `kubernetes`, `temporal`.
    """

    cluster: str
    cluster_id: str = ""
    leader_id: str | None = None
    term: int | None = None
    foreign: tuple[str, ...] = ()
    alarms: tuple[str, ...] = ()
    members: tuple[ShownMember, ...] | None
    doubt: ShownDoubt | None
    etcdmembers: tuple[ShownResource, ...] | None
    operations: tuple[ShownOperation, ...] | None
    records: tuple[ShownRecord, ...] | None
    last: tuple[EndedOperation, ...] | None
    workers: tuple[ShownWorker, ...] | None
    watcher: ShownWatcher | None
    errors: dict[str, str]
