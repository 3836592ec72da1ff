"""The progress of an operation that a command follows."""

from __future__ import annotations

import re
import time
from datetime import datetime
from typing import TYPE_CHECKING, Final

from etcd_handoff import time_limits
from etcd_handoff.cli.render.table import elapsed
from etcd_handoff.contract import FailureType, HandoffState
from etcd_handoff.operation.unblocking_commands import command, remedies

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from etcd_handoff.cli.render.describe import PendingStep
    from etcd_handoff.contract import Progress, Step

LEADS: Final = re.compile(r"\S+ leads at term \d+")
OTHERS_ARE_TRIED: Final = (
    "it is tried some times more, as another worker may have other credentials, and fails then; to end it now"
)
STATES_WITHOUT_LINE: Final = (HandoffState.CHECKING, HandoffState.DONE, HandoffState.REFUSED, HandoffState.FAILED)
"""States that steps or the operation's end already make clear."""


def start_line(workflow_id: str, *, attached: bool) -> str:
    """Return the line that names the operation, and says whether this command started it."""
    if attached:
        return f"Attached to {workflow_id}, which runs already; the options of this command are not used"
    return f"Started {workflow_id}"


class ProgressLines:
    """Turns successive answers of the query `progress` into lines, without repetitions.

    Args:
        workflow_id: The operation.
        clock: Returns monotonic seconds.
        now: Returns the time of day, in seconds since 1970.
    """

    def __init__(
        self, workflow_id: str, clock: Callable[[], float] = time.monotonic, now: Callable[[], float] = time.time
    ) -> None:
        self._workflow_id = workflow_id
        self._clock = clock
        self._now = now
        self._steps_shown = 0
        self._last_state: tuple[str, str] = ("", "")
        self._since = clock()
        self._reminder_seconds = time_limits.COMMANDS.first_reminder_seconds
        self._last_part = ""
        self._remarks: set[str] = set()

    def steps(self, steps: Sequence[Step], omitted: int = 0) -> list[str]:
        """Return lines for new steps.

        Args:
            steps: The first and the last steps.
            omitted: Number of steps between them that are left out.
        """
        total = len(steps) + omitted
        new, self._steps_shown = max(0, total - self._steps_shown), max(self._steps_shown, total)
        lines = [step_line(step) for step in steps[max(0, len(steps) - new) :]]
        skipped = new - len(lines)
        return [f"  ({skipped} more steps)", *lines] if skipped > 0 else lines

    def progress(self, progress: Progress) -> list[str]:
        """Return lines for finished steps, and for the state if it changed."""
        lines = self.steps(progress.steps, progress.steps_left_out)
        if progress.part and progress.part != self._last_part:
            lines.append(f"  {progress.part}")
        self._last_part = progress.part or self._last_part
        state = (str(progress.state), progress.waiting_for)
        tries = not progress.waiting_for and state[0] == self._last_state[0]  # a step runs meanwhile, and may repeat
        if tries or state == self._last_state:
            return lines + self._reminder(progress)
        self._last_state, self._since = state, self._clock()
        self._reminder_seconds = time_limits.COMMANDS.first_reminder_seconds
        if progress.state not in STATES_WITHOUT_LINE:
            lines.append(f"  {progress.state}: {progress.doing}")
            lines += [f"    what unblocks it: {progress.waiting_for}"] if progress.waiting_for else []
        lines += [f"    {line}" for line in remedy_lines(progress, self._workflow_id)]
        return lines

    def _reminder(self, progress: Progress) -> list[str]:
        """Return a reminder that a state still lasts: after a minute, then at growing intervals."""
        passed = self._clock() - self._since
        if progress.state in STATES_WITHOUT_LINE or passed < self._reminder_seconds:
            return []
        self._reminder_seconds = max(2 * self._reminder_seconds, passed)
        return [f"  still {progress.state} after {elapsed(self._lasted(progress))}: {progress.doing}"]

    def _lasted(self, progress: Progress) -> float:
        """Return for how long the state has lasted, otherwise for how long this command has seen it."""
        if since := state_since(progress):
            return max(0.0, self._now() - datetime.fromisoformat(since).timestamp())
        return self._clock() - self._since

    def live(self, progress: Progress, step: str = "") -> str:
        """Return the present state in one line, for a terminal line that is overwritten.

        Args:
            progress: The last answer.
            step: The running step, with its attempt; empty if that is unknown.
        """
        waits = f"what unblocks it: {progress.waiting_for}" if progress.waiting_for else ""
        state = f"{progress.state} for {elapsed(self._lasted(progress))}"
        # A terminal cuts the end, and the long texts stand above already.
        return "; ".join(part for part in (state, leader_of(progress), step, progress.doing, waits) if part)

    def retried(self, step: PendingStep) -> list[str]:
        """Return a line on a step that is being retried and why, unless it was printed before.

        A refusal is shown as one. The operation fails by it once no worker may do the step.
        """
        if step.kind != FailureType.PERMISSION_DENIED:
            return self.remark(f"{step.name} is tried again: {step.failure}")
        lines = self.remark(f"{step.kind}: {step.failure}")
        return lines and [*lines, f"    {OTHERS_ARE_TRIED}: {command('cancel', '', '', self._workflow_id)}"]

    def remark(self, text: str) -> list[str]:
        """Return the remark, unless it was printed before."""
        new = text not in self._remarks
        self._remarks.add(text)
        return [f"  {text}"] if new else []


def state_since(progress: Progress) -> str:
    """Return when the state began, as the operation reports; empty if it does not.

    While the operation looks at the cluster, this is the start of the state that the look interrupts.
    """
    return "" if progress.state == HandoffState.CHECKING else progress.since


def leader_of(progress: Progress) -> str:
    """Return the leader and its term, as the last step that saw it reports; empty if none did."""
    notes = (LEADS.search(step.note) for step in reversed(progress.steps))
    return next((found[0] for found in notes if found), "")


def remedy_lines(progress: Progress, workflow_id: str = "") -> list[str]:
    """Return what a person can do now, each line with its command.

    Args:
        progress: The operation's progress.
        workflow_id: The workflow ID, which names an operation on several members in commands.
    """
    return [
        f"to {remedy.purpose}: {command(remedy.name, progress.cluster, progress.member, workflow_id)}"
        for remedy in remedies(progress.state, final=progress.point_of_no_return, waits=bool(progress.waiting_for))
    ]


def step_line(step: Step) -> str:
    """Return one finished step."""
    attempts = f" after {step.attempts} attempts" if step.attempts > 1 else ""
    note = f": {step.note}" if step.note else ""
    node = f" on {step.node}" if step.node else ""
    return f"  {step.name:<14} {step.milliseconds:>6.0f} ms{node}  {step.outcome}{attempts}{note}"
