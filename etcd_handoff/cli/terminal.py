"""Output: results to standard output, everything else to standard error."""
# ruff: noqa: PLC0415
# Commands import what they need when they run: `--help` answers at once, without pydantic.

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pydantic import BaseModel


def is_terminal(stream: TextIO) -> bool:
    """Return whether the stream is a terminal that can move its cursor."""
    return stream.isatty() and os.environ.get("TERM", "dumb") != "dumb"


def print_lines(lines: Iterable[str]) -> None:
    """Print lines to standard output, and flush them even into a pipe."""
    for line in lines:
        print(line, flush=True)


def print_json(shape: type[BaseModel], value: Mapping[str, Any]) -> None:
    """Print one JSON document to standard output, with the version of its shape.

    Args:
        shape: Its model, from which the schema in docs/schemas is made.
        value: The document without its version.
    """
    from etcd_handoff.cli.shapes.base import FORMAT

    text = json.dumps({"format": FORMAT, **value}, indent=2, ensure_ascii=False)
    shape.model_validate_json(text)
    print_lines([text])


def print_error(text: str) -> None:
    """Print a text to standard error."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()
