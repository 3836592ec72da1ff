"""The worker as a process: what it says, how it ends, what it does when it may not do everything."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pytest
from temporalio.service import RPCError, RPCStatusCode

import worker
from etcd_handoff import __version__
from etcd_handoff.lab import Role
from etcd_handoff.lab.nodes import ROOT
from etcd_handoff.lab.processes import run

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.conftest import MakeBench


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
    ("content", "status", "said"),
    [
        ('[clusters.demo.etcd]\nendpoints = ["nonsense"]\n', 2, "clusters.demo.etcd.endpoints"),
        ('[clusters.demo.etcd]\nendpoints = ["http://127.0.0.1:2379"]\n', 4, "TEMPORAL_ADDRESS"),
    ],
)
async def test_bad_configuration_and_no_temporal_end_it_at_once(
    tmp_path: Path, content: str, status: int, said: str
) -> None:
    """Each with its exit status and the remedy, and without a traceback."""
    config = tmp_path / "etcd-handoff.toml"
    config.write_text(content)
    command = [sys.executable, str(ROOT / "worker.py"), "--config", str(config)]
    ended, shown, errors = await run(command, {"TEMPORAL_ADDRESS": "127.0.0.1:1"}, ROOT)
    assert (ended, said in errors) == (status, True), shown + errors
    assert "Traceback" not in errors


async def test_without_the_right_to_register_search_attributes_it_runs_without(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A server that refuses: the answer is no, and the log says what an administrator can do."""

    class Refusing:
        namespace = "default"

        @property
        def operator_service(self) -> Refusing:
            return self

        async def list_search_attributes(self, *_: Any) -> None:
            raise RPCError("not permitted", RPCStatusCode.PERMISSION_DENIED, b"")

    refusing: Any = Refusing()
    assert await worker.ensure_search_attributes(refusing) is False
    assert "temporal operator search-attribute create" in caplog.text
