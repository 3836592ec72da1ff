"""How large files and classes are: what has grown beyond that has a second reason to exist."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).resolve().parents[2]
MOST_LINES: Final = 250
FOLDERS: Final = ("etcd_handoff", "workflows", "activities")
PRODUCT: Final = [ROOT / "worker.py", *sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))]


def test_product_is_found() -> None:
    """An empty list must not look like a pass."""
    assert len(PRODUCT) > 100


@pytest.mark.parametrize("path", PRODUCT, ids=lambda path: str(path.relative_to(ROOT)))
def test_file_and_its_classes_are_small(path: Path) -> None:
    """Neither the file nor a class in it has more than 250 lines."""
    text = path.read_text(encoding="utf-8")
    sizes = {"the file": len(text.splitlines())}
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ClassDef):
            sizes[node.name] = (node.end_lineno or node.lineno) - node.lineno + 1
    assert {name: lines for name, lines in sizes.items() if lines > MOST_LINES} == {}
