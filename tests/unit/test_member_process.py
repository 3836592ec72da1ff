"""The etcd process of a node through its command: real small scripts that behave, misbehave, hang and die."""

from __future__ import annotations

import asyncio
import fcntl
import itertools
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from etcd_handoff import command_run, member_process, time_limits
from etcd_handoff.config.member import MemberProfile
from etcd_handoff.data_directory import Identity
from etcd_handoff.lab.waiting import wait_until
from etcd_handoff.member_command import ForeignMemberError, Member, MemberProcessError
from etcd_handoff.member_process import MemberProcess
from tests.unit.wal import written

OURS = Identity("cdf818194e3a8c32", "8211f1d0f64f3269")
ANOTHER = Identity("cdf818194e3a8c32", "91bc3c398fb3c146")
ELSEWHERE = Identity("beef", "8211f1d0f64f3269")
JOIN = {
    "ETCD_NAME": "node3",
    "ETCD_INITIAL_CLUSTER": "node0=http://10.0.0.1:2380,node3=http://10.0.0.4:2380",
    "ETCD_INITIAL_CLUSTER_STATE": "existing",
    "ETCD_INITIAL_ADVERTISE_PEER_URLS": "http://10.0.0.4:2380",
}
Make = Callable[..., MemberProcess]
# It runs as long as the file `runs` is there, and notes each verb.
OBEDIENT = """
echo "$1" >>verbs
case $1 in
status)
    if [ -e runs ]; then echo '{"pid": 42, "version": "3.6.16"}'; exit 0; fi
    exit 7 ;;
start) touch runs ;;
stop) rm -f runs ;;
archive) mv "$HANDOFF_ARCHIVE_FROM" "$HANDOFF_ARCHIVE_TO" ;;
esac
"""
# It is always about to start something, so nobody looks at what is open.
STARTS = OBEDIENT.replace('"version"', '"starting": true, "version"')
# What it starts has the database open for as long as it runs.
OPENS = OBEDIENT.replace("touch runs", f"touch runs; setsid {sys.executable} open.py </dev/null >/dev/null 2>&1 &")
OPEN = """
import fcntl, pathlib, time
folder = pathlib.Path("data/member/snap")
folder.mkdir(parents=True)
with (folder / "db").open("wb") as database:
    fcntl.flock(database, fcntl.LOCK_EX)
    while pathlib.Path("runs").exists():
        time.sleep(0.01)
"""


def settle_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes settle at once."""
    fast = replace(time_limits.STEPS, process_settles_seconds=0.05, process_pause_seconds=0.01)
    monkeypatch.setattr(time_limits, "STEPS", fast)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes of these tests settle at once."""
    settle_at_once(monkeypatch)


def clock_of(monkeypatch: pytest.MonkeyPatch, module: ModuleType, seconds: Callable[[], float]) -> None:
    """The module's clock shows this: no time-out then depends on how busy the machine is."""
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=seconds))


def ticking(seconds: float) -> Callable[[], float]:
    """A clock that goes on by so much each time somebody looks."""
    return partial(next, itertools.count(0.0, seconds))


def process_of(tmp_path: Path, script: str, member: Identity | None = OURS, **settings: Any) -> MemberProcess:
    """The process of a member, whose command is this script, run in the test's folder."""
    path = tmp_path / "hook"
    path.write_text(f"#!/bin/sh\ncd {tmp_path}\n{script}")
    path.chmod(0o755)
    given = {"command": (str(path),), "data_dir": tmp_path / "data", **settings}
    who = Member("prod", "node3", ("http://10.0.0.4:2380",), member)
    return MemberProcess(MemberProfile.model_validate(given), "node3", who)


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """The process of the member `OURS`, whose command is this script, run in the test's folder."""
    return partial(process_of, tmp_path)


def verbs(tmp_path: Path) -> list[str]:
    """The verbs that the command got."""
    path = tmp_path / "verbs"
    return path.read_text().split() if path.exists() else []


# --- status -----------------------------------------------------------------------------------------------------------


async def test_status_is_the_exit_status_and_json_tells_the_rest(make: Make, tmp_path: Path) -> None:
    """0 is running and 7 is not, whatever the JSON says; unknown fields do no harm."""
    script = """echo '{"pid": 7, "version": "3.6.16", "running": false, "later": [1]}'; exit $(cat code)"""
    process = make(script)
    for code, running in ((0, True), (7, False)):
        (tmp_path / "code").write_text(str(code))
        answer = await process.status()
        assert (answer.running, answer.pid, answer.version) == (running, 7, "3.6.16")
        assert answer.data_dir == str(tmp_path / "data")


async def test_not_running_needs_no_output(make: Make) -> None:
    """7 says it all."""
    assert not (await make("exit 7").status()).running


@pytest.mark.parametrize("code", [1, 5, 126, 255])
async def test_any_other_exit_status_is_an_error_with_the_last_lines(make: Make, code: int) -> None:
    """The text has the exit status and the end of what was said."""
    process = make(f"for i in 1 2 3 4 5; do echo line$i >&2; done; exit {code}")
    with pytest.raises(MemberProcessError, match=rf"`status` ended with status {code}: line3 \| line4 \| line5$"):
        await process.status()


@pytest.mark.parametrize(
    "output",
    [
        "",
        "running",
        "[]",
        "null",
        '{"pid": "7"}',
        '{"pid": 0}',
        '{"version": "3.6; rm -rf /"}',
        '{"data_dir": "here"}',
        '{"pid"',
    ],
)
async def test_junk_is_no_answer(make: Make, tmp_path: Path, output: str) -> None:
    """Running without one valid JSON object is an error, and what was written is not repeated."""
    (tmp_path / "output").write_text(output)
    with pytest.raises(MemberProcessError, match="its output is no answer") as caught:
        await make("cat output").status()
    assert "rm -rf" not in str(caught.value)


async def test_output_is_bounded(make: Make) -> None:
    """A command that writes too much is no answer, and what it has written is not kept."""
    with pytest.raises(MemberProcessError, match="writes more than 65536 bytes"):
        await make("head -c 200000 /dev/zero | tr '\\0' x").status()


async def test_command_that_writes_without_end_ends_by_its_time_out(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is read up to a limit meanwhile."""
    clock_of(monkeypatch, command_run, ticking(0.01))
    with pytest.raises(MemberProcessError, match=r"did not end within 10 s and was killed"):
        await make("yes").status()


async def test_command_and_configuration_name_one_data_directory(make: Make) -> None:
    """Two names for it are an error that has both."""
    with pytest.raises(
        MemberProcessError, match=r"data_dir is .*/data in the configuration, and /elsewhere by the command"
    ):
        await make("""echo '{"data_dir": "/elsewhere"}'""").status()


# --- how it runs ------------------------------------------------------------------------------------------------------


async def test_time_out_kills_the_whole_group(make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also what the command has started, unless that has left its group."""
    child = tmp_path / "child"
    looks = itertools.count()
    clock_of(monkeypatch, command_run, lambda: 1000.0 if next(looks) and child.exists() and child.read_text() else 0.0)
    with pytest.raises(MemberProcessError, match=r"`status` did not end within 10 s and was killed"):
        await make("sleep 1000 & echo $! >child; wait").status()
    await ended(int(child.read_text()))


async def test_what_goes_on_in_a_session_of_its_own_keeps_nobody_waiting(make: Make, tmp_path: Path) -> None:
    """It has the command's output open and outlives it: the command has ended all the same."""
    process = make("setsid sleep 1000 & echo $! >child; echo '{}'", status_timeout_seconds=100)
    try:
        assert (await process.status()).running
        os.kill(int((tmp_path / "child").read_text()), 0)
    finally:
        os.kill(int((tmp_path / "child").read_text()), signal.SIGKILL)


async def test_killed_command_is_an_error(make: Make) -> None:
    """`kill -9` of the command is no answer."""
    with pytest.raises(MemberProcessError, match="`status` was ended by signal 9"):
        await make("kill -9 $$").status()


async def test_cancelled_call_kills_the_command(make: Make, tmp_path: Path) -> None:
    """Nobody waits for it any more."""
    running = asyncio.create_task(make("echo $$ >self; exec sleep 1000").status())
    await appears(tmp_path / "self")
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    await ended(int((tmp_path / "self").read_text()))


async def test_command_dies_with_its_worker(make: Make, tmp_path: Path) -> None:
    """After `kill -9` of the worker no two commands run: the next worker's finds the first one gone."""
    make("echo $$ >self; exec sleep 1000")
    code = (
        "import asyncio, sys; from etcd_handoff import command_run;"
        "asyncio.run(command_run.run([sys.argv[1], 'status'], {'PATH': '/usr/bin:/bin'}, 100))"
    )
    worker = subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "hook")])  # noqa: ASYNC220  # as a worker is
    await appears(tmp_path / "self")
    worker.kill()
    worker.wait()
    await ended(int((tmp_path / "self").read_text()))


async def test_program_that_is_none_says_so(tmp_path: Path) -> None:
    """A missing or odd program is an exit status with words."""
    (tmp_path / "odd").write_text("no program")
    (tmp_path / "odd").chmod(0o755)
    for name, words in (("missing", "No such file"), ("odd", "Exec format error")):
        ended = await command_run.run([str(tmp_path / name)], {}, 10)
        assert ended.status == 126
        assert words in ended.errors


async def test_no_secret_of_the_worker_reaches_the_command(
    make: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It gets PATH, what the configuration gives, and what it is asked for; nothing else of the worker's."""
    monkeypatch.setenv("TEMPORAL_API_KEY", "hidden")
    monkeypatch.setenv("ETCD_NAME", "of-the-worker")
    await make("env >variables; exit 7", environment={"UNIT": "etcd.service"}).status()
    lines = (tmp_path / "variables").read_text().splitlines()
    given = dict(line.split("=", 1) for line in lines if "=" in line)
    ours = {name: value for name, value in given.items() if name.startswith(("HANDOFF_", "ETCD_"))}
    assert ours == {
        "HANDOFF_CLUSTER": "prod",
        "HANDOFF_NODE": "node3",
        "HANDOFF_MEMBER_NAME": "node3",
        "HANDOFF_MEMBER_ID": OURS.member_id,
        "HANDOFF_CLUSTER_ID": OURS.cluster_id,
        "HANDOFF_PEER_URLS": "http://10.0.0.4:2380",
        "HANDOFF_DATA_DIR": str(tmp_path / "data"),
    }
    assert given["UNIT"] == "etcd.service"
    assert "hidden" not in given.values()


async def test_name_that_no_file_can_hold_is_left_out(make: Make, tmp_path: Path) -> None:
    """A member that is to be stopped may be called anything; its IDs tell which it is."""
    process = make("env >variables; exit 7")
    odd = MemberProcess(process._profile, "node3", Member("prod", "a\nPATH=/x", (), OURS))
    await odd.status()
    assert "HANDOFF_MEMBER_NAME=\n" in (tmp_path / "variables").read_text()
    assert "PATH=/x" not in (tmp_path / "variables").read_text()


async def test_no_secret_and_no_address_reaches_a_history(make: Make) -> None:
    """What the command complains of is told without them."""
    script = "echo 'password=hunter2 at https://10.0.0.9:2379 with abcdef99, Authorization: Bearer xyz' >&2; exit 1"
    with pytest.raises(MemberProcessError) as caught:
        await make(script, environment={"API_TOKEN": "abcdef99"}).status()
    text = str(caught.value)
    assert not [word for word in ("hunter2", "10.0.0.9", "abcdef99", "xyz") if word in text]
    assert "password=..." in text


# --- start ------------------------------------------------------------------------------------------------------------


async def test_start_hands_over_what_etcd_joins_with_and_may_come_twice(make: Make, tmp_path: Path) -> None:
    """The second one finds it running and starts nothing."""
    process = make(STARTS + 'env | grep ^ETCD_ | sort >"$1.env"')
    assert await process.start(JOIN) == ("started, process 42", True)
    assert (tmp_path / "start.env").read_text().splitlines() == sorted(f"{k}={v}" for k, v in JOIN.items())
    assert await process.start(JOIN) == ("ran already, process 42", False)
    assert verbs(tmp_path).count("start") == 1


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"ETCD_NAME": "a$(reboot)"}, "ETCD_NAME has a character"),
        ({"ETCD_NAME": "a b"}, "ETCD_NAME has a character"),
        ({"ETCD_NAME": ""}, "ETCD_NAME has a character"),
        ({"ETCD_INITIAL_CLUSTER": "a=http://x:1\nPATH=/tmp"}, "ETCD_INITIAL_CLUSTER has a character"),
        ({"LD_PRELOAD": "/x.so"}, "LD_PRELOAD is none of the variables"),
        ({"ETCD_DATA_DIR": "/"}, "ETCD_DATA_DIR is none of the variables"),
    ],
)
async def test_nothing_else_than_safe_values_is_handed_over(
    make: Make, tmp_path: Path, changes: dict[str, str], words: str
) -> None:
    """The command is not even run."""
    with pytest.raises(MemberProcessError, match=words):
        await make(OBEDIENT).start({**JOIN, **changes})
    assert verbs(tmp_path) == []


async def test_nothing_starts_on_an_incomplete_configuration(make: Make, tmp_path: Path) -> None:
    """Without `existing` an empty member would found a cluster of its own."""
    with pytest.raises(MemberProcessError, match="ETCD_INITIAL_CLUSTER_STATE lacking"):
        await make(OBEDIENT).start({k: v for k, v in JOIN.items() if k != "ETCD_INITIAL_CLUSTER_STATE"})
    assert verbs(tmp_path) == []


@pytest.mark.parametrize("whose", [ANOTHER, ELSEWHERE])
async def test_nothing_starts_on_data_of_another(make: Make, tmp_path: Path, whose: Identity) -> None:
    """Another member's, or another cluster's."""
    written(tmp_path / "data", whose)
    with pytest.raises(
        MemberProcessError, match=f"holds data of member {whose.member_id} of cluster {whose.cluster_id}"
    ):
        await make(OBEDIENT).start(JOIN)
    assert verbs(tmp_path) == ["status"]


async def test_start_with_other_settings_stops_what_has_not_joined(make: Make, tmp_path: Path) -> None:
    """Once it has data it has joined, and is left as it is."""
    process = make(STARTS)
    assert (await process.start(JOIN)).changed
    assert await process.start(JOIN, again=True) == ("started, process 42", True)
    assert [verb for verb in verbs(tmp_path) if verb != "status"] == ["start", "stop", "start"]
    written(tmp_path / "data", OURS)
    assert await process.start(JOIN, again=True) == ("ran already, process 42", False)


async def test_start_goes_on_with_the_members_own_data(make: Make, tmp_path: Path) -> None:
    """It has run before, and was stopped."""
    written(tmp_path / "data", OURS)
    assert (await make(STARTS).start(JOIN)).changed


async def test_start_counts_once_what_runs_has_the_data_open(make: Make, tmp_path: Path) -> None:
    """It may take a moment to open them; a second start finds it so."""
    (tmp_path / "open.py").write_text(OPEN)
    process = make(OPENS)
    try:
        assert await process.start(JOIN) == ("started, process 42", True)
        assert await process.start(JOIN, begun=True) == ("ran already, process 42", False)
    finally:
        (tmp_path / "runs").unlink()


async def test_start_on_other_data_is_no_success(make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As where the configuration guesses the data directory: another member's data may run now, and it is told."""
    process = make(OBEDIENT)
    for started in (True, False):
        clock_of(monkeypatch, member_process, ticking(25.0))
        with pytest.raises(
            MemberProcessError, match=r"no process has the database in .*/data open: it may run on other"
        ) as caught:
            await process.start(JOIN)
        assert (caught.type, caught.value.started) == (MemberProcessError, started)
    assert [verb for verb in verbs(tmp_path) if verb != "status"] == ["start"]


async def test_running_etcd_of_another_is_no_success(make: Make, tmp_path: Path) -> None:
    """That something runs is not enough."""
    written(tmp_path / "data", ANOTHER)
    (tmp_path / "runs").touch()
    with pytest.raises(MemberProcessError, match="not of 8211f1d0f64f3269"):
        await make(OBEDIENT).start(JOIN)


async def test_start_that_starts_nothing_is_an_error(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its own word is not believed, but it gets its time."""
    clock_of(monkeypatch, member_process, ticking(25.0))
    with pytest.raises(
        MemberProcessError, match=r"`start` ended with status 0, and `status` says 7, not running, until"
    ):
        await make('echo "$1" >>verbs; [ "$1" != status ] || exit 7').start(JOIN)
    assert verbs(tmp_path) == ["status", "start", "status", "status", "status"]


async def test_etcd_that_ends_at_once_is_an_error(make: Make) -> None:
    """As with a flag that it does not know."""
    script = OBEDIENT.replace("if [ -e runs ]; then", "if [ -e runs ]; then rm runs;")
    with pytest.raises(MemberProcessError, match="etcd ended right after its start"):
        await make(script).start(JOIN)


async def test_failed_start_says_why(make: Make) -> None:
    """7 is no success of `start`."""
    for code in (1, 7):
        script = f'[ "$1" != status ] || exit 7\necho "no unit etcd" >&2; exit {code}'
        with pytest.raises(MemberProcessError, match=f"`start` ended with status {code}: no unit etcd"):
            await make(script).start(JOIN)


async def test_command_killed_in_the_middle_is_carried_out_by_the_next_one(make: Make, tmp_path: Path) -> None:
    """It may have started etcd or not: `status` tells."""
    dies = STARTS.replace("start) touch runs ;;", "start) touch runs; [ -e died ] || { touch died; kill -9 $$; } ;;")
    process = make(dies)
    with pytest.raises(MemberProcessError, match="`start` was ended by signal 9"):
        await process.start(JOIN)
    assert await process.start(JOIN) == ("ran already, process 42", False)
    assert verbs(tmp_path).count("start") == 1


# --- stop -------------------------------------------------------------------------------------------------------------


async def test_process_that_holds_the_database_has_not_stopped(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever `status` says, as where it looks into another namespace for processes."""
    clock_of(monkeypatch, member_process, ticking(25.0))
    written(tmp_path / "data", OURS)
    (tmp_path / "data" / "member" / "snap").mkdir()
    with (tmp_path / "data" / "member" / "snap" / "db").open("wb") as database:
        fcntl.flock(database, fcntl.LOCK_EX)
        with pytest.raises(MemberProcessError, match="while a process has its database open"):
            await make(OBEDIENT).stop()
        with pytest.raises(MemberProcessError, match="stop it first"):
            await make(OBEDIENT).archive()
        with pytest.raises(MemberProcessError, match="while a process has the database"):
            await make(OBEDIENT).start(JOIN)
    assert await make(OBEDIENT).stop() == ("did not run", False)


async def test_process_of_another_is_not_stopped(make: Make, tmp_path: Path) -> None:
    """Its data tells whose it is."""
    written(tmp_path / "data", ANOTHER)
    (tmp_path / "runs").touch()
    with pytest.raises(ForeignMemberError, match="not stopped"):
        await make(OBEDIENT).stop()
    assert "stop" not in verbs(tmp_path)


async def test_process_without_data_is_stopped_only_where_it_was_started(make: Make, tmp_path: Path) -> None:
    """A new member may be about to begin there."""
    (tmp_path / "runs").touch()
    with pytest.raises(ForeignMemberError, match="not stopped"):
        await make(OBEDIENT).stop(needs_data=True)
    assert "stop" not in verbs(tmp_path)
    assert (await make(OBEDIENT).stop()).changed


# --- helpers ----------------------------------------------------------------------------------------------------------


async def appears(path: Path) -> None:
    """The file is there, and something in it."""

    async def there() -> bool:
        return path.exists() and bool(path.read_text())  # noqa: ASYNC240  # a small file

    await wait_until(there, f"{path} is there", 30)


async def ended(pid: int) -> None:
    """No process has this number, or only its exit status waits for somebody."""

    async def gone() -> bool:
        try:
            stat = Path(f"/proc/{pid}/stat").read_text()  # noqa: ASYNC240  # of the kernel
            return stat.rpartition(")")[2].split()[0] == "Z"
        except FileNotFoundError:
            return True

    await wait_until(gone, f"process {pid} has ended", 30)
