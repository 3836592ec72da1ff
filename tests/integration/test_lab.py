"""The lab itself: what it says is up is up, its faults are real, and nothing of it outlives anybody."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from etcd_handoff.config import load_config
from etcd_handoff.lab import Lab, LabOptions, ProcessError, Role, wait_until
from etcd_handoff.lab.supervisor import IP_REPAIR_FAILED
from etcd_handoff.lab.writer import OpenLoopWriter, missing

if TYPE_CHECKING:
    from pathlib import Path

PARENT = """
import asyncio, json, pathlib, signal, sys
from etcd_handoff.lab import Lab, LabOptions

# A shell starts what it puts into the background with SIGINT ignored, and children inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

async def main():
    folder = pathlib.Path(sys.argv[1])
    async with Lab(LabOptions(nodes=1, workers=("node0",), directory=folder / "lab")) as lab:
        keys = [("etcd", "node0"), ("apiserver", "node0"), ("worker", "node0"), ("temporal", "")]
        pids = [lab.process(*key).pid for key in keys]
        (folder / "pids.new").write_text(json.dumps(pids))
        (folder / "pids.new").rename(folder / "pids")
        await asyncio.Event().wait()

asyncio.run(main())
"""
"""A script that starts one process of each role, says which, and waits for its end."""


def lab_files(folder: Path) -> list[Path]:
    """What a lab has written."""
    return list(folder.iterdir())


def runs(pid: int) -> bool:
    """Whether there is a process with this ID; one that is dead and only not yet reaped does not count."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as stat:  # noqa: PTH123  # nothing to join
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


async def ended(pids: list[int]) -> None:
    """None of the processes runs."""

    async def none_runs() -> bool:
        return not any(runs(pid) for pid in pids)

    await wait_until(none_runs, "all processes have ended", 60, lambda: str([p for p in pids if runs(p)]))


async def test_api_server_that_will_never_be_ready_starts_over(tmp_path: Path) -> None:
    """What it says before it ends, a minute later, is enough; others that wait for it do not see it end."""
    async with Lab(LabOptions(nodes=1, temporal=False, directory=tmp_path)) as lab:
        server = lab.process(Role.APISERVER, "node0")
        first = server.pid
        with server.log.open("a") as log:
            log.write(f"{IP_REPAIR_FAILED}\n")
        await asyncio.gather(lab.ready(Role.APISERVER, "node0"), lab.ready(Role.APISERVER, "node0"))
        assert server.pid not in (first, None)
        assert await lab.etcdmembers("node0")


async def test_three_nodes_come_up_as_they_say_and_go_without_a_trace(tmp_path: Path) -> None:
    """Members, leader, resources, configuration and Web UI agree; after the end no process is left."""
    async with Lab(LabOptions(directory=tmp_path)) as lab:
        names = {"node0", "node1", "node2"}
        ids = {m.name: m.id for m in await lab.members()}
        assert set(ids) == names
        assert await lab.leader() in names
        for node in lab.nodes:
            found = await lab.etcdmembers(node.name)
            assert {name: r["status"]["memberID"] for name, r in found.items()} == ids
            assert {await lab.joined(name, node.name) for name in names} == {"True"}
            assert {r["status"]["peerAddress"] for r in found.values()} == {"127.0.0.1"}
        table = await lab.kubectl("get", "etcdmembers", context="node1")
        assert table.splitlines()[0].split("  ")[0] == "NAME"
        assert "PEER ADDRESS" in table
        assert "RECONCILE STATUS" in table
        profile = load_config(lab.config_path).cluster("demo")
        assert profile.etcd.endpoints == tuple(n.etcd_url for n in lab.nodes)
        assert profile.kubernetes is not None
        assert profile.kubernetes.contexts == tuple(n.name for n in lab.nodes)
        keys = [(role, node) for role in (Role.ETCD, Role.APISERVER) for node in sorted(names)]
        pids = [lab.process(*key).pid for key in [*keys, (Role.TEMPORAL, "")]]
        logs = {log.name for log in (tmp_path / "logs").iterdir()}
    assert {f"{role}-{node}.log" for role, node in keys} | {"temporal.log"} <= logs
    assert not [pid for pid in pids if pid is None or runs(pid)]


async def test_faults_are_real_and_can_be_undone(tmp_path: Path) -> None:
    """A leader that is killed or stopped loses its leadership, and comes back as a voter."""
    async with Lab(LabOptions(kubernetes=False, temporal=False, directory=tmp_path)) as lab:
        first, term = await lab.leader_and_term()
        await lab.kill(Role.ETCD, first)
        assert not lab.alive(Role.ETCD, first)
        second, later = await lab.leader_and_term()
        assert second != first
        assert later > term
        with pytest.raises(OSError, match="refused"):
            await lab.members(first)
        await lab.start(Role.ETCD, first)
        assert len(await lab.members(first)) == 3

        lab.stop(Role.ETCD, second)
        assert lab.alive(Role.ETCD, second)

        async def led_by_another() -> bool:
            return await lab.leader() != second

        await wait_until(led_by_another, "another leads", 60)
        lab.resume(Role.ETCD, second)
        await lab.ready(Role.ETCD, second)
        await lab.terminate(Role.ETCD, second)
        await lab.restart(Role.ETCD, second)
        assert len(await lab.members(second)) == 3


async def test_added_member_serves_as_a_learner(tmp_path: Path) -> None:
    """It is in the list with its name, and no voter."""
    async with Lab(LabOptions(kubernetes=False, temporal=False, directory=tmp_path)) as lab:
        learner = await lab.add_learner()
        assert {m.name: m.is_learner for m in await lab.members("node0")} == {
            "node0": False,
            "node1": False,
            "node2": False,
            learner.name: True,
        }
        assert await lab.leader() != learner.name


async def test_worker_is_ready_only_when_its_present_life_says_so(tmp_path: Path) -> None:
    """The log keeps what earlier lives said, which must not count: a restart waits again."""
    options = LabOptions(nodes=1, workers=("node0",), kubernetes=False, directory=tmp_path)
    async with Lab(options) as lab:
        await lab.restart(Role.WORKER, "node0")
        log = lab.process(Role.WORKER, "node0").log.read_text()
        assert log.count("etcd-handoff worker ready") == 2


async def test_temporal_comes_back_on_its_file(tmp_path: Path) -> None:
    """What it knew before SIGKILL it knows after its restart."""
    async with Lab(LabOptions(nodes=1, kubernetes=False, directory=tmp_path)) as lab:
        start = ["workflow", "start", "--type", "T", "--task-queue", "q", "--workflow-id", "kept"]
        assert (await lab.temporal(*start))[0] == 0
        await lab.restart(Role.TEMPORAL)
        status, output, errors = await lab.temporal("workflow", "describe", "--workflow-id", "kept")
        assert (status, "kept" in output) == (0, True), errors


async def test_writer_counts_what_was_acknowledged_and_how_long_nothing_was(tmp_path: Path) -> None:
    """It goes on while the leader is dead, its longest gap is that of the election, and nothing is lost."""
    async with Lab(LabOptions(kubernetes=False, temporal=False, directory=tmp_path / "lab")) as lab:
        leader = await lab.leader()
        rest = [node.etcd_url for node in lab.others(leader)]
        async with OpenLoopWriter(rest[0], tmp_path) as writer:
            await lab.kill(Role.ETCD, leader)
            await lab.leader()
            await asyncio.sleep(0.5)  # writes after the election are part of the report
            report = await writer.stop()
        assert len(report.puts) == len(report.acknowledged) + len(report.failed) > 200
        assert sum(report.reasons.values()) == len(report.failed)
        assert 500 < report.longest_gap_ms() < 10_000
        assert await missing(report, rest) == {}
        async with OpenLoopWriter(rest[1], tmp_path) as writer:
            later = await writer.stop()
        assert await missing(type(later)(report.puts, later.prefix), rest[:1]), "a lost write would not be noticed"


async def test_failed_start_says_which_process_and_how_its_log_ends(tmp_path: Path) -> None:
    """The error names the process and has its last words; the others have ended."""
    lab = Lab(LabOptions(nodes=1, etcd_flags=("--heartbeat-interval=90000",), directory=tmp_path))
    with pytest.raises(ProcessError, match=r"(?s)etcd-node0 ended with status .*heartbeat"):
        await lab.__aenter__()
    assert not lab.alive(Role.APISERVER, "node0")
    assert not lab.alive(Role.TEMPORAL)


async def test_full_disk_is_said_before_anything_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message has the folder, what is free, what is needed and the way out; nothing has been started."""
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=300 << 20))
    folder = tmp_path / "lab"
    with pytest.raises(ProcessError, match=rf"{folder} has 300 MiB free; 3 nodes need 480 MiB.*TMPDIR"):
        await Lab(LabOptions(directory=folder)).__aenter__()
    assert not lab_files(folder)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
async def test_nothing_outlives_the_parent(tmp_path: Path, number: signal.Signals) -> None:
    """However the process that started a lab ends, each of the lab's processes ends too."""
    with (tmp_path / "parent.log").open("wb") as log:
        parent = subprocess.Popen(  # noqa: ASYNC220  # it must be no child of the event loop's machinery
            [sys.executable, "-c", PARENT, str(tmp_path)], stdout=log, stderr=log, env=os.environ
        )
    pids: list[int] = []
    try:

        async def up() -> bool:
            assert parent.poll() is None, (tmp_path / "parent.log").read_text()
            return (tmp_path / "pids").exists()

        await wait_until(up, "the parent's lab is up", 120)
        pids = json.loads((tmp_path / "pids").read_text())
        assert all(runs(pid) for pid in pids)
        parent.send_signal(number)
        await ended(pids)
    finally:
        parent.kill()
        parent.wait()
        for pid in filter(runs, pids):  # the test is red: what it found alive must not outlive it as well
            os.kill(pid, signal.SIGKILL)
