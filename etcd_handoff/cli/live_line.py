"""A last line on a terminal that is overwritten; other output gets neither such a line nor escape codes."""
# ruff: noqa: PLC0415
# rich is imported where a line is shown: `--help` answers at once, without it.

from __future__ import annotations

from typing import TYPE_CHECKING, TextIO

from etcd_handoff.cli.terminal import is_terminal

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.live import Live


class LiveLine:
    """Prints lines that stay, and below them one line that changes.

    Args:
        stream: Where they are printed.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._terminal = is_terminal(stream)
        self._live: Live | None = None

    def print(self, lines: Iterable[str]) -> None:
        """Print lines that stay, and flush them."""
        lines = list(lines)
        if not lines:
            return
        text = "\n".join(lines)
        if self._live is not None:
            from rich.text import Text

            # Long lines are left to the terminal: what is copied from them is whole.
            self._live.console.print(Text(text), soft_wrap=True)
        else:
            self._stream.write(f"{text}\n")
            self._stream.flush()

    def show(self, text: str) -> None:
        """Overwrite the last line; do nothing if the output is no terminal."""
        if self._terminal:
            from rich.text import Text

            self._live = self._live or _started(self._stream)
            self._live.update(Text(" ".join(text.split()), no_wrap=True, overflow="crop"), refresh=True)

    def close(self) -> None:
        """Remove the last line."""
        if self._live is not None:
            self._live.stop()
            self._live = None


def _started(stream: TextIO) -> Live:
    """Return the line, still empty, on a terminal."""
    from rich.console import Console
    from rich.live import Live

    console = Console(file=stream, force_terminal=True, force_interactive=True, color_system=None)
    live = Live(console=console, auto_refresh=False, transient=True, redirect_stdout=False, redirect_stderr=False)
    live.start()
    console.show_cursor(show=True)  # a command that is killed must not leave the terminal without its cursor
    return live
