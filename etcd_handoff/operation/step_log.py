"""Keep the steps of a removal, bounded: one that is blocked for a month takes thousands. Pure."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from etcd_handoff.contract import Step
    from etcd_handoff.operation.state import OperationState

FIRST: Final = 20
LAST: Final = 50
"""How many steps are kept at the beginning and at the end. With the rest, a result would outgrow Temporal's limit for a
payload (2 MB) within a day."""
LONGEST_NOTE: Final = 500
"""Characters of a step's note."""
MEMO_BYTES: Final = 7_200
"""What a removal may hand on to its next run. Temporal's limit for a memo can be as low as 8 KB. A run that hands on
more could neither continue nor end."""
FIRST_HANDED_ON: Final = 5
MAX_NOTE_IN_MEMO: Final = 100
MIN_NOTE_IN_MEMO: Final = 20
"""Characters of each text of a part that has ended: the larger limit once no step is left to drop, the smaller one at
last."""


def cut(text: str, most: int) -> str:
    """Return the text, or its beginning and three dots, in at most `most` characters."""
    return text if len(text) <= most else f"{text[: most - 3]}..."


def shortened(step: Step) -> Step:
    """Return the step with a note of bounded length."""
    if len(step.note) <= LONGEST_NOTE:
        return step
    return step.model_copy(update={"note": cut(step.note, LONGEST_NOTE)})


def bounded(steps: Sequence[Step], omitted: int, first: int = FIRST, last: int = LAST) -> tuple[list[Step], int]:
    """Return the first and the last steps, and how many between them are left out.

    Args:
        steps: The steps kept so far.
        omitted: How many have been left out before; they lie behind the `first` ones.
        first: How many to keep at the beginning.
        last: How many to keep at the end.
    """
    surplus = len(steps) - first - last
    if surplus <= 0:
        return list(steps), omitted
    return [*steps[:first], *steps[len(steps) - last :]], omitted + surplus


def appended(
    steps: Sequence[Step], omitted: int, step: Step, *, instead_of_last: bool = False
) -> tuple[tuple[Step, ...], int]:
    """Return the steps and how many are left out, after one more has ended.

    Args:
        steps: The steps kept so far.
        omitted: How many have been left out before.
        step: The one that has ended.
        instead_of_last: It replaces the last one of its name.
    """
    kept = list(steps)
    if instead_of_last and kept and kept[-1].name == step.name:
        kept.pop()
    kept, omitted = bounded([*kept, shortened(step)], omitted)
    return tuple(kept), omitted


def within(state: OperationState, most_bytes: int = MEMO_BYTES) -> OperationState:
    """Return the same state, short enough to be handed on.

    It drops steps first, and keeps the first few and the last ones. Then it cuts texts, then drops the change of a used
    approval, then what the worker knows: the next run asks for that before it plans. At last it cuts the texts further.
    """
    while state.steps and _size(state) > most_bytes:
        place = min(FIRST_HANDED_ON, (len(state.steps) - 1) // 2)
        steps = (*state.steps[:place], *state.steps[place + 1 :])
        state = state.changed(steps=steps, steps_left_out=state.steps_left_out + 1)
    brief = partial(_with_short_texts, most=MAX_NOTE_IN_MEMO)
    briefest = partial(_with_short_texts, most=MIN_NOTE_IN_MEMO)
    for shorter in (brief, _without_what_is_used, _without_worker_info, briefest):
        if _size(state) <= most_bytes:
            break
        state = shorter(state)
    return state


def _size(state: OperationState) -> int:
    return len(state.model_dump_json().encode())


def _with_short_texts(state: OperationState, most: int) -> OperationState:
    """Return the state with the texts of ended parts cut."""
    if state.whole is None:
        return state
    ended = tuple(
        part.model_copy(update={"status_note": cut(part.status_note, most), "process": cut(part.process, most)})
        for part in state.whole.ended
    )
    return state.changed(whole=state.whole.changed(ended=ended))


def _without_what_is_used(state: OperationState) -> OperationState:
    """Return the state without the change of a used approval: only time lets that approval lapse."""
    if state.approved is None or not state.approved.used:
        return state
    return state.changed(approved=state.approved.without_change())


def _without_worker_info(state: OperationState) -> OperationState:
    """Return the state without what the worker knows, such as change windows; a plan waits until it is known again."""
    return state.changed(worker_info=None)
