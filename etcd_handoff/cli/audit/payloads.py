"""Reading what stands in a history: payloads, times, people and the ways by which they came."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from etcd_handoff.operation.people import COMMAND_LINE, REQUESTER_MEMO, SCRIPT, TEMPORAL_CLI
from etcd_handoff.temporal.converter import DEFAULTS

if TYPE_CHECKING:
    from google.protobuf.timestamp_pb2 import Timestamp
    from temporalio.api.common.v1 import Payload, Payloads
    from temporalio.api.history.v1 import HistoryEvent

DOORS: Final = ((COMMAND_LINE, "command line"), (SCRIPT, "Python client"), (TEMPORAL_CLI, "Temporal CLI"))
"""The ways by which people came whose identity begins so."""
WATCHER: Final = "etcd-watch/"
CARRIED: Final = "etcd-handoff-carried"
"""The memo with what a run has handed on to the next one."""
SCHEDULED_BY: Final = "TemporalScheduledById"


def moment(stamp: Timestamp) -> str:
    """A time as the trail has it: UTC, ISO 8601 with milliseconds."""
    time = datetime.fromtimestamp(stamp.seconds, UTC).replace(microsecond=stamp.nanos // 1_000_000 * 1000)
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def value(payload: Payload) -> Any:
    """What a payload holds; None for what is not JSON."""
    if payload.metadata.get("encoding", b"") not in (b"json/plain", b"json/protobuf"):
        return None
    try:
        return json.loads(payload.data)
    except ValueError:
        return None


def first(payloads: Payloads) -> dict[str, Any]:
    """The first of some payloads, if that is a JSON object; otherwise an empty one."""
    found = value(payloads.payloads[0]) if payloads.payloads else None
    return found if isinstance(found, dict) else {}


def summary(event: HistoryEvent) -> str:
    """The one line for people that an event carries."""
    text = value(event.user_metadata.summary)
    return text if isinstance(text, str) else ""


def person(event: HistoryEvent, identity: str) -> tuple[str, str]:
    """Who somebody is, and by which way they came.

    Args:
        event: What they have done. Where the server asks callers who they are, it says so.
        identity: Who they say that they are.
    """
    name, door = identity, ""
    for prefix, way in DOORS:
        if identity.startswith(prefix):
            name, door = identity.removeprefix(prefix), way
    authenticated = event.principal.name
    return (f"{authenticated} (as {name})" if authenticated and authenticated != name else name), door


def carried_in(event: HistoryEvent) -> dict[str, Any]:
    """What the run before has handed on to the one that begins so."""
    memo = event.workflow_execution_started_event_attributes.memo.fields
    carried = value(memo[CARRIED]) if CARRIED in memo else None
    return carried if isinstance(carried, dict) else {}


def requester(event: HistoryEvent) -> str:
    """Who has given the order on an EtcdMember for which a removal begins so; empty when that is not known.

    Where the retention of its first run is over, the next one has it from what it was handed on.
    """
    memo = event.workflow_execution_started_event_attributes.memo.fields
    found = value(memo[REQUESTER_MEMO]) if REQUESTER_MEMO in memo else carried_in(event).get("requester")
    return found if isinstance(found, str) else ""


def asker(event: HistoryEvent, request: dict[str, Any]) -> tuple[str, str]:
    """Who started a workflow with this request, and by which way."""
    started = event.workflow_execution_started_event_attributes
    parent = started.parent_workflow_execution.workflow_id
    if parent.startswith(WATCHER):
        return requester(event) or str(request.get("reason") or "an EtcdMember"), "kubectl (EtcdMember)"
    if parent:
        return parent, "another workflow"
    schedule = started.search_attributes.indexed_fields.get(SCHEDULED_BY)
    if schedule is not None:
        return str(value(schedule)), "Temporal Schedule"
    who, door = person(event, started.identity)
    ours = any(DEFAULTS in payload.metadata for payload in started.input.payloads)
    return who, door or ("Python client" if ours else "Temporal API")
