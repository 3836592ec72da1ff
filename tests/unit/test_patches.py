"""Which changes a run takes part in: all that there were when it began, and none that came later."""

from __future__ import annotations

import pytest
from temporalio import workflow

from workflows import patches

LATER = "a-patch-that-comes-later"


def takes_part(monkeypatch: pytest.MonkeyPatch, patch: str, *, recorded: set[str]) -> bool:
    """Whether a run that is replayed, and has these markers, takes part in a change."""
    monkeypatch.setattr(workflow, "patched", lambda name: name in recorded)
    return patches.is_on(patch)


@pytest.mark.parametrize("patch", [*patches.FIRST, *patches.SECOND])
def test_run_that_begins_now_takes_part_in_all(monkeypatch: pytest.MonkeyPatch, patch: str) -> None:
    """One marker stands for them."""
    assert takes_part(monkeypatch, patch, recorded={patches.AT_START_2})


@pytest.mark.parametrize("recorded", [{patches.AT_START_2}, {patches.AT_START}, set[str]()])
def test_marker_stands_for_no_patch_that_comes_later(monkeypatch: pytest.MonkeyPatch, recorded: set[str]) -> None:
    """A run that began before it would go another way in its replay than it did."""
    assert not takes_part(monkeypatch, LATER, recorded=recorded)


def test_older_runs_take_part_in_what_there_was(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the first name, by the names of single patches, or in none."""
    between = {patches.AT_START, patches.WAITS_TOLD}
    assert takes_part(monkeypatch, patches.NODE_QUEUES, recorded=between)
    assert takes_part(monkeypatch, patches.WAITS_TOLD, recorded=between)
    assert not takes_part(monkeypatch, patches.LISTED_AGAIN, recorded=between)
    assert not takes_part(monkeypatch, patches.TURN_WITH_TRANSFER, recorded=between)
    assert takes_part(monkeypatch, patches.DEPARTED, recorded={patches.DEPARTED})
    assert not takes_part(monkeypatch, patches.NODE_QUEUES, recorded={patches.DEPARTED})


def test_run_asks_for_all_in_its_first_task(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it asks for first while a local activity runs may be missed by its replay."""
    names: list[str] = []

    def patched(name: str) -> bool:
        names.append(name)
        return False

    monkeypatch.setattr(workflow, "patched", patched)
    patches.begin()
    assert names == [
        patches.PUT_OFF_ENDS,
        patches.ADDITION_RECORDS,
        patches.AT_START_2,
        patches.AT_START,
        *patches.SINGLE,
    ]
