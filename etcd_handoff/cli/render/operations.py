"""The Temporal part of `status`: open operations, the last results, workers, the watcher."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

from etcd_handoff.cli.render.bad_ends import bad_end, known, with_bad_ends
from etcd_handoff.cli.render.history import operation_name, readable
from etcd_handoff.cli.render.records import record_lines
from etcd_handoff.cli.render.table import in_one_line, table
from etcd_handoff.command_lines import START_A_WORKER

if TYPE_CHECKING:
    from collections.abc import Sequence

    from temporalio.client import Client

    from etcd_handoff.cli.audit.trail import Trail
    from etcd_handoff.cli.live_workers import LiveWorker
    from etcd_handoff.cli.render.records import OpenRecord

OPEN_HEADINGS: Final = ("OPEN", "MEMBER", "STATE", "STARTED (UTC)", "QUEUE")
LAST_HEADINGS: Final = ("LAST", "MEMBER", "OUTCOME", "ENDED (UTC)", "ASKED FOR BY", "APPROVED BY", "REASON")
WORKER_HEADINGS: Final = ("WORKER", "VERSION", "BUILD", "CONFIG", "PROFILES", "CERTIFICATES", "HOST", "ASKED FOR WORK")
SECONDS: Final = len("2026-01-01T00:00:00")
START_WORKER: Final = f"{START_A_WORKER}; without a worker nothing goes on"


@dataclass(frozen=True, slots=True)
class OpenOperation:
    """A running operation.

    Attributes:
        workflow_id: Its workflow ID.
        operation: Its kind.
        member: Its member.
        state: Its state.
        started: When its first run began, UTC, ISO 8601.
        doing: Its present activity, in words; empty if it does not answer.
        trouble: Why it does not answer, with what to do; empty if it answers.
        waiting_for: What would unblock it; empty if it is not blocked.
        next: What a person can do, with the commands.
        queue: Its place in the queue; empty if it is in no queue, `?` if that is unknown.
        chain_id: ID of its first run.
        asked_by: Who started it; empty if that is unknown.
        reason: Why.
        approved_by: Whose approval is valid; empty if there is none.
        dry_run: It changes nothing.
    """

    workflow_id: str
    operation: str
    member: str
    state: str
    started: str
    doing: str = ""
    trouble: str = ""
    waiting_for: str = ""
    next: tuple[str, ...] = ()
    queue: str = ""
    chain_id: str = ""
    asked_by: str = ""
    reason: str = ""
    approved_by: str = ""
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class WatcherHealth:
    """The health of the watcher.

    Attributes:
        runs: Whether it runs.
        trouble: What is wrong with it; empty if nothing is.
        resync_seconds: Interval at which it compares everything; None if that is unknown.
        removing: Number of running removals that EtcdMembers have asked for.
    """

    runs: bool = False
    trouble: str = ""
    resync_seconds: float | None = None
    removing: int = 0

    def line(self, options: str) -> str:
        """Describe the watcher in one line.

        Args:
            options: The options that name cluster and configuration, for commands in messages.
        """
        if self.trouble:
            return f"! the watcher has a problem: {self.trouble}; see `etcd-handoff watch status {options}`"
        if not self.runs:
            start = f"etcd-handoff watch start {options}"
            return f"watcher: none, so EtcdMembers start no removal; start it with `{start}`"
        every = f", compares everything every {self.resync_seconds:g} s" if self.resync_seconds else ""
        return f"watcher: runs{every}{f', {self.removing} removals under way' if self.removing else ''}"


@dataclass(frozen=True, slots=True)
class TemporalParts:
    """The answers of Temporal.

    Attributes:
        client: The client that read them; None in tests.
        task_queue: The task queue of the workers.
        operations: Open operations, the last one first.
        last: Trails of the last ended operations, the very last one first.
        workers: Workers that poll for work.
        watcher: Health of the watcher.
        cluster_id: The etcd cluster that a running operation saw last; empty if none has seen it.
        records: EtcdMembers that are still to be written after their operation has ended, the oldest first.
    """

    client: Client | None
    task_queue: str
    operations: tuple[OpenOperation, ...] = ()
    last: tuple[Trail, ...] = ()
    workers: tuple[LiveWorker, ...] = ()
    watcher: WatcherHealth = WatcherHealth()
    cluster_id: str = ""
    records: tuple[OpenRecord, ...] = ()


def temporal_lines(parts: TemporalParts) -> list[str]:
    """Return all parts for people."""
    return [*_open_lines(parts), *record_lines(parts.records), "", *_last_lines(parts), "", *_worker_lines(parts)]


def temporal_object(parts: TemporalParts) -> dict[str, Any]:
    """Return all parts for JSON."""
    others = known(parts.last, parts.operations)
    return {
        "operations": [asdict(operation) for operation in parts.operations],
        "records": [asdict(record) for record in parts.records],
        "last": [
            {
                "workflow_id": trail.workflow_id,
                "operation": trail.operation,
                "dry_run": trail.dry_run,
                "member": trail.member,
                "member_name": trail.member_name,
                "outcome": trail.outcome,
                "ended_at": trail.ended_at,
                "asked_by": trail.asked_by,
                "reason": trail.reason,
                "approved_by": trail.approved_by,
                "next": tuple(filter(None, [bad_end(trail, others)])),
            }
            for trail in parts.last
        ],
        "workers": [worker._asdict() | {"certificates": dict(worker.certificates)} for worker in parts.workers],
        "watcher": asdict(parts.watcher),
    }


def _open_lines(parts: TemporalParts) -> list[str]:
    if not parts.operations:
        return ["Operations: none is running"]
    rows = [
        [operation_name(o), o.member, o.state, readable(o.started[:SECONDS]), o.queue or "-"] for o in parts.operations
    ]
    lines = table(OPEN_HEADINGS, rows)
    for o in parts.operations:
        whose = o.member or o.workflow_id
        lines.append(f"! {whose}: {o.state}; {o.trouble}" if o.trouble else f"{whose}: {o.doing or o.state}")
        reason = "" if o.reason and o.reason == o.asked_by else f": {o.reason or 'no reason given'}"
        lines.append(f"  asked for by: {o.asked_by or 'unknown'}{reason}")
        lines += [f"  approved by: {o.approved_by}"] if o.approved_by else []
        lines += [f"  what unblocks it: {o.waiting_for}"] if o.waiting_for else []
        lines += [f"  {line}" for line in o.next]
    return lines


def _last_lines(parts: TemporalParts) -> list[str]:
    rows = [
        [
            *(operation_name(t), t.label or "-", t.outcome, readable(t.ended_at[:SECONDS])),
            *(t.asked_by or "-", t.approved_by or "-", in_one_line(t.reason) or "-"),
        ]
        for t in parts.last
    ]
    if not rows:
        return ["Last operations: none that Temporal still has"]
    return with_bad_ends(table(LAST_HEADINGS, rows), parts.last, parts.operations)


def _worker_lines(parts: TemporalParts) -> list[str]:
    if not parts.workers:
        return [f"! no worker asks for work on task queue {parts.task_queue}; {START_WORKER}"]
    rows = [
        [
            *(w.node or "-", w.version or "-", w.build or "-", w.config or "-", ",".join(w.profiles) or "-"),
            *(_certificates(w), w.host, f"{w.asked_seconds_ago:.0f} s ago"),
        ]
        for w in parts.workers
    ]
    return [*table(WORKER_HEADINGS, rows), *(f"! {warning}" for warning in worker_warnings(parts.workers))]


def worker_warnings(workers: Sequence[LiveWorker]) -> list[str]:
    """Return warnings about workers: different builds or settings, certificates that expire."""
    builds, rules = {worker.build for worker in workers}, {worker.config for worker in workers if worker.config}
    warnings = [f"workers of {len(builds)} builds: finish the upgrade on all nodes"] if len(builds) > 1 else []
    if len(rules) > 1:
        text = f"workers of {len(rules)} configurations: make profiles and their settings alike on all nodes"
        warnings.append(text)
    ends = {worker: dict(worker.certificates) for worker in workers}
    warnings += [
        f"a certificate of {profile} on {worker.node or worker.host} ends on {ends[worker][profile]}: renew it there"
        for worker in workers
        for profile in worker.expiring
    ]
    return warnings


def _certificates(worker: LiveWorker) -> str:
    """Return the expiry as a date, by profile if they differ."""
    dates = {end for _, end in worker.certificates}
    if len(dates) == 1 and len(worker.certificates) == len(worker.profiles):
        return dates.pop()
    return ", ".join(f"{profile} {end}" for profile, end in worker.certificates) or "-"
