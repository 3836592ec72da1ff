"""Runs that Temporal itself begins: they see what an earlier run has handed on, and start afresh nevertheless."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

import pytest
import pytest_asyncio
from temporalio import workflow
from temporalio.api.enums.v1 import ContinueAsNewInitiator
from temporalio.client import (
    Schedule,
    ScheduleActionExecutionStartWorkflow,
    ScheduleActionStartWorkflow,
    ScheduleSpec,
    WorkflowExecutionStatus,
)
from temporalio.common import RetryPolicy
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from etcd_handoff.contract import TASK_QUEUE, FailureType, Pause, RemovalRequest
from etcd_handoff.lab import wait_until
from etcd_handoff.operation.state import OperationState
from tests.integration.conftest import open_cluster
from workflows.continuation import CARRIED_MEMO

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from temporalio.client import WorkflowExecution

    from tests.integration.conftest import LiveCluster

RUN_SECONDS: Final = 3
"""How long a run may take: Temporal then ends it and begins the next."""
QUEUE: Final = "the-run-before"
NOBODY: Final = "node9"
"""A removal that looks for itself fails at once: there is no such member."""


def paused(run_id: str) -> OperationState:
    """What this run has handed on: it was paused, so whoever takes it over does nothing."""
    return OperationState(run_id=run_id, blocked_remaining_seconds=60, paused=Pause(by="ann", reason="lunch"))


@workflow.defn(name="RemoveMember")
class LongRemoval:
    """The run before, whose history has grown long while it was paused."""

    @workflow.run
    async def run(self, request: RemovalRequest) -> None:
        """Continue as new, on the task queue of the workers."""
        memo = {CARRIED_MEMO: paused(workflow.info().run_id)}
        workflow.continue_as_new(request, task_queue=TASK_QUEUE, memo=memo)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def quiet(shared_path: Path) -> AsyncIterator[LiveCluster]:
    """One cluster for what changes nothing."""
    async with open_cluster(shared_path, workers=("node0",), kubernetes=False) as b:
        yield b


async def refused(b: LiveCluster, name: str, count: int = 1) -> WorkflowExecution:
    """The last of the first so many runs of a workflow that have failed, as one does that looks for itself."""
    found: list[WorkflowExecution] = []

    async def failed() -> bool:
        query = f'WorkflowId = "{name}" AND ExecutionStatus = "Failed"'
        found[:] = [run async for run in b.client.list_workflows(query)]
        return len(found) >= count

    await wait_until(failed, f"{count} runs of {name} fail", 30)
    run = sorted(found, key=lambda one: one.start_time)[count - 1]
    history = await b.client.get_workflow_handle(run.id, run_id=run.run_id).fetch_history()
    failure = history.events[-1].workflow_execution_failed_event_attributes.failure
    assert failure.application_failure_info.type == FailureType.UNKNOWN_MEMBER
    return run


async def begun_by(b: LiveCluster, run: WorkflowExecution) -> tuple[int, str, str]:
    """Why Temporal has begun it, the run before it, and the run whose state it finds in its memo."""
    history = b.client.get_workflow_handle(run.id, run_id=run.run_id).fetch_history_events()
    began = (await anext(history)).workflow_execution_started_event_attributes
    carried = await run.memo_value(CARRIED_MEMO, type_hint=OperationState)
    return began.initiator, began.continued_execution_run_id, carried.run_id


@pytest.mark.asyncio(loop_scope="module")
async def test_run_by_a_retry_policy_starts_afresh(quiet: LiveCluster) -> None:
    """The second run takes over that it is paused, until it times out; the third sees the same memo, and looks."""
    b = quiet
    request = RemovalRequest(cluster=b.lab.cluster, member=NOBODY)
    runner = UnsandboxedWorkflowRunner()
    async with Worker(b.client, task_queue=QUEUE, workflows=[LongRemoval], workflow_runner=runner):
        first = await b.client.start_workflow(
            "RemoveMember",
            request,
            id="by-retry-policy",
            task_queue=QUEUE,
            run_timeout=timedelta(seconds=RUN_SECONDS),
            retry_policy=RetryPolicy(initial_interval=timedelta(milliseconds=100), backoff_coefficient=1.0),
        )
        handle = b.client.get_workflow_handle(first.id)

        async def continued() -> bool:
            return (await handle.describe()).run_id != first.first_execution_run_id

        await wait_until(continued, "the first run continues as new", 30)
    third = await refused(b, first.id)
    initiator, before, carried = await begun_by(b, third)
    assert initiator == ContinueAsNewInitiator.CONTINUE_AS_NEW_INITIATOR_RETRY
    assert carried == first.first_execution_run_id
    second = await b.client.get_workflow_handle(first.id, run_id=before).describe()
    assert second.status == WorkflowExecutionStatus.TIMED_OUT


@pytest.mark.asyncio(loop_scope="module")
async def test_run_by_cron_starts_afresh(quiet: LiveCluster) -> None:
    """Its memo comes from the start: Temporal forgets a cron schedule where a run continues as new."""
    b = quiet
    handle = await b.client.start_workflow(
        "RemoveMember",
        RemovalRequest(cluster=b.lab.cluster, member=NOBODY),
        id="by-cron",
        task_queue=TASK_QUEUE,
        cron_schedule="@every 1s",
        memo={CARRIED_MEMO: paused("another-run")},
    )
    try:
        second = await refused(b, handle.id, 2)
        initiator, before, carried = await begun_by(b, second)
        assert initiator == ContinueAsNewInitiator.CONTINUE_AS_NEW_INITIATOR_CRON_SCHEDULE
        assert (before, carried) == (handle.first_execution_run_id, "another-run")
    finally:
        await b.client.get_workflow_handle(handle.id).terminate()


@pytest.mark.asyncio(loop_scope="module")
async def test_run_of_a_schedule_starts_afresh(quiet: LiveCluster) -> None:
    """Whatever the Schedule gives it as the state of a run that it does not continue."""
    b = quiet
    action = ScheduleActionStartWorkflow(
        "RemoveMember",
        RemovalRequest(cluster=b.lab.cluster, member=NOBODY),
        id="by-schedule",
        task_queue=TASK_QUEUE,
        memo={CARRIED_MEMO: paused("another-run")},
        run_timeout=timedelta(minutes=1),
    )
    schedule = await b.client.create_schedule("nightly", Schedule(action=action, spec=ScheduleSpec()))
    names: list[str] = []

    async def begun() -> bool:
        actions = [result.action for result in (await schedule.describe()).info.recent_actions]
        names[:] = [a.workflow_id for a in actions if isinstance(a, ScheduleActionExecutionStartWorkflow)]
        return bool(names)

    try:
        await schedule.trigger()
        await wait_until(begun, "a run has begun", 30)
        assert (await begun_by(b, await refused(b, names[0])))[1:] == ("", "another-run")
    finally:
        await schedule.delete()
