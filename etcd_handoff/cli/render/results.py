"""Texts and exit statuses that the results of all operations share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from etcd_handoff.contract import Outcome
from etcd_handoff.exit_status import EXIT_DONE, EXIT_FAILED, EXIT_REFUSED

if TYPE_CHECKING:
    from collections.abc import Collection

    from etcd_handoff.contract import OperationResult


def result_exit(result: OperationResult, good: Collection[str], *, dry_run: bool) -> int:
    """Return 0 for success, 3 for a dry run that found the operation blocked, otherwise 1.

    A script that would wipe a member's node next must stop if the member was only planned for.

    Args:
        result: The result.
        good: Outcomes that count as success for this operation.
        dry_run: Whether only a dry run was asked for.
    """
    if result.outcome == Outcome.PLANNED and dry_run:
        return EXIT_REFUSED if result.blocked_by else EXIT_DONE
    unacknowledged = getattr(result, "writes_acknowledged", None) is False  # an addition does not tell
    return EXIT_DONE if result.outcome in good and not unacknowledged else EXIT_FAILED


def not_done_lines(result: OperationResult, what: str, undone: str, *, dry_run: bool) -> list[str]:
    """Return the text for a result without change: the plan, or the unexpected outcome.

    Args:
        result: The result, whose outcome is not one of the good ones.
        what: The operation with its article, such as `a removal of node0`.
        undone: What did not happen, such as `node0 was NOT removed`.
        dry_run: Whether only a dry run was asked for.
    """
    dry = "Dry run, nothing was changed."
    if result.outcome != Outcome.PLANNED:
        unknown = f"the outcome {result.outcome!r}, which this version of etcd-handoff does not know"
        return [f"WARNING: {what} ended with {unknown}. Upgrade etcd-handoff."]
    if not dry_run:
        ran = "the workflow that was already running was a dry run. It has ended now."
        return [f"WARNING: {undone}: {ran}", "Run the same command again."]
    what = f"{what[0].upper()}{what[1:]}"
    if result.blocked_by:
        return [f"{dry} {what} would wait now: {result.blocked_by}"]
    return [f"{dry} {what} would{':' if result.plan else ' change nothing.'}"]


def numbered_plan(result: OperationResult, *, dry_run: bool) -> list[str]:
    """Return the steps of a dry run's plan, one line each; empty if it would wait, or without a dry run.

    Args:
        result: The result.
        dry_run: Whether only a dry run was asked for.
    """
    shown = dry_run and result.outcome == Outcome.PLANNED and not result.blocked_by
    return [f"  {i}. {step}" for i, step in enumerate(result.plan, 1)] if shown else []


def people_lines(result: OperationResult) -> list[str]:
    """Return who started an operation and why, and who approved it, as far as that is known.

    Args:
        result: The result.
    """
    requester = f"Asked for by {result.asked_by}" if result.asked_by else "Asked for" if result.reason else ""
    lines = [": ".join(filter(None, (requester, result.reason)))] if requester else []
    lines += [f"Approved by {result.approved_by}"] if result.approved_by else []
    return [f"{line.removesuffix('.')}." for line in lines]


def acknowledgement_lines(acknowledged: bool | None) -> list[str]:  # noqa: FBT001  # as results have it
    """Return the warning for a change after which no write was committed.

    Args:
        acknowledged: Whether a write was committed; None if that is unknown.
    """
    if acknowledged is not False:
        return []
    text = "the remaining members acknowledge no write. Check their disks and the network between them now"
    return [f"WARNING: {text}: `etcd-handoff status`, `etcdctl endpoint health --cluster`."]
