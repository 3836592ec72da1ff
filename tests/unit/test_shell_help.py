"""Completion and manual page: made from the parser, so that they name what there is."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from typing import Final

import pytest

from etcd_handoff import cli
from etcd_handoff.cli.command_line_spec import command_line

WHOLE, COMMANDS = command_line(cli.parser())
BASH: Final = shutil.which("bash") or "bash"
SHELLS: Final = ("bash", "zsh", "fish")


def require(shell: str) -> str:
    """The path of a shell; without it the test is skipped with the reason, or fails where `.ci/run` installs it."""
    if program := shutil.which(shell):
        return program
    reason = f"NOT TESTED: the completion for {shell}; run `apt-get install {shell}`"
    if os.environ.get("CI") and os.geteuid() == 0 and shutil.which("apt-get"):
        pytest.fail(f"in CI this must run: {reason}")
    pytest.skip(reason)


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What a command prints."""
    assert cli.run(arguments) == 0
    return capsys.readouterr().out


def completed(script: str, *words: str) -> list[str]:
    """What bash offers for the last of these words."""
    line = shlex.join(["etcd-handoff", *words])
    ask = f"COMP_WORDS=({line}); COMP_CWORD={len(words)}; _etcd_handoff; printf '%s\\n' \"${{COMPREPLY[@]}}\""
    done = subprocess.run([BASH, "-c", f"{script}\n{ask}"], capture_output=True, text=True, check=True)
    return done.stdout.split()


def test_bash_completes_commands_options_and_values(capsys: pytest.CaptureFixture[str]) -> None:
    """As bash itself asks for them."""
    script = printed(capsys, "completion", "bash")
    assert completed(script, "re") == ["recheck", "remove", "replace", "report", "resume"]
    assert completed(script, "-c", "prod", "appr") == ["approve"]
    assert completed(script, "approve", "node2", "--c") == ["--cluster", "--config", "--comment"]
    assert completed(script, "report", "-o", "") == ["md", "html", "json"]
    assert completed(script, "status", "-o", "") == ["table", "json"]
    assert completed(script, "watch", "st") == ["start", "stop", "status"]
    assert completed(script, "remove", "--reason", "") == []


def test_fish_completes_commands_options_and_values(capsys: pytest.CaptureFixture[str]) -> None:
    """As fish itself asks for them; the value of an option is no command."""
    fish = require("fish")
    script = printed(capsys, "completion", "fish")
    for line, offered in (
        ("re", ["recheck", "remove", "replace", "report", "resume"]),
        ("-c prod appr", ["approve"]),
        ("approve node2 --c", ["--cluster", "--comment", "--config"]),
        ("status -o ''", ["json", "table"]),
        ("watch st", ["start", "status", "stop"]),
    ):
        ask = f"{script}\ncomplete -C {shlex.quote(f'etcd-handoff {line}')}"
        done = subprocess.run([fish, "--no-config", "-c", ask], capture_output=True, text=True, check=True)
        assert sorted(found.partition("\t")[0] for found in done.stdout.splitlines()) == offered


@pytest.mark.parametrize("shell", SHELLS)
def test_script_is_valid_for_its_shell(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The shell reads it without running it."""
    program = require(shell)
    script = printed(capsys, "completion", shell)
    done = subprocess.run([program, "-n"], input=script, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("present", [True, False])
def test_shell_that_is_missing_is_told_and_fails_where_ci_installs_it(
    *, present: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A check that did not run is told from one that passed; nothing else of CI needs root."""
    monkeypatch.setattr(shutil, "which", lambda name: "/usr/bin/apt-get" if present and name == "apt-get" else None)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match=r"NOT TESTED.*apt-get install zsh"):
        require("zsh")
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception if present else pytest.skip.Exception, match="apt-get install zsh"):
        require("zsh")


@pytest.mark.parametrize("shell", SHELLS)
def test_script_names_every_command_and_option(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    """None is forgotten, whatever is added to the parser."""
    script = printed(capsys, "completion", shell)
    for command in COMMANDS:
        assert command.name in script
        for option in command.options:
            for flag in option.flags:
                written = flag.lstrip("-") if shell == "fish" else flag
                assert written in script, f"{command.name} {flag}"


def test_manual_page_has_every_command_with_its_options_and_example(capsys: pytest.CaptureFixture[str]) -> None:
    """The same words as the help texts."""
    page = printed(capsys, "man").replace("\\-", "-")
    common = {option.flags for option in WHOLE.options}
    for command in COMMANDS:
        section = page.partition(f".SS {command.name}")[2].partition("\n.S")[0]
        assert command.description in section
        assert command.example in section
        for option in command.options:
            assert option.flags in common or f"\\fB{option.flags[-1]}\\fR" in section
    assert "ETCD_HANDOFF_CONFIG" in page.partition(".SH ENVIRONMENT")[2]


def test_manual_page_tells_options_that_differ_from_the_common_ones(capsys: pytest.CaptureFixture[str]) -> None:
    """`report` has formats of its own."""
    page = printed(capsys, "man").replace("\\-", "-")
    assert "md|html|json" in page.partition(".SS report")[2].partition("\n.SS")[0]
    assert page.count("-o\\fR") == 2


def test_manual_page_is_read_without_a_warning(capsys: pytest.CaptureFixture[str]) -> None:
    """No line of it is taken for a request that roff does not know."""
    page = printed(capsys, "man")
    requests = {line.split()[0] for line in page.splitlines() if line[:1] in {".", "'"}}
    assert requests <= {".TH", ".SH", ".SS", ".TP", ".PP", ".B", ".RS", ".RE", ".nf", ".fi"}
    if groff := shutil.which("groff"):
        done = subprocess.run(
            [groff, "-man", "-Tutf8", "-ww", "-z"], input=page, capture_output=True, text=True, check=True
        )
        assert done.stderr == ""
