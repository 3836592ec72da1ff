"""A last line on a terminal that is written over; anywhere else there is none, and no escape code."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, Final, TextIO

if TYPE_CHECKING:
    from collections.abc import Iterable

CLEAR: Final = "\r\x1b[2K"
"""To the first column, and the line emptied."""


class LiveLine:
    """The lines that a command prints, and the one below them that changes.

    Args:
        stream: Where they go.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._terminal = stream.isatty() and os.environ.get("TERM", "dumb") != "dumb"
        self._shown = ""

    def print(self, lines: Iterable[str]) -> None:
        """Print lines that stay, at once."""
        text = "".join(f"{line}\n" for line in lines)
        if text:
            self._write(f"{CLEAR if self._shown else ''}{text}{self._shown}")

    def show(self, text: str) -> None:
        """Write the last line over with this; nothing where the output is no terminal."""
        if self._terminal:
            self._shown = " ".join(text.split())[: shutil.get_terminal_size().columns - 1]
            self._write(f"{CLEAR}{self._shown}")

    def close(self) -> None:
        """Take the last line away."""
        if self._shown:
            self._shown = ""
            self._write(CLEAR)

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()
