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
"""Spaces between two columns."""
FOLDED_WIDTH: Final = 20
"""Smallest width of a folded column. A time with its date has 19 characters."""


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return a table, with each column as wide as its widest cell.

    On a narrow terminal, long texts are folded within their columns, so that short columns stay aligned. Elsewhere each
    row is one line, which a program can split.
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
    """Return the width of the terminal; 0 without a terminal, or if it reports no width."""
    from rich.console import Console

    return Console().width if is_terminal(sys.stdout) else 0


def _laid_out(cells: Sequence[Sequence[str]], widths: Sequence[int], least: Sequence[int], width: int) -> list[str]:
    """Return the rows in columns.

    Args:
        cells: The rows, the headings first.
        widths: Width of each column if there is room.
        least: Smallest width of each column; the full width for a column that is never folded.
        width: Width of the whole table.
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
    """Remove line ends and escape codes from a cell, which foreign messages may contain."""
    return "".join(c if c.isprintable() else " " for c in cell)


def in_one_line(text: str) -> str:
    """Return a person's text as a cell of a table."""
    return " ".join(text.split())


def count(number: int, noun: str) -> str:
    """Return the number with its noun, as in `1 member` and `3 members`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def elapsed(seconds: float) -> str:
    """Return a duration in a readable form."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:  # a minute
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s"
