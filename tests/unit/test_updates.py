"""Which refusals of an update are none, and which are told."""

from __future__ import annotations

from typing import Any

import pytest
from temporalio.client import WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError

from etcd_handoff.temporal import updates


class Handle:
    """Refuses an update for these reasons, one after the other, and takes it then."""

    def __init__(self, *reasons: str) -> None:
        self._reasons = list(reasons)
        self.asked: list[tuple[Any, ...]] = []

    async def execute_update(self, *arguments: Any, **_: Any) -> str:
        """Answer, or refuse."""
        self.asked.append(arguments)
        if self._reasons:
            raise WorkflowUpdateFailedError(ApplicationError("no", type=self._reasons.pop(0)))
        return "taken"


async def updated(handle: Handle) -> Any:
    """What the workflow answers."""
    return await updates.execute_update(handle, "recheck", {"reason": "now"})  # type: ignore[arg-type]  # a fake


async def test_update_that_no_worker_has_looked_at_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing has become of it."""
    monkeypatch.setattr(updates, "AGAIN_SECONDS", 0.0)
    handle = Handle(updates.UNPROCESSED, updates.UNPROCESSED)
    assert await updated(handle) == "taken"
    assert handle.asked == [("recheck", {"reason": "now"})] * 3


async def test_refusal_of_the_workflow_is_told() -> None:
    """Asked again it would be refused again, or taken at another moment than somebody meant."""
    handle = Handle("InvalidInput")
    with pytest.raises(WorkflowUpdateFailedError):
        await updated(handle)
    assert len(handle.asked) == 1
