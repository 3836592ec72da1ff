"""Where a snapshot is stored: not on a node that leaves, as long as another worker may take the step."""

from __future__ import annotations

import dataclasses
import os
from typing import TYPE_CHECKING, Any

import pytest
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities.hash_and_snapshot import HashAndSnapshotActivities
from activities.interceptor import STEP_FAILS
from etcd_handoff import time_limits
from etcd_handoff.activity_io import StepInput, StepResult
from etcd_handoff.config import Config
from tests.fakes.etcd import FakeEtcd
from tests.unit.test_etcd_removal import THREE, looks_at

if TYPE_CHECKING:
    from pathlib import Path

RUN_ID = "0123abcd-aaaa-bbbb-cccc-0123456789ab"
LAST_CHANCE = time_limits.STEPS.snapshot_elsewhere_attempts
WARNING = "this is the node that leaves: copy it before the node is wiped"


async def taken(
    folder: Path, node: str, *, attempt: int = 1, kept: int = 5, nodes: dict[str, str] | None = None, **ask: Any
) -> StepResult:
    """One attempt by the worker of a node."""
    etcd = {"endpoints": ["http://127.0.0.1:2379"], "snapshot_directory": str(folder), "snapshots_kept": kept}
    config = Config.model_validate({"clusters": {"demo": {"etcd": etcd, "nodes": nodes or {}}}})
    gateway = FakeEtcd(THREE)
    activities = HashAndSnapshotActivities(config, node, lambda _: looks_at(gateway))
    environment = ActivityEnvironment()
    environment.info = dataclasses.replace(environment.info, attempt=attempt, workflow_run_id=RUN_ID)
    act = StepInput(**{"cluster": "demo", "cluster_id": "c", "target_id": "3", **ask})
    result: StepResult = await environment.run(activities.take_snapshot, act)
    return result


@pytest.mark.parametrize(
    ("node", "nodes", "ask"),
    [
        ("node3", {}, {}),
        ("NODE3", {}, {}),
        ("rack-7", {"node3": "rack-7"}, {}),
        ("node2", {}, {"target_id": "0", "leaving_later": ("2", "3")}),
        ("node2", {}, {"target_id": "3", "leaving_later": ("2",)}),
    ],
)
async def test_node_that_leaves_stores_no_snapshot_while_another_may(
    tmp_path: Path, node: str, nodes: dict[str, str], ask: dict[str, Any]
) -> None:
    """By the node of the member, and by all members that leave in a larger change. Later it is told what to do."""
    for attempt in (1, LAST_CHANCE - 1):
        with pytest.raises(
            ApplicationError, match="is the node that leaves: another worker is to store the snapshot"
        ) as error:
            await taken(tmp_path, node, attempt=attempt, nodes=nodes, **ask)
        assert (error.value.type, error.value.next_retry_delay) == (STEP_FAILS, time_limits.STEPS.elsewhere_pause)
    assert os.listdir(tmp_path) == []  # noqa: PTH208
    report = await taken(tmp_path, node, attempt=LAST_CHANCE, nodes=nodes, **ask)
    assert report.step.outcome == "saved"
    assert report.step.note.endswith(WARNING)
    assert len(os.listdir(tmp_path)) == 1  # noqa: PTH208


@pytest.mark.parametrize(
    ("node", "nodes"), [("node2", {}), ("node3", {"node3": "rack-7"}), ("elsewhere", {}), ("node2", {"node3": "node1"})]
)
async def test_node_that_stays_stores_it_at_once(tmp_path: Path, node: str, nodes: dict[str, str]) -> None:
    """Also one that has the name of a member which runs elsewhere."""
    report = await taken(tmp_path, node, nodes=nodes)
    assert (report.step.outcome, WARNING in report.step.note) == ("saved", False)


async def test_snapshot_is_taken_from_a_member_that_stays(tmp_path: Path) -> None:
    """node1 leads and stays; node2 and node3 leave."""
    report = await taken(tmp_path, "node1", target_id="0", leaving_later=("2", "3"))
    assert report.step.note.endswith("bytes from node1")


async def test_file_that_is_named_in_the_answer_is_there(tmp_path: Path) -> None:
    """Also where another one is from the future, since the node's clock had run ahead, and only one is kept."""
    future = tmp_path / "demo-00000001-aaaa-bbbb-cccc-0123456789ab.db"
    future.write_text("x")
    os.utime(future, (9_000_000_000, 9_000_000_000))
    report = await taken(tmp_path, "node2", kept=1)
    stored, _, _ = report.step.note.partition(" on ")
    assert (report.step.outcome, [str(tmp_path / name) for name in os.listdir(tmp_path)]) == ("saved", [stored])  # noqa: PTH208
