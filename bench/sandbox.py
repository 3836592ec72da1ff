"""What the SDK's sandbox costs: recorded histories replayed in it and without it, by turns.

Run as `python -m bench.sandbox [ROUNDS]`. A replay runs all decisions of a workflow and nothing else.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections import defaultdict
from pathlib import Path
from typing import Final

from temporalio.client import WorkflowHistory
from temporalio.worker import Replayer, UnsandboxedWorkflowRunner
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner

from bench import report
from etcd_handoff.temporal.converter import data_converter
from worker import INTERCEPTORS
from workflows.registry import WORKFLOWS

HISTORIES: Final = Path(__file__).resolve().parents[1] / "tests" / "replay" / "histories"
NAMES: Final = ("leader", "follower")


async def run(rounds: int) -> dict[str, list[float]]:
    """Milliseconds of each replay, by history and runner; the first round warms up."""
    samples: dict[str, list[float]] = defaultdict(list)
    for number in range(rounds + 1):
        for name in NAMES:
            history = WorkflowHistory.from_json(name, (HISTORIES / f"{name}.json").read_text())
            for kind, runner in (("sandbox", SandboxedWorkflowRunner()), ("no sandbox", UnsandboxedWorkflowRunner())):
                replayer = Replayer(
                    workflows=WORKFLOWS,
                    interceptors=INTERCEPTORS,
                    data_converter=data_converter,
                    workflow_runner=runner,
                )
                began = time.perf_counter()
                await replayer.replay_workflow(history)
                if number:
                    samples[f"a {name}'s removal, {kind}"].append((time.perf_counter() - began) * 1000)
    return samples


if __name__ == "__main__":
    report.write(
        "sandbox",
        "All decisions of a removal, replayed",
        asyncio.run(run(int(sys.argv[1]) if len(sys.argv) > 1 else 30)),
        "ms",
        ["recorded histories of tests/replay", "both runners take turns in one process"],
    )
