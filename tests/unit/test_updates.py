"""Which refusals of an update are none, and which are told."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any, Final

import pytest
from temporalio.api.workflowservice.v1 import DescribeWorkflowExecutionResponse
from temporalio.client import WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError

from etcd_handoff import time_limits
from etcd_handoff.temporal import updates

AT_ONCE: Final = replace(time_limits.COMMANDS, update_again_seconds=0.0)


class Handle:
    """Refuses an update for these reasons, one after the other, and takes it then.

    Args:
        reasons: Why it refuses.
        due: How often a workflow task is due when it is described.
    """

    def __init__(self, *reasons: str, due: int = 0) -> None:
        self._reasons, self.due = list(reasons), due
        self.sent: list[tuple[Any, ...]] = []

    async def describe(self) -> SimpleNamespace:
        """Whether it has taken in what has happened."""
        described = DescribeWorkflowExecutionResponse()
        if self.due:
            self.due -= 1
            described.pending_workflow_task.attempt = 1
        return SimpleNamespace(raw_description=described)

    async def execute_update(self, *arguments: Any, **_: Any) -> str:
        """Answer, or refuse."""
        self.sent.append(arguments)
        if self._reasons:
            raise WorkflowUpdateFailedError(ApplicationError("no", type=self._reasons.pop(0)))
        return "taken"


async def updated(handle: Handle) -> Any:
    """What the workflow answers."""
    return await updates.execute_update(handle, "recheck", {"reason": "now"})  # type: ignore[arg-type]  # a fake


async def test_update_that_no_worker_has_looked_at_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing has become of it."""
    monkeypatch.setattr(time_limits, "COMMANDS", AT_ONCE)
    handle = Handle(updates.UNPROCESSED, updates.UNPROCESSED)
    assert await updated(handle) == "taken"
    assert handle.sent == [("recheck", {"reason": "now"})] * 3


@pytest.mark.parametrize(
    ("due", "left"), [(0, 0), (3, 0), (10_000, 10_000 - time_limits.COMMANDS.update_ready_attempts)]
)
async def test_update_waits_a_moment_until_the_workflow_has_taken_in_what_has_happened(
    monkeypatch: pytest.MonkeyPatch, due: int, left: int
) -> None:
    """Not for ever: there may be no worker."""
    monkeypatch.setattr(time_limits, "COMMANDS", AT_ONCE)
    handle = Handle(due=due)
    assert await updated(handle) == "taken"
    assert (handle.due, len(handle.sent)) == (left, 1)


async def test_refusal_of_the_workflow_is_told() -> None:
    """Asked again it would be refused again, or taken at another moment than somebody meant."""
    handle = Handle("InvalidInput")
    with pytest.raises(WorkflowUpdateFailedError):
        await updated(handle)
    assert len(handle.sent) == 1
