"""Texts for the end of a removal."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from etcd_handoff.cli.render import results
from etcd_handoff.contract import Outcome

if TYPE_CHECKING:
    from etcd_handoff.contract import RemovalResult

DONE: Final = (Outcome.REMOVED, Outcome.ALREADY_ABSENT)
LEADS: Final = re.compile(r"(.+?) leads at term (\d+)")
"""Start of the note of a step that saw the leader."""


def removal_lines(result: RemovalResult, *, dry_run: bool) -> list[str]:
    """Return the result of a removal as text.

    Args:
        result: The result.
        dry_run: Whether only a dry run was asked for.
    """
    member = result.member_name or result.member_id
    member += f" ({result.member_id})" if result.member_id else ""  # a dry run that was blocked may not know it
    if result.outcome not in DONE:
        lines = results.not_done_lines(result, f"a removal of {member}", f"{member} was NOT removed", dry_run=dry_run)
        return [*lines, *results.numbered_plan(result, dry_run=dry_run)]
    absent = result.outcome == Outcome.ALREADY_ABSENT
    lines = [f"{member} {'had already left' if absent else 'has left'} cluster {result.cluster}."]
    if result.was_leader and result.leader_after not in (None, result.member_id):
        terms = f"term {result.term_before} to {result.term_after}"
        lines.append(f"It was the leader; {_successor(result)} took over, {terms}.")
    lines += results.people_lines(result)
    if result.snapshot:
        lines.append(f"Snapshot: {result.snapshot}")
    recorded = "is up to date" if result.status_recorded else f"could not be updated: {result.status_note}"
    lines.append(f"Its EtcdMember {recorded}.")
    lines += [f"Left to do: {step}." for step in result.next_steps]
    return [*lines, *results.acknowledgement_lines(result.writes_acknowledged)]


def _successor(result: RemovalResult) -> str:
    """Return the present leader.

    It has a name if a step saw a leader at this term, since a term has only one leader.
    """
    notes = (LEADS.match(step.note) for step in reversed(result.steps))
    name = next((seen[1] for seen in notes if seen and int(seen[2]) == result.term_after), "")
    known = name and name != result.leader_after
    return f"{name} ({result.leader_after})" if known else str(result.leader_after)


def removal_exit(result: RemovalResult, *, dry_run: bool) -> int:
    """Return the exit status for this result.

    Args:
        result: The result.
        dry_run: Whether only a dry run was asked for.
    """
    return results.result_exit(result, DONE, dry_run=dry_run)
