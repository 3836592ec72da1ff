"""Workers of two versions side by side, as while an update is rolled out: no removal fails by it."""

from __future__ import annotations

import ast
import asyncio
import shutil
import sys
from typing import TYPE_CHECKING, Final

from temporalio.api.enums.v1 import EventType, WorkflowTaskFailedCause

from etcd_handoff.lab import Role, wait_until
from etcd_handoff.lab.nodes import ROOT
from etcd_handoff.lab.processes import Process

if TYPE_CHECKING:
    from pathlib import Path

    from temporalio.client import WorkflowHandle

    from etcd_handoff.contract import RemovalResult
    from tests.integration.conftest import Bench, MakeBench

SOURCES: Final = ("worker.py", "etcd_handoff", "activities", "workflows")
FIELD: Final = '    zone: str = "b"\n'
REMOVALS = 5


WITH_NEW_FIELDS: Final = {
    "contract/requests.py": ("RemovalRequest",),
    "contract/results.py": ("Step",),
    "activity_io/etcd_steps.py": ("CheckLeaderInput", "StepInput"),
    "activity_io/step_result.py": ("StepResult",),
    "operation/state.py": ("OperationState",),
    "operation/queue_state.py": ("QueueEntry", "QueuePosition", "ChangeQueueState"),
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


async def task_failures(handle: WorkflowHandle[object, RemovalResult]) -> list[str]:
    """Why tasks of this workflow failed, but for those that the server repeats since news came while they ended."""
    events = [event async for event in handle.fetch_history_events()]
    failed = [e for e in events if e.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED]
    reasons = [e.workflow_task_failed_event_attributes for e in failed]
    unheard = WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_UNHANDLED_COMMAND
    return [reason.failure.message for reason in reasons if reason.cause != unheard]


async def says(process: Process, words: str) -> bool:
    """Its log has these words."""
    return process.log_contains(words)


async def start_all(b: Bench) -> list[WorkflowHandle[object, RemovalResult]]:
    """Removals that queue up, and a dry run for each member beside them."""
    names = [node.name for node in b.lab.nodes]
    plans = [await b.start(name, dry_run=True) for name in names]
    return [*[await b.start(name) for name in names[:REMOVALS]], *plans]


async def test_rolling_update_fails_no_removal(bench: MakeBench, tmp_path: Path) -> None:
    """Each worker takes what the other began, with fields and an outcome that it does not know.

    An older worker reads what a newer one wrote and the other way round, through answers, inputs of activities, the
    queue of changes, and the input itself.
    """
    async with bench(nodes=7, workers=("node0",), kubernetes=False) as b:
        tree = newer_tree(tmp_path)
        command = [sys.executable, str(tree / "worker.py"), "--node", "newer"]
        newer = Process("newer", command, tmp_path / "newer.log", b.lab.environment, tree)
        newer.start()
        try:
            await wait_until(lambda: says(newer, "etcd-handoff worker ready"), "the newer worker is ready", 60)
            handles = await start_all(b)
            async with asyncio.timeout(120):
                results = await asyncio.gather(*(handle.result() for handle in handles))

            async def both_have_worked() -> bool:
                results.append(await b.remove(b.lab.nodes[-1].name, dry_run=True))
                steps = [step for result in results for step in result.steps]
                words = {str(step.outcome) for step in steps} >= {"observed", "observed-anew"}
                return words and {step.node for step in steps} == {"node0", "newer"}

            await wait_until(both_have_worked, "each of the two has done a part of it", 60)
        finally:
            await newer.kill()
        assert [r.outcome for r in results[:REMOVALS]] == ["removed"] * REMOVALS
        assert {r.outcome for r in results[REMOVALS:]} == {"planned"}
        assert [await task_failures(handle) for handle in handles] == [[]] * len(handles)
        assert {m.name for m in await b.lab.members("node6")} == {"node5", "node6"}
        assert b.lab.process(Role.WORKER, "node0").exit_status is None
