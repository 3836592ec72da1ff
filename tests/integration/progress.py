"""What an operation says of itself, and what it did, as tests wait for and compare it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from temporalio.service import RPCError

from etcd_handoff.contract import Progress, StepOutcome
from etcd_handoff.lab import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from temporalio.client import WorkflowHandle

    from etcd_handoff.contract import OperationResult


async def progress_of(operation: WorkflowHandle[Any, Any]) -> Progress | None:
    """Its answer to `progress`; None where no worker gives one in time, as just after one was killed."""
    try:
        progress: Progress = await operation.query("progress", result_type=Progress)
    except RPCError:
        return None
    return progress


async def says(
    operation: WorkflowHandle[Any, Any],
    *words: str,
    so: Callable[[Progress], bool] = lambda _: True,
    seconds: float = 60,
) -> Progress:
    """Where it stands, once its state, what it does and what it waits for have all these words, and it is `so`."""
    seen: list[Progress] = []

    def text() -> str:
        return f"{seen[-1].state}: {seen[-1].doing}; what unblocks it: {seen[-1].waiting_for}" if seen else "nothing"

    async def all_of_it() -> bool:
        seen.extend(filter(None, [await progress_of(operation)]))
        return bool(seen) and all(word in text() for word in words) and so(seen[-1])

    await wait_until(all_of_it, f"{operation.id} says {words}", seconds, lambda: f"it says {text()}")
    return seen[-1]


def changes(result: OperationResult) -> list[str]:
    """The steps that changed something, and not what a member that is late for a second adds.

    It looks again then, and a step that needs that member changes nothing and is repeated. A leader that was asked to
    hand over by an attempt whose answer was lost has done so: what comes of the next attempt stands for the election.
    """
    names = [step.name for step in result.steps]
    assert names[0] == "check_leader", "it did something before it had looked"
    changing = list[str]()
    for step in result.steps:
        if step.name == "move_leader" and step.outcome == StepOutcome.REPLAN and step.attempts > 1:
            changing += ["move_leader", "await_election"]
        elif step.name != "check_leader" and step.outcome not in (StepOutcome.REPLAN, StepOutcome.UNAVAILABLE):
            changing.append(step.name)
    return changing
