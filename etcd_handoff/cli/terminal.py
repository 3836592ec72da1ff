"""Output of the command line: results to standard output, everything else to standard error."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


def print_lines(lines: Iterable[str]) -> None:
    """Print lines to standard output at once, also into a pipe."""
    for line in lines:
        print(line, flush=True)


def print_json(value: object) -> None:
    """Print one JSON document to standard output."""
    print_lines([json.dumps(value, indent=2, ensure_ascii=False)])


def print_error(text: str) -> None:
    """Print a text to standard error."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()
