"""Completion scripts for bash, zsh and fish."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from etcd_handoff.cli.command_line_spec import CommandSpec, OptionSpec

PROGRAM = "etcd-handoff"


def bash_lines(whole: CommandSpec, commands: Sequence[CommandSpec]) -> list[str]:
    """Return a bash script, to be sourced."""
    names = [command.name for command in commands]
    return [
        f"# bash completion for {PROGRAM}: source <({PROGRAM} completion bash)",
        "_etcd_handoff() {",
        "    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} command= word words",
        '    for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do',
        f"        case $word in {'|'.join(names)}) command=$word; break ;; esac",
        "    done",
        '    case "$command $prev" in',
        *(line for command in (whole, *commands) for line in _bash_values(command)),
        "    esac",
        "    case $command in",
        f"        '') words='{' '.join([*names, *_flags(whole)])}' ;;",
        *(
            f"        {command.name}) words='{' '.join([*_words(command), *_flags(command)])}' ;;"
            for command in commands
        ),
        "    esac",
        '    COMPREPLY=($(compgen -W "$words" -- "$cur"))',
        "}",
        f"complete -F _etcd_handoff {PROGRAM}",
    ]


def _bash_values(command: CommandSpec) -> Iterable[str]:
    """Return cases for the options that take a value."""
    for option in command.options:
        pattern = "|".join(f'"{command.name} {flag}"' for flag in option.flags)
        if option.choices:
            yield f"""        {pattern}) COMPREPLY=($(compgen -W '{" ".join(option.choices)}' -- "$cur")); return ;;"""
        elif option.path:
            yield f'        {pattern}) COMPREPLY=($(compgen -f -- "$cur")); return ;;'
        elif option.metavar:
            yield f"        {pattern}) COMPREPLY=(); return ;;"


def zsh_lines(whole: CommandSpec, commands: Sequence[CommandSpec]) -> list[str]:
    """Return a zsh file, to be saved as `_etcd-handoff` in a folder of `fpath`."""
    lines = [f"#compdef {PROGRAM}", "_etcd_handoff() {", "    local state", "    local -a commands=("]
    lines += [f"        {_quoted(f'{command.name}:{command.summary}')}" for command in commands]
    lines += ["    )", "    _arguments -C \\"]
    lines += [f"        {spec} \\" for option in whole.options for spec in _zsh_option(option)]
    lines += ["        '1:command:->command' '*::argument:->argument'", "    case $state in"]
    lines += ["        command) _describe command commands ;;", "        argument) case $words[1] in"]
    for command in commands:
        specs = [spec for option in command.options for spec in _zsh_option(option)]
        for argument in command.arguments:
            values = f"({' '.join(argument.choices)})" if argument.choices else ""
            specs.append(_quoted(f":{argument.metavar.lower()}:{values}"))
        lines.append(f"            {command.name}) _arguments {' '.join(specs)} ;;")
    return [*lines, "        esac ;;", "    esac", "}", '_etcd_handoff "$@"']


def _zsh_option(option: OptionSpec) -> Iterable[str]:
    """Return the entries of an option, one for each spelling."""
    text = option.text.replace("[", "(").replace("]", ")").replace(":", " ")
    value = f":{option.metavar.lower() or 'value'}:" if option.metavar or option.choices else ""
    value += f"({' '.join(option.choices)})" if option.choices else ("_files" if option.path else "")
    for flag in option.flags:
        yield _quoted(f"{flag}[{text}]{value}")


def fish_lines(whole: CommandSpec, commands: Sequence[CommandSpec]) -> list[str]:
    """Return a fish script, to be sourced."""
    lines = [f"# fish completion for {PROGRAM}: {PROGRAM} completion fish | source", f"complete -c {PROGRAM} -f"]
    # Not __fish_use_subcommand, which takes the value of an option for a command.
    first = f"-n 'not __fish_seen_subcommand_from {' '.join(command.name for command in commands)}'"
    lines += [f"complete -c {PROGRAM} {first} {_fish_option(option)}" for option in whole.options]
    for command in commands:
        lines.append(f"complete -c {PROGRAM} {first} -a {command.name} -d {_fish_text(command.summary)}")
        seen = f"-n '__fish_seen_subcommand_from {command.name}'"
        lines += [f"complete -c {PROGRAM} {seen} -a '{word}'" for word in _words(command)]
        lines += [f"complete -c {PROGRAM} {seen} {_fish_option(option)}" for option in command.options]
    return lines


def _fish_option(option: OptionSpec) -> str:
    flags = " ".join(f"-l {flag[2:]}" if flag.startswith("--") else f"-s {flag[1:]}" for flag in option.flags)
    value = f" -x -a '{' '.join(option.choices)}'" if option.choices else (" -x" if option.metavar else "")
    return f"{flags}{' -r -F' if option.path else value} -d {_fish_text(option.text)}"


def _words(command: CommandSpec) -> list[str]:
    return [word for argument in command.arguments for word in argument.choices]


def _flags(command: CommandSpec) -> list[str]:
    return [flag for option in command.options for flag in option.flags]


def _quoted(text: str) -> str:
    """Quote a word for bash and zsh."""
    return "'" + text.replace("'", "'\\''") + "'"


def _fish_text(text: str) -> str:
    """Quote a word for fish, whose single quotes allow a backslash escape."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
