"""Names in the code: words that say only that somebody once spoke do not tell a reader what a value is."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT: Final = Path(__file__).resolve().parents[2]
FOLDERS: Final = ("etcd_handoff", "workflows", "activities", "tests", "bench", "docs/examples/scripts")
CODE: Final = [ROOT / "worker.py", *sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))]
VAGUE: Final = frozenset({"said", "told", "meant", "asked", "wanted"})
ON_THE_WIRE: Final[frozenset[str]] = frozenset()
"""Names of JSON fields, workflows, updates and queries, which histories and other programs know. None is vague now."""


def names(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """The line and the name of each function, class, argument, variable and attribute."""
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                yield node.lineno, node.name
            case ast.arg() | ast.keyword(arg=str()):
                yield node.lineno, str(node.arg)
            case ast.Name():
                yield node.lineno, node.id
            case ast.Attribute():
                yield node.lineno, node.attr
            case ast.alias(asname=str()):
                yield node.lineno, str(node.asname)
            case ast.ExceptHandler(name=str()) | ast.MatchAs(name=str()) | ast.MatchStar(name=str()):
                yield node.lineno, str(node.name)
            case _:
                pass


def vague(source: str) -> list[str]:
    """Each vague name with its line; underscores and letter case do not hide one."""
    found = {(line, name) for line, name in names(ast.parse(source)) if name.strip("_").lower() in VAGUE - ON_THE_WIRE}
    return [f"{line}: {name}" for line, name in sorted(found)]


@pytest.mark.parametrize("folder", FOLDERS)
def test_code_is_found(folder: str) -> None:
    """An empty list must not look like a pass."""
    assert any(path.is_relative_to(ROOT / folder) for path in CODE)


@pytest.mark.parametrize("path", CODE, ids=lambda path: str(path.relative_to(ROOT)))
def test_names_say_what_a_value_is(path: Path) -> None:
    """No function, class, argument, variable or attribute has one of the vague names."""
    assert vague(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "source",
    [
        "told = 1",
        "def _said(): ...",
        "class Meant: ...",
        "def f(*, asked): ...",
        "f(wanted=1)",
        "f = state.asked",
        "_TOLD: int = 1",
        "import a as said",
        "try: ...\nexcept E as told: ...",
        "match a:\n    case told: ...",
        "lambda asked: 1",
        "f'{told}'",
    ],
)
def test_vague_name_is_found_wherever_it_stands(source: str) -> None:
    """Each place in which Python takes a name is looked at."""
    assert vague(source) != []


@pytest.mark.parametrize("source", ["asked_at = 1", "a = 'told'", "untold = 1"])
def test_other_names_and_texts_are_free(source: str) -> None:
    """Only a whole name counts, and no text."""
    assert vague(source) == []
