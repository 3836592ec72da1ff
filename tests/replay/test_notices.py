"""Operations that tell a webhook replay, and order it where their history says: recorded removals, with what was told.

Whether they tell it is a trait of the worker that took them up, so it stands in the history.
"""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any, Final

import pytest
from temporalio.client import WorkflowHistory
from temporalio.workflow import NondeterminismError

from tests.replay.test_replay import FOLDER, replayer

if TYPE_CHECKING:
    from collections.abc import Sequence

Event = dict[str, Any]
STARTED: Final = "workflowExecutionStartedEventAttributes"
TASK: Final = ("WORKFLOW_TASK_SCHEDULED", "WORKFLOW_TASK_STARTED", "WORKFLOW_TASK_COMPLETED")


def recorded(name: str, *notifies: str) -> list[Event]:
    """The events of a committed history whose worker tells a webhook of these."""
    events: list[Event] = json.loads((FOLDER / "histories" / f"{name}.json").read_text())["events"]
    for event in events:
        result = event.get("activityTaskCompletedEventAttributes", {}).get("result", {"payloads": []})
        for payload in result["payloads"]:
            answer = json.loads(base64.b64decode(payload["data"]))
            if isinstance(answer, dict) and answer.get("worker_info"):
                answer["worker_info"]["notifies"] = list(notifies)
                payload["data"] = base64.b64encode(json.dumps(answer).encode()).decode()
    return events


def inserted(events: Sequence[Event], after: int, new: Sequence[Event]) -> list[Event]:
    """The events with new ones behind the event with this ID; IDs and what refers to them are counted anew."""

    def moved(key: str, value: Any) -> Any:
        return str(int(value) + len(new)) if key.endswith("ventId") and int(value) > after else value

    def at_its_place(event: Event) -> Event:
        return {
            key: {name: moved(name, of) for name, of in value.items()} if isinstance(value, dict) else moved(key, value)
            for key, value in event.items()
        }

    numbered = [{**event, "eventId": str(after + number)} for number, event in enumerate(new, 1)]
    return [*events[:after], *numbered, *(at_its_place(event) for event in events[after:])]


def event(kind: str, **attributes: Any) -> Event:
    """An event of this kind."""
    first, *others = kind.lower().split("_")
    name = f"{first}{''.join(word.capitalize() for word in others)}EventAttributes"
    return {"eventTime": "2026-01-01T00:00:00Z", "eventType": f"EVENT_TYPE_{kind}", name: attributes}


def child(events: Sequence[Event], event_id: str, task: int) -> list[Event]:
    """The order of a workflow task to tell the webhook something, and that the workflow for it has started."""
    run_id = events[0][STARTED]["originalExecutionRunId"]
    named = {"workflowId": f"etcd-notify/demo/{run_id}-{event_id}", "runId": "told"}
    kind = {"name": "Notify"}
    ordered = event(
        "START_CHILD_WORKFLOW_EXECUTION_INITIATED",
        workflowId=named["workflowId"],
        workflowType=kind,
        workflowTaskCompletedEventId=str(task),
    )
    started = event(
        "CHILD_WORKFLOW_EXECUTION_STARTED", workflowExecution=named, workflowType=kind, initiatedEventId="0"
    )
    return [ordered, started]


def at_end(*between: Event, event_id: str = "ended-removed-1") -> list[Event]:
    """A follower's removal that tells its end, with these events before it hears that this goes on."""
    events = recorded("follower", "ended")
    last = len(events) - 1  # behind the search attributes of the last workflow task, before the end
    ordered, started = child(events, event_id, last - 1)
    started["childWorkflowExecutionStartedEventAttributes"]["initiatedEventId"] = str(last + 1)
    told_id = last + 1 + len(between) + 1
    task = [
        event(TASK[0]),
        event(TASK[1], scheduledEventId=str(told_id + 1)),
        event(TASK[2], scheduledEventId=str(told_id + 1), startedEventId=str(told_id + 2)),
    ]
    whole = inserted(events, last, [ordered, *between, started, *task])
    whole[-1]["workflowExecutionCompletedEventAttributes"]["workflowTaskCompletedEventId"] = str(told_id + 3)
    return whole


async def replayed(events: list[Event]) -> Exception | None:
    """What goes wrong in the replay."""
    history = WorkflowHistory.from_json("etcd-remove/demo/replayed", json.dumps({"events": events}))
    return (await replayer().replay_workflow(history, raise_on_replay_failure=False)).replay_failure


async def test_end_is_told_before_the_run_ends() -> None:
    """The workflow that tells it has been started by then."""
    assert await replayed(at_end()) is None


async def test_cancellation_at_the_end_comes_too_late() -> None:
    """The member has left, and what has ended well does not become cancelled while it is told."""
    assert await replayed(at_end(event("WORKFLOW_EXECUTION_CANCEL_REQUESTED"))) is None


async def test_request_for_an_approval_is_notified_and_not_waited_for() -> None:
    """The order stands in the task in which the wait begins."""
    events = recorded("approved", "approval-requested")
    ordered, started = child(events, "approval-requested-1", 11)
    started["childWorkflowExecutionStartedEventAttributes"]["initiatedEventId"] = "13"
    assert await replayed(inserted(events, 12, [ordered, started])) is None


@pytest.mark.parametrize(
    "events",
    [recorded("follower", "ended"), at_end(event_id="ended-removed-2"), at_end(event_id="ended-BlockedTooLong-1")],
    ids=["not-told", "other-number", "other-outcome"],
)
async def test_other_orders_than_the_history_has_are_found(events: list[Event]) -> None:
    """Else none of these replays would show anything."""
    assert isinstance(await replayed(events), NondeterminismError)
