"""The command line's syntax, read from its parser: the source of shell completion and manual page."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import NamedTuple


class OptionSpec(NamedTuple):
    """An option.

    Attributes:
        flags: Its spellings, the short one first.
        text: What it does.
        metavar: Placeholder for its value; empty if it takes none.
        choices: The allowed values; empty if any value is allowed.
        path: Its value is the path of a file or folder.
    """

    flags: tuple[str, ...]
    text: str
    metavar: str = ""
    choices: tuple[str, ...] = ()
    path: bool = False


class ArgumentSpec(NamedTuple):
    """A positional argument: its placeholder, its help, and its allowed values if they are limited."""

    metavar: str
    text: str
    choices: tuple[str, ...] = ()
    optional: bool = False


class CommandSpec(NamedTuple):
    """A command.

    Attributes:
        name: Its name; empty for the whole command line.
        summary: Its help in one line.
        description: Its help in full.
        example: An example of its use.
        arguments: Its arguments, in order.
        options: Its options.
    """

    name: str
    summary: str
    description: str
    example: str
    arguments: tuple[ArgumentSpec, ...]
    options: tuple[OptionSpec, ...]


def command_line(parser: argparse.ArgumentParser) -> tuple[CommandSpec, tuple[CommandSpec, ...]]:
    """Return the whole command line, with the options that go before any command, and its commands."""
    commands = next(a for a in parser._actions if isinstance(a, argparse._SubParsersAction))  # noqa: SLF001
    summaries = {action.dest: action.help or "" for action in commands._choices_actions}  # noqa: SLF001
    found = tuple(_command(name, summaries.get(name, ""), command) for name, command in commands.choices.items())
    return _command("", "", parser), tuple(sorted(found))


def _command(name: str, summary: str, parser: argparse.ArgumentParser) -> CommandSpec:
    actions = [a for a in parser._actions if not isinstance(a, argparse._SubParsersAction)]  # noqa: SLF001
    return CommandSpec(
        name=name,
        summary=summary,
        description=parser.description or "",
        example=(parser.epilog or "").removeprefix("Example: ") if name else parser.epilog or "",
        arguments=tuple(_argument(action) for action in actions if not action.option_strings),
        options=tuple(_option(action) for action in actions if action.option_strings),
    )


def _option(action: argparse.Action) -> OptionSpec:
    takes = action.nargs != 0
    metavar = str(action.metavar or action.dest.upper()) if takes and not action.choices else ""
    path = action.type is Path or action.metavar == "FILE"
    return OptionSpec(tuple(action.option_strings), _text(action), metavar, tuple(action.choices or ()), path)


def _argument(action: argparse.Action) -> ArgumentSpec:
    name = str(action.metavar or action.dest)
    return ArgumentSpec(name, _text(action), tuple(action.choices or ()), optional=action.nargs == "?")


def _text(action: argparse.Action) -> str:
    return (action.help or "").replace("%%", "%")
