"""Processes that are forks of one that has imported the product: what they see, how they end, and with whom."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from etcd_handoff.lab import wait_until
from etcd_handoff.lab.forks import AVAILABLE, PROGRAM, ForkedProcess, fork_server
from etcd_handoff.lab.nodes import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.skipif(not AVAILABLE, reason="Linux only")

WORLD = """
import os, sys
print(sys.argv[1:], sorted(os.environ), os.getcwd() == sys.argv[1], os.getppid() == int(sys.argv[2]))
print(sys.stdin.read() == "", os.getsid(0) == os.getpid(), file=sys.stderr)
sys.exit(7)
"""
PARENT = """
import os, sys, time
from etcd_handoff.lab.forks import fork_server
with open(sys.argv[1], "wb") as log:
    fork = fork_server().start("import time; time.sleep(600)", [], (log, log), os.environ)
print(fork.pid, fork_server().server_pid, flush=True)
time.sleep(600)
"""


def runs(pid: str) -> bool:
    """Whether there is such a process."""
    return Path(f"/proc/{pid}").exists()


@pytest.fixture
def parent(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A process of its own with a fork server and a fork, whose process IDs it prints."""
    process = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path / "log")], stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


async def test_fork_sees_what_it_is_given_and_nothing_else() -> None:
    """Arguments that are no UTF-8 too, its environment, no input; its status and what it writes come back."""
    arguments = [str(ROOT), str(os.getpid()), "\udcff"]
    status, output, errors = await fork_server().run(WORLD, arguments, {"PYTHONIOENCODING": "x", "A": "b"})
    assert (status, output) == (7, f"{arguments} ['A', 'PYTHONIOENCODING'] True True\n")
    assert errors == "True True\n"


async def test_fork_is_a_child_like_any_other(tmp_path: Path) -> None:
    """It can be stopped, killed and started again, and its end is told by the signal."""
    process = ForkedProcess("sleeper", "import time; print('up', flush=True); time.sleep(600)", [], tmp_path / "log")
    for _ in range(2):
        process.start()
        assert process.pid is not None

        async def up() -> bool:
            return process.log_contains("up")

        await process.ready_when(up, 60)
        process.signal(signal.SIGSTOP)
        await asyncio.to_thread(os.waitid, os.P_PID, process.pid, os.WSTOPPED | os.WNOWAIT)
        assert process.alive
        await process.kill()
        assert process.exit_status == -signal.SIGKILL


async def test_fork_becomes_a_program(tmp_path: Path) -> None:
    """As servers do, which are no Python."""
    program = ForkedProcess(
        "echo", PROGRAM, ["/bin/sh", "-c", "echo $0 $X; exit 3", "said"], tmp_path / "log", {"X": "y"}
    )
    program.start()
    assert await program.ended() == 3
    assert (tmp_path / "log").read_text() == "said y\n"


async def test_forks_that_are_cancelled_are_killed() -> None:
    """Whoever waits for a command and is cancelled leaves no process behind."""
    running = asyncio.create_task(fork_server().run("import time; time.sleep(600)", [], dict(os.environ)))

    def forks() -> set[str]:
        children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
        return {pid for pid in children if int(pid) != fork_server().server_pid}

    before = forks()

    async def one_more() -> bool:
        return len(forks()) > len(before)

    await wait_until(one_more, "it runs", 60)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert forks() == before


async def test_no_fork_outlives_who_asked_for_it(parent: subprocess.Popen[str]) -> None:
    """Killed without a word, it takes its forks and its server with it."""
    assert parent.stdout is not None
    pids = (await asyncio.to_thread(parent.stdout.readline)).split()
    assert len(pids) == 2
    assert all(map(runs, pids))
    parent.kill()

    async def gone() -> bool:
        return not any(map(runs, pids))

    await wait_until(gone, "both have ended", 60)
