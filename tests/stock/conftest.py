"""Tests on the distributions' own programs, which `make stock` runs: they take minutes, and programs of their own."""

from __future__ import annotations

import os
import shutil
from typing import Final

import pytest

from tests.integration.isolation import require_isolation

INSTALL: Final = {"k0s": "a release v1.36 of k0s (https://docs.k0sproject.io), without starting it"}
"""What no set-up of ours can bring."""
collect_ignore_glob = [] if os.environ.get("STOCK") else ["test_*.py"]
"""`STOCK=1` has them collected; make test and CI leave them out."""


@pytest.fixture(autouse=True)
def _isolation_is_possible() -> None:
    require_isolation()


@pytest.fixture
def installed(request: pytest.FixtureRequest) -> None:
    """The program that the test's file is named for is on PATH; elsewhere the test says what to install."""
    name = request.path.stem.removeprefix("test_")
    if shutil.which(name) is None:
        pytest.skip(f"{name} is not on PATH. Remedy: install {INSTALL[name]}")
