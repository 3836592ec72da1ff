"""Which etcd process is ended on a node: the one that has the member's own data open, and no other."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from etcd_handoff import member_process, time_limits
from etcd_handoff.config.member import MemberProfile
from etcd_handoff.member_command import ForeignMemberError, Member, MemberProcessError
from etcd_handoff.member_process import MemberProcess
from tests.unit.test_member_process import ANOTHER, OBEDIENT, OURS, clock_of, ticking, verbs
from tests.unit.wal import written

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# What has the database open ends with `stop`.
ENDS_IT = OBEDIENT.replace("rm -f runs", "rm -f runs; kill $(cat holder)")
SAYS = """{"pid": 42, "version": "3.6.16"}"""
HOLDS = """
import fcntl, sys, time
database = open(sys.argv[1], "wb")
fcntl.flock(database, fcntl.LOCK_EX)
print("held", flush=True)
time.sleep(1000)
"""


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes of these tests open their data at once, or never."""
    fast = replace(time_limits.STEPS, process_opens_seconds=0.2, process_pause_seconds=0.01)
    monkeypatch.setattr(time_limits, "STEPS", fast)


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that has the database of the data directory open, as etcd has."""
    snap = tmp_path / "data" / "member" / "snap"
    snap.mkdir(parents=True)
    with subprocess.Popen(
        [sys.executable, "-c", HOLDS, str(snap / "db")], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        (tmp_path / "holder").write_text(str(process.pid))
        yield process
        process.kill()


def command(tmp_path: Path, script: str = OBEDIENT, **settings: Any) -> MemberProcess:
    """The process of `OURS`; it runs according to `status`."""
    path = tmp_path / "hook"
    path.write_text(f"#!/bin/sh\ncd {tmp_path}\n{script}")
    path.chmod(0o755)
    (tmp_path / "runs").touch()
    given = {"command": (str(path),), "data_dir": tmp_path / "data", **settings}
    return MemberProcess(MemberProfile.model_validate(given), "node3", Member("prod", "node3", (), OURS))


@pytest.mark.usefixtures("holder")
async def test_stop_is_acknowledged_by_status_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that stops nothing is an error; a second one finds nothing to do."""
    written(tmp_path / "data", OURS)
    clock_of(monkeypatch, member_process, ticking(60))
    with pytest.raises(MemberProcessError, match=r"`stop` ended with status 0, and `status` says 0, running, until"):
        await command(tmp_path, OBEDIENT.replace("rm -f runs", "true"), stop_timeout_seconds=100).stop()
    (tmp_path / "verbs").unlink()
    process = command(tmp_path, ENDS_IT)
    assert await process.stop() == ("stopped, process 42", True)
    assert await process.stop() == ("did not run", False)
    assert verbs(tmp_path).count("stop") == 1


@pytest.mark.parametrize("database", [True, False])
async def test_process_on_other_data_is_left_alone(tmp_path: Path, *, database: bool) -> None:
    """Its service was moved to another directory, and the old one still holds this member's data."""
    written(tmp_path / "data", OURS)
    if database:
        (tmp_path / "data" / "member" / "snap").mkdir()
        (tmp_path / "data" / "member" / "snap" / "db").touch()
    process = command(tmp_path)
    with pytest.raises(ForeignMemberError, match=r"no process has the database in .*/data open: .*; not stopped"):
        await process.stop()
    with pytest.raises(MemberProcessError, match="stop it first"):
        await process.archive()
    assert set(verbs(tmp_path)) == {"status"}


async def test_what_is_about_to_be_started_is_stopped(tmp_path: Path) -> None:
    """The etcd of a removed member ends and is started again and again: its database is open only now and then."""
    written(tmp_path / "data", OURS)
    process = command(tmp_path, OBEDIENT.replace(SAYS, '{"starting": true}'))
    assert await process.stop() == ("stopped", True)


async def test_process_that_ends_while_it_is_looked_at_did_not_run(tmp_path: Path) -> None:
    """It has left, and so etcd ends by itself."""
    written(tmp_path / "data", OURS)
    process = command(tmp_path, OBEDIENT.replace("if [ -e runs ]; then", "if [ -e runs ]; then rm runs;"))
    assert await process.stop() == ("did not run", False)


async def test_status_alone_tells_where_the_database_cannot_be_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a file system without locks."""

    def no_locks(*_: object) -> None:
        raise OSError(95, "Operation not supported")

    written(tmp_path / "data", OURS)
    (tmp_path / "data" / "member" / "snap").mkdir()
    (tmp_path / "data" / "member" / "snap" / "db").touch()
    monkeypatch.setattr("fcntl.flock", no_locks)
    assert (await command(tmp_path).stop()).changed


@pytest.mark.usefixtures("holder")
async def test_data_that_cannot_be_read_is_the_commands_to_tell(tmp_path: Path) -> None:
    """Without either nothing is done."""
    (tmp_path / "data" / "member" / "wal").mkdir()
    (tmp_path / "data" / "member" / "wal" / f"{'0' * 16}-{'0' * 16}.wal").touch()
    with pytest.raises(MemberProcessError, match="let this worker read it, or let the command's `status` give"):
        await command(tmp_path).stop()
    status = {"member_id": ANOTHER.member_id, "cluster_id": ANOTHER.cluster_id}
    with pytest.raises(MemberProcessError, match="not stopped"):
        await command(tmp_path, ENDS_IT.replace(SAYS, json.dumps(status))).stop()
    status = {"member_id": OURS.member_id, "cluster_id": OURS.cluster_id}
    assert (await command(tmp_path, ENDS_IT.replace(SAYS, json.dumps(status))).stop()).changed
