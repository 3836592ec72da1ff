"""Define a notice outside of Temporal: one event of an operation, and its form as a CloudEvent. Pure."""

from __future__ import annotations

import json
from enum import StrEnum
from typing import Any, Final
from urllib.parse import quote

from etcd_handoff.wire import WireModel

TYPE_PREFIX: Final = "io.etcd-handoff.operation"
CONTENT_TYPE: Final = "application/cloudevents+json; charset=utf-8"
OUTSIDE_OF_DATA: Final = {"event_id", "event", "time"}


class NoticeEvent(StrEnum):
    """The kind of a notice (contract)."""

    BLOCKED = "blocked"
    APPROVAL_REQUESTED = "approval-requested"
    ENDED = "ended"


class Notice(WireModel):
    """One event of an operation; input of the workflow `Notify` and of `send_notice`.

    It stands in a history, and goes to a foreign server. So it holds no endpoint and no secret, and its texts hold no
    address. A member keeps its name, even where that looks like an address. The same holds for IDs that contain the
    name.

    Attributes:
        event_id: The same for the same occurrence, however often it is sent.
        event: The kind of event, one of `NoticeEvent`.
        time: When, ISO 8601 in UTC.
        cluster: Cluster profile.
        cluster_id: The etcd cluster's own ID; empty before the first look.
        member: The member as it was asked for, or the names of several.
        member_id: Its ID; empty before it is known.
        operation: Workflow type.
        workflow_id: ID of the workflow.
        run_id: Its run.
        namespace: Temporal's namespace.
        state: State of the operation.
        reason: Why it is blocked, one of the planner's reasons; empty otherwise.
        outcome: How it has ended: the result's outcome, the failure's type, or `cancelled`; empty otherwise.
        text: What is happening, in words.
        waiting_for: What would unblock it.
        request_reason: The reason that was given for the operation.
        next: Commands that a person can type now.
        plan: The steps that follow, in words; empty while they are not known, and at the end.
    """

    event_id: str
    event: NoticeEvent | str
    time: str
    cluster: str
    cluster_id: str = ""
    member: str = ""
    member_id: str = ""
    operation: str = ""
    workflow_id: str = ""
    run_id: str = ""
    namespace: str = ""
    state: str = ""
    reason: str = ""
    outcome: str = ""
    text: str = ""
    waiting_for: str = ""
    request_reason: str = ""
    next: tuple[str, ...] = ()
    plan: tuple[str, ...] = ()


def cloud_event(notice: Notice) -> dict[str, Any]:
    """Return the notice as a CloudEvent 1.0 in the structured mode of its JSON format."""
    return {
        "specversion": "1.0",
        "id": notice.event_id,
        "source": f"/etcd-handoff/{quote(notice.namespace, safe='')}/{quote(notice.workflow_id)}",
        "type": f"{TYPE_PREFIX}.{notice.event}",
        "subject": f"{quote(notice.cluster, safe='')}/{quote(notice.member, safe='')}",
        "time": notice.time,
        "datacontenttype": "application/json",
        "data": notice.model_dump(mode="json", exclude=OUTSIDE_OF_DATA),
    }


def body_of(notice: Notice) -> bytes:
    """Return the body of the request: the same bytes each time."""
    return json.dumps(cloud_event(notice), ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()
