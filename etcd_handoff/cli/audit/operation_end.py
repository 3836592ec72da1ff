"""How a run ended, read from its last event."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from etcd_handoff.cli.audit.payloads import first, moment, person
from etcd_handoff.cli.audit.trail import Entry

if TYPE_CHECKING:
    from collections.abc import Iterable

    from temporalio.api.history.v1 import HistoryEvent


CANCELLED: Final = "Cancelled"
CHANGES: Final = frozenset({"promoted", "removed"})
"""Outcomes of steps that changed the voters."""


class OperationEnd(NamedTuple):
    """The end of an operation.

    Attributes:
        outcome: The result's `outcome`, the failure's type, or Temporal's word; empty while it runs.
        text: The outcome in words.
        at: When; empty while it runs.
        by: Who ended it, if a person did.
        interface: How that person reached the operation.
        result: The result; None if there is none.
    """

    outcome: str = ""
    text: str = ""
    at: str = ""
    by: str = ""
    interface: str = ""
    result: dict[str, Any] | None = None

    @property
    def entry(self) -> Entry:
        """The trail's entry for this end."""
        text = f"{self.outcome}: {self.text}" if self.text else self.outcome
        return Entry(self.at, "ended", text, by=self.by, interface=self.interface, outcome=self.outcome)


def operation_end(event: HistoryEvent) -> OperationEnd:
    """Return the end that an operation's last event records; an empty one while it runs."""
    at = moment(event.event_time)
    match event.WhichOneof("attributes"):
        case "workflow_execution_completed_event_attributes":
            result = first(event.workflow_execution_completed_event_attributes.result)
            return OperationEnd(str(result.get("outcome", "done")), _of_result(result), at, result=result)
        case "workflow_execution_failed_event_attributes":
            failure = event.workflow_execution_failed_event_attributes.failure
            return OperationEnd(failure.application_failure_info.type or "Failed", failure.message, at)
        case "workflow_execution_canceled_event_attributes":
            return OperationEnd(CANCELLED, "before the membership was changed for good", at)
        case "workflow_execution_terminated_event_attributes":
            terminated = event.workflow_execution_terminated_event_attributes
            by, interface = person(event, terminated.identity)
            return OperationEnd("Terminated", terminated.reason, at, by, interface)
        case "workflow_execution_timed_out_event_attributes":
            return OperationEnd("TimedOut", "Temporal's time for the workflow was over", at)
    return OperationEnd()


def after_parts(end: OperationEnd, entries: Iterable[Entry]) -> OperationEnd:
    """Add to the end of a cancelled operation which of its parts were done and stay done."""
    done = "; ".join(entry.text for entry in entries if entry.event == "did" and entry.outcome in CHANGES)
    return end._replace(text=f"after this was done: {done}") if end.outcome == CANCELLED and done else end


def _of_result(result: dict[str, Any]) -> str:
    """Describe a result: the plan of a dry run, or what was recorded."""
    if blocked := result.get("blocked_by"):
        return f"it would wait: {blocked}"
    if plan := result.get("plan"):
        return "it would " + "; ".join(map(str, plan))
    if result.get("outcome") == "planned":
        return "nothing was changed"
    recorded = "the EtcdMember says so" if result.get("status_recorded") else "the EtcdMember was not written"
    note = result.get("status_note")
    warning = (
        "; WARNING: the remaining members acknowledged no write" if result.get("writes_acknowledged") is False else ""
    )
    return f"{recorded}{f' ({note})' if note else ''}{warning}"
