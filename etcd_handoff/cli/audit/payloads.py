"""Read payloads, times and people from history events."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from etcd_handoff.operation.people import COMMAND_LINE, REQUESTER_MEMO, SCRIPT, TEMPORAL_CLI
from etcd_handoff.reconciler.state import watcher_id
from etcd_handoff.temporal.converter import DEFAULTS

if TYPE_CHECKING:
    from google.protobuf.timestamp_pb2 import Timestamp
    from temporalio.api.common.v1 import Payload, Payloads
    from temporalio.api.history.v1 import HistoryEvent

INTERFACES: Final = ((COMMAND_LINE, "command line"), (SCRIPT, "Python client"), (TEMPORAL_CLI, "Temporal CLI"))
"""Prefixes of identities, and how people with such an identity reached the operation."""
WATCHER: Final = watcher_id("")
"""Prefix of the workflow IDs of watchers."""
CARRIED: Final = "etcd-handoff-carried"
"""The memo with the state that a run hands on to the next one (`workflows.continuation`)."""
SCHEDULED_BY: Final = "TemporalScheduledById"


def moment(stamp: Timestamp) -> str:
    """Return a time as the trail has it: UTC, ISO 8601 with milliseconds."""
    time = datetime.fromtimestamp(stamp.seconds, UTC).replace(microsecond=stamp.nanos // 1_000_000 * 1000)
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def value(payload: Payload) -> Any:
    """Return a payload's JSON value; None if it is not JSON."""
    if payload.metadata.get("encoding", b"") not in (b"json/plain", b"json/protobuf"):
        return None
    try:
        return json.loads(payload.data)
    except ValueError:
        return None


def first(payloads: Payloads) -> dict[str, Any]:
    """Return the first payload if it is a JSON object, otherwise an empty object."""
    found = value(payloads.payloads[0]) if payloads.payloads else None
    return found if isinstance(found, dict) else {}


def summary(event: HistoryEvent) -> str:
    """Return an event's summary line for people."""
    text = value(event.user_metadata.summary)
    return text if isinstance(text, str) else ""


def person(event: HistoryEvent, identity: str) -> tuple[str, str]:
    """Return a person's name, and how they reached the operation.

    Args:
        event: The event that they caused. Servers with authentication record the caller's name in it.
        identity: The identity that they claim.
    """
    name, interface = identity, ""
    for prefix, way in INTERFACES:
        if identity.startswith(prefix):
            name, interface = identity.removeprefix(prefix), way
    authenticated = event.principal.name
    return (f"{authenticated} (as {name})" if authenticated and authenticated != name else name), interface


def carried_in(event: HistoryEvent) -> dict[str, Any]:
    """Return the state that the previous run handed on to the run that this event starts."""
    memo = event.workflow_execution_started_event_attributes.memo.fields
    carried = value(memo[CARRIED]) if CARRIED in memo else None
    return carried if isinstance(carried, dict) else {}


def requester(event: HistoryEvent) -> str:
    """Return who set the order on the EtcdMember that caused this removal; empty if that is unknown.

    A later run gets it from its predecessor, because the first run may be beyond its retention.
    """
    memo = event.workflow_execution_started_event_attributes.memo.fields
    found = value(memo[REQUESTER_MEMO]) if REQUESTER_MEMO in memo else carried_in(event).get("requester")
    return found if isinstance(found, str) else ""


def asker(event: HistoryEvent, request: dict[str, Any]) -> tuple[str, str]:
    """Return who started a workflow with this request, and how."""
    started = event.workflow_execution_started_event_attributes
    parent = started.parent_workflow_execution.workflow_id
    if parent.startswith(WATCHER):
        return requester(event) or str(request.get("reason") or "an EtcdMember"), "kubectl (EtcdMember)"
    if parent:
        return parent, "another workflow"
    schedule = started.search_attributes.indexed_fields.get(SCHEDULED_BY)
    if schedule is not None:
        return str(value(schedule)), "Temporal Schedule"
    who, interface = person(event, started.identity)
    ours = any(DEFAULTS in payload.metadata for payload in started.input.payloads)
    return who, interface or ("Python client" if ours else "Temporal API")
