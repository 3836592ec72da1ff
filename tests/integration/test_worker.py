"""The worker as a process: what it says, how it ends, what it does when it may not do everything."""

from __future__ import annotations

import json
import signal
import sys
from typing import TYPE_CHECKING

import pytest

from etcd_handoff import __version__
from etcd_handoff.lab import Lab, LabOptions, Role
from etcd_handoff.lab.nodes import ROOT
from etcd_handoff.lab.processes import run

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.conftest import MakeBench

GOOD = '[clusters.demo.etcd]\nendpoints = ["http://127.0.0.1:2379"]\n'


async def test_start_line_search_attributes_and_a_graceful_end(bench: MakeBench) -> None:
    """It says where it works and with what; SIGTERM in the middle of a step ends it well, and another one goes on."""
    async with bench(workers=("node0",), failpoints="move_leader.after=hold") as b:
        process = b.lab.process(Role.WORKER, "node0")
        for words in ("node node0", "task queue etcd-handoff", "clusters demo", f"build {__version__}"):
            assert process.says(words), words
        status, shown, _ = await b.lab.temporal("operator", "search-attribute", "list")
        assert status == 0
        for name in ("EtcdCluster", "EtcdMember", "HandoffState"):
            assert name in shown
        leader = await b.lab.leader()
        removal = await b.start(leader)
        await b.reached("move_leader.after")
        await b.lab.start_worker("node1", {})
        await b.lab.terminate(Role.WORKER, "node0")
        assert process.exit_status == 0
        assert process.says("worker stopped")
        assert (await removal.result()).outcome == "removed"
        await b.judge({leader})


@pytest.mark.parametrize(
    ("attributes", "said"),
    [
        ([(f"Other{number}", "Keyword") for number in range(10)], "cannot have more than 10"),
        ([("HandoffState", "Int")], "not of type Keyword, to be removed first: HandoffState"),
    ],
    ids=["no-room", "another-type"],
)
async def test_search_attributes_that_cannot_be_had_do_not_hinder_a_removal(
    bench: MakeBench, attributes: list[tuple[str, str]], said: str
) -> None:
    """The server refuses to register them, or somebody else uses a name: the worker says so and goes on without."""
    async with bench(workers=()) as b:
        named = [word for name, kind in attributes for word in ("--name", name, "--type", kind)]
        status, _, errors = await b.lab.temporal("operator", "search-attribute", "create", *named)
        assert status == 0, errors
        await b.lab.start_worker("node0")
        process = b.lab.process(Role.WORKER, "node0")
        for words in (", without search attributes", said, "temporal operator search-attribute create"):
            assert process.says(words), process.tail()
        status, shown, _ = await b.lab.handoff("doctor", "-o", "json")
        finding = next(f for f in json.loads(shown) if f["check"] == "search attributes")
        assert (status, finding["ok"]) == (1, False)
        assert "temporal operator search-attribute" in finding["remedy"]
        target = b.lab.others(await b.lab.leader())[0].name
        assert (await b.remove(target)).outcome == "removed"
        await b.judge({target})


@pytest.mark.parametrize(
    ("content", "environment", "status", "said"),
    [
        ('[clusters.demo.etcd]\nendpoints = ["nonsense"]\n', {}, 2, "clusters.demo.etcd.endpoints"),
        (GOOD.replace("http", "https") + 'ca_file = "gone.pem"\n', {}, 2, "clusters.demo.etcd.ca_file"),
        (GOOD, {"TEMPORAL_PROFILE": "nowhere"}, 2, "TEMPORAL_PROFILE"),
        (GOOD, {"TEMPORAL_TLS_CLIENT_CERT_PATH": "/gone.pem"}, 2, "/gone.pem"),
        (GOOD, {}, 4, "Connection refused; set TEMPORAL_ADDRESS"),
    ],
    ids=["endpoint", "file", "profile", "certificate", "no-temporal"],
)
async def test_bad_configuration_and_no_temporal_end_it_at_once(
    tmp_path: Path, content: str, environment: dict[str, str], status: int, said: str
) -> None:
    """Each with its exit status and the remedy, and without a traceback."""
    config = tmp_path / "etcd-handoff.toml"
    config.write_text(content)
    command = [sys.executable, str(ROOT / "worker.py"), "--config", str(config)]
    ended, shown, errors = await run(command, {"TEMPORAL_ADDRESS": "127.0.0.1:1", **environment}, ROOT)
    assert (ended, said in errors) == (status, True), shown + errors
    assert "Traceback" not in errors
    assert "ready" not in shown


async def test_unknown_namespace_ends_it_and_ctrl_c_does_without_temporal(tmp_path: Path) -> None:
    """It never says that it is ready where it cannot work; and it stops well when the server is gone before it."""
    async with Lab(LabOptions(nodes=1, kubernetes=False, workers=("node0",), directory=tmp_path)) as lab:
        command = [sys.executable, str(ROOT / "worker.py")]
        status, shown, errors = await run(command, {**lab.environment, "TEMPORAL_NAMESPACE": "nowhere"}, ROOT)
        assert (status, "set TEMPORAL_NAMESPACE" in errors) == (2, True), errors
        assert "ready" not in shown
        await lab.kill(Role.TEMPORAL)
        process = lab.process(Role.WORKER, "node0")
        process.signal(signal.SIGINT)
        assert await process.ended() == 0
        assert process.says("worker stopped")
