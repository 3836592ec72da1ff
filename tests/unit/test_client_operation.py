"""What a script sees of an operation: its changes, its end, and why it ended otherwise than well."""

from __future__ import annotations

import asyncio
import inspect
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final, cast

import pytest
from temporalio.api.workflowservice.v1 import DescribeWorkflowExecutionResponse
from temporalio.client import WorkflowFailureError, WorkflowQueryFailedError, WorkflowUpdateFailedError
from temporalio.exceptions import (
    ApplicationError,
    CancelledError,
    TerminatedError,
)
from temporalio.exceptions import (
    TimeoutError as WorkflowTimeoutError,
)
from temporalio.service import RPCError, RPCStatusCode

from etcd_handoff import client, time_limits
from etcd_handoff.client import Operation, Progress, RemovalResult, blocking
from etcd_handoff.client import handoff as in_asyncio
from etcd_handoff.client.errors import operation_error
from etcd_handoff.client.requests import checked
from etcd_handoff.contract import FailureType, JoiningRequest, OperationRequest, RemovalRequest
from etcd_handoff.exit_status import exit_of_failure
from etcd_handoff.lab.nodes import ROOT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from temporalio.client import WorkflowHandle

AT_ONCE: Final = timedelta(0)
RESULT: Final = RemovalResult(outcome="removed", cluster="c", cluster_id="1", member_id="2", member_name="m")
AWAY: Final = RPCError("away", RPCStatusCode.UNAVAILABLE, b"")
GONE: Final = RPCError("workflow execution already completed", RPCStatusCode.NOT_FOUND, b"")


class Workflow:
    """A workflow that gives these answers to its query, one after the other, and then ends.

    Args:
        answers: What it answers; an error is raised.
        end: Its result, or how it fails.
        update: What becomes of an update.
    """

    id = "etcd-remove/c/m"

    def __init__(
        self, answers: Sequence[Progress | Exception], end: RemovalResult | Exception = RESULT, update: Any = "taken"
    ) -> None:
        self._answers, self._end, self._update = list(answers), end, update
        self._ended = asyncio.Event()
        self.away, self.trouble = 0, AWAY
        self.cancelled = False
        self.updates: list[tuple[str, Any]] = []

    async def query(self, *_: Any, **__: Any) -> Progress:
        """The next answer; the last one again after the end."""
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if len(self._answers) == 1:
            self._ended.set()
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def result(self) -> RemovalResult:
        """What it ends with, once all has been answered."""
        if self.away:
            self.away -= 1
            raise self.trouble
        await self._ended.wait()
        if isinstance(self._end, Exception):
            raise self._end
        return self._end

    async def describe(self) -> SimpleNamespace:
        """It has taken in all that has happened."""
        return SimpleNamespace(raw_description=DescribeWorkflowExecutionResponse())

    async def execute_update(self, name: str, argument: Any, **_: Any) -> Any:
        """What becomes of the update."""
        self.updates.append((name, argument))
        if isinstance(self._update, Exception):
            raise self._update
        return self._update

    async def cancel(self, **_: Any) -> None:
        """It was cancelled; what it does then is in `end`."""
        self.cancelled = True


def operation(workflow: Workflow) -> Operation[RemovalResult]:
    """The operation that this workflow carries out."""
    return Operation(cast("WorkflowHandle[Any, RemovalResult]", workflow), "removal")


def progress(state: str, doing: str = "", **others: Any) -> Progress:
    """An answer."""
    return Progress(state=state, cluster="c", member="m", doing=doing, **others)


async def heard(workflow: Workflow) -> list[Progress]:
    """All that the iterator yields until it ends."""
    async with asyncio.timeout(10):
        return [now async for now in operation(workflow).progress(AT_ONCE)]


async def test_only_changes_are_told_and_the_last_one_too() -> None:
    """Each change of state, words, wait or part once; a step that has ended is none."""
    checking, blocked = progress("Checking"), progress("Blocked", waiting_for="a vote")
    part, done = progress("Blocked", waiting_for="a vote", part="part 1 of 2"), progress("Done")
    again = progress("Blocked", waiting_for="a vote", steps_left_out=1)
    workflow = Workflow([checking, checking, blocked, again, part, part, done])
    assert await heard(workflow) == [checking, blocked, part, done]


async def test_silence_of_workers_and_of_temporal_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is told meanwhile, and what is new afterwards is."""
    monkeypatch.setattr(time_limits, "COMMANDS", replace(time_limits.COMMANDS, script_again_pause=AT_ONCE))
    silent = RPCError("no worker", RPCStatusCode.DEADLINE_EXCEEDED, b"")
    workflow = Workflow([progress("Checking"), silent, AWAY, silent, progress("Checking"), progress("Done")])
    workflow.away = 3
    assert [now.state for now in await heard(workflow)] == ["Checking", "Done"]


@pytest.mark.parametrize(
    ("status", "states"),
    [(RPCStatusCode.RESOURCE_EXHAUSTED, ["Checking", "Done"]), (RPCStatusCode.PERMISSION_DENIED, ["Checking"])],
)
async def test_temporal_that_has_too_much_to_do_ends_nothing(
    monkeypatch: pytest.MonkeyPatch, status: RPCStatusCode, states: list[str]
) -> None:
    """The operation goes on; what cannot pass ends the iterator, and `result` says why."""
    monkeypatch.setattr(time_limits, "COMMANDS", replace(time_limits.COMMANDS, script_again_pause=AT_ONCE))
    workflow = Workflow([progress("Checking"), progress("Checking"), progress("Checking"), progress("Done")])
    workflow.away, workflow.trouble = 1, RPCError("no", status, b"")
    assert [now.state for now in await heard(workflow)] == states


async def test_iterator_ends_when_the_operation_fails_and_leaves_the_failure_to_the_result() -> None:
    """A loop over the progress needs no `except`."""
    refused = WorkflowFailureError(cause=ApplicationError("no", type=FailureType.REMOVAL_REFUSED))
    workflow = Workflow([progress("Checking"), progress("Refused")], refused)
    assert [now.state for now in await heard(workflow)] == ["Checking", "Refused"]
    with pytest.raises(client.RefusedError, match="no") as failure:
        await operation(workflow).result()
    assert (failure.value.workflow_id, failure.value.failure_type) == ("etcd-remove/c/m", "RemovalRefused")


async def test_iterator_that_is_left_early_leaves_nothing_behind() -> None:
    """`break` is allowed, and no task goes on."""
    following = operation(Workflow([progress("Checking"), progress("Blocked"), progress("Done")])).progress(AT_ONCE)
    assert (await anext(following)).state == "Checking"
    await following.aclose()
    assert asyncio.all_tasks() == {asyncio.current_task()}


@pytest.mark.parametrize(
    ("failure_type", "error"),
    [
        ("RemovalRefused", client.RefusedError),
        ("ChangeRefused", client.RefusedError),
        ("BlockedTooLong", client.BlockedTooLongError),
        ("TooLate", client.TooLateError),
        ("InvalidInput", client.InvalidInputError),
        ("UnknownCluster", client.UnknownClusterError),
        ("UnknownMember", client.UnknownMemberError),
        ("PermissionDenied", client.PermissionDeniedError),
        ("OfANewerVersion", client.OperationError),
    ],
)
def test_each_failure_type_has_its_class_and_the_command_lines_exit_status(
    failure_type: str, error: type[client.OperationError]
) -> None:
    """No failure type is without one."""
    made = operation_error(WorkflowFailureError(cause=ApplicationError("why", type=failure_type)), "w")
    assert (type(made), str(made), made.failure_type) == (error, "why", failure_type)
    assert made.exit_status == exit_of_failure(failure_type)


def test_every_failure_type_is_known() -> None:
    """A new one needs a class here."""
    for failure_type in FailureType:
        made = operation_error(WorkflowFailureError(cause=ApplicationError("why", type=failure_type)), "w")
        assert type(made) is not client.OperationError, failure_type


def test_ends_from_outside_have_classes_of_their_own() -> None:
    """Cancelled, terminated and timed out are told apart."""
    ends = [CancelledError("c"), TerminatedError("t"), WorkflowTimeoutError("o", type=None, last_heartbeat_details=[])]
    made = [operation_error(WorkflowFailureError(cause=end), "w").failure_type for end in ends]
    assert made == ["Cancelled", "Terminated", "TimedOut"]


async def test_update_that_is_not_taken_says_why() -> None:
    """Its validator's words; an operation that has ended is another error."""
    no = WorkflowUpdateFailedError(cause=ApplicationError("the removal does not wait for an approval"))
    with pytest.raises(client.NotTakenError, match="does not wait for an approval"):
        await operation(Workflow([progress("Done")], update=no)).approve("me")
    with pytest.raises(client.UnknownOperationError, match="etcd-remove/c/m"):
        await operation(Workflow([progress("Done")], update=GONE)).recheck()
    with pytest.raises(client.TemporalUnreachableError):
        await operation(Workflow([progress("Done")], update=AWAY)).recheck()
    with pytest.raises(client.InvalidInputError, match="comment"):
        await operation(Workflow([progress("Done")])).approve("me", "x" * 1001)


async def test_cancellation_says_what_is_true_after_it() -> None:
    """What was done before; or that it came too late."""
    cancelled = Workflow(
        [progress("Blocked"), progress("Failed", "cancelled; leadership has moved")],
        WorkflowFailureError(cause=CancelledError("c")),
    )
    assert await operation(cancelled).cancel("why") == "cancelled; leadership has moved"
    late = Workflow([progress("Removing", point_of_no_return=True), progress("Done")])
    late._ended.set()
    with pytest.raises(client.NotTakenError, match="has ended as 'removed'"):
        await operation(late).cancel()
    silent = Workflow([AWAY, AWAY, AWAY])
    with pytest.raises(
        client.WorkerSilentError, match=r"start one on a node of the cluster, .*, and it ends$"
    ) as raised:
        await operation(silent).cancel(within=timedelta(milliseconds=1))
    assert raised.value.exit_status == 1


async def test_cancelled_too_late_is_3_and_says_what_happens_now() -> None:
    """Past the point of no return nobody is told that it was cancelled."""
    removing = progress("Removing", "removing", point_of_no_return=True)
    with pytest.raises(client.NotTakenError) as raised:
        await operation(Workflow([removing, removing, removing])).cancel(within=timedelta(milliseconds=1))
    assert raised.value.exit_status == 3
    assert str(raised.value) == (
        "etcd-remove/c/m: too late, the removal was proposed to etcd and can no longer be cancelled;"
        " it is cancelled if the proposal comes to nothing. Now: removing"
    )


@pytest.mark.parametrize("recorded", [True, False])
async def test_cancelled_while_it_records_hands_the_record_over(*, recorded: bool) -> None:
    """That is what the cancellation was for; without a record left over it came too late."""
    end = RESULT.model_copy(update={"status_recorded": recorded})
    workflow = Workflow([progress("Recording", point_of_no_return=True), progress("Done")], end)
    workflow._ended.set()
    if recorded:
        with pytest.raises(client.NotTakenError, match="has ended as 'removed'"):
            await operation(workflow).cancel()
        return
    answer = await operation(workflow).cancel()
    assert answer.startswith("over: it has ended as 'removed'; the workflow `RecordStatus` goes on")
    assert answer.endswith("`etcd-handoff status -c c` shows it")


@pytest.mark.parametrize(
    ("doing", "says"),
    [
        ("cancelled before anything was removed", "cancelled before anything was removed"),
        ("cancelled. So far: n4 (4) has joined", "cancelled. So far: n4 (4) has joined"),
        ("recording it", "cancelled"),
    ],
)
async def test_cancelled_says_what_was_done_before(doing: str, says: str) -> None:
    """The operation knows that: one of several parts may have changed the membership."""
    end = WorkflowFailureError(cause=CancelledError("c"))
    last = progress("Failed", doing)
    assert await operation(Workflow([progress("Blocked"), last], end)).cancel() == says
    assert await operation(Workflow([progress("Blocked"), AWAY], end)).cancel() == "cancelled"


async def test_paused_and_resumed_by_the_one_who_is_named() -> None:
    """Both are sent as the command line sends them, and answered."""
    workflow = Workflow([progress("Blocked")])
    assert await operation(workflow).pause("ann", "a look first") == "taken"
    assert await operation(workflow).resume("ann") == "taken"
    assert [(name, update.by, update.reason) for name, update in workflow.updates] == [
        ("pause", "ann", "a look first"),
        ("resume", "ann", ""),
    ]


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (AWAY, "Temporal does not answer; the operation does not depend on this command"),
        (
            RPCError("no worker", RPCStatusCode.DEADLINE_EXCEEDED, b""),
            "no worker answers: start one on a node of the cluster, with `systemctl start etcd-handoff-worker`",
        ),
        (RPCError("no", RPCStatusCode.PERMISSION_DENIED, b""), "progress cannot be shown: Temporal at"),
        (WorkflowQueryFailedError("it broke"), "progress cannot be shown: it broke"),
    ],
)
async def test_silence_has_a_reason(error: Exception, says: str) -> None:
    """In words, for who asks for it; None for who does not."""
    running = operation(Workflow([error, error]))
    reason = await running.now_or_reason()
    assert isinstance(reason, str)
    assert reason.startswith(says)
    assert await running.now() is None


async def test_wrong_namespace_has_the_command_lines_exit_status() -> None:
    """2: the namespace is a setting."""
    nowhere = RPCError("Namespace x is not found", RPCStatusCode.NOT_FOUND, b"")
    with pytest.raises(client.TemporalRefusedError) as raised:
        await operation(Workflow([progress("Done")], update=nowhere)).recheck()
    assert (raised.value.exit_status, client.TemporalRefusedError.exit_status) == (2, 1)


def test_wrong_fields_are_named_before_anything_is_sent() -> None:
    """One line for each, with what to write in its place."""
    with pytest.raises(client.InvalidInputError) as failure:
        checked(RemovalRequest, {"cluster": "c c", "member": "a/b", "reasons": "x"})
    lines = str(failure.value).splitlines()
    assert [line.partition(":")[0] for line in lines] == ["cluster", "member", "reasons"]
    assert failure.value.exit_status == 2


def test_page_on_scripts_has_every_error_with_its_exit_status() -> None:
    """docs/scripts.md names each class that a script may meet."""
    documented: dict[str, int] = {}
    for line in (ROOT / "docs" / "scripts.md").read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 3 and cells[2].isdecimal():
            documented |= {name.strip(" `"): int(cells[2]) for name in cells[0].split(",")}
    kinds = [kind for name in client.__all__ if isinstance(kind := getattr(client, name), type)]
    errors = {kind.__name__: kind.exit_status for kind in kinds if issubclass(kind, client.ClientError)}
    assert documented == {
        name: status for name, status in errors.items() if name not in ("ClientError", "OperationError")
    }


def test_every_option_of_all_operations_can_be_given() -> None:
    """By its name: what only one kind of operation has is an argument of its method, or in a request for `start`."""
    common = set(OperationRequest.model_fields) - {"cluster"}
    assert common | {"snapshot", "hash_check"} == set(client.Options.__annotations__)
    page = (ROOT / "docs" / "scripts.md").read_text(encoding="utf-8")
    adding = set(client.AdditionOptions.__annotations__)
    assert adding == set(JoiningRequest.model_fields) - {"cluster"}
    assert [name for name in client.AdditionOptions.__annotations__ if f"`{name}`" not in page] == []


async def test_all_that_may_add_a_member_is_given_time_for_its_learner(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the same name; a removal takes none."""
    started = list[Any]()

    async def start(_: object, request: Any, *__: object) -> SimpleNamespace:
        started.append(request)
        return SimpleNamespace(id=request.start_id)

    monkeypatch.setattr(in_asyncio, "start_operation", start)
    handoff, urls = client.Handoff(None), ["http://node4:2380"]  # type: ignore[arg-type]  # nothing is sent
    seconds: client.AdditionOptions = {"progress_timeout_seconds": 7200}
    await handoff.add("prod", "node4", urls, **seconds)
    await handoff.replace("prod", "node2", "node4", urls, **seconds)
    await handoff.apply("prod", {"node4": urls}, **seconds)
    assert [request.progress_timeout_seconds for request in started] == [7200, 7200, 7200]
    with pytest.raises(client.InvalidInputError, match="progress_timeout_seconds"):
        await handoff.remove("prod", "node2", **seconds)  # type: ignore[misc]  # which is what is tried


@pytest.mark.parametrize(("given", "recorded"), [(None, "etcd-handoff-client:ann@"), ("7@ci", "7@ci")])
async def test_script_is_recorded_as_the_user_who_runs_it(
    monkeypatch: pytest.MonkeyPatch, given: str | None, recorded: str
) -> None:
    """So that four eyes are two people, unless the script says who it is."""
    monkeypatch.setenv("SUDO_USER", "ann")
    identities = []

    async def connect(identity: str) -> None:
        identities.append(identity)

    monkeypatch.setattr("etcd_handoff.client.handoff.connect_to_temporal", connect)
    await client.connect(given)
    assert identities[0].startswith(recorded)


def test_client_without_asyncio_has_the_same_methods() -> None:
    """What one can do the other can."""
    for one, other in ((client.Handoff, blocking.Handoff), (client.Operation, blocking.Operation)):
        here, there = ({name for name in vars(kind) if not name.startswith("_")} for kind in (one, other))
        assert here - there - {"client"} == set()
    connects = (client.connect, blocking.connect)
    assert len({tuple(inspect.signature(connect).parameters) for connect in connects}) == 1
