"""What all tests share."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import hypothesis.internal.conjecture.providers as draws
import pytest

os.environ.setdefault("GOGC", "400")
"""The lab's servers collect garbage less often: a tenth less computing at their start, for 100 MB more each."""
TESTS: Final = Path(__file__).parent
pytest.MonkeyPatch().setattr(draws, "is_local_module_file", lambda _path: False)
"""Hypothesis draws some values from the constants in all modules that happen to be imported. Which those are depends on
the tests that ran before, so that a test with fixed draws failed in one run and passed in the next."""
LONG_FIRST: Final = ("chaos", "stock", "integration", "model", "fuzz", "replay", "unit")
"""Folders in the order in which they run: what takes seconds fills the gaps at the end."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Say which tests several processes may divide among them, for `pytest --dist loadgroup`.

    Each goes to whoever is free, but for those of a file that share a lab: these stay together.
    """
    items.sort(key=_folder)
    for item in items:
        if _shares_a_lab(item):
            item.add_marker(pytest.mark.xdist_group(f"{item.path.parent.name}/{item.path.stem}"))


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Fail where the tests of a file that share a lab are divided among processes, each with a lab of its own.

    pytest-xdist tells its processes who belongs together by what it adds to a test's ID, which a change of pytest's can
    undo without a word.
    """
    if getattr(item.config.option, "loadgroup", False) and _shares_a_lab(item) and "@" not in item.nodeid:
        pytest.fail("pytest-xdist does not keep together what shares a lab; see requirements/dev.in")


def _folder(item: pytest.Item) -> int:
    return LONG_FIRST.index(item.path.relative_to(TESTS).parts[0])


def _shares_a_lab(item: pytest.Item) -> bool:
    """Whether it runs in the event loop of its file, as every lab of several tests needs it."""
    mark = item.get_closest_marker("asyncio")
    return mark is not None and mark.kwargs.get("loop_scope") == "module"
