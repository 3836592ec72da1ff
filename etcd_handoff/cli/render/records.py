"""The part of `status` on EtcdMembers that are still to be written after their operation has ended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from etcd_handoff.cli.render.history import readable
from etcd_handoff.operation.unblocking_commands import DIAGNOSE, command

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True, slots=True)
class OpenRecord:
    """A running workflow `RecordStatus`.

    Attributes:
        workflow_id: Its workflow ID.
        member: The member's name, or its ID if the name is unknown.
        member_id: The member's ID.
        summary: What it is to record, in words.
        since: When it began, UTC, ISO 8601.
        until: When it gives up.
        attempt: The running attempt, or the next one; 0 if no step runs.
        waiting_for: Why it has not been written yet, in words.
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
    next: tuple[str, ...] = ()


def record_lines(records: Iterable[OpenRecord]) -> list[str]:
    """Return lines for each of them, with what it waits for."""
    return [line for record in records for line in _lines(record)]


def next_steps(cluster: str) -> tuple[str, ...]:
    """Return what a person can do. The workflow continues once its obstacle is gone.

    Args:
        cluster: Cluster profile.
    """
    return (f"to {DIAGNOSE.purpose}: {command(DIAGNOSE.name, cluster, '')}",)


def _lines(record: OpenRecord) -> list[str]:
    tries = f" (attempt {record.attempt})" if record.attempt > 1 else ""
    return [
        f"! EtcdMember of {record.member}: not written since {_time(record.since)}: {record.summary}",
        f"  what it waits for{tries}: {record.waiting_for}",
        f"  is tried again until {_time(record.until)} by workflow {record.workflow_id}",
        *(f"  {line}" for line in record.next),
    ]


def _time(moment: str) -> str:
    return f"{readable(moment.partition('.')[0])} UTC"
