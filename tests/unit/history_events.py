"""Events of a workflow's history made by hand, and the trail that follows from them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from temporalio.api.common.v1 import Payload, Payloads
from temporalio.api.history.v1 import HistoryEvent

from etcd_handoff.cli.audit.history import trail_of

if TYPE_CHECKING:
    from etcd_handoff.cli.audit.trail import Trail


def event(kind: str, seconds: int = 0, **attributes: Any) -> HistoryEvent:
    """An event made by hand, so many seconds after midnight."""
    fields: Any = {f"{kind}_event_attributes": attributes}
    made = HistoryEvent(**fields)
    made.event_time.FromJsonString(f"2026-01-01T00:00:{seconds:02}Z")
    return made


def payload(value: object) -> Payloads:
    """A payload as somebody writes it who does not have our client."""
    return Payloads(payloads=[Payload(metadata={"encoding": b"json/plain"}, data=json.dumps(value).encode())])


REQUEST: Final = {"cluster": "prod", "member": "node2", "reason": "new disk"}


def started(**attributes: Any) -> HistoryEvent:
    """The start of a removal."""
    known = {"workflow_type": {"name": "RemoveMember"}, "input": payload(REQUEST), "identity": "1@host"}
    return event("workflow_execution_started", **{**known, **attributes})


def trail(*events: HistoryEvent) -> Trail:
    """The trail of a removal with these events after its start."""
    return trail_of("etcd-remove/prod/node2", [[started(), *events]])
