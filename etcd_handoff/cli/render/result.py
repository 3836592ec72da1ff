"""How a removal ended."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from etcd_handoff.contract import Outcome
from etcd_handoff.exit_status import EXIT_DONE, EXIT_FAILED, EXIT_REFUSED

if TYPE_CHECKING:
    from etcd_handoff.contract import OperationResult, RemovalResult

LEADS: Final = re.compile(r"(.+?) leads at term (\d+)")
"""How the note of a step begins that has seen the leader."""


def result_lines(result: RemovalResult, *, dry_run: bool) -> list[str]:
    """Return the result of a removal in words.

    Args:
        result: The result.
        dry_run: Whether only a dry run was asked for.
    """
    member = result.member_name or result.member_id
    member += f" ({result.member_id})" if result.member_id else ""  # a dry run that was blocked may not know it
    if result.outcome == Outcome.PLANNED:
        return _planned_lines(result, member) if dry_run else _not_removed_lines(member)
    if result.outcome not in (Outcome.REMOVED, Outcome.ALREADY_ABSENT):
        outcome = f"the outcome {result.outcome!r}, which this version of etcd-handoff does not know"
        return [f"WARNING: {member}: the removal ended with {outcome}. Upgrade etcd-handoff."]
    absent = result.outcome == Outcome.ALREADY_ABSENT
    lines = [f"{member} {'had already left' if absent else 'has left'} cluster {result.cluster}."]
    if result.was_leader and result.leader_after not in (None, result.member_id):
        terms = f"term {result.term_before} to {result.term_after}"
        lines.append(f"It was the leader; {_successor(result)} took over, {terms}.")
    lines += people_lines(result)
    if result.snapshot:
        lines.append(f"Snapshot: {result.snapshot}")
    recorded = "is up to date" if result.status_recorded else f"could not be updated: {result.status_note}"
    lines.append(f"Its EtcdMember {recorded}.")
    lines += [f"Left to do: {step}." for step in result.next_steps]
    if result.writes_acknowledged is False:
        lines.append(
            "WARNING: the remaining members acknowledge no write. Check their disks and the network between them now:"
            " `etcd-handoff status`, `etcdctl endpoint health --cluster`."
        )
    return lines


def _successor(result: RemovalResult) -> str:
    """Who leads now: by name too where a step has seen that at this term, in which nobody else can lead."""
    notes = (LEADS.match(step.note) for step in reversed(result.steps))
    name = next((seen[1] for seen in notes if seen and int(seen[2]) == result.term_after), "")
    known = name and name != result.leader_after
    return f"{name} ({result.leader_after})" if known else str(result.leader_after)


def people_lines(result: OperationResult) -> list[str]:
    """Who asked for an operation and why, and who approved it, as far as that is known.

    Args:
        result: Its result.
    """
    requester = f"Asked for by {result.asked_by}" if result.asked_by else "Asked for" if result.reason else ""
    lines = [": ".join(filter(None, (requester, result.reason)))] if requester else []
    lines += [f"Approved by {result.approved_by}"] if result.approved_by else []
    return [f"{line.removesuffix('.')}." for line in lines]


def _planned_lines(result: RemovalResult, member: str) -> list[str]:
    if result.blocked_by:
        return [f"Dry run, nothing was changed. A removal of {member} would wait now: {result.blocked_by}"]
    steps = (f"  {i}. {step}" for i, step in enumerate(result.plan, 1))
    return [f"Dry run, nothing was changed. A removal of {member} would:", *steps]


def _not_removed_lines(member: str) -> list[str]:
    return [
        f"WARNING: {member} was NOT removed: the workflow that was already running was a dry run. It has ended now.",
        "Run the same command again to remove the member.",
    ]


def result_exit(result: RemovalResult, *, dry_run: bool) -> int:
    """Return 3 for a dry run that found the removal blocked, as `plan` does, and 1 unless all is well otherwise.

    A script that would wipe the member's node next must stop if the member was only planned for.
    """
    if result.outcome == Outcome.PLANNED and dry_run:
        return EXIT_REFUSED if result.blocked_by else EXIT_DONE
    done = result.outcome in (Outcome.REMOVED, Outcome.ALREADY_ABSENT)
    return EXIT_DONE if done and result.writes_acknowledged is not False else EXIT_FAILED
