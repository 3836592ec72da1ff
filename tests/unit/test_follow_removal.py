"""How a removal is told from a later one under the same workflow ID, whatever the server says of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import pytest
from temporalio.api.enums.v1 import WorkflowExecutionStatus as Status
from temporalio.api.workflowservice.v1 import DescribeWorkflowExecutionResponse

from activities.removal_progress import RemovalProgressActivities
from etcd_handoff.reconciler.removal_progress import FollowRemovalInput

if TYPE_CHECKING:
    from temporalio.client import Client

RUNNING = Status.WORKFLOW_EXECUTION_STATUS_RUNNING


def run(run_id: str, status: Status.ValueType, first_run_id: str = "") -> DescribeWorkflowExecutionResponse:
    """What the server says of a run."""
    answer = DescribeWorkflowExecutionResponse()
    info = answer.workflow_execution_info
    info.execution.run_id, info.status, info.first_run_id = run_id, status, first_run_id
    if status != RUNNING:
        info.close_time.FromSeconds(1)
    return answer


@pytest.mark.parametrize(
    ("first_run_id", "chain_id", "unknown"),
    [("r1", "r1", False), ("r2", "r1", True), ("", "r1", False), ("r2", "", False)],
)
async def test_only_another_known_chain_is_another_removal(first_run_id: str, chain_id: str, unknown: bool) -> None:  # noqa: FBT001
    """An old server does not say which chain a run belongs to: that is no end, and the removal is followed on."""
    activities = RemovalProgressActivities(cast("Client", None))
    ended = await activities._ended(
        FollowRemovalInput(workflow_id="w", chain_id=chain_id), run("x", RUNNING, first_run_id)
    )
    assert (ended is not None) == unknown
    if ended is not None:
        assert (ended.open, ended.unknown, ended.failed, ended.cancelled, ended.outcome) == (
            False,
            True,
            False,
            False,
            "",
        )
