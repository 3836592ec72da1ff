"""`make demo` as a newcomer sees it: what it prints, how it ends, what it leaves behind."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from etcd_handoff.lab import ProcessError, wait_until
from etcd_handoff.lab.nodes import ROOT
from tests.integration.isolation import require_isolation

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.slow

DEMO = "from etcd_handoff.cli import main; main()"
KEPT_DEMO = (
    """
from etcd_handoff.lab import demo

async def durable_way(lab, *_):
    for name in ("node1", "node2"):
        await lab.start_worker(name)
    return True

async def new_member(*_):
    return True

demo._show_durable_way, demo.show_new_member = durable_way, new_member
"""
    + DEMO
)
"""The demo of a cluster to which nothing has happened but that a worker is gone: what happens else has its own test."""
NAMES = ("node0", "node1", "node2")
ROW = re.compile(r"^(node\d) +\S+ +([0-9a-f]+) +(True|False) +(\w+)", re.MULTILINE)
"""A row of `kubectl get etcdmembers`."""
STEP = re.compile(
    r"^(check_leader|move_leader|await_election|remove_member|update_status) +(node\d) +([\d.]+) +(\d+) ", re.MULTILINE
)
"""A row of the timeline: step, node, milliseconds, tries."""


def lab_processes(folder: Path) -> dict[int, str]:
    """Processes that name `folder` in their command line or their environment, by process ID."""
    found = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            command, environment = (entry / "cmdline").read_bytes(), (entry / "environ").read_bytes()
        except OSError:
            continue  # it has ended, or is somebody else's
        if os.fsencode(folder) in command + environment:
            found[int(entry.name)] = command.replace(b"\0", b" ").decode(errors="replace")
    return found


def labs(folder: Path) -> list[Path]:
    """Data and logs of labs."""
    return list(folder.glob("etcd-handoff-lab-*"))


@asynccontextmanager
async def demo(folder: Path, *arguments: str, code: str = DEMO) -> AsyncIterator[tuple[Process, Path]]:
    """The demo with its temporary files in `folder`, and where its output goes; killed if it is not over."""
    log = folder / "told.txt"
    environment = {**os.environ, "TMPDIR": str(folder)}
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", code, "demo", *arguments),
            stdout=output,
            stderr=asyncio.subprocess.STDOUT,
            env=environment,
            cwd=ROOT,
        )
    try:
        yield process, log
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_demo_shows_both_ways_and_leaves_nothing(tmp_path: Path) -> None:
    """The leader leaves although its worker is killed, no write is lost, the naive way lies; then all is gone."""
    async with demo(tmp_path) as (process, log):
        await process.wait()
        text = log.read_text()
        assert process.returncode == 0, text
    durable, rest = text.split("2. A new member takes its place")
    addition, naive = rest.split("3. The naive way")
    leader = next(iter(re.findall(r"^leader +(node\d)", durable, re.MULTILINE)))
    rows = ROW.findall(durable)
    before, after = rows[:3], rows[3:]
    assert {name: joined for name, _, joined, _ in before} == dict.fromkeys(NAMES, "True")
    assert {name: joined for name, _, joined, _ in after} == {name: str(name != leader) for name in NAMES}
    steps = STEP.findall(durable)
    names = [name for name, *_ in steps]
    assert names[:2] + names[-2:] == ["check_leader", "move_leader", "remove_member", "update_status"]
    # Another attempt follows that of the killed worker; on a busy machine its heartbeats may have been late before.
    assert next(int(tries) for name, _, _, tries in steps if name == "move_leader") >= 2
    assert leader not in {node for name, node, *_ in steps if name != "check_leader"}, "its worker was killed"
    assert f"worker of {leader} killed with SIGKILL" in durable
    assert "outcome removed" in durable
    assert re.search(r"longest gap \d+ ms, acknowledged writes lost: 0$", durable, re.MULTILINE)
    assert re.search(r"longest gap \d+ ms, acknowledged writes lost: 0$", naive, re.MULTILINE)
    assert {name: joined for name, _, joined, _ in ROW.findall(addition)} == dict.fromkeys(NAMES, "True")
    assert re.search(rf"^starting its etcd with ETCD_INITIAL_CLUSTER=.*\b{leader}=", addition, re.MULTILINE)
    assert re.search(r"^the learner has its vote; worker of node\d killed with SIGKILL", addition, re.MULTILINE)
    assert "outcome added" in addition
    assert re.search(r"longest gap \d+ ms, acknowledged writes lost: 0$", addition, re.MULTILINE)
    assert {joined for _, _, joined, _ in ROW.findall(naive)} == {"True"}
    assert "says Joined=True" in naive
    assert lab_processes(tmp_path) == {}
    assert labs(tmp_path) == []


async def test_demo_of_isolated_nodes_removes_the_leader(tmp_path: Path) -> None:
    """`--k0s`: it says which topology that is, the leader has left, that is recorded, and no write is lost."""
    require_isolation()
    async with demo(tmp_path, "--k0s") as (process, log):
        await process.wait()
        text = log.read_text()
        assert process.returncode == 0, text
    durable, rest = text.split("2. A new member takes its place")
    addition, naive = rest.split("3. The naive way")
    leader = next(iter(re.findall(r"^leader +(node\d)", durable, re.MULTILINE)))
    assert re.search(
        r"^topology +as k0s: every member advertises https://127\.0\.0\.1:2379, and is reached there alone$",
        durable,
        re.MULTILINE,
    )
    after = ROW.findall(durable)[3:]
    assert {name: joined for name, _, joined, _ in after} == {name: str(name != leader) for name in NAMES}
    nodes = {name: node for name, node, *_ in STEP.findall(durable)}
    assert leader not in {nodes["remove_member"], nodes["update_status"]}, "its worker was killed"
    assert "outcome removed" in durable
    assert "outcome added" in addition
    for part in (durable, addition, naive):
        assert re.search(r"longest gap \d+ ms, acknowledged writes lost: 0$", part, re.MULTILINE), part
    assert lab_processes(tmp_path) == {}
    assert labs(tmp_path) == []


@pytest.mark.parametrize("number", [signal.SIGINT], ids=lambda number: number.name)
async def test_kept_demo_runs_until_it_is_told_to_end(tmp_path: Path, number: signal.Signals) -> None:
    """`--keep` says where everything is and ends well by Ctrl-C, leaving neither process nor file."""
    async with demo(tmp_path, "--keep", code=KEPT_DEMO) as (process, log):

        async def kept() -> bool:
            if process.returncode is not None:
                raise ProcessError(log.read_text())
            return "Ctrl-C ends it" in log.read_text()

        await wait_until(kept, "the demo is kept", 150, log.read_text)
        text, running = log.read_text(), lab_processes(tmp_path)
        for program in ("etcd --name=", "kube-apiserver", "temporal server", "worker.py --node"):
            assert [command for command in running.values() if program in command], f"no {program} is found"
        assert labs(tmp_path)
        assert "TEMPORAL_ADDRESS=127.0.0.1:" in text
        assert "etcd-handoff remove node1 -c demo" in text
        assert "/namespaces/default/workflows" in text
        process.send_signal(number)
        assert await process.wait() == 0, log.read_text()
        assert lab_processes(tmp_path) == {}
        assert labs(tmp_path) == []
