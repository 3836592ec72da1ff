"""Decide what to notify outside of Temporal: the end, and each trouble that needs a person, once. Pure.

The ID of an event has four parts: the run in which the operation began, the event, its outcome or reason, and its
count. A request for an approval has no third part. After a reset the count begins anew, and another end or another
trouble is news.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from etcd_handoff.contract import HandoffState
from etcd_handoff.errors import ADDRESS
from etcd_handoff.operation.commands import Cancel, Fail, Finish, Wait
from etcd_handoff.operation.learner import AwaitSync
from etcd_handoff.operation.phases import SentNotices
from etcd_handoff.operation.unblocking_commands import command as typed
from etcd_handoff.operation.unblocking_commands import remedies
from etcd_handoff.webhook_notice import Notice, NoticeEvent

if TYPE_CHECKING:
    from etcd_handoff.operation.commands import Command
    from etcd_handoff.operation.state import OperationState

WAITING_STATES: Final = frozenset(
    {
        HandoffState.CHECKING,
        HandoffState.QUEUED,
        HandoffState.BLOCKED,
        HandoffState.PAUSED,
        HandoffState.AWAITING_APPROVAL,
    }
)
"""States in which an operation only looks and waits: the trouble that people know of may still be there."""
LONGEST_TEXT: Final = 2_000


def due(state: OperationState, command: Command, workflow_id: str) -> tuple[OperationState, Notice | None]:
    """Return the notice that is due, and the state after it.

    Args:
        state: The operation, with what it shows.
        command: Its next command.
        workflow_id: Its workflow's ID.

    Returns:
        No notice where nothing new needs a person, no notifications are wanted, or it is a dry run.
    """
    events = state.worker_info.notifies if state.worker_info is not None else ()
    if not events or state.original_request.dry_run:
        return state, None
    state = _forgotten(state)
    event, what, outcome = _occurrence(state, command)
    if event is None or event not in events or what == state.noticed.last:
        return state, None
    number = state.noticed.counts.get(event.value, 0) + 1
    noticed = SentNotices(last=what, counts={**state.noticed.counts, event.value: number})
    return state.changed(noticed=noticed), _notice(state, event, number, workflow_id, outcome)


def _forgotten(state: OperationState) -> OperationState:
    """Return the state in which the same trouble is news again, if the operation has gone on or was approved."""
    approved = state.noticed.last == NoticeEvent.APPROVAL_REQUESTED and state.approval is not None
    if approved or state.handoff_state not in WAITING_STATES:
        return state.changed(noticed=state.noticed.model_copy(update={"last": ""}))
    return state


def _occurrence(state: OperationState, command: Command) -> tuple[NoticeEvent | None, str, str]:
    """Return the event, its key, and the outcome where it is the end."""
    match command:
        case Finish():
            return NoticeEvent.ENDED, NoticeEvent.ENDED, str(getattr(command.result, "outcome", ""))
        case Fail():
            return NoticeEvent.ENDED, NoticeEvent.ENDED, command.failure.kind
        case Cancel():
            return NoticeEvent.ENDED, NoticeEvent.ENDED, "cancelled"
        case Wait() | AwaitSync() if state.handoff_state is HandoffState.BLOCKED and state.blocked is not None:
            return NoticeEvent.BLOCKED, f"{NoticeEvent.BLOCKED}: {state.blocked.reason}", ""
        case Wait() if state.handoff_state is HandoffState.AWAITING_APPROVAL:
            return NoticeEvent.APPROVAL_REQUESTED, NoticeEvent.APPROVAL_REQUESTED, ""
    return None, "", ""


def _notice(state: OperationState, event: NoticeEvent, number: int, workflow_id: str, outcome: str) -> Notice:
    request, subject = state.original_request, state.subject
    member = (subject.member_name if subject else "") or request.subject
    ended = event is NoticeEvent.ENDED
    reason = state.blocked.reason if state.blocked is not None and event is NoticeEvent.BLOCKED else ""
    final = state.point_of_no_return
    names = ["history"] if ended else [remedy.name for remedy in remedies(state.handoff_state, final=final)]
    return Notice(
        event_id="-".join(filter(None, (state.origin, event, outcome or reason, str(number)))),
        event=event,
        time=datetime.fromtimestamp(state.since, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        cluster=request.cluster,
        cluster_id=subject.cluster_id if subject else "",
        member=member,
        member_id=subject.member_id if subject else "",
        operation=request.workflow_type,
        workflow_id=workflow_id,
        run_id=state.run_id,
        namespace=state.namespace,
        state=state.handoff_state,
        reason=reason,
        outcome=outcome,
        text=_without_addresses(state.doing),
        waiting_for="" if ended else _waiting_for(state),
        request_reason=_without_addresses(request.reason),
        next=tuple(typed(name, request.cluster, member, workflow_id) for name in names),
        plan=() if ended else tuple(map(_without_addresses, state.planned)),
    )


def _waiting_for(state: OperationState) -> str:
    """Return what unblocks it. For an approval that is a command, whose member may be named like an address."""
    is_command = state.handoff_state in (HandoffState.AWAITING_APPROVAL, HandoffState.PAUSED)
    return state.waiting_for[:LONGEST_TEXT] if is_command else _without_addresses(state.waiting_for)


def _without_addresses(text: str) -> str:
    """Return the text without addresses. Member and workflow ID stay as somebody named them."""
    return ADDRESS.sub("...", text)[:LONGEST_TEXT]
