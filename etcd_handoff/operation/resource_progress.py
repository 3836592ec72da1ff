"""Write a removal's progress on the EtcdMember that asks for it, until a queue knows the removal. Pure.

The queue of a cluster writes what its removals wait for. It knows a removal from the first look that shows the member.
A removal can wait for that look for long, while etcd is away or its answers are in doubt. A watcher that starts a
removal names the EtcdMember that asks for it. The order gives a member ID, so the removal can write on that EtcdMember.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from etcd_handoff import time_limits
from etcd_handoff.operation.activity_commands import Activity
from etcd_handoff.operation.commands import LONGEST_SUMMARY, Cancel, Fail, Until, Wait
from etcd_handoff.operation.state import NextCommand
from etcd_handoff.operation.step_log import cut
from etcd_handoff.planning import canonical_id
from etcd_handoff.reconciler.removal_progress import FollowRemovalResult, NoteProgressInput, sentence

if TYPE_CHECKING:
    from etcd_handoff.operation.commands import Command
    from etcd_handoff.operation.state import OperationState

LASTING_WAITS: Final = frozenset({Until.RECHECK, Until.WINDOW, Until.RESUME})
"""Waits that may last, and that a queue may not know of."""


class WriteProgress(Activity):
    """Write on the EtcdMember what the removal waits for; the result does not matter.

    Attributes:
        most_seconds: Time limit over all attempts.
    """

    ask: NoteProgressInput
    most_seconds: float


def first(decided: NextCommand) -> NextCommand:
    """Return the command, or the one that writes a sentence on the EtcdMember before it."""
    state, command = decided
    message = _message(state, command) if state.etcdmember and not state.queue_knows else ""
    if message in ("", state.last_note):
        return decided
    note = NoteProgressInput(
        cluster=state.request.cluster,
        resource=state.etcdmember,
        member_id=canonical_id(state.request.subject),
        message=message,
        failed=isinstance(command, Fail),
    )
    limit = time_limits.WORKFLOWS.queue_note_timeout.total_seconds()
    write = WriteProgress(ask=note, most_seconds=limit, summary=summary_of(note))
    return NextCommand(state.changed(last_note=message, note_again=True), write)


def summary_of(note: NoteProgressInput) -> str:
    """Return the timeline's summary of the activity that writes a note on an EtcdMember."""
    return cut(f"write to EtcdMember {note.resource}: {note.message}", LONGEST_SUMMARY)


def delivered(state: OperationState) -> OperationState:
    """Return the state after the EtcdMember was written."""
    return state.changed(note_again=False)


def waited(state: OperationState) -> OperationState:
    """Return the state after a wait: a sentence that was not written is tried again."""
    return state.changed(last_note="", note_again=False) if state.note_again else state


def _message(state: OperationState, command: Command) -> str:
    """Return what the EtcdMember should say; empty for nothing.

    Once the member is pinned, its end is recorded, or the queue writes it. Before that, this is the only writer where
    the watcher has been stopped.
    """
    match command:
        case Wait() if command.until in LASTING_WAITS and state.ending is None:
            return sentence(
                FollowRemovalResult(
                    open=True, state=state.handoff_state, doing=state.doing, waiting_for=state.waiting_for
                )
            )
        case Fail() if state.pinned is None:
            return f"Not removed: {command.failure.short or command.failure.text}"
        case Cancel() if state.pinned is None and state.last_note:
            return f"Ended: {state.doing}"
    return ""
