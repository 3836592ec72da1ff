"""Which members an operation concerns, read from its history. Pure.

Temporal's lists have only one name of a member.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from etcd_handoff.cli.audit.payloads import first

if TYPE_CHECKING:
    from collections.abc import Sequence

    from temporalio.api.history.v1 import HistoryEvent

NAMES: Final = ("name", "member", "member_name", "new_member_name")
"""Fields with a member's name, in requests, results and inputs of activities."""
IDS: Final = ("target_id", "member_id", "learner_id")
"""Fields with the member's ID, in inputs of activities. The first one counts, because a check also asks other
members."""


class Members(NamedTuple):
    """The members of an operation, names in lower case and IDs in hex without leading zeros.

    Attributes:
        subjects: Members that it was to change or has changed, by name and by ID.
        listed: For a change of the whole membership: names of all members that the cluster was to have.
    """

    subjects: frozenset[str]
    listed: frozenset[str] = frozenset()


def hex_key(member_id: str) -> str:
    """Return a member ID in the form that is compared."""
    return member_id.lower().lstrip("0")


def members_in(runs: Sequence[Sequence[HistoryEvent]]) -> Members:
    """Return the members that an operation concerns.

    Args:
        runs: The events of each of its runs, the first run first.
    """
    request = first(runs[0][0].workflow_execution_started_event_attributes.input)
    whole = _objects(request.get("members"))
    inputs, result = [], dict[str, Any]()
    seen: dict[str, str] = {}
    for event in (event for events in runs for event in events):
        inputs.append(first(event.activity_task_scheduled_event_attributes.input))
        result = first(event.workflow_execution_completed_event_attributes.result) or result
        seen = _seen(first(event.activity_task_completed_event_attributes.result)) | seen
    # The result of a change of the whole membership has all names in the place of one.
    records = [*inputs, *_objects(result.get("parts")), *([] if whole else [request, result])]
    names = {_key(record[field]) for record in records for field in NAMES if record.get(field)}
    ids = {hex_key(member_id) for record in records if (member_id := _id_of(record))}
    ids |= {hex_key(str(result["new_member_id"]))} if result.get("new_member_id") else set()
    ids |= {hex_key(seen[name]) for name in names if name in seen}
    return Members(frozenset(names | ids), frozenset(_key(member.get("name", "")) for member in whole))


def _key(name: object) -> str:
    return str(name).strip().casefold()


def _id_of(record: dict[str, Any]) -> str:
    return next((str(record[field]) for field in IDS if record.get(field)), "")


def _seen(answer: dict[str, Any]) -> dict[str, str]:
    """Return the IDs of the members that a look saw, by name."""
    view = answer.get("view")
    members = _objects(view.get("members")) if isinstance(view, dict) else []
    return {_key(member["name"]): str(member.get("id", "")) for member in members if member.get("name")}


def _objects(values: object) -> list[dict[str, Any]]:
    """Return those values that are JSON objects."""
    return [value for value in values if isinstance(value, dict)] if isinstance(values, list) else []
