"""Whatever is sent to the workflows is answered, and neither stops them nor changes the cluster."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import pytest
from pydantic import TypeAdapter
from temporalio.api.enums.v1 import EventType, WorkflowTaskFailedCause
from temporalio.client import (
    WorkflowExecutionStatus,
    WorkflowFailureError,
    WorkflowQueryFailedError,
    WorkflowUpdateFailedError,
)
from temporalio.common import RawValue
from temporalio.exceptions import ApplicationError

from etcd_handoff.contract import TASK_QUEUE, Approval, FailureType
from etcd_handoff.lab import wait_until
from tests.fuzz.conftest import BARE, GONE, Target
from tests.fuzz.mutations import Sent, as_json, drawn, mutated, sent, values

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from temporalio.client import WorkflowHandle

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]

ANSWER_SECONDS: Final = 90.0
"""Far beyond what an answer takes, even on a busy machine: reaching it means that there is none."""
RPC_TIMEOUT: Final = timedelta(seconds=30)
MOST_UPDATES: Final = 8
"""At once to one workflow; the server takes ten."""
CHANGES: Final = frozenset({"move_leader", "remove_member", "request_leave", "update_status"})
"""Activities that nothing here may start."""

PLAN: Final = {"cluster": "demo", "member": "node0", "reason": "fuzz", "hash_check": False, "dry_run": True}
ABSENT: Final = {"cluster": "demo", "member": "not-a-member-at-all", "require_approval": True, "snapshot": True}
SILENT: Final = {"cluster": GONE, "member": "0x1f", "blocked_timeout_seconds": 0.2}
ENTRY: Final = {
    "workflow_id": "etcd-remove/demo/ended",
    "chain_id": "0192f0c1-0000-7000-8000-000000000000",
    "cluster": "demo",
    "member_name": "ended",
    "member_id": "1f",
    "waits": True,
    "request": 1,
    "holds": False,
}
QUEUE: Final = {"cluster_id": "cdf818194e3a8c32", "entries": [ENTRY], "holder": ""}
RETRY: Final = {"uid": "1", "generation": 1, "failures": 1, "at_seconds": 1.5e9}
WATCH: Final = {"cluster": "demo", "resync_seconds": 300, "state": {"retries": {"1": RETRY}}}


def harmless(thing: Any) -> Any:
    """A removal of a member that exists stays a dry run, and nothing waits for long."""
    if not isinstance(thing, dict):
        return thing
    if str(thing.get("member")).strip().lower() in {"node0", "node1", "node2"} and thing.get("dry_run", False) is False:
        thing = {**thing, "dry_run": True}
    seconds = thing.get("blocked_timeout_seconds", 3600)
    long = isinstance(seconds, int | float) and seconds > 1
    return {**thing, "cluster": "nowhere"} if thing.get("cluster") == GONE and long else thing


STARTS: Final = {
    "RemoveMember": (360, sent((mutated(PLAN, ABSENT, SILENT) | mutated(PLAN) | mutated(PLAN) | values).map(harmless))),
    "ReconcileEtcdMembers": (80, sent(mutated(WATCH) | mutated(WATCH) | values)),
    "ChangeQueue": (120, sent(mutated(QUEUE) | mutated(QUEUE) | values)),
}
"""Workflow type, how many starts, and with what."""


def stuck(event: Any) -> bool:
    """Whether a workflow task has failed, and will for ever. One that only came too late for news did not."""
    failed = event.workflow_task_failed_event_attributes
    harmless_cause = WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_UNHANDLED_COMMAND
    return bool(event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED and failed.cause != harmless_cause)


async def history(handle: WorkflowHandle[Any, Any], *, to_the_end: bool) -> list[Any]:
    """Its events until it has ended, a task of it has failed, or, when that is enough, one has been done."""
    events = []
    async for event in handle.fetch_history_events(wait_new_event=True):
        events.append(event)
        done = event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED
        if stuck(event) or (done and not to_the_end):
            break
    return events


async def start(target: Target, kind: str, name: str, given: Sent) -> WorkflowHandle[Any, Any]:
    """A workflow with these arguments, as the Temporal CLI starts it."""
    arguments = [RawValue(payload) for payload in given.payloads]
    return await target.raw.start_workflow(kind, args=arguments, id=name, task_queue=TASK_QUEUE)


async def answer(handle: WorkflowHandle[Any, Any]) -> str:
    """How it ended, in one word; the contract's failures have theirs."""
    try:
        await handle.result()
    except WorkflowFailureError as failed:
        error = failed.cause
        if not isinstance(error, ApplicationError):
            return type(error).__name__
        assert error.type in list(FailureType), f"{handle.id}: {error.type}: {error.message}"
        assert error.message.strip(), handle.id
        assert "Traceback" not in error.message, error.message
        return str(error.type)
    return "done"


@pytest.mark.timeout(300)
@pytest.mark.parametrize("kind", STARTS)
async def test_every_start_is_answered_and_changes_nothing(target: Target, kind: str) -> None:
    """It ends well or with a failure of the contract; only watchers, which wait for more, may go on."""
    count, inputs = STARTS[kind]
    before, cases = await target.members(), drawn(inputs, count)
    watches, slots = kind == "ReconcileEtcdMembers", asyncio.Semaphore(40)

    async def one(number: int, given: Sent) -> str:
        async with slots:
            handle = await start(target, kind, f"fuzz/{kind}/{number}", given)
            events = await history(handle, to_the_end=not watches)
            failed = [e.workflow_task_failed_event_attributes.failure.message for e in events if stuck(e)]
            assert not failed, f"{given}: {failed}"
            begun = {e.activity_task_scheduled_event_attributes.activity_type.name for e in events}
            assert not begun & CHANGES, given
            if watches and (await handle.describe()).status is WorkflowExecutionStatus.RUNNING:
                await handle.terminate()
            return await answer(handle)

    async with asyncio.timeout(ANSWER_SECONDS):
        ends = await asyncio.gather(*(one(*case) for case in enumerate(cases)), return_exceptions=True)
    wrong = [end for end in ends if isinstance(end, BaseException)]
    assert not wrong, "\n".join(str(end)[:600] for end in wrong)
    assert await target.members() == before
    answers = Counter(ends)
    assert answers["InvalidInput"] > count / 4, "the inputs are too good to tell anything"
    assert answers["done"] + answers["TerminatedError"] > count / 50, "no input is good: what is wrong with them?"
    print(f"\n{kind}: {len(cases)} inputs: {dict(answers)}")  # noqa: T201


# --- what is said to a workflow that runs ---------------------------------------------------------------------

APPROVAL: Final = {"by": "ann", "comment": "ok"}
TURN: Final = {"granted": True, "behind": ["the removal of node9"], "chain_id": "", "request": 1}
RECALL: Final = {"cluster_id": "cdf818194e3a8c32", "profiles": ["demo"], "only": []}
UPDATES: Final = {
    "approve": (40, sent(mutated(APPROVAL) | mutated(APPROVAL) | values)),
    "recheck": (40, sent(mutated({"reason": "node1 is up"}) | values)),
    "resync": (30, sent(values)),
    "position": (60, sent(mutated(ENTRY) | mutated(ENTRY) | values)),
    "rejoin": (40, sent(mutated(RECALL) | values)),
}
SIGNALS: Final = {
    "your_turn": (60, sent(mutated(TURN) | mutated(TURN) | values)),
    "enqueue": (80, sent(mutated(ENTRY) | mutated(ENTRY) | values)),
}
QUERIES: Final = {"progress": (25, sent(values)), "status": (25, sent(values)), "state": (25, sent(values))}
LISTENER: Final = {"approve": "removal", "recheck": "removal", "resync": "watcher", "your_turn": "removal"} | {
    "enqueue": "queue",
    "position": "queue",
    "rejoin": "removal",
    "progress": "removal",
    "status": "watcher",
    "state": "queue",
}
"""Which workflow takes what."""


@asynccontextmanager
async def listeners(target: Target) -> AsyncIterator[dict[str, WorkflowHandle[Any, Any]]]:
    """A removal that stays blocked, a watcher that stays in trouble, and a queue with that removal in it."""
    blocked = {"cluster": GONE, "member": "node0"}
    removal = await start(target, "RemoveMember", "fuzz/listens/removal", Sent((as_json(blocked),)))
    watcher = await start(target, "ReconcileEtcdMembers", "fuzz/listens/watcher", Sent((as_json(WATCH),)))
    entry = {**ENTRY, "workflow_id": removal.id, "chain_id": removal.first_execution_run_id}
    queue = await start(target, "ChangeQueue", "fuzz/listens/queue", Sent((as_json({**QUEUE, "entries": [entry]}),)))
    yield {"removal": removal, "watcher": watcher, "queue": queue}
    for handle in (queue, removal, watcher):  # a queue ends by itself once the removal in it has ended
        await handle.terminate()


async def update(handle: WorkflowHandle[Any, Any], name: str, given: Sent) -> str:
    """What an update answers, in one word."""
    try:
        await handle.execute_update(name, args=[RawValue(payload) for payload in given.payloads])
    except WorkflowUpdateFailedError as failed:
        error = failed.cause
        assert isinstance(error, ApplicationError)
        assert error.type == FailureType.INVALID_INPUT, f"{given}: {error.type}: {error.message}"
        assert "Traceback" not in error.message
        return str(error.type)
    return "done"


async def query(handle: WorkflowHandle[Any, Any], name: str, given: Sent) -> str:
    """What a query answers, in one word."""
    try:
        await handle.query(name, args=[RawValue(payload) for payload in given.payloads], rpc_timeout=RPC_TIMEOUT)
    except WorkflowQueryFailedError as failed:
        message = str(failed)
    else:
        return "done"
    assert message.startswith((f"{name}: it takes ", "input: ")), f"{given}: {message}"
    return "InvalidInput"


async def signal(handle: WorkflowHandle[Any, Any], name: str, given: Sent) -> str:
    """Signals are never answered."""
    await handle.signal(name, args=[RawValue(payload) for payload in given.payloads])
    return "sent"


@pytest.mark.timeout(300)
async def test_every_message_is_answered_and_stops_nobody(target: Target) -> None:
    """Updates and queries are answered in words, and what they were sent to goes on, also after any signal."""
    before = await target.members()
    ways = ((update, UPDATES), (query, QUERIES), (signal, SIGNALS))
    cases = [
        (way, name, given)
        for way, kinds in ways
        for name, (count, inputs) in kinds.items()
        for given in drawn(inputs, count)
    ]
    slots = asyncio.Semaphore(MOST_UPDATES)
    async with listeners(target) as handles, asyncio.timeout(ANSWER_SECONDS):

        async def one(way: Any, name: str, given: Sent) -> tuple[str, str]:
            async with slots:
                return name, await way(handles[LISTENER[name]], name, given)

        ends = await asyncio.gather(*(one(*case) for case in cases), return_exceptions=True)
        wrong = [end for end in ends if isinstance(end, BaseException)]
        assert not wrong, "\n".join(str(end)[:600] for end in wrong)
        for name, handle in handles.items():
            # A query is answered only by a workflow whose last task went well.
            await query(handle, {"removal": "progress", "watcher": "status", "queue": "state"}[name], Sent(()))
            events = [event async for event in handle.fetch_history_events()]
            assert [e.workflow_task_failed_event_attributes.failure.message for e in events if stuck(e)] == []
            assert (await handle.describe()).status is WorkflowExecutionStatus.RUNNING
    assert await target.members() == before
    answers = Counter(end for end in ends if not isinstance(end, BaseException))
    print(f"\nmessages: {len(cases)} inputs: {dict(answers)}")  # noqa: T201


@pytest.mark.timeout(300)
async def test_no_bad_approval_lets_a_removal_go_on(target: Target) -> None:
    """Only what can be read as an approval, or nothing at all, is one."""
    before = await target.members()
    waits = {"cluster": BARE, "member": "node0", "require_approval": True, "snapshot": True}
    removal = await start(target, "RemoveMember", "fuzz/listens/approval", Sent((as_json(waits),)))

    async def awaiting() -> bool:
        return bool((await removal.query("progress"))["state"] == "AwaitingApproval")

    await wait_until(awaiting, "it waits for an approval", 30)
    approval = TypeAdapter(Approval | None)
    tried = 0
    for given in drawn(sent(mutated(APPROVAL)), 60):
        if good(given, approval):
            continue
        tried += 1
        assert await update(removal, "approve", given) == "InvalidInput", given
    assert tried > 20
    assert await awaiting()
    assert await update(removal, "approve", Sent(())) == "done"
    # A profile without a folder for snapshots cannot take the one that was asked for.
    assert await answer(removal) == "InvalidInput"
    assert await target.members() == before
    print(f"\nbad approvals: {tried} inputs")  # noqa: T201


def good(given: Sent, model: TypeAdapter[Any]) -> bool:
    """Whether `given` is right, judged without what reads it in the product."""
    if not given.payloads:
        return True
    first = given.payloads[0]
    if len(given.payloads) > 1 or first.metadata.get("encoding") not in (b"json/plain", b"binary/null"):
        return False
    try:
        model.validate_json(first.data or b"null")
    except ValueError:
        return False
    return True
