"""What is said of a queue that does not answer."""

from __future__ import annotations

from typing import Any

import pytest
from temporalio.api.enums.v1 import PendingWorkflowTaskState
from temporalio.api.workflowservice.v1 import DescribeWorkflowExecutionResponse

from activities.workflow_descriptions import why_silent
from etcd_handoff import time_limits

SCHEDULED, STARTED = (
    PendingWorkflowTaskState.PENDING_WORKFLOW_TASK_STATE_SCHEDULED,
    PendingWorkflowTaskState.PENDING_WORKFLOW_TASK_STATE_STARTED,
)


def described(task_queue: str, **task: Any) -> DescribeWorkflowExecutionResponse:
    """What Temporal says of a queue with this pending workflow task."""
    answer = DescribeWorkflowExecutionResponse()
    answer.execution_config.task_queue.name = task_queue
    for key, value in task.items():
        setattr(answer.pending_workflow_task, key, value)
    if task:
        answer.pending_workflow_task.scheduled_time.FromSeconds(0)
    return answer


@pytest.mark.parametrize(
    ("task_queue", "task", "words"),
    [
        ("ours", {"state": SCHEDULED, "attempt": 1}, ["no worker serves its task queue ours", "since 1970-01-01"]),
        ("ours", {"state": SCHEDULED, "attempt": 7}, ["its last workflow task failed", "attempt 7"]),
        ("ours", {"state": STARTED, "attempt": 1}, ["a worker on task queue ours has its workflow task since 1970"]),
        ("blue", {"state": SCHEDULED, "attempt": 1}, ["queue blue", "this removal runs on task queue ours"]),
        ("ours", {}, ["no pending work"]),
    ],
)
def test_why_a_queue_does_not_answer(task_queue: str, task: dict[str, Any], words: list[str]) -> None:
    """It names the task queue, what became of the workflow task, and a task queue that is not the removal's own."""
    text = why_silent(described(task_queue, **task), "ours")
    assert all(word in text for word in words), text
    assert ("this removal runs on" in text) == (task_queue != "ours")


def test_queue_that_temporal_has_forgotten() -> None:
    """It can end while it is asked."""
    assert "does not know it" in why_silent(None, "ours")


def test_queue_is_asked_for_longer_than_a_killed_worker_holds_its_task() -> None:
    """Else every crash of a worker would be called a silent queue; and the asking ends before the activity does."""
    assert (
        time_limits.WORKFLOWS.queue_task_timeout.total_seconds()
        < sum(time_limits.STEPS.position_seconds)
        < time_limits.WORKFLOWS.take_turn_timeout.total_seconds() - 5
    )
