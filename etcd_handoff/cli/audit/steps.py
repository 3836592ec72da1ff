"""Entries for the activities of an operation: what was seen, what was done, and by which node."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from etcd_handoff.cli.audit.looks import done_text, leader_of, look_text, view_of
from etcd_handoff.cli.audit.payloads import first, moment, summary
from etcd_handoff.cli.audit.trail import Entry

if TYPE_CHECKING:
    from temporalio.api.failure.v1 import Failure
    from temporalio.api.history.v1 import HistoryEvent

LOOKS: Final = frozenset({"check_leader", "await_election", "find_resource", "read_leave", "check_hash"})
"""Activities that change nothing."""
TIME_OUTS: Final = {
    1: "it took too long",
    2: "no worker took it",
    3: "it was not done in time",
    4: "its worker sent no heartbeat in time",
}
"""Meaning of a time-out, by Temporal's number (`TimeoutType`)."""


class Steps:
    """The activities of one run. Events are passed in order."""

    def __init__(self) -> None:
        self._scheduled: dict[int, HistoryEvent] = {}
        self._attempts: dict[int, int] = {}

    def entry(self, event: HistoryEvent) -> Entry | None:
        """Return the entry for an activity's event; None unless the event ends the activity."""
        match event.WhichOneof("attributes"):
            case "activity_task_scheduled_event_attributes":
                self._scheduled[event.event_id] = event
            case "activity_task_started_event_attributes":
                started = event.activity_task_started_event_attributes
                self._attempts[started.scheduled_event_id] = started.attempt
            case "activity_task_completed_event_attributes":
                return self._completed(event)
            case "activity_task_failed_event_attributes":
                failed = event.activity_task_failed_event_attributes
                return self._ended_otherwise(event, failed.scheduled_event_id, failed.failure)
            case "activity_task_timed_out_event_attributes":
                late = event.activity_task_timed_out_event_attributes
                return self._ended_otherwise(event, late.scheduled_event_id, late.failure)
            case "activity_task_canceled_event_attributes":
                cancelled = event.activity_task_canceled_event_attributes
                return self._ended_otherwise(event, cancelled.scheduled_event_id, None)
        return None

    def _completed(self, event: HistoryEvent) -> Entry | None:
        """Return the entry for a completed activity."""
        attributes = event.activity_task_completed_event_attributes
        scheduled = self._scheduled.get(attributes.scheduled_event_id)
        if scheduled is None:
            return None
        result = first(attributes.result)
        name = scheduled.activity_task_scheduled_event_attributes.activity_type.name
        step = result.get("step", result if "outcome" in result else {})
        look, view = name in LOOKS, view_of(result)
        leader, term = leader_of(view)
        return Entry(
            at=moment(event.event_time),
            event="looked" if look else "did",
            text=look_text(name, step, view) if look else done_text(summary(scheduled) or name, step),
            by=str(step.get("node", "")),
            step=name,
            outcome=str(step.get("outcome", "")),
            began=moment(scheduled.event_time),
            milliseconds=step.get("milliseconds"),
            attempts=self._attempts.get(attributes.scheduled_event_id, 1),
            leader=leader,
            term=term,
        )

    def _ended_otherwise(self, event: HistoryEvent, scheduled_id: int, failure: Failure | None) -> Entry | None:
        """Return the entry for an activity that was cancelled, or whose attempts all failed."""
        scheduled = self._scheduled.get(scheduled_id)
        if scheduled is None:
            return None
        name = scheduled.activity_task_scheduled_event_attributes.activity_type.name
        return Entry(
            at=moment(event.event_time),
            event="failed",
            text=f"{summary(scheduled) or name}: {failure_text(failure) if failure else 'cancelled'}",
            step=name,
            outcome="failed" if failure else "cancelled",
            began=moment(scheduled.event_time),
            attempts=self._attempts.get(scheduled_id, 1),
        )


def failure_text(failure: Failure) -> str:
    """Return a failure's message, with its cause."""
    kind = failure.application_failure_info.type
    text = f"{kind}: {failure.message}" if kind else failure.message
    if failure.HasField("timeout_failure_info"):
        text = TIME_OUTS.get(failure.timeout_failure_info.timeout_type, failure.message)
    return f"{text}; before that: {failure_text(failure.cause)}" if failure.HasField("cause") else text
