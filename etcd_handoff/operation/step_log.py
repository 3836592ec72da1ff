"""The steps of a removal, bounded: one that is blocked for a month takes thousands. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from etcd_handoff.contract import Step
    from etcd_handoff.operation.state import OperationState

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


def appended(
    steps: Sequence[Step], left_out: int, step: Step, *, instead_of_last: bool = False
) -> tuple[tuple[Step, ...], int]:
    """The steps and how many are left out, once one more has ended.

    Args:
        steps: What is kept so far.
        left_out: How many have been left out before.
        step: The one that has ended.
        instead_of_last: It tells all that the last one of its name told.
    """
    kept = list(steps)
    if instead_of_last and kept and kept[-1].name == step.name:
        kept.pop()
    kept, left_out = bounded([*kept, shortened(step)], left_out)
    return tuple(kept), left_out


def within(state: OperationState, most_bytes: int = MEMO_BYTES) -> OperationState:
    """The same with as many steps as fit when it is handed on: the first few, and the last ones."""
    while state.steps and len(state.model_dump_json().encode()) > most_bytes:
        place = min(FIRST_HANDED_ON, (len(state.steps) - 1) // 2)
        steps = (*state.steps[:place], *state.steps[place + 1 :])
        state = state.changed(steps=steps, steps_left_out=state.steps_left_out + 1)
    return state
