"""What is sent to an operation after one of its runs has ended, and before a worker has begun the next."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any, Final

from temporalio import workflow
from temporalio.client import Client
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from etcd_handoff.activity_io import Target
from etcd_handoff.contract import TASK_QUEUE, Pause, RemovalRequest
from etcd_handoff.lab import Lab, LabOptions, Role, wait_until
from etcd_handoff.operation.queue_messages import QueueEntry, RecallEntriesInput
from etcd_handoff.operation.state import OperationState
from etcd_handoff.temporal.converter import data_converter
from workflows.continuation import CARRIED_MEMO

if TYPE_CHECKING:
    from pathlib import Path

    from temporalio.client import WorkflowHandle

CLUSTER_ID: Final = "cdf818194e3a8c32"
MEMBER_ID: Final = "8211f1d0f64f3269"
TURN_REQUEST: Final = 7


@workflow.defn(name="RemoveMember")
class LongRemoval:
    """The run before: paused, known to its queue, and with a history that has grown long."""

    @workflow.run
    async def run(self, request: RemovalRequest) -> None:
        """Continue as new, on the task queue of the workers."""
        state = OperationState(
            run_id=workflow.info().run_id,
            blocked_remaining_seconds=60,
            pinned=Target(cluster_id=CLUSTER_ID, member_id=MEMBER_ID, member_name="node9", peer_urls=(), present=True),
            paused=Pause(by="ann", reason="lunch"),
            turn_request=TURN_REQUEST,
            wants_turn=True,
        )
        workflow.continue_as_new(request, task_queue=TASK_QUEUE, memo={CARRIED_MEMO: state})


async def continued(client: Client) -> WorkflowHandle[Any, Any]:
    """A removal whose second run no worker has begun."""
    queue, request = "the-run-before", RemovalRequest(cluster="demo", member="node9")
    runner = UnsandboxedWorkflowRunner()
    async with Worker(client, task_queue=queue, workflows=[LongRemoval], workflow_runner=runner):
        removal = await client.start_workflow("RemoveMember", request, id="etcd-remove/demo/node9", task_queue=queue)

        async def again() -> bool:
            return (await client.get_workflow_handle(removal.id).describe()).run_id != removal.first_execution_run_id

        await wait_until(again, "the removal continues as new", 60)
    return client.get_workflow_handle(removal.id)


async def test_updates_that_come_before_the_next_run_begins_meet_its_state(tmp_path: Path) -> None:
    """It can be resumed, and a new queue gets its entry: Temporal runs both before the workflow itself.

    A start attaches to it, and says so.
    """
    async with Lab(LabOptions(nodes=1, kubernetes=False, forked=True, directory=tmp_path)) as lab:
        await lab.kill(Role.WORKER, "node0")
        client = await Client.connect(lab.temporal_address, data_converter=data_converter)
        removal = await continued(client)
        status, out, errors = await lab.handoff("remove", "node9", "-c", "demo", "--detach", "-o", "json")
        assert (status, json.loads(out)["joined"]) == (0, True), errors
        recall = RecallEntriesInput(cluster_id=CLUSTER_ID)
        sent = [
            asyncio.create_task(removal.execute_update("rejoin", recall, result_type=QueueEntry)),
            asyncio.create_task(removal.execute_update("resume", result_type=str)),
        ]
        await lab.start_worker("node0")
        entry, text = await asyncio.gather(*sent)
        assert (entry.member_id, entry.waits, entry.request) == (MEMBER_ID, True, TURN_REQUEST + 1)
        assert text == "the removal goes on"
        await removal.terminate("by the test")
