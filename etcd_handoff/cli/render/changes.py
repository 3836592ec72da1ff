"""How a replacement, or a membership that was applied, ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from etcd_handoff.cli.render.result import people_lines
from etcd_handoff.contract import Outcome
from etcd_handoff.exit_status import EXIT_DONE, EXIT_FAILED, EXIT_REFUSED

if TYPE_CHECKING:
    from etcd_handoff.contract import MembershipResult, PartResult, PartsResult, ReplacementResult

DONE: Final = (Outcome.REPLACED, Outcome.ALREADY_REPLACED, Outcome.APPLIED, Outcome.ALREADY_APPLIED)


def replacement_lines(result: ReplacementResult, *, dry_run: bool) -> list[str]:
    """Return the result of a replacement in words.

    Args:
        result: Its result.
        dry_run: Whether no more than a dry run was asked for.
    """
    old = _who(result.member_name, result.member_id)
    new = _who(result.new_member_name, result.new_member_id)
    if result.outcome not in DONE:
        return _not_done(result, f"replacement of {old} by {new}", dry_run=dry_run)
    was = "had already been replaced" if result.outcome == Outcome.ALREADY_REPLACED else "is replaced"
    return [f"{old} {was} by {new}, cluster {result.cluster}.", *_parts(result)]


def membership_lines(result: MembershipResult, *, dry_run: bool) -> list[str]:
    """Return the result of a membership that was applied in words.

    Args:
        result: Its result.
        dry_run: Whether no more than a dry run was asked for.
    """
    if result.outcome not in DONE:
        return _not_done(result, f"change to the members {result.member_name}", dry_run=dry_run)
    had = "had" if result.outcome == Outcome.ALREADY_APPLIED else "has"
    members = ", ".join(_who(member.name, member.id) for member in result.members)
    return [f"Cluster {result.cluster} {had} these members{' already' * (had == 'had')}: {members}.", *_parts(result)]


def change_exit(result: PartsResult, *, dry_run: bool) -> int:
    """3 for a dry run that found the change blocked; 1 where it was only planned, or nothing is acknowledged after it.

    Args:
        result: The result.
        dry_run: Whether no more than a dry run was asked for.
    """
    if result.outcome == Outcome.PLANNED and dry_run:
        return EXIT_REFUSED if result.blocked_by else EXIT_DONE
    return EXIT_DONE if result.outcome in DONE and result.writes_acknowledged is not False else EXIT_FAILED


def _not_done(result: PartsResult, what: str, *, dry_run: bool) -> list[str]:
    if result.outcome != Outcome.PLANNED:
        return [f"WARNING: the {what} ended as {result.outcome!r}, which this version does not know."]
    if not dry_run:
        return [f"WARNING: NOT done: the {what}: the workflow that ran already was a dry run. Run the command again."]
    if result.blocked_by:
        return [f"Dry run, nothing was changed. A {what} would wait now: {result.blocked_by}"]
    if not result.plan:
        return [f"Dry run, nothing was changed. A {what} would change nothing."]
    steps = (line if line.startswith("WARNING") else f"  {line}" for line in result.plan)
    return [f"Dry run, nothing was changed. A {what} would, one after the other:", *steps]


def _parts(result: PartsResult) -> list[str]:
    """What was done, part by part, and what people should know."""
    lines = [_part_line(part) for part in result.parts]
    lines += people_lines(result)
    lines += [f"Snapshot: {result.snapshot}"] if result.snapshot else []
    lines += [f"WARNING: {line}." for line in result.warnings]
    if result.writes_acknowledged is False:
        lines.append(
            "WARNING: the remaining members acknowledge no write. Check their disks and the network between them now:"
            " `etcd-handoff status`, `etcdctl endpoint health --cluster`."
        )
    return lines


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
