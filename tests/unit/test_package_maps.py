"""The maps of the packages `config`, `operation` and `reconciler`, in their docstrings."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from etcd_handoff import config, operation, reconciler

if TYPE_CHECKING:
    from types import ModuleType


@pytest.mark.parametrize("package", [config, operation, reconciler])
def test_every_module_stands_in_the_map_once(package: ModuleType) -> None:
    """Whoever looks for a concern finds its module there."""
    modules = [path.stem for path in Path(package.__path__[0]).glob("[!_]*.py")]
    assert sorted(re.findall(r"^ {4}(\w+) +\S", package.__doc__ or "", re.MULTILINE)) == sorted(modules)
