"""The table `member` of a cluster profile: what is accepted, and which line says what is wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from etcd_handoff.config import Config, load_config
from etcd_handoff.config.file_checks import check_files
from etcd_handoff.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

GOOD = '[clusters.prod.etcd]\nendpoints = ["http://10.0.0.1:2379"]\n'
TABLE = f"{GOOD}[clusters.prod.member]\n"
COMMAND = 'command = ["/usr/local/lib/etcd-handoff/member"]\n'


def load(folder: Path, text: str) -> Config:
    """The configuration that `text` makes."""
    (folder / "etcd-handoff.toml").write_text(text, encoding="utf-8")
    return load_config(folder / "etcd-handoff.toml")


def test_command_alone_is_enough(tmp_path: Path) -> None:
    """Everything else has a default; without the table there is no command."""
    member = load(tmp_path, TABLE + COMMAND).cluster("prod").member
    assert member is not None
    assert member.command == ("/usr/local/lib/etcd-handoff/member",)
    assert (member.data_dir, member.client_port, member.environment) == (None, 2379, {})
    assert load(tmp_path, GOOD).cluster("prod").member is None


def test_relative_data_directory_is_relative_to_the_file(tmp_path: Path) -> None:
    """As every other path."""
    member = load(tmp_path, TABLE + COMMAND + 'data_dir = "etcd"\n').cluster("prod").member
    assert member is not None
    assert member.data_dir == tmp_path.resolve() / "etcd"


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ("", "member.command: is missing; add it"),
        ("command = []\n", "member.command: is empty; give at least one"),
        ('command = "/usr/bin/hook start"\n', "member.command: give a list of texts"),
        ('command = ["member"]\n', "member.command: 'member' is no absolute path"),
        ('command = ["./member"]\n', "member.command: './member' is no absolute path"),
        ('command = ["/a\\u0000b"]\n', "member.command: a word has a NUL character"),
        (COMMAND + "start_timeout_seconds = 0\n", "member.start_timeout_seconds: "),
        (COMMAND + "stop_timeout_seconds = 601\n", "member.stop_timeout_seconds: "),
        (COMMAND + 'status_timeout_seconds = "soon"\n', "member.status_timeout_seconds: give a number of seconds"),
        (COMMAND + "client_port = 70000\n", "member.client_port: "),
        (COMMAND + "timeout = 1\n", "member.timeout: is no known key; known here: client_port, command, data_dir"),
        (COMMAND + 'environment = { ETCD_NAME = "x" }\n', "member.environment: ETCD_NAME is not given here"),
        (COMMAND + 'environment = { HANDOFF_NODE = "x" }\n', "member.environment: HANDOFF_NODE is not given here"),
        (COMMAND + 'environment = { LD_PRELOAD = "x" }\n', "member.environment: LD_PRELOAD is not given here"),
        (COMMAND + 'environment = { "A B" = "x" }\n', "member.environment: 'A B' is no variable"),
    ],
)
def test_wrong_value_is_named_with_its_field(tmp_path: Path, keys: str, words: str) -> None:
    """At load, before anything runs."""
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, TABLE + keys)
    assert f"clusters.prod.{words}" in str(caught.value)


def test_loader_variables_are_refused_for_what_they_are(tmp_path: Path) -> None:
    """The text does not blame a prefix that the variable does not have."""
    with pytest.raises(ConfigError, match="LD_PRELOAD is not given here: it changes which code runs"):
        load(tmp_path, TABLE + COMMAND + 'environment = { LD_PRELOAD = "x" }\n')


def test_worker_starts_only_with_a_program_that_it_may_run(tmp_path: Path) -> None:
    """A file that is missing, no program, or that everybody may change, is named at the worker's start."""
    program = tmp_path / "member"
    config = load(tmp_path, f'{TABLE}command = ["{program}"]\n')
    for prepare, words in (
        (lambda: None, "cannot be run: No such file or directory; name a program, or leave member out"),
        (lambda: program.write_text("#!/bin/sh\n"), "cannot be run; make it a file that this user may execute"),
        (lambda: program.chmod(0o777), "can be changed by everybody"),
    ):
        prepare()
        with pytest.raises(ConfigError) as caught:
            check_files(config)
        assert str(caught.value).startswith(f"clusters.prod.member.command: {program} {words}")
    program.chmod(0o755)
    check_files(config)
