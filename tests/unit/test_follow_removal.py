"""How a removal is told from a later one under the same workflow ID, whatever the server says of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import pytest
from temporalio.api.enums.v1 import WorkflowExecutionStatus as Status
from temporalio.api.workflowservice.v1 import DescribeWorkflowExecutionResponse

from activities import temporal
from activities.temporal import TemporalActivities
from etcd_handoff.removal_progress import Follow

if TYPE_CHECKING:
    from temporalio.client import Client

RUNNING, COMPLETED, CONTINUED = (
    Status.WORKFLOW_EXECUTION_STATUS_RUNNING,
    Status.WORKFLOW_EXECUTION_STATUS_COMPLETED,
    Status.WORKFLOW_EXECUTION_STATUS_CONTINUED_AS_NEW,
)


def run(run_id: str, status: Status.ValueType, first_run_id: str = "") -> DescribeWorkflowExecutionResponse:
    """What the server says of a run."""
    answer = DescribeWorkflowExecutionResponse()
    info = answer.workflow_execution_info
    info.execution.run_id, info.status, info.first_run_id = run_id, status, first_run_id
    if status != RUNNING:
        info.close_time.FromSeconds(1)
    return answer


LAST = run("last", RUNNING)


@pytest.mark.parametrize(
    ("last", "first", "chain_id", "seen"),
    [
        (run("r1", RUNNING, "r1"), None, "r1", "r1"),
        # A server that tells no first run: what it says of the chain's first run is enough, unless that went on.
        (LAST, run("r1", COMPLETED), "r1", "r1"),
        (LAST, run("r1", RUNNING), "r1", "r1"),
        (LAST, run("r1", CONTINUED), "r1", "last"),
        (LAST, None, "r1", "last"),
        (LAST, run("r1", COMPLETED), "", "last"),
    ],
)
async def test_run_that_is_looked_at(
    last: DescribeWorkflowExecutionResponse,
    first: DescribeWorkflowExecutionResponse | None,
    chain_id: str,
    seen: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The last one of the chain that is followed, as far as the server tells the chain."""

    async def describe(_client: Any, _workflow_id: str, run_id: str = "") -> DescribeWorkflowExecutionResponse | None:
        return first if run_id else last

    monkeypatch.setattr(temporal, "describe", describe)
    activities = TemporalActivities(cast("Client", None))
    described = await activities._describe(Follow(workflow_id="w", chain_id=chain_id))
    assert described is not None
    assert described.workflow_execution_info.execution.run_id == seen


@pytest.mark.parametrize(
    ("first_run_id", "chain_id", "unknown"),
    [("r1", "r1", False), ("r2", "r1", True), ("", "r1", False), ("r2", "", False)],
)
async def test_only_another_known_chain_is_another_removal(first_run_id: str, chain_id: str, unknown: bool) -> None:  # noqa: FBT001
    """An old server does not say which chain a run belongs to: that is no end, and the removal is followed on."""
    activities = TemporalActivities(cast("Client", None))
    ended = await activities._ended(Follow(workflow_id="w", chain_id=chain_id), run("x", RUNNING, first_run_id))
    assert (ended is not None) == unknown
    if ended is not None:
        assert (ended.open, ended.unknown, ended.failed, ended.cancelled, ended.outcome) == (
            False,
            True,
            False,
            False,
            "",
        )
