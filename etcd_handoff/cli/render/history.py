"""The output of `history`: the audit trail of operations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from etcd_handoff.cli.audit.operation_end import CANCELLED
from etcd_handoff.cli.audit.trail import CANCEL_REQUESTED
from etcd_handoff.cli.render.bad_ends import with_bad_ends
from etcd_handoff.cli.render.table import count, in_one_line, table

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from etcd_handoff.cli.audit.trail import Entry, Trail
    from etcd_handoff.cli.render.operations import OpenOperation

HEADINGS: Final = (
    *("ASKED FOR (UTC)", "OPERATION", "MEMBER", "BY", "THROUGH"),
    *("APPROVED BY", "OUTCOME", "WORKFLOW", "REASON"),
)
INDENT: Final = "  "
NAMES_WIDTH: Final = 11
"""Smallest width of the column with the facts' names, so that most trails look alike."""


def overview_lines(trails: Sequence[Trail], nothing: str) -> list[str]:
    """Return one line for each operation, and the command to type for each that ended badly.

    Args:
        trails: Their trails.
        nothing: The text if there is no trail.
    """
    rows = [
        [
            readable(trail.asked_at.partition(".")[0]),
            operation_name(trail),
            trail.label or "-",
            trail.asked_by or "-",
            trail.interface or "-",
            trail.approved_by or "-",
            trail.outcome or "runs",
            trail.workflow_id,
            in_one_line(trail.reason) or "-",
        ]
        for trail in trails
    ]
    return with_bad_ends(table(HEADINGS, rows), trails) if rows else [nothing]


def history_object(trails: Iterable[Trail]) -> dict[str, Any]:
    """Return the trails for JSON."""
    return {"operations": [trail.as_object() for trail in trails]}


def operation_name(run: Trail | OpenOperation) -> str:
    """Return the name of its kind, which says if it is a dry run."""
    return f"dry run ({run.operation})" if run.dry_run else run.operation


def heading(trail: Trail) -> str:
    """Return the operation and its outcome in one line."""
    name = operation_name(trail)
    return f"{name}{of_whom(trail)}, cluster {trail.cluster}: {trail.outcome or 'runs'}"


def of_whom(trail: Trail) -> str:
    """Return the member for after the operation's name; empty if it concerns several."""
    return f" of {trail.whom}" if trail.whom else ""


def facts(trail: Trail) -> list[tuple[str, str]]:
    """Return the facts about the operation as a whole, each with its name."""
    through = f", {trail.interface}" if trail.interface else ""
    given = [
        ("asked for", f"{readable(trail.asked_at)} by {trail.asked_by or 'unknown'}{through}"),
        ("reason", trail.reason or "none given"),
        ("options", ", ".join(f"{name}={_option(value)}" for name, value in (trail.options or {}).items())),
        ("approved by", ", ".join(_approval(entry) for entry in trail.entries if entry.event == "approved")),
        ("cancelled" if trail.outcome == CANCELLED else "cancel requested", cancellations(trail)),
        ("ended", f"{readable(trail.ended_at)}: {trail.outcome_text or trail.outcome}" if trail.ended_at else ""),
        ("workflow", f"{trail.workflow_id}, {count(trail.runs, 'run')}"),
        ("note", trail.note),
    ]
    return [(name, text) for name, text in given if text]


def cancellations(trail: Trail) -> str:
    """Return who asked to cancel it, when, how and why; empty if there was no such request."""
    return "; ".join(_cancellation(entry) for entry in trail.entries if entry.event == "cancel")


def trail_lines(trail: Trail) -> list[str]:
    """Return the whole trail of one operation."""
    rows = facts(trail)
    names = max(NAMES_WIDTH, *(len(name) for name, _ in rows))
    lines = [heading(trail), *(f"{INDENT}{name:<{names}}  {text}" for name, text in rows)]
    width = max((len(entry.by) for entry in trail.entries), default=0)
    day = ""
    for entry in trail.entries:
        if entry.at[:10] != day:
            day = entry.at[:10]
            lines.append(f"{INDENT}{day}, UTC")
        lines.append(
            f"{INDENT * 2}{entry.at[11:-1]}  {entry.event:<9}  {entry.by:<{width}}  {entry_text(entry)}".rstrip()
        )
    return lines


def entry_text(entry: Entry) -> str:
    """Return the entry's text, with duration, attempts and repetitions."""
    more = [f"{entry.milliseconds:.0f} ms"] if entry.milliseconds is not None else []
    more += [f"{entry.attempts} attempts"] if entry.attempts > 1 else []
    more += [f"{entry.times} times until {entry.until[11:-1]}"] if entry.times > 1 else []
    more += [entry.interface] if entry.interface else []
    return f"{entry.text} [{', '.join(more)}]" if more else entry.text


def readable(time: str) -> str:
    """Return a time of the trail in a readable form."""
    return time.replace("T", " ")


def _option(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return " ".join(str(item.get("name", item)) if isinstance(item, dict) else str(item) for item in value)
    return str(value)


def _cancellation(entry: Entry) -> str:
    through = f", {entry.interface}" if entry.interface else ""
    return f"{readable(entry.at)} by {entry.by or 'unknown'}{through}: {entry.text.removeprefix(CANCEL_REQUESTED)}"


def _approval(entry: Entry) -> str:
    return f"{entry.by or 'unknown'} at {readable(entry.at)}"
