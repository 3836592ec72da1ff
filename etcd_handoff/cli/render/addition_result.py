"""Texts for the end of an addition."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from etcd_handoff.cli.render import results
from etcd_handoff.contract import Outcome

if TYPE_CHECKING:
    from etcd_handoff.contract import AdditionResult

DONE: Final = (Outcome.ADDED, Outcome.ALREADY_PRESENT)


def addition_lines(result: AdditionResult, *, dry_run: bool) -> list[str]:
    """Return the result of an addition as text.

    Args:
        result: The result.
        dry_run: Whether only a dry run was asked for.
    """
    who = f"{result.member_name} ({result.member_id})" if result.member_id else result.member_name
    if result.outcome not in DONE:
        lines = results.not_done_lines(result, f"an addition of {who}", f"{who} was NOT added", dry_run=dry_run)
        return [*lines, *results.numbered_plan(result, dry_run=dry_run)]
    was = "was a voter already" if result.outcome == Outcome.ALREADY_PRESENT else "is a voter now"
    recorded = "says so" if result.status_recorded else f"was not written: {result.status_note}"
    lines = [f"{who} {was}, cluster {result.cluster}."]
    return [*lines, *results.people_lines(result), f"Its EtcdMember {recorded}."]


def addition_exit(result: AdditionResult, *, dry_run: bool) -> int:
    """Return the exit status for this result.

    Args:
        result: The result.
        dry_run: Whether only a dry run was asked for.
    """
    return results.result_exit(result, DONE, dry_run=dry_run)
