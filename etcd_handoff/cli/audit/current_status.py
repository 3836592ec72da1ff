"""The current status of an operation, read from the last events of its history."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from etcd_handoff.cli.audit.looks import view_of
from etcd_handoff.cli.audit.payloads import first, moment, value
from etcd_handoff.search_attributes import STATE_ATTRIBUTE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from temporalio.api.history.v1 import HistoryEvent

    from etcd_handoff.cluster_view import ClusterView


@dataclass(frozen=True, slots=True)
class CurrentStatus:
    """The status that the last events show.

    Attributes:
        state: The last published state; empty if none was.
        since: When that state was published.
        view: The last view of the cluster; None if no step returned one.
        view_at: When the view was taken.
        view_by: The node whose worker took it.
    """

    state: str = ""
    since: str = ""
    view: ClusterView | None = None
    view_at: str = ""
    view_by: str = ""


def current_status_of(events: Sequence[HistoryEvent]) -> CurrentStatus:
    """Return the status after these events, which may come from several runs."""
    state = since = view_at = view_by = ""
    view: ClusterView | None = None
    for event in events:
        match event.WhichOneof("attributes"):
            case "upsert_workflow_search_attributes_event_attributes":
                changed = event.upsert_workflow_search_attributes_event_attributes.search_attributes.indexed_fields
                published = str(value(changed[STATE_ATTRIBUTE])) if STATE_ATTRIBUTE in changed else state
                if published != state:
                    state, since = published, moment(event.event_time)
            case "activity_task_completed_event_attributes":
                result = first(event.activity_task_completed_event_attributes.result)
                if (seen := view_of(result)) is not None:
                    view, view_at = seen, moment(event.event_time)
                    view_by = str((result.get("step") or {}).get("node", ""))
    return CurrentStatus(state, since, view, view_at, view_by)
