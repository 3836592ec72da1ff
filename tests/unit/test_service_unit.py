"""The worker under systemd: the unit that is written, what systemd itself says of it, and what systemd is told."""

from __future__ import annotations

import asyncio
import os
import pwd
import re
import shlex
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from temporalio.service import RPCError, RPCStatusCode

from etcd_handoff import cli, time_limits
from etcd_handoff.cli import service
from etcd_handoff.cli.service_unit import ENVIRONMENT, Service, quoted
from etcd_handoff.config.presets import PRESETS
from etcd_handoff.temporal.readiness import Readiness
from etcd_handoff.temporal.service_manager import notify_systemd

if TYPE_CHECKING:
    from collections.abc import Iterator

FOLDER = Path(__file__).parents[2] / "deploy" / "systemd"
UNIT = FOLDER / "etcd-handoff-worker.service"
HERE = (sys.executable, "-m", "etcd_handoff.cli")
NEWER = ("RestartSteps", "RestartMaxDelaySec")
"""Keys that systemd knows from 254 on; an older one passes over them."""
MOST_EXPOSED = 2.5
"""`systemd-analyze security` calls less than 4 OK; what is left here is the network, and root as owner of files."""


def need(program: str) -> str:
    """Where a program is; a test that cannot run is skipped with the reason, and fails in CI."""
    found = shutil.which(program)
    if found is None:
        reason = f"{program} is not on this machine"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return found


def run(*command: str) -> subprocess.CompletedProcess[str]:
    """A program that has ended, however that was."""
    return subprocess.run(command, check=False, capture_output=True, text=True)


def settings(unit: str) -> dict[str, str]:
    """Keys of a unit and their values."""
    return dict(re.findall(r"^(\w+)=(.*)$", unit, re.MULTILINE))


SERVICES = [
    *(Service(HERE, preset, ()) for preset in PRESETS),
    Service(HERE, None, ("--config", "/etc/etcd-handoff/etcd-handoff.toml", "--node", "node 1")),
]


@pytest.fixture(params=SERVICES, ids=lambda each: each.preset or "file")
def unit(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """The unit of each kind of controller, in a file."""
    path = tmp_path / UNIT.name
    path.write_text(request.param.unit)
    return path


# --- the unit ---------------------------------------------------------------------------------------------------------


def test_unit_in_deploy_is_the_one_that_is_written_on_a_k0s_controller() -> None:
    """One unit, in one place; `install-service` only enters the machine's own paths."""
    assert UNIT.read_text(encoding="utf-8") == Service(("/opt/etcd-handoff/.venv/bin/etcd-handoff",), "k0s", ()).unit
    assert (FOLDER / "worker.env").read_text(encoding="utf-8") == ENVIRONMENT


def test_systemd_finds_nothing_wrong(unit: Path) -> None:
    """All keys are known, their values can be parsed, and the program is there."""
    checked = run(need("systemd-analyze"), "verify", "--man=no", str(unit))
    complaints = [line for line in checked.stderr.splitlines() if line and not any(f"'{key}'" in line for key in NEWER)]
    assert (checked.returncode, complaints) == (0, [])


def test_service_can_do_little(unit: Path) -> None:
    """By systemd's own measure of how exposed a service is."""
    threshold = f"--threshold={round(MOST_EXPOSED * 10)}"
    checked = run(need("systemd-analyze"), "security", "--offline=true", threshold, str(unit))
    assert checked.returncode == 0, checked.stdout


def test_command_of_the_unit_starts_a_worker(unit: Path) -> None:
    """With options that it takes; its ready file lies in the folder that systemd makes."""
    keys = settings(unit.read_text())
    arguments = shlex.split(keys["ExecStart"])
    given = cli.parser().parse_args(arguments[len(HERE) :])
    assert given.run.__name__ == "worker_command"
    assert given.ready_file.parent == Path("/run") / keys["RuntimeDirectory"]
    assert float(keys["TimeoutStopSec"]) > time_limits.WORKER.shutdown_grace.total_seconds()
    longest = time_limits.WORKER.probe_pause_seconds + time_limits.WORKER.probe_timeout.total_seconds()
    assert float(keys["WatchdogSec"]) > 3 * longest
    assert keys["User"] == ("root" if given.preset else "etcd-handoff")
    assert keys["CapabilityBoundingSet"] == ("CAP_DAC_READ_SEARCH" if given.preset in ("k0s", "rke2") else "")


@pytest.mark.parametrize("home", ["/home/me/.venv/bin/etcd-handoff", "/root/.local/bin/etcd-handoff"])
def test_program_in_a_home_can_be_started(home: str) -> None:
    """Homes are hidden from the service, unless it lies in one."""
    assert settings(Service((home,), "k0s", ()).unit)["ProtectHome"] == "read-only"
    assert settings(Service(HERE, "k0s", ()).unit)["ProtectHome"] == "yes"


@pytest.mark.parametrize(
    ("word", "written"),
    [("node1", "node1"), ("a b", '"a b"'), ("50%", "50%%"), ("$HOME", "$$HOME"), ('a"b', '"a\\"b"'), ("", '""')],
)
def test_words_of_the_command_mean_what_they_say(word: str, written: str) -> None:
    """Systemd expands % and $ in a command line."""
    assert quoted(word) == written


def test_root_without_its_rights_reads_what_k0s_keeps(tmp_path: Path) -> None:
    """k0s's owners and modes: the key is kube-apiserver's, the CA etcd's, both with group root; admin.conf is root's.

    Sources: k0s `pkg/constant/constant.go`, `pkg/certificate/manager.go`, `pkg/component/controller/etcd.go`.
    """
    setpriv = need("setpriv")
    if os.geteuid() != 0:
        pytest.skip("only root can give files to others")
    other = next(entry.pw_uid for entry in pwd.getpwall() if entry.pw_uid not in (0, os.geteuid()))
    pki = tmp_path / "pki"
    (pki / "etcd").mkdir(parents=True)
    files = {"etcd/ca.crt": 0o640, "apiserver-etcd-client.key": 0o640, "admin.conf": 0o600}
    for name, mode in files.items():
        (pki / name).write_text(name)
        (pki / name).chmod(mode)
        os.chown(pki / name, 0 if name == "admin.conf" else other, 0)
    os.chown(pki / "etcd", other, 0)
    (pki / "etcd").chmod(0o711)
    (tmp_path / "other").write_text("another user's")
    os.chown(tmp_path / "other", other, other)
    (tmp_path / "other").chmod(0o600)
    bare = [setpriv, "--bounding-set=-all", "--inh-caps=-all", "--no-new-privs", "cat"]
    read = run(*bare, *(str(pki / name) for name in files))
    assert (read.returncode, read.stdout) == (0, "".join(files))
    assert run(*bare, str(tmp_path / "other")).returncode != 0


# --- the command ------------------------------------------------------------------------------------------------------


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without units and without configuration."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ETCD_HANDOFF_CONFIG", raising=False)
    monkeypatch.setattr(service, "UNITS", tmp_path / "systemd")
    monkeypatch.setattr("etcd_handoff.cli.service_unit.ENVIRONMENT_FILE", str(tmp_path / "etc" / "worker.env"))
    return tmp_path


def test_unit_is_printed_with_the_options_of_this_machine(machine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is written; paths are full, since the service runs elsewhere."""
    assert cli.run(["install-service", "--print", "--k0s", "--data-dir", "k0s", "--cluster", "prod"]) == 0
    command = shlex.split(settings(capsys.readouterr().out)["ExecStart"])
    folder = str(machine / "k0s")
    options = ["--k0s", "--data-dir", folder, "--cluster", "prod", "--ready-file", "/run/etcd-handoff/ready"]
    assert command == [*HERE, "worker", *options]
    assert not list(machine.iterdir())


def test_program_is_the_one_that_was_called(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An installed command is named by its own path."""
    (machine / "etcd-handoff").touch()
    monkeypatch.setattr(sys, "argv", ["./etcd-handoff"])
    given = service.service_for(cli.parser().parse_args(["install-service", "--k0s"]))
    assert given.program == (str(machine / "etcd-handoff"),)


def test_service_needs_a_configuration_or_a_controller(machine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A unit that could never start is not written; with a file it names that file."""
    assert cli.run(["install-service"]) == 2
    assert "there is no such file; name it with --config" in capsys.readouterr().err
    assert not list(machine.iterdir())
    (machine / "etcd-handoff.toml").write_text('[clusters.prod.etcd]\nendpoints = ["http://10.0.0.1:2379"]\n')
    assert cli.run(["install-service", "--print"]) == 0
    assert f"worker --config {machine}/etcd-handoff.toml" in capsys.readouterr().out


def test_file_of_a_controller_needs_root_as_the_controller_alone_does(
    machine: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The distribution's keys are open to root alone, whatever names them."""
    file = machine / "etcd-handoff.toml"
    file.write_text('[clusters.prod]\npreset = "rke2"\n')
    assert cli.run(["install-service", "--config", str(file), "--print"]) == 0
    unit = settings(capsys.readouterr().out)
    assert (unit["User"], unit["CapabilityBoundingSet"]) == ("root", "CAP_DAC_READ_SEARCH")
    assert str(file) in unit["ExecStart"]
    assert "--rke2" not in unit["ExecStart"]


def test_installing_writes_two_files_and_keeps_an_environment(
    machine: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The environment may hold a key, so only its owner reads it; what the operator entered there stays."""
    assert cli.run(["install-service", "--k0s"]) == 0
    unit, environment = machine / "systemd" / UNIT.name, machine / "etc" / "worker.env"
    assert capsys.readouterr().out.splitlines()[:2] == [f"written: {unit}", f"written: {environment}"]
    assert f"EnvironmentFile={environment}" in unit.read_text()
    assert environment.stat().st_mode & 0o777 == 0o600
    environment.write_text("TEMPORAL_ADDRESS=mine:7233\n")
    assert cli.run(["install-service", "--k0s"]) == 0
    assert f"written: {environment}" not in capsys.readouterr().out
    assert environment.read_text() == "TEMPORAL_ADDRESS=mine:7233\n"


def test_unit_that_cannot_be_written_is_named(machine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With the remedy."""
    (machine / "systemd").touch()
    assert cli.run(["install-service", "--k0s"]) == 2
    assert "run this as root, or print the unit with --print" in capsys.readouterr().err


# --- what systemd is told ---------------------------------------------------------------------------------------------


@pytest.fixture(params=["file", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """What systemd would listen on, as a file and as a name without one."""
    path = str(tmp_path / "notify")
    shown = path if request.param == "file" else f"@{path}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.bind(path if request.param == "file" else f"\0{path}")
        channel.settimeout(10)
        monkeypatch.setenv("NOTIFY_SOCKET", shown)
        yield channel


class Silent:
    """A client whose server does not answer."""

    namespace = "default"

    @property
    def workflow_service(self) -> Silent:
        """The service itself."""
        return self

    async def describe_namespace(self, *_: object, **__: object) -> None:
        """Not to be had."""
        raise RPCError("tcp connect error", RPCStatusCode.UNAVAILABLE, b"")


async def test_worker_tells_that_it_is_ready_alive_and_stopping(manager: socket.socket) -> None:
    """Alive again and again, also while Temporal does not answer: a restart would not help. `status` tells why."""
    client: Any = Silent()
    stop = asyncio.Event()
    keeping = asyncio.create_task(Readiness(None).keep(client, stop, may_describe=True))
    heard = [await asyncio.to_thread(manager.recv, 200) for _ in range(3)]
    stop.set()
    await keeping
    status = b"STATUS=not ready: the worker is starting: UNAVAILABLE: tcp connect error"
    assert [*heard, manager.recv(100)] == [b"READY=1", b"WATCHDOG=1", status, b"STOPPING=1"]


@pytest.mark.parametrize("address", ["", "relative", "/nobody/listens/here"])
def test_without_systemd_nothing_is_told(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """And nothing fails."""
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    notify_systemd("READY=1")
