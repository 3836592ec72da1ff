"""Texts for the end of a replacement or a membership change."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from etcd_handoff.cli.render import results
from etcd_handoff.contract import Outcome

if TYPE_CHECKING:
    from etcd_handoff.contract import MembershipResult, PartResult, PartsResult, ReplacementResult

DONE: Final = (Outcome.REPLACED, Outcome.ALREADY_REPLACED, Outcome.APPLIED, Outcome.ALREADY_APPLIED)


def replacement_lines(result: ReplacementResult, *, dry_run: bool) -> list[str]:
    """Return the result of a replacement as text.

    Args:
        result: The result.
        dry_run: Whether only a dry run was asked for.
    """
    old = _who(result.member_name, result.member_id)
    new = _who(result.new_member_name, result.new_member_id)
    if result.outcome not in DONE:
        return _not_done(result, f"a replacement of {old} by {new}", f"{old} was NOT replaced", dry_run=dry_run)
    was = "had already been replaced" if result.outcome == Outcome.ALREADY_REPLACED else "is replaced"
    return [f"{old} {was} by {new}, cluster {result.cluster}.", *_parts(result)]


def membership_lines(result: MembershipResult, *, dry_run: bool) -> list[str]:
    """Return the result of a membership change as text.

    Args:
        result: The result.
        dry_run: Whether only a dry run was asked for.
    """
    if result.outcome not in DONE:
        what = f"a change to the members {result.member_name}"
        return _not_done(result, what, "the members were NOT changed", dry_run=dry_run)
    had = "had" if result.outcome == Outcome.ALREADY_APPLIED else "has"
    members = ", ".join(_who(member.name, member.id) for member in result.members)
    return [f"Cluster {result.cluster} {had} these members{' already' * (had == 'had')}: {members}.", *_parts(result)]


def change_exit(result: PartsResult, *, dry_run: bool) -> int:
    """Return the exit status for this result.

    Args:
        result: The result.
        dry_run: Whether only a dry run was asked for.
    """
    return results.result_exit(result, DONE, dry_run=dry_run)


def _not_done(result: PartsResult, what: str, undone: str, *, dry_run: bool) -> list[str]:
    lines = results.not_done_lines(result, what, undone, dry_run=dry_run)
    if not dry_run or result.outcome != Outcome.PLANNED or result.blocked_by or not result.plan:
        return lines
    first = f"{lines[0].removesuffix(':')}, one after the other:"
    return [first, *(line if line.startswith("WARNING") else f"  {line}" for line in result.plan)]


def _parts(result: PartsResult) -> list[str]:
    """Describe each part and its notes."""
    lines = [_part_line(part) for part in result.parts]
    lines += results.people_lines(result)
    lines += [f"Snapshot: {result.snapshot}"] if result.snapshot else []
    lines += [f"WARNING: {line}." for line in result.warnings]
    return [*lines, *results.acknowledgement_lines(result.writes_acknowledged)]


def _part_line(part: PartResult) -> str:
    done: dict[str, str] = {
        Outcome.ADDED: "is a voter now",
        Outcome.ALREADY_PRESENT: "was a voter already",
        Outcome.REMOVED: "has left",
        Outcome.ALREADY_ABSENT: "had already left",
    }
    how = done.get(part.outcome, str(part.outcome))
    recorded = "says so" if part.status_recorded else f"was not written: {part.status_note}"
    process = f" {part.process[0].upper()}{part.process[1:]}." if part.process else ""
    return f"  {_who(part.member_name, part.member_id)} {how}; its EtcdMember {recorded}.{process}"


def _who(name: str, member_id: str) -> str:
    return f"{name} ({member_id})" if name and member_id else (name or member_id)
