"""What is said of a removal that is followed, and of its end. Pure; it prints nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from etcd_handoff.contract import FailureType, HandoffState, Outcome
from etcd_handoff.exit_status import EXIT_DONE, EXIT_FAILED, EXIT_REFUSED, EXIT_USAGE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from etcd_handoff.contract import Progress, RemovalResult, Step

EXIT_BY_FAILURE: Final[dict[str, int]] = {
    FailureType.REMOVAL_REFUSED: EXIT_REFUSED,
    FailureType.CHANGE_REFUSED: EXIT_REFUSED,
    FailureType.BLOCKED_TOO_LONG: EXIT_REFUSED,
    FailureType.INVALID_INPUT: EXIT_USAGE,
    FailureType.UNKNOWN_CLUSTER: EXIT_USAGE,
    FailureType.UNKNOWN_MEMBER: EXIT_USAGE,
}
"""Exit status for the type that a removal fails with; every other type is 1."""

QUIET: Final = (HandoffState.CHECKING, HandoffState.DONE, HandoffState.REFUSED, HandoffState.FAILED)
"""States that need no line of their own: steps, or the end of the removal, say as much."""


def start_line(workflow_id: str, *, joined: bool) -> str:
    """What is followed from here on."""
    if joined:
        return f"Joined the one that runs already, with the options that it was started with: {workflow_id}"
    return f"Started {workflow_id}"


class Story:
    """Turns one `progress` after the other into lines, each thing said once."""

    def __init__(self, workflow_id: str) -> None:
        self._workflow_id = workflow_id
        self._told = 0
        self._last: tuple[str, str] = ("", "")
        self._remarks: set[str] = set()

    def steps(self, steps: Sequence[Step], left_out: int = 0) -> list[str]:
        """Lines for the steps that were not told yet.

        Args:
            steps: The first and the last ones.
            left_out: How many between them are left out.
        """
        total = len(steps) + left_out
        fresh, self._told = max(0, total - self._told), max(self._told, total)
        lines = [step_line(step) for step in steps[max(0, len(steps) - fresh) :]]
        skipped = fresh - len(lines)
        return [f"  ({skipped} more steps)", *lines] if skipped > 0 else lines

    def lines(self, progress: Progress) -> list[str]:
        """Lines for what is new: steps that have ended, and the state when it changed."""
        lines = self.steps(progress.steps, progress.steps_left_out)
        now = (str(progress.state), progress.waiting_for)
        if now == self._last:
            return lines
        self._last = now
        if progress.state not in QUIET:
            lines.append(f"  {progress.state}: {progress.doing}")
            lines += [f"    goes on when: {progress.waiting_for}"] if progress.waiting_for else []
        if progress.state == HandoffState.AWAITING_APPROVAL:
            command = f"temporal workflow update execute --name approve -w {self._workflow_id}"
            lines.append(f"    approve with: {command}")
        return lines

    def once(self, remark: str) -> list[str]:
        """The remark, unless it has been made before."""
        fresh = remark not in self._remarks
        self._remarks.add(remark)
        return [f"  {remark}"] if fresh else []


def step_line(step: Step) -> str:
    """One finished step."""
    attempts = f" after {step.attempts} attempts" if step.attempts > 1 else ""
    note = f": {step.note}" if step.note else ""
    node = f" on {step.node}" if step.node else ""
    return f"  {step.name:<14} {step.milliseconds:>6.0f} ms{node}  {step.outcome}{attempts}{note}"


def result_lines(result: RemovalResult, *, dry_run: bool) -> list[str]:
    """How a removal ended.

    Args:
        result: Its result.
        dry_run: Whether no more than a dry run was asked for.
    """
    who = f"{result.member_name or result.member_id} ({result.member_id})"
    if result.outcome == Outcome.PLANNED:
        if not dry_run:
            return [
                f"WARNING: {who} was NOT removed: the workflow that was joined is a dry run, and it has ended now.",
                "Run the same command again to remove it.",
            ]
        if result.blocked_by:
            return [f"Dry run, nothing was changed. A removal of {who} would wait now: {result.blocked_by}"]
        steps = (f"  {i}. {step}" for i, step in enumerate(result.plan, 1))
        return [f"Dry run, nothing was changed. A removal of {who} would:", *steps]
    if result.outcome not in tuple(Outcome):
        return [
            f"WARNING: {who}: the removal ended as {result.outcome!r}, which this version does not know: upgrade it."
        ]
    gone = "was no member already" if result.outcome == Outcome.ALREADY_ABSENT else "is out"
    led = result.was_leader and result.leader_after not in (None, result.member_id)
    lines = [f"{who} {gone}, cluster {result.cluster}."]
    if led:
        terms = f"term {result.term_before} to {result.term_after}"
        lines.append(f"It led; {result.leader_after} took over, {terms}.")
    if result.snapshot:
        lines.append(f"Snapshot: {result.snapshot}")
    recorded = "says so" if result.status_recorded else f"was not written: {result.status_note}"
    lines.append(f"Its EtcdMember {recorded}.")
    if result.writes_acknowledged is False:
        lines.append(
            "WARNING: the members that remain acknowledge no write. Look at their disks and at the network between them"
            " now: `etcd-handoff status`, `etcdctl endpoint health --cluster`."
        )
    return lines


def result_exit(result: RemovalResult, *, dry_run: bool) -> int:
    """3 for a dry run that found the removal blocked, as `plan` has it; 1 where not all is well.

    A member that a caller wanted out and that was only planned for must stop a script that would wipe it next.
    """
    if result.outcome == Outcome.PLANNED and dry_run:
        return EXIT_REFUSED if result.blocked_by else EXIT_DONE
    done = result.outcome in (Outcome.REMOVED, Outcome.ALREADY_ABSENT)
    return EXIT_DONE if done and result.writes_acknowledged is not False else EXIT_FAILED


def failure_exit(failure_type: str | None) -> int:
    """Exit status for the type of the failure that a removal ended with."""
    return EXIT_BY_FAILURE.get(failure_type or "", EXIT_FAILED)
