"""Whether Temporal counts on an attempt, by what it says of the workflow's run."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from temporalio.api.workflow.v1 import PendingActivityInfo, WorkflowExecutionInfo
from temporalio.api.workflowservice.v1 import DescribeWorkflowExecutionResponse
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError, RPCStatusCode
from temporalio.testing import ActivityEnvironment

from activities.attempts import GIVEN_UP, Attempts
from activities.interceptor import STEP_FAILS
from activities.member_status import KubernetesActivities
from etcd_handoff.activity_io import LeaveInput
from tests.fakes.kubernetes import FakeKubernetes
from tests.unit.builders import C
from tests.unit.test_old_leave_orders import K0S, gateways_to, node2


async def why_void(answer: Any, attempt: int = 2, *, is_local: bool = False) -> str:
    """What is said of this attempt of the activity with the ID 7 when Temporal answers this."""

    async def describe(request: Any, **_: Any) -> Any:
        assert (request.namespace, request.execution.workflow_id, request.execution.run_id) == ("default", "w", "r")
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, DescribeWorkflowExecutionResponse):
            return answer
        return DescribeWorkflowExecutionResponse(pending_activities=answer)

    service = SimpleNamespace(describe_workflow_execution=describe)
    client: Any = SimpleNamespace(namespace="default", workflow_service=service)
    environment = ActivityEnvironment()
    environment.info = replace(
        environment.info, activity_id="7", attempt=attempt, workflow_id="w", workflow_run_id="r", is_local=is_local
    )
    reason: str = await environment.run(Attempts(client).why_void)
    return reason


def pending(activity_id: str, attempt: int) -> PendingActivityInfo:
    """An activity that Temporal waits for."""
    return PendingActivityInfo(activity_id=activity_id, attempt=attempt)


@pytest.mark.parametrize(
    ("answer", "void"),
    [
        ([pending("6", 9), pending("7", 2)], ""),
        ([pending("7", 3)], GIVEN_UP),
        ([pending("6", 2)], GIVEN_UP),
        ([], GIVEN_UP),
        (RPCError("no such run", RPCStatusCode.NOT_FOUND, b""), GIVEN_UP),
    ],
)
async def test_attempt_counts_while_it_is_the_one_that_temporal_waits_for(answer: Any, void: str) -> None:
    """Not once it waits for the next one, nor when the run has ended or is forgotten."""
    assert await why_void(answer) == void


async def test_attempt_of_a_run_that_has_ended_does_not_count() -> None:
    """Temporal lists its activities as pending all the same, until a heartbeat would tell them."""
    closed = WorkflowExecutionInfo(close_time=Timestamp(seconds=1))
    answer = DescribeWorkflowExecutionResponse(pending_activities=[pending("7", 2)], workflow_execution_info=closed)
    assert await why_void(answer) == GIVEN_UP


async def test_silence_does_not_count() -> None:
    """What an attempt does that Temporal cannot hear would come as a surprise."""
    error = RPCError("tcp 10.0.0.1:7233: connection refused", RPCStatusCode.UNAVAILABLE, b"")
    reason = await why_void(error)
    assert reason == "Temporal does not say whether this attempt still counts: unavailable"
    assert await why_void(error, is_local=True) == ""


@pytest.mark.parametrize("waited", [29, 31])
async def test_order_to_k0s_that_no_worker_took_in_time_is_decided_anew(waited: float) -> None:
    """Another voter may be down by now: k0s would not mind."""
    fake, environment = FakeKubernetes(node2(leave=False)), ActivityEnvironment()
    info = environment.info
    environment.info = replace(info, started_time=info.scheduled_time + timedelta(seconds=waited))
    given = LeaveInput(cluster="prod", member_name="node2", member_id=C)
    run = environment.run(KubernetesActivities(gateways_to(fake, K0S), "node0").request_leave, given)
    if waited > 30:
        with pytest.raises(ApplicationError, match="was ordered 31 s ago") as raised:
            await run
        assert (raised.value.type, raised.value.non_retryable) == (STEP_FAILS, True)
    else:
        await run
    assert fake.resources["node2"]["spec"]["leave"] is (waited < 30)


@pytest.mark.parametrize("leave", [True, False])
async def test_order_to_k0s_is_not_given_by_an_attempt_that_was_given_up(*, leave: bool) -> None:
    """It may have been revoked since, and k0s would follow it; to revoke it once more harms nobody."""
    fake = FakeKubernetes(node2(leave=not leave))
    given = LeaveInput(cluster="prod", member_name="node2", member_id=C, leave=leave)

    async def void() -> str:
        return GIVEN_UP

    activities = KubernetesActivities(gateways_to(fake, K0S), "node0", None, void)
    if leave:
        with pytest.raises(ApplicationError, match="has given this attempt up") as raised:
            await ActivityEnvironment().run(activities.request_leave, given)
        assert (raised.value.type, raised.value.non_retryable) == (STEP_FAILS, False)
    else:
        await ActivityEnvironment().run(activities.request_leave, given)
    assert fake.resources["node2"]["spec"]["leave"] is False
