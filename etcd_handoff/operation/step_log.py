"""The steps of a removal, bounded: one that is blocked for a month takes thousands. Pure."""

from __future__ import annotations

from functools import partial
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
MAX_NOTE_IN_MEMO: Final = 100
MIN_NOTE_IN_MEMO: Final = 20
"""Characters of each text of a part that has ended, once no step is left to give way, and once nothing else is."""


def cut(text: str, most: int) -> str:
    """The text, or its beginning and three dots, in so many characters at most."""
    return text if len(text) <= most else f"{text[: most - 3]}..."


def shortened(step: Step) -> Step:
    """The step with a note of bounded length."""
    if len(step.note) <= LONGEST_NOTE:
        return step
    return step.model_copy(update={"note": cut(step.note, LONGEST_NOTE)})


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
    """The same, short enough to be handed on.

    Steps give way first: the first few and the last ones stay. Then texts do, what was approved once it is used, and
    what the worker knows: the next run asks for that before it plans. What is left of the texts comes last.
    """
    while state.steps and _size(state) > most_bytes:
        place = min(FIRST_HANDED_ON, (len(state.steps) - 1) // 2)
        steps = (*state.steps[:place], *state.steps[place + 1 :])
        state = state.changed(steps=steps, steps_left_out=state.steps_left_out + 1)
    brief = partial(_with_short_texts, most=MAX_NOTE_IN_MEMO)
    briefest = partial(_with_short_texts, most=MIN_NOTE_IN_MEMO)
    for shorter in (brief, _without_what_is_used, _without_traits, briefest):
        if _size(state) <= most_bytes:
            break
        state = shorter(state)
    return state


def _size(state: OperationState) -> int:
    return len(state.model_dump_json().encode())


def _with_short_texts(state: OperationState, most: int) -> OperationState:
    """What was said of parts that have ended, cut."""
    if state.whole is None:
        return state
    ended = tuple(
        part.model_copy(update={"status_note": cut(part.status_note, most), "process": cut(part.process, most)})
        for part in state.whole.ended
    )
    return state.changed(whole=state.whole.changed(ended=ended))


def _without_what_is_used(state: OperationState) -> OperationState:
    """Without what an approval is about under which something was changed: time alone lets that one lapse."""
    if state.approved is None or not state.approved.used:
        return state
    return state.changed(approved=state.approved.without_change())


def _without_traits(state: OperationState) -> OperationState:
    """Without what the worker knows, such as change windows; no plan is made before it is known again."""
    return state.changed(traits=None)
