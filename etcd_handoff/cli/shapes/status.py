"""Shape of what `status` prints."""

from __future__ import annotations

from etcd_handoff.cli.shapes.base import Document, Shape
from etcd_handoff.cli.shapes.members import ShownMember


class ShownDoubt(Shape):
    """Why nothing may be concluded from etcd's answers.

    Attributes:
        kind: The reason, in one word.
        text: What contradicts what.
        remedy: What would settle it.
    """

    kind: str
    text: str
    remedy: str


class ShownResource(Shape):
    """An EtcdMember, compared with etcd.

    Attributes:
        name: Its name, or that of the member that has none.
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
    """An operation that runs.

    Attributes:
        workflow_id: Its workflow ID.
        operation: What it is.
        dry_run: It is to change nothing.
        member: Its member.
        state: Its state.
        started: When its first run began.
        doing: What is happening; empty if it does not say.
        trouble: Why it does not say, with what to do; empty if it does.
        waiting_for: What would unblock it; empty if nothing blocks.
        next: What a person can do, with the commands.
        queue: Its place in the queue; empty if it stands in none, `?` if that is not known.
        chain_id: ID of its first run.
        asked_by: Who asked for it; empty if nobody is known.
        reason: Why.
        approved_by: Whose approval lets it go on; empty if there is none.
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
    """An EtcdMember that is still to be written, though its operation has ended.

    Attributes:
        workflow_id: ID of the workflow `RecordStatus` that writes it.
        member: The member, by name if that is known, else by ID.
        member_id: The member's ID.
        summary: What is to be recorded.
        since: Since when it is tried.
        until: When it is given up.
        attempt: The attempt that runs, or comes next; 0 if no step is under way.
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
        operation: What it was.
        dry_run: It was to change nothing.
        member: Its member, as it was asked for.
        member_name: The same by name if that is known.
        outcome: How it ended.
        ended_at: When.
        asked_by: Who asked for it.
        reason: Why.
        approved_by: Whose approval counted in the end; empty if nobody's did.
        next: The command that says why it has ended badly and what to do; none if it has ended well.
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
    """A worker that asks for work.

    Attributes:
        node: Its node; empty if it does not tell.
        version: Its version; empty if it does not tell.
        build: Digest of its code: workers with the same one decide alike.
        host: Its host.
        asked_seconds_ago: When it asked for work last.
        config: Digest of the settings that decide what is done, without paths and addresses; empty if it does not tell.
        profiles: Its cluster profiles.
        certificates: When the first certificate or token of each profile ends, as a date, by profile; without those
            that have none.
        expiring: Profiles with one that has ended, or ends within 30 days.
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
    """How the watcher does.

    Attributes:
        runs: It stands in Temporal.
        trouble: What is wrong with it; empty if nothing is.
        resync_seconds: How often it compares everything; null if that is not known.
        removing: How many removals that EtcdMembers have asked for are under way.
    """

    runs: bool
    trouble: str
    resync_seconds: float | None
    removing: int


class StatusOutput(Document):
    """Printed by `status`. A part that could not be read is null, and `errors` says why.

    Attributes:
        cluster: Cluster profile.
        cluster_id: Cluster ID that etcd reports; left out, as the next four, if etcd could not be read.
        leader_id: Whom a majority calls the leader; null if there is none.
        term: Its raft term.
        foreign: Members of other clusters that have answered.
        alarms: Alarms that etcd has raised: whose, and which.
        members: All members.
        doubt: Why nothing may be concluded from etcd's answers; null if nothing contradicts them.
        etcdmembers: All EtcdMembers, and all members that have none.
        operations: Operations that run, the last one first.
        records: EtcdMembers that are still to be written, though their operation has ended, the oldest first.
        last: The last ones that have ended, the very last one first.
        workers: Workers that ask for work.
        watcher: How the watcher does.
        errors: Why a part is missing, by `etcd`, `kubernetes`, `temporal`.
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
