"""What the SDK makes of payloads that cannot be read: bad input is answered, a task is left to another worker."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from google.protobuf.json_format import MessageToDict
from hypothesis import given
from hypothesis import strategies as st
from temporalio import workflow
from temporalio.api.common.v1 import Payload, Payloads
from temporalio.api.sdk.v1 import WorkflowMetadata
from temporalio.client import WorkflowHistory
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.exceptions import ApplicationError
from temporalio.worker import Replayer

from etcd_handoff.activity_io import StepResult
from etcd_handoff.contract import RemovalRequest
from etcd_handoff.temporal.converter import data_converter
from etcd_handoff.temporal.interceptors import ArgumentCheckInterceptor

if TYPE_CHECKING:
    from collections.abc import Sequence

CONVERTER = data_converter.payload_converter
HINTS = (RemovalRequest, RemovalRequest | None, None)
"""As a workflow may declare its input, or not at all."""


def encoded(encoding: bytes | None, data: bytes, **more: bytes) -> Payload:
    """A payload as any SDK or program may send it."""
    named = {"encoding": encoding} if encoding is not None else {}
    return Payload(metadata={**named, **more}, data=data)


NULL = "binary/null"
GOOD = b'{"cluster": "prod", "member": "node1"}'
ODD = {
    "binary/plain": encoded(b"binary/plain", GOOD),
    NULL: encoded(b"binary/null", b""),
    "binary/null with data": encoded(b"binary/null", b"x"),
    "json/protobuf": encoded(b"json/protobuf", GOOD, messageType=b"temporal.api.common.v1.Payload"),
    "json/protobuf without a type": encoded(b"json/protobuf", GOOD),
    "binary/protobuf": encoded(b"binary/protobuf", GOOD, messageType=b"no.such.Message"),
    "unknown": encoded(b"binary/encrypted", GOOD),
    "no text": encoded(b"\xff\n", GOOD),
    "missing": encoded(None, GOOD),
    "empty": Payload(),
}


@pytest.mark.parametrize(("odd", "hint"), [*((o, RemovalRequest) for o in ODD), *((o, None) for o in ODD if o != NULL)])
def test_other_encoding_is_invalid_input(odd: str, hint: object) -> None:
    """It is said in words what came and what would do, whether or not the SDK knows the type that is wanted."""
    with pytest.raises(ApplicationError) as caught:
        CONVERTER.from_payloads([ODD[odd]], [hint] if hint else None)  # type: ignore[list-item]
    assert (caught.value.type, caught.value.non_retryable) == ("InvalidInput", True)
    assert caught.value.message.startswith("input: ")
    assert "\n" not in caught.value.message


def test_null_fits_only_where_it_may_be_left_out() -> None:
    """Both ways to write it are the same."""
    for null in (encoded(b"binary/null", b""), encoded(b"json/plain", b"null")):
        assert CONVERTER.from_payloads([null], [RemovalRequest | None]) == [None]  # type: ignore[list-item]
        assert CONVERTER.from_payloads([null]) == [None]
        with pytest.raises(ApplicationError, match="input: Input should be an object"):
            CONVERTER.from_payloads([null], [RemovalRequest])


def test_what_a_workflow_says_of_itself_is_written() -> None:
    """The SDK answers the Web UI's query for summary and details with a protobuf message, through this converter."""
    (sent,) = CONVERTER.to_payloads([WorkflowMetadata(current_details="## Removing node1")])
    assert sent.metadata["encoding"] == b"json/protobuf"
    assert b"Removing node1" in sent.data


@given(
    st.dictionaries(
        st.sampled_from(["encoding", "messageType", "x"]),
        st.sampled_from([b"json/plain", b"binary/null", b"json/protobuf"]) | st.binary(max_size=8),
    ),
    st.just(GOOD) | st.binary(max_size=20),
    st.sampled_from(HINTS),
)
def test_any_payload_is_read_or_invalid_input(metadata: dict[str, bytes], data: bytes, hint: object) -> None:
    """No payload that Temporal can carry makes the converter raise anything else."""
    sent = Payload(metadata=metadata, data=data)
    try:
        CONVERTER.from_payloads([sent], [hint] if hint else None)  # type: ignore[list-item]  # a union is a hint too
    except ApplicationError as error:
        failed_with = error.type
    else:
        failed_with = ""
    assert failed_with in ("", "InvalidInput")


@workflow.defn(name="Looks", sandboxed=False)
class Looks:
    """A workflow that reads the answer of an activity."""

    @workflow.run
    async def run(self) -> str:
        """What the step did."""
        timeout = timedelta(seconds=10)
        report: StepResult = await workflow.execute_activity(
            "look", start_to_close_timeout=timeout, result_type=StepResult
        )
        return report.step.name


@workflow.defn(name="Asked", sandboxed=False)
class MemberOf:
    """A workflow with the input of a removal."""

    @workflow.run
    async def run(self, request: RemovalRequest) -> str:
        """Its member."""
        return request.member


def history(given_input: Payload, end: str) -> WorkflowHistory:
    """A run of `MemberOf` with this input that ended so, `COMPLETED` or `FAILED`, in its first task."""
    started = {
        "workflowType": {"name": "Asked"},
        "taskQueue": {"name": "q"},
        "input": MessageToDict(Payloads(payloads=[given_input])),
        "originalExecutionRunId": "run",
        "firstExecutionRunId": "run",
    }
    events = [
        ("WORKFLOW_EXECUTION_STARTED", "workflowExecutionStarted", started),
        *TASK,
        (f"WORKFLOW_EXECUTION_{end}", f"workflowExecution{end.title()}", {"workflowTaskCompletedEventId": 4}),
    ]
    return recorded("asked", events)


TASK: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("WORKFLOW_TASK_SCHEDULED", "workflowTaskScheduled", {}),
    ("WORKFLOW_TASK_STARTED", "workflowTaskStarted", {"scheduledEventId": 2}),
    ("WORKFLOW_TASK_COMPLETED", "workflowTaskCompleted", {"scheduledEventId": 2, "startedEventId": 3}),
)


def recorded(name: str, events: Sequence[tuple[str, str, dict[str, Any]]]) -> WorkflowHistory:
    """A history of these events."""
    listed = [
        {
            "eventId": n,
            "eventTime": "2026-01-01T00:00:00Z",
            "eventType": f"EVENT_TYPE_{kind}",
            f"{field}EventAttributes": attributes,
        }
        for n, (kind, field, attributes) in enumerate(events, 1)
    ]
    return WorkflowHistory.from_json(name, {"events": listed})


def answered(answer: Payload, end: str) -> WorkflowHistory:
    """A run of `Looks` whose activity gave this answer, and which then ended so."""
    ids = {"originalExecutionRunId": "run", "firstExecutionRunId": "run"}
    started = {"workflowType": {"name": "Looks"}, "taskQueue": {"name": "q"}, **ids}
    scheduled = {"activityId": "1", "activityType": {"name": "look"}, "workflowTaskCompletedEventId": 4}
    result = MessageToDict(Payloads(payloads=[answer]))
    return recorded(
        "looks",
        [
            ("WORKFLOW_EXECUTION_STARTED", "workflowExecutionStarted", started),
            *TASK,
            ("ACTIVITY_TASK_SCHEDULED", "activityTaskScheduled", scheduled),
            ("ACTIVITY_TASK_STARTED", "activityTaskStarted", {"scheduledEventId": 5}),
            ("ACTIVITY_TASK_COMPLETED", "activityTaskCompleted", {"scheduledEventId": 5, "result": result}),
            ("WORKFLOW_TASK_SCHEDULED", "workflowTaskScheduled", {}),
            ("WORKFLOW_TASK_STARTED", "workflowTaskStarted", {"scheduledEventId": 8}),
            ("WORKFLOW_TASK_COMPLETED", "workflowTaskCompleted", {"scheduledEventId": 8, "startedEventId": 9}),
            (f"WORKFLOW_EXECUTION_{end}", f"workflowExecution{end.title()}", {"workflowTaskCompletedEventId": 10}),
        ],
    )


@pytest.mark.parametrize("odd", ODD)
async def test_sdk_fails_the_workflow_and_not_its_task(odd: str) -> None:
    """The SDK's own worker, given such an input, decides to fail the workflow: that is what the history says it did."""
    replayer = Replayer(workflows=[MemberOf], data_converter=data_converter)
    await replayer.replay_workflow(history(ODD[odd], "FAILED"))


async def test_sdk_completes_the_workflow_on_good_input() -> None:
    """The same history with good input is another decision, and with none of ours the task fails: it can be told."""
    replayer = Replayer(workflows=[MemberOf], data_converter=data_converter)
    await replayer.replay_workflow(history(encoded(b"json/plain", GOOD), "COMPLETED"))
    with pytest.raises(workflow.NondeterminismError):
        await replayer.replay_workflow(history(encoded(b"json/plain", GOOD), "FAILED"))
    plain = Replayer(workflows=[MemberOf], data_converter=pydantic_data_converter)
    with pytest.raises(RuntimeError, match=r"decoding arguments|could not be converted"):
        await plain.replay_workflow(history(ODD["unknown"], "FAILED"))


STEP = b'{"name": "look", "started": "", "milliseconds": 1, "attempts": 1, "node": "a", "outcome": "new", "zone": "a"}'
UNREADABLE = (
    encoded(b"json/plain", b'{"steps": []}'),
    encoded(b"json/plain", b'{"step": 1}'),
    encoded(b"json/plain", b"nope"),
    encoded(b"binary/compressed", b"x"),
)


async def test_answer_of_a_newer_worker_is_read() -> None:
    """With a field and an outcome that this version does not know."""
    replayer = Replayer(workflows=[Looks], data_converter=data_converter)
    good = encoded(b"json/plain", b'{"step": ' + STEP + b', "hint": "x"}')
    await replayer.replay_workflow(answered(good, "COMPLETED"))
    with pytest.raises(workflow.NondeterminismError):
        await replayer.replay_workflow(answered(good, "FAILED"))


@pytest.mark.parametrize("answer", UNREADABLE)
@pytest.mark.parametrize("end", ["FAILED", "COMPLETED"])
async def test_sdk_fails_the_task_and_not_the_workflow_on_an_unreadable_answer(answer: Payload, end: str) -> None:
    """It decides nothing, so whatever the history says it did is not what happens: another worker is to decide."""
    replayer = Replayer(workflows=[Looks], data_converter=data_converter)
    with pytest.raises(RuntimeError, match="Failed decoding arguments"):
        await replayer.replay_workflow(answered(answer, end))


@workflow.defn(name="Hears", sandboxed=False)
class Hears:
    """A workflow with handlers that are coroutines, and ones that are not."""

    @workflow.run
    async def run(self) -> None:
        """Wait for ever."""
        await workflow.wait_condition(lambda: False)

    @workflow.signal
    async def later(self, word: str) -> None:
        """A coroutine."""

    @workflow.signal
    def now(self, word: str) -> None:
        """A plain function."""


@pytest.mark.parametrize("name", ["later", "now"])
@pytest.mark.parametrize("words", [0, 2])
async def test_signal_with_a_wrong_number_of_arguments_is_dropped(name: str, words: int) -> None:
    """The task goes on, where without the check it would fail for ever: any client can send such a signal."""
    ids = {"originalExecutionRunId": "run", "firstExecutionRunId": "run"}
    started = {"workflowType": {"name": "Hears"}, "taskQueue": {"name": "q"}, **ids}
    payloads = Payloads(payloads=[encoded(b"json/plain", b'"x"')] * words)
    signaled = {"signalName": name, "input": MessageToDict(payloads)}
    scheduled, begun, done = TASK
    events = [
        ("WORKFLOW_EXECUTION_STARTED", "workflowExecutionStarted", started),
        ("WORKFLOW_EXECUTION_SIGNALED", "workflowExecutionSignaled", signaled),
        scheduled,
        (begun[0], begun[1], {"scheduledEventId": 3}),
        (done[0], done[1], {"scheduledEventId": 3, "startedEventId": 4}),
    ]
    checked = Replayer(workflows=[Hears], data_converter=data_converter, interceptors=[ArgumentCheckInterceptor()])
    await checked.replay_workflow(recorded("hears", events))
    unchecked = Replayer(workflows=[Hears], data_converter=data_converter)
    with pytest.raises(RuntimeError):
        await unchecked.replay_workflow(recorded("hears", events))
