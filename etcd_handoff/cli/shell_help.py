"""`completion` and `man`: help for shells, made from the parser."""

from __future__ import annotations

from typing import TYPE_CHECKING

from etcd_handoff.cli.command_line_spec import command_line
from etcd_handoff.cli.terminal import print_lines
from etcd_handoff.exit_status import EXIT_DONE

if TYPE_CHECKING:
    import argparse


def completion_command(args: argparse.Namespace) -> int:
    """Print the completion for a shell."""
    from etcd_handoff.cli.options import parser  # noqa: PLC0415  # it imports this module
    from etcd_handoff.cli.render.completion import bash_lines, fish_lines, zsh_lines  # noqa: PLC0415

    lines = {"bash": bash_lines, "zsh": zsh_lines, "fish": fish_lines}[args.shell]
    print_lines(lines(*command_line(parser())))
    return EXIT_DONE


def man_command(_: argparse.Namespace) -> int:
    """Print the manual page."""
    from etcd_handoff import __version__  # noqa: PLC0415
    from etcd_handoff.cli.options import parser  # noqa: PLC0415
    from etcd_handoff.cli.render.man import man_lines  # noqa: PLC0415

    print_lines(man_lines(*command_line(parser()), __version__))
    return EXIT_DONE
