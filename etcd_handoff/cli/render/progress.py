"""Progress of a removal that a command follows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from etcd_handoff.contract import HandoffState
from etcd_handoff.operation.remedies import command, remedies

if TYPE_CHECKING:
    from collections.abc import Sequence

    from etcd_handoff.contract import Progress, Step

STATES_WITHOUT_LINE: Final = (HandoffState.CHECKING, HandoffState.DONE, HandoffState.REFUSED, HandoffState.FAILED)
"""Steps, or the end of the removal, say as much as these states."""


def start_line(workflow_id: str, *, joined: bool) -> str:
    """Return which removal is followed, and whether this command started it."""
    if joined:
        return f"Joined the removal that is already running, with the options that it was started with: {workflow_id}"
    return f"Started {workflow_id}"


class ProgressLines:
    """Turns successive answers of the query `progress` into lines, and repeats none."""

    def __init__(self, workflow_id: str) -> None:
        self._workflow_id = workflow_id
        self._steps_shown = 0
        self._last_state: tuple[str, str] = ("", "")
        self._remarks: set[str] = set()

    def steps(self, steps: Sequence[Step], left_out: int = 0) -> list[str]:
        """Return lines for the steps that are new.

        Args:
            steps: The first and the last steps.
            left_out: How many between them are left out.
        """
        total = len(steps) + left_out
        new, self._steps_shown = max(0, total - self._steps_shown), max(self._steps_shown, total)
        lines = [step_line(step) for step in steps[max(0, len(steps) - new) :]]
        skipped = new - len(lines)
        return [f"  ({skipped} more steps)", *lines] if skipped > 0 else lines

    def progress(self, progress: Progress) -> list[str]:
        """Return lines for what is new: steps that have ended, and the state if it changed."""
        lines = self.steps(progress.steps, progress.steps_left_out)
        state = (str(progress.state), progress.waiting_for)
        if state == self._last_state:
            return lines
        self._last_state = state
        if progress.state not in STATES_WITHOUT_LINE:
            lines.append(f"  {progress.state}: {progress.doing}")
            lines += [f"    goes on when: {progress.waiting_for}"] if progress.waiting_for else []
        lines += [f"    {line}" for line in remedy_lines(progress)]
        return lines

    def remark(self, text: str) -> list[str]:
        """Return the remark, unless it was made before."""
        new = text not in self._remarks
        self._remarks.add(text)
        return [f"  {text}"] if new else []


def remedy_lines(progress: Progress) -> list[str]:
    """Return what a person can do now, each with the command to copy."""
    return [
        f"to {remedy.purpose}: {command(remedy.name, progress.cluster, progress.member)}"
        for remedy in remedies(progress.state, final=progress.point_of_no_return)
    ]


def step_line(step: Step) -> str:
    """Return one finished step."""
    attempts = f" after {step.attempts} attempts" if step.attempts > 1 else ""
    note = f": {step.note}" if step.note else ""
    node = f" on {step.node}" if step.node else ""
    return f"  {step.name:<14} {step.milliseconds:>6.0f} ms{node}  {step.outcome}{attempts}{note}"
