"""The programs with which tests check what is in deploy/, as `make checkers` builds them."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from etcd_handoff.lab.binaries.catalog import COMPOSE_CHECK, PROMTOOL, Binary, MissingBinaryError
from etcd_handoff.lab.binaries.lookup import locate

if TYPE_CHECKING:
    from pathlib import Path


def promtool(*arguments: str | Path) -> tuple[int, str]:
    """Exit status of Prometheus' promtool and all that it says."""
    return _run(PROMTOOL, *arguments)


def compose_check(*files: Path) -> tuple[int, str]:
    """Exit status of the program of tools/compose and all that it says."""
    return _run(COMPOSE_CHECK, *files)


def _run(checker: Binary, *arguments: str | Path) -> tuple[int, str]:
    try:
        program = locate(checker)
    except MissingBinaryError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"NOT TESTED: {error}")
    ended = subprocess.run([program, *arguments], capture_output=True, text=True, check=False, timeout=60)
    return ended.returncode, ended.stdout + ended.stderr
