"""Where a failpoint holds an attempt, and whom it lets pass."""

from __future__ import annotations

import asyncio
import contextvars
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from etcd_handoff.failpoints import ATTEMPT, FAILPOINTS_VARIABLE, FOLDER_VARIABLE, WORKFLOW, reach

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

POINT = "move_leader.before"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The point is armed to hold."""
    monkeypatch.setenv(FAILPOINTS_VARIABLE, f"{POINT}=hold")
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    return tmp_path


@pytest.fixture
def holder(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Another process that is held at the point."""
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    (folder / f"{POINT}.hit").write_text(str(process.pid))
    yield process
    process.kill()
    process.wait()


def attempt(number: int, workflow: str = "") -> asyncio.Future[None]:
    """This attempt of an activity comes to the point."""
    context = contextvars.copy_context()
    context.run(ATTEMPT.set, number)
    context.run(WORKFLOW.set, workflow)
    return asyncio.get_running_loop().create_task(reach(POINT), context=context)


async def is_held(reaching: asyncio.Future[None]) -> bool:
    """Whether it is still there after a while."""
    done, _ = await asyncio.wait([reaching], timeout=0.2)
    return not done


async def test_first_is_held_until_it_is_released(folder: Path) -> None:
    """The file that tells so has its process ID."""
    reaching = attempt(1)
    assert await is_held(reaching)
    assert (folder / f"{POINT}.hit").read_text() == str(os.getpid())
    (folder / f"{POINT}.release").touch()
    await asyncio.wait_for(reaching, 10)


async def test_point_of_one_workflow_lets_others_pass(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A watcher's look neither waits there nor uses the point up."""
    monkeypatch.setenv(FAILPOINTS_VARIABLE, f"RemoveMember/{POINT}=hold")
    await asyncio.wait_for(attempt(1, "ReconcileEtcdMembers"), 10)
    reaching = attempt(1, "RemoveMember")
    assert await is_held(reaching)
    (folder / f"{POINT}.release").touch()
    await asyncio.wait_for(reaching, 10)


@pytest.mark.usefixtures("holder")
async def test_another_activity_passes_where_one_is_held() -> None:
    """A point acts once."""
    await asyncio.wait_for(attempt(1), 10)


@pytest.mark.usefixtures("holder")
async def test_next_attempt_is_held_beside_the_first(folder: Path) -> None:
    """A heartbeat that came late opens no way past the point."""
    reaching = attempt(2)
    assert await is_held(reaching)
    (folder / f"{POINT}.release").touch()
    await asyncio.wait_for(reaching, 10)


@pytest.mark.parametrize("by", [signal.SIGKILL, signal.SIGSTOP])
async def test_next_attempt_passes_once_the_first_is_dead_or_stopped(
    holder: subprocess.Popen[bytes], by: signal.Signals
) -> None:
    """It takes over, as it does in earnest."""
    reaching = attempt(2)
    assert await is_held(reaching)
    holder.send_signal(by)
    await asyncio.wait_for(reaching, 10)
