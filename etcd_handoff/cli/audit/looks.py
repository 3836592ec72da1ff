"""Put into words what an operation saw, and what the queue answered it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from etcd_handoff.cli.audit.payloads import first, value
from etcd_handoff.cluster_view import ClusterView

if TYPE_CHECKING:
    from temporalio.api.history.v1 import HistoryEvent


def view_of(result: dict[str, Any]) -> ClusterView | None:
    """Return the view in an activity's result; None if there is none, or if this version cannot read it."""
    if not isinstance(result.get("view"), dict):
        return None
    try:
        return ClusterView.model_validate(result["view"], strict=False)
    except ValidationError:
        return None


def leader_of(view: ClusterView | None) -> tuple[str, int]:
    """Return the leader's name and its term.

    A majority's word counts, otherwise the newest term among the members that answered.
    """
    if view is None:
        return "", 0
    if view.leadership is not None:
        return view.label(view.leadership.id), view.leadership.term
    newest = max(((m.term, m.leader_id) for m in view.members if m.reachable and m.leader_id), default=None)
    return (view.label(newest[1]), newest[0]) if newest else ("", 0)


def look_text(name: str, step: dict[str, Any], view: ClusterView | None) -> str:
    """Describe a look: its note, which voters are healthy, and which members are not."""
    note = str(step.get("note", ""))
    if view is None:
        return note or f"{name}: {step.get('outcome', 'done')}"
    if view.leadership is None and (leader := leader_of(view)[0]):
        answered = ", ".join(m.label for m in view.members if m.reachable)
        return f"{answered} alone was seen, and says that {leader} leads at term {leader_of(view)[1]}"
    return "; ".join(part for part in (note, seen(view)) if part)


def done_text(what: str, step: dict[str, Any]) -> str:
    """Describe a step and its outcome."""
    outcome, note = str(step.get("outcome", "")), str(step.get("note", ""))
    more = f" ({note})" if note and note not in what else ""
    return f"{what}: {outcome}{more}" if outcome else what


def seen(view: ClusterView) -> str:
    """List the healthy voters, then the other members."""
    healthy = view.healthy_voters
    parts = [f"healthy: {', '.join(sorted(m.label for m in healthy))}"] if healthy else ["no healthy voter"]
    for member in view.members:
        if member not in healthy:
            role = "learner" if member.is_learner else "not healthy"
            parts.append(f"{role}: {member.label}{f' ({member.note})' if member.note else ''}")
    return "; ".join(parts)


def turn_text(event: HistoryEvent) -> str:
    """Describe the queue's answer to a request for the turn; empty for any other event."""
    if event.HasField("activity_task_completed_event_attributes"):
        taken = first(event.activity_task_completed_event_attributes.result).get("turn")
        return position_text(taken.get("turn") or {}) if isinstance(taken, dict) else ""
    details = event.marker_recorded_event_attributes.details
    data = details["data"].payloads if "data" in details else ()
    about = value(data[0]) if data else None
    if not isinstance(about, dict) or about.get("activity_type") != "take_turn" or "result" not in details:
        return ""
    return position_text(first(details["result"]).get("turn") or {})


def position_text(turn: dict[str, Any]) -> str:
    """Describe an operation's place in the queue; empty if it wants no turn."""
    if turn.get("granted"):
        return "first in the queue: it may change the cluster"
    behind = [str(who) for who in turn.get("behind") or ()]
    return f"waits in the queue behind {', '.join(behind)}" if behind else ""
