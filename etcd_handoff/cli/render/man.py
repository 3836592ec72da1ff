"""The manual page, in the macros of man(7)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from etcd_handoff.cli.exit_texts import EXIT_TEXTS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from etcd_handoff.cli.command_line_spec import CommandSpec, OptionSpec

VARIABLES = (
    ("ETCD_HANDOFF_CONFIG", "configuration file"),
    ("TEMPORAL_ADDRESS", "where Temporal is, and Temporal's other variables; by default localhost:7233"),
)


def man_lines(whole: CommandSpec, commands: Sequence[CommandSpec], version: str) -> list[str]:
    """Return the manual page."""
    lines = [f'.TH ETCD-HANDOFF 1 "" "etcd-handoff {version}" "User Commands"']
    lines += [".SH NAME", f"etcd-handoff \\- {_text(whole.description.rstrip('.').lower())}"]
    lines += [".SH SYNOPSIS", ".B etcd-handoff", "[\\fIOPTIONS\\fR] \\fICOMMAND\\fR [\\fIARGUMENTS\\fR]"]
    lines += [".SH DESCRIPTION", _text(whole.description)]
    lines += ["The options below go before or after the command.", ".SH OPTIONS", *_options(whole.options)]
    common = {(option.flags, option.choices) for option in whole.options}
    lines.append(".SH COMMANDS")
    for command in commands:
        own = [option for option in command.options if (option.flags, option.choices) not in common]
        words = "".join(f" \\fI{_text(argument.metavar)}\\fR" for argument in command.arguments)
        lines += [f".SS {command.name}{words}", _text(command.description)]
        for argument in command.arguments:
            choices = f" ({', '.join(argument.choices)})" if argument.choices else ""
            lines += [".TP", f"\\fI{_text(argument.metavar)}\\fR", f"{_text(argument.text + choices)}"]
        lines += [*_options(own), ".PP", "Example:", ".PP", ".RS", ".nf", _text(command.example), ".fi", ".RE"]
    statuses = [(str(status), text) for status, text in EXIT_TEXTS.items()]
    lines += [".SH EXIT STATUS", *_terms(statuses), ".SH ENVIRONMENT", *_terms(VARIABLES)]
    return [*lines, ".SH FILES", *_terms([("./etcd-handoff.toml", "configuration, unless another one is named")])]


def _options(options: Iterable[OptionSpec]) -> list[str]:
    lines = []
    for option in options:
        value = "|".join(option.choices) or option.metavar
        flags = ", ".join(f"\\fB{_text(flag)}\\fR" for flag in option.flags)
        lines += [".TP", f"{flags} \\fI{_text(value)}\\fR" if value else flags, _text(option.text)]
    return lines


def _terms(terms: Iterable[tuple[str, str]]) -> list[str]:
    return [line for name, text in terms for line in (".TP", f"\\fB{_text(name)}\\fR", _text(text))]


def _text(text: str) -> str:
    """Escape a text for roff: no request, no escape, real hyphens."""
    safe = text.replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{safe}" if safe[:1] in {".", "'"} else safe
