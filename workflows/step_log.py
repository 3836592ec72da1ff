"""The steps of a removal, bounded: one that is blocked for a month takes thousands. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from etcd_handoff.model import Carried, Step

FIRST: Final = 20
LAST: Final = 50
"""How many steps are kept at the beginning and at the end. With the rest a result would outgrow Temporal's limit for a
payload (2 MB) within a day."""
LONGEST_NOTE: Final = 500
"""Characters of a step's note."""
MEMO_BYTES: Final = 7_000
"""What a removal may hand on to its next run. Temporal's limit for a memo can be as low as 8 KB, and a run that hands
on more could neither continue nor end."""
FIRST_HANDED_ON: Final = 5


def shortened(step: Step) -> Step:
    """The step with a note of bounded length."""
    if len(step.note) <= LONGEST_NOTE:
        return step
    return step.model_copy(update={"note": f"{step.note[: LONGEST_NOTE - 3]}..."})


def bounded(steps: Sequence[Step], left_out: int, first: int = FIRST, last: int = LAST) -> tuple[list[Step], int]:
    """The first and the last steps, and how many between them are left out.

    Args:
        steps: What is kept so far.
        left_out: How many have been left out before; they lie behind the `first` ones.
        first: How many to keep at the beginning.
        last: How many to keep at the end.
    """
    surplus = len(steps) - first - last
    if surplus <= 0:
        return list(steps), left_out
    return [*steps[:first], *steps[len(steps) - last :]], left_out + surplus


def within(carried: Carried, most_bytes: int = MEMO_BYTES) -> Carried:
    """The same with as many steps as fit: the first few, and the last ones."""
    while carried.steps and len(carried.model_dump_json().encode()) > most_bytes:
        place = min(FIRST_HANDED_ON, (len(carried.steps) - 1) // 2)
        steps = (*carried.steps[:place], *carried.steps[place + 1 :])
        carried = carried.model_copy(update={"steps": steps, "steps_left_out": carried.steps_left_out + 1})
    return carried


class StepLog:
    """The steps that have ended.

    Args:
        steps: Of an earlier run of the same removal.
        left_out: How many that run has left out.
    """

    def __init__(self, steps: Sequence[Step] = (), left_out: int = 0) -> None:
        self._steps = list(steps)
        self.left_out = left_out

    @property
    def steps(self) -> tuple[Step, ...]:
        """What is kept, in order."""
        return tuple(self._steps)

    def append(self, step: Step, *, instead_of_last: bool = False) -> None:
        """One more step has ended.

        Args:
            step: The step.
            instead_of_last: It tells all that the last one of its name told.
        """
        if instead_of_last and self._steps and self._steps[-1].name == step.name:
            self._steps.pop()
        self._steps.append(shortened(step))
        self._steps, self.left_out = bounded(self._steps, self.left_out)
