"""Workers of one version after another, as while an update is rolled out: no removal fails by it."""

from __future__ import annotations

import ast
import asyncio
import contextlib
import shutil
import sys
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from temporalio.api.enums.v1 import EventType, WorkflowTaskFailedCause
from temporalio.client import WorkflowExecutionStatus, WorkflowUpdateFailedError
from temporalio.service import RPCError

from etcd_handoff.contract import HandoffState, RemovalRequest
from etcd_handoff.lab import Lab, LabOptions, wait_until
from etcd_handoff.lab.nodes import ROOT
from etcd_handoff.lab.processes import Process
from etcd_handoff.lab.waiting import gather_all
from etcd_handoff.temporal.client import connect, start_removal
from etcd_handoff.temporal.search_attributes import STATE_KEY
from etcd_handoff.temporal.updates import execute_update

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    import pytest
    from temporalio.client import Client

    from etcd_handoff.temporal.client import Removal

SOURCES: Final = ("worker.py", "etcd_handoff", "activities", "workflows")
FIELD: Final = '    zone: str = "b"\n'
CLUSTERS: Final = ("ash", "beech", "elm", "oak")
MEMBERS: Final = 6
REMOVALS: Final = len(CLUSTERS) * (MEMBERS - 1)
WORKERS: Final = 3


WITH_NEW_FIELDS: Final = {
    "contract/requests.py": ("RemovalRequest",),
    "contract/results.py": ("Step",),
    "activity_io/etcd_steps.py": ("CheckLeaderInput", "StepInput"),
    "activity_io/step_result.py": ("StepResult",),
    "operation/state.py": ("OperationState",),
    "operation/queue_messages.py": ("QueueEntry", "QueuePosition", "ChangeQueueState"),
}
"""Files of the package `etcd_handoff`, and their classes that a newer version adds a field to."""


def newer_tree(folder: Path) -> Path:
    """A copy of the product whose next version it might be: fields, a word and an option more."""
    tree = folder / "newer"
    tree.mkdir()
    for source in SOURCES:
        copy = shutil.copytree if (ROOT / source).is_dir() else shutil.copy
        copy(ROOT / source, tree / source)
    package = tree / "etcd_handoff"
    for file, kinds in WITH_NEW_FIELDS.items():
        for kind in kinds:
            add_field(package / file, kind)
    results = package / "contract" / "results.py"
    text = results.read_text(encoding="utf-8")
    assert '    OBSERVED = "observed"\n' in text
    results.write_text(
        text.replace('    OBSERVED = "observed"\n', '    OBSERVED = "observed-anew"\n'), encoding="utf-8"
    )
    return tree


def add_field(file: Path, kind: str) -> None:
    """One more field, with a default, at the end of a class's fields."""
    text = file.read_text(encoding="utf-8")
    body = next(node for node in ast.parse(text).body if isinstance(node, ast.ClassDef) and node.name == kind)
    last = max((node for node in body.body if isinstance(node, ast.AnnAssign)), key=lambda node: node.lineno)
    lines = text.splitlines(keepends=True)
    lines.insert(last.end_lineno or last.lineno, FIELD)
    file.write_text("".join(lines), encoding="utf-8")


async def task_failures(handle: Removal) -> list[str]:
    """Why tasks of this workflow failed, but for those that the server repeats since news came while they ended."""
    events = [event async for event in handle.fetch_history_events()]
    failed = [e for e in events if e.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED]
    reasons = [e.workflow_task_failed_event_attributes for e in failed]
    unheard = WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_UNHANDLED_COMMAND
    return [reason.failure.message for reason in reasons if reason.cause != unheard]


async def approve(removal: Removal) -> None:
    """Approve it as it is shown, and again where the approval has lapsed since others have changed the cluster."""

    async def ended() -> bool:
        described = await removal.describe()
        if described.typed_search_attributes.get(STATE_KEY) == HandoffState.AWAITING_APPROVAL:
            with contextlib.suppress(WorkflowUpdateFailedError, RPCError):  # it waits for none now, or has ended
                await execute_update(removal, "approve", {"by": "ann"})
        return described.status != WorkflowExecutionStatus.RUNNING

    await wait_until(ended, f"{removal.id} ends", 60)


async def ready(worker: Process) -> None:
    """It has started, and takes tasks."""

    async def says_so() -> bool:
        return worker.log_contains("etcd-handoff worker ready")

    worker.start()
    await worker.ready_when(says_so, 60)


@dataclass(frozen=True)
class Update:
    """Several clusters that the same workers serve, and the workers of both versions.

    Attributes:
        labs: A lab for each cluster; the first has the Temporal server.
        client: A Temporal client.
        old: Workers of this source, which run.
        new: Workers of the newer one, which do not.
    """

    labs: list[Lab]
    client: Client
    old: list[Process]
    new: list[Process]

    async def wave(self, number: int, **options: object) -> list[Removal]:
        """A removal in each cluster, of the node with this number."""
        members = [(lab.cluster, lab.nodes[number].name) for lab in self.labs]
        requests = [RemovalRequest.model_validate({"cluster": c, "member": m, **options}) for c, m in members]
        return [await start_removal(self.client, request) for request in requests]


@asynccontextmanager
async def update(folder: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Update]:
    """Nothing has been removed yet, and the workers of the old version are ready."""
    async with AsyncExitStack() as stack:
        options = [
            LabOptions(nodes=MEMBERS, cluster=name, temporal=not n, kubernetes=False, directory=folder / name)
            for n, name in enumerate(CLUSTERS)
        ]
        labs = [Lab(one) for one in options]

        async def enter(lab: Lab) -> None:
            await stack.enter_async_context(lab)

        await gather_all(*(enter(lab) for lab in labs))
        config = folder / "clusters.toml"
        config.write_text("\n".join(lab.config_path.read_text() for lab in labs))
        env = {**labs[0].environment, "ETCD_HANDOFF_CONFIG": str(config)}
        for name, value in env.items():
            monkeypatch.setenv(name, value)

        def worker(name: str, tree: Path) -> Process:
            command = [sys.executable, str(tree / "worker.py"), "--node", name]
            process = Process(name, command, folder / f"{name}.log", env, tree)
            stack.push_async_callback(process.kill)
            return process

        newer = newer_tree(folder)
        old = [worker(f"old{n}", ROOT) for n in range(WORKERS)]
        new = [worker(f"new{n}", newer) for n in range(WORKERS)]
        await gather_all(*(ready(one) for one in old))
        for lab in labs:
            await lab.wait_for_health_interval()
        yield Update(labs, await connect(), old, new)


async def test_rolling_update_under_twenty_removals_fails_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers are killed and replaced by newer ones, one after another, while removals run, queue up and wait.

    Newer ones have fields and an outcome that the older do not know. An older worker reads what a newer one wrote and
    the other way round, through answers, inputs of activities, the queue of changes, and the input itself.
    """
    async with update(tmp_path, monkeypatch) as u:
        waiting = await u.wave(0, require_approval=True)
        removals = await u.wave(1)
        first = await asyncio.gather(*(removal.result() for removal in removals))
        for number, (old, new) in enumerate(zip(u.old, u.new, strict=True), start=2):
            removals += await u.wave(number)
            await old.kill()
            await ready(new)
        await gather_all(*(approve(removal) for removal in waiting))
        handles = [*waiting, *removals]
        async with asyncio.timeout(60):
            results = await asyncio.gather(*(handle.result() for handle in handles))
        assert [r.outcome for r in results] == ["removed"] * REMOVALS
        assert [await task_failures(handle) for handle in handles] == [[]] * REMOVALS
        by_old = {step.node for result in first for step in result.steps}
        assert by_old <= {worker.name for worker in u.old}
        steps = [step for result in results for step in result.steps]
        assert {step.node for step in steps} & {worker.name for worker in u.new}
        assert {str(step.outcome) for step in steps} >= {"observed", "observed-anew"}
        for lab in u.labs:
            assert [m.name for m in await lab.members()] == [lab.nodes[-1].name]
