"""Build an operation's trail from the histories of its runs. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from etcd_handoff.cli.audit.looks import position_text, turn_text
from etcd_handoff.cli.audit.operation_end import after_parts, operation_end
from etcd_handoff.cli.audit.payloads import asker, first, moment, person, summary, value
from etcd_handoff.cli.audit.steps import Steps, failure_text
from etcd_handoff.cli.audit.trail import CANCEL_REQUESTED, Entry, Trail, in_order
from etcd_handoff.cli.operation_kinds import kind_of
from etcd_handoff.contract import HandoffState, JoiningRequest
from etcd_handoff.search_attributes import STATE_ATTRIBUTE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from temporalio.api.history.v1 import HistoryEvent

OF_THE_QUEUE: Final = "rejoin"
"""An update that the queue sends, not a person."""
NOTIFY: Final = "Notify"
"""The workflow that delivers an event to the webhook."""
BLOCKED: Final = "blocked: "
"""Start of the summary of a timer that ends a pause."""
LASTING: Final = frozenset(
    {HandoffState.QUEUED, HandoffState.AWAITING_APPROVAL, HandoffState.AWAITING_WINDOW, HandoffState.PAUSED}
)
"""States that last and that have no other entry."""
NOT_OPTIONS: Final = frozenset({"cluster", "member", "reason", "dry_run"})
OPTION_DEFAULTS: Final[dict[str, Any]] = {name: field.default for name, field in JoiningRequest.model_fields.items()}
"""The defaults of the options that operations have in common."""


def trail_of(workflow_id: str, runs: Sequence[Sequence[HistoryEvent]], note: str = "", listed: str = "") -> Trail:
    """Return the trail of an operation.

    Args:
        workflow_id: Its workflow ID.
        runs: The events of each run, the first run first.
        note: What is missing before these runs.
        listed: The member in Temporal's list. It is a name once an operation that was started by ID knows the name.
    """
    end = operation_end(runs[-1][-1])
    entries = in_order(entry for number, events in enumerate(runs) for entry in _entries(events, number))
    kind = kind_of(runs[0][0].workflow_execution_started_event_attributes.workflow_type.name)
    of_parts = kind is not None and kind.of_parts
    if of_parts and (end_of_parts := after_parts(end, entries)) != end:
        end, entries = end_of_parts, (*entries[:-1], end_of_parts.entry)
    trail = _first_trail(workflow_id, runs[0][0])
    name = str((end.result or {}).get("member_name") or listed or trail.member)
    return replace(
        trail,
        member_name=name if trail.member else "",  # what is about all members is listed by all their names
        # The activities of several parts name the member of each part, not the one that was asked for.
        member_id=str((end.result or {}).get("member_id") or ("" if of_parts else _pinned(runs))),
        outcome=end.outcome,
        outcome_text=end.text,
        ended_at=end.at,
        runs=len(runs),
        note=note,
        entries=entries,
        result=end.result,
    )


def _first_trail(workflow_id: str, event: HistoryEvent) -> Trail:
    """Return the trail that the start of the first run describes."""
    started = event.workflow_execution_started_event_attributes
    request = first(started.input)
    kind = kind_of(started.workflow_type.name)
    who, interface = asker(event, request)
    member = str(request.get("member") or request.get("name") or "")
    options = {name: given for name, given in request.items() if _is_option(name, given, request)}
    return Trail(
        workflow_id=workflow_id,
        operation=kind.noun if kind else started.workflow_type.name,
        cluster=str(request.get("cluster", "")),
        member=member,
        dry_run=bool(request.get("dry_run")),
        asked_at=moment(event.event_time),
        asked_by=who,
        interface=interface,
        reason=str(request.get("reason", "")),
        options=options,
    )


def _is_option(name: str, given: object, request: Mapping[str, Any]) -> bool:
    """Return whether a field of the request is an option that was given. A number 0 is one."""
    if name in NOT_OPTIONS or (name == "name" and "member" not in request):  # the name of an addition is its member
        return False
    return given is not None and given is not False and given not in ("", []) and given != OPTION_DEFAULTS.get(name)


def _pinned(runs: Iterable[Sequence[HistoryEvent]]) -> str:
    """Return the member's ID from the inputs of activities; empty if none has it."""
    for events in runs:
        for event in events:
            given = first(event.activity_task_scheduled_event_attributes.input)
            if found := given.get("target_id") or given.get("member_id"):
                return str(found)
    return ""


def _entries(events: Sequence[HistoryEvent], number: int) -> list[Entry]:
    """Return the entries of one run."""
    steps, entries = Steps(), list[Entry]()
    for event in events:
        if text := turn_text(event):
            entries.append(Entry(moment(event.event_time), "turn", text))
        if (entry := _entry(event, steps, number)) is not None:
            entries.append(entry)
    return entries


def _entry(event: HistoryEvent, steps: Steps, number: int) -> Entry | None:
    """Return the trail's entry for an event; None if the event means nothing to people."""
    at = moment(event.event_time)
    if event.WhichOneof("attributes") == "workflow_execution_started_event_attributes":
        return _begin(event, number)
    return steps.entry(event) or _stands(event, at) or _message(event, at) or _gone_on(event, at)


def _stands(event: HistoryEvent, at: str) -> Entry | None:
    """Return the entry for a pause or for a state that lasts."""
    match event.WhichOneof("attributes"):
        case "timer_started_event_attributes":
            text = summary(event)
            return Entry(at, "waits", text) if text.startswith(BLOCKED) else None
        case "upsert_workflow_search_attributes_event_attributes":
            changed = event.upsert_workflow_search_attributes_event_attributes.search_attributes.indexed_fields
            state = value(changed[STATE_ATTRIBUTE]) if STATE_ATTRIBUTE in changed else None
            return Entry(at, "state", str(state)) if state in LASTING else None
    return None


def _begin(event: HistoryEvent, number: int) -> Entry | None:
    """Return the entry for the start of the first run; None for a later run, whose predecessor's end has an entry."""
    if number:
        return None
    trail = _first_trail("", event)
    what = f"{'dry run of the ' if trail.dry_run else ''}{trail.operation}"
    text = f"{what} of {trail.member}" if trail.member else f"{what} to cluster {trail.cluster}"
    text = f"{text}: {trail.reason or 'no reason given'}"
    return Entry(trail.asked_at, "requested", text, trail.asked_by, trail.interface)


def _message(event: HistoryEvent, at: str) -> Entry | None:
    """Return the entry for a message from a person or from the queue."""
    match event.WhichOneof("attributes"):
        case "workflow_execution_update_accepted_event_attributes":
            return _updated(event, at)
        case "workflow_execution_signaled_event_attributes":
            signal = event.workflow_execution_signaled_event_attributes
            text = position_text(first(signal.input)) if signal.signal_name == "your_turn" else signal.signal_name
            return Entry(at, "turn", text) if text else None
        case "workflow_execution_cancel_requested_event_attributes":
            cancellation = event.workflow_execution_cancel_requested_event_attributes
            by, interface = person(event, cancellation.identity)
            by = cancellation.external_workflow_execution.workflow_id or by
            return Entry(at, "cancel", f"{CANCEL_REQUESTED}{cancellation.cause or 'no reason given'}", by, interface)
    return None


def _updated(event: HistoryEvent, at: str) -> Entry | None:
    """Return the entry for an accepted update; None if the queue sent it."""
    request = event.workflow_execution_update_accepted_event_attributes.accepted_request
    name, given = request.input.name, first(request.input.args)
    if name == OF_THE_QUEUE:
        return None
    identity, interface = person(event, request.meta.identity)
    text = str(given.get("comment") or given.get("reason") or "")
    by = _named(str(given.get("by") or ""), identity)
    if name == "approve":
        return Entry(at, "approved", text or "no comment given", by, interface)
    return Entry(at, name, text or "no reason given", by, interface)


def _named(by: str, identity: str) -> str:
    """Return who sent an update: the name that they gave, with the identity if that is another user."""
    return f"{by} (as {identity})" if by and by != identity.partition("@")[0] else by or identity


def _gone_on(event: HistoryEvent, at: str) -> Entry | None:
    """Return the entry for the end of a run, for another workflow that continues, or for a worker's trouble."""
    match event.WhichOneof("attributes"):
        case "workflow_task_timed_out_event_attributes":
            return Entry(at, "trouble", "the worker that was to decide did not answer; another one takes over")
        case "workflow_task_failed_event_attributes":
            task = event.workflow_task_failed_event_attributes
            text = f"a worker could not go on: {failure_text(task.failure)}"
            return Entry(at, "trouble", text, person(event, task.identity)[0])
        case "workflow_execution_continued_as_new_event_attributes":
            return Entry(at, "continued", "the history had grown long; it goes on in a new run")
        case "child_workflow_execution_started_event_attributes":
            begun = event.child_workflow_execution_started_event_attributes
            child = begun.workflow_execution.workflow_id
            if begun.workflow_type.name == NOTIFY:
                return Entry(at, "notified", f"the webhook; {child} delivers it")
            return Entry(at, "continued", f"{child} goes on to write the EtcdMember")
    end = operation_end(event)
    return end.entry if end.outcome else None
