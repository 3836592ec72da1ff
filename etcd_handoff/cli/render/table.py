"""Tables and numbers."""
# ruff: noqa: PLC0415
# rich is imported where a table is made: `--help` answers at once, without it.

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

from etcd_handoff.cli.terminal import is_terminal

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

GAP: Final = 2
"""Blanks between two columns."""
FOLDED_WIDTH: Final = 20
"""No column is folded to less; a time with its date has 19 letters."""


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return lines with columns as wide as their widest cell.

    On a terminal that is narrower, long texts are folded within their columns, so that short columns stay aligned.
    Elsewhere each row is one line, which a program can split.
    """
    from rich.cells import cell_len

    cells = [[_in_one_line(cell) for cell in row] for row in (headings, *rows)]
    columns = list(zip(*cells, strict=True))
    widths = [max(map(cell_len, column)) for column in columns]
    least, width = widths, sum(widths) + GAP * len(widths)
    if room := _room():
        long = [
            wide > room or (wide > FOLDED_WIDTH and any(" " in cell for cell in column[1:]))
            for column, wide in zip(columns, widths, strict=True)
        ]
        folded = [FOLDED_WIDTH if folds else wide for wide, folds in zip(widths, long, strict=True)]
        if sum(folded) + GAP * (len(folded) - 1) <= room:
            least, width = folded, min(width, room)
    return _laid_out(cells, widths, least, width)


def _room() -> int:
    """Return how many letters a line of the terminal has; 0 where there is none, or one that knows no columns."""
    from rich.console import Console

    return Console().width if is_terminal(sys.stdout) else 0


def _laid_out(cells: Sequence[Sequence[str]], widths: Sequence[int], least: Sequence[int], width: int) -> list[str]:
    """Return the rows in columns.

    Args:
        cells: The rows, the headings first.
        widths: How wide each column is where there is room.
        least: How wide it is at least; the same for a column that is never folded.
        width: How wide all of them may be together.
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    grid = Table.grid(padding=(0, GAP, 0, 0))
    for wide, narrow in zip(widths, least, strict=True):
        grid.add_column(min_width=narrow, no_wrap=narrow == wide, overflow="fold")
    for row in cells:
        grid.add_row(*map(Text, row))
    lines = Console(width=width, color_system=None).render_lines(grid, pad=False)
    return ["".join(segment.text for segment in line).rstrip() for line in lines]


def _in_one_line(cell: str) -> str:
    """Return the cell without line ends and escape codes, which a message of somebody else's may hold."""
    return "".join(c if c.isprintable() else " " for c in cell)


def in_one_line(text: str) -> str:
    """Return a text that somebody has written, as a cell of a table."""
    return " ".join(text.split())


def count(number: int, noun: str) -> str:
    """Return the number with its noun, as in `1 member` and `3 members`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def elapsed(seconds: float) -> str:
    """Return a time that has passed, as people say it."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:  # a minute
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s"
