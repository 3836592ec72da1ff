"""What the command line takes, read from its parser: the one source of completion and manual page."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import NamedTuple


class OptionSpec(NamedTuple):
    """An option.

    Attributes:
        flags: How it is written, the short form first.
        text: What it does.
        metavar: What stands for its value; empty where it takes none.
        choices: The values that it takes; empty where any.
        path: Its value is the path of a file or folder.
    """

    flags: tuple[str, ...]
    text: str
    metavar: str = ""
    choices: tuple[str, ...] = ()
    path: bool = False


class ArgumentSpec(NamedTuple):
    """An argument: what stands for it, what it does, and the words that it takes, if they are known."""

    metavar: str
    text: str
    choices: tuple[str, ...] = ()
    optional: bool = False


class CommandSpec(NamedTuple):
    """A command.

    Attributes:
        name: Its name; empty for the whole command line.
        summary: What it does, in a line.
        description: The same with more.
        example: A command line.
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
    """Return the command line as a whole, with the options that count before any command, and its commands."""
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
