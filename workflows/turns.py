"""The workflow `ClusterTurns`: one change at a time per etcd cluster, first come first served.

A removal takes the free turn by *starting* this workflow with its ticket: Temporal lets only one run per workflow ID,
so the start itself is the lock; a local activity does it within the removal's own workflow task. When it runs
already, that signals `join` and asks by the update `position` instead, and the removal awaits `your_turn`. Nobody has
to give a turn back: every ticket is followed until its removal has ended, however that came about. With the last
ticket the workflow ends. Whenever it ended otherwise, the next one asks all open removals first who has the turn.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, ApplicationError, is_cancelled_exception

with workflow.unsafe.imports_passed_through():
    from etcd_handoff.operation.queue_state import (
        LOST,
        NO_MEMBER,
        ChangeQueueState,
        Join,
        Noted,
        QueueEntry,
        QueuePosition,
        RecallEntriesInput,
        TakeTurnResult,
        answered,
        begun,
        granted,
        in_doubt,
        joined,
        left,
        news,
        noted_of,
        recalled,
        rejoin_pause,
        turn_of,
        with_note,
    )
    from etcd_handoff.temporal.converter import invalid_input

    from activities.etcdmembers import EtcdMemberActivities
    from activities.temporal import TemporalActivities
    from activities.turns import TurnActivities
    from etcd_handoff.etcdmember import resource_name
    from etcd_handoff.removal_progress import Follow, Followed, Note, last_sentence, sentence

if TYPE_CHECKING:
    from etcd_handoff.activity_io import Target

FOLLOW_TIMEOUT: Final = timedelta(hours=1)
FOLLOW_AGAIN: Final = timedelta(seconds=5)
"""Pause after a removal could not be followed in several attempts, or not for longer than one attempt may last."""
HEARTBEAT_TIMEOUT: Final = timedelta(seconds=5)
RECALL_TIMEOUT: Final = timedelta(minutes=1)
TAKE_TIMEOUT: Final = timedelta(seconds=20)
"""Longer than a queue that does not answer is asked."""
NOTE_TIMEOUT: Final = timedelta(seconds=5)
RETRY: Final = RetryPolicy(initial_interval=timedelta(milliseconds=200), maximum_interval=timedelta(seconds=5))
FEW: Final = RetryPolicy(initial_interval=timedelta(milliseconds=200), maximum_attempts=4)
ONCE: Final = RetryPolicy(maximum_attempts=1)
LONGEST_HISTORY: Final = 4_000
"""Events after which it continues as new in any case: whoever takes it over replays them within a workflow task."""
YOUR_TURN: Final = "your_turn"


@workflow.defn
class ClusterTurns:
    """Whose turn it is to change one etcd cluster."""

    def __init__(self) -> None:
        """Nobody stands in it yet."""
        self._turns = ChangeQueueState.model_construct(cluster_id="")
        self._begun = False
        self._following: dict[str, asyncio.Task[None]] = {}
        self._news = True

    @workflow.run
    async def run(self, turns: ChangeQueueState | None = None) -> None:
        """Serve until the last removal has ended."""
        if turns is None:
            raise invalid_input("input: missing; removals start this workflow themselves")
        again = workflow.info().continued_run_id is not None
        self._turns, self._begun = granted(turns) if again else begun(turns), True
        recalling = asyncio.create_task(self._recall())
        while self._turns.tickets or self._following or self._turns.doubtful:
            for ticket in self._turns.tickets:
                if ticket.chain_id not in self._following:
                    self._following[ticket.chain_id] = asyncio.create_task(self._follow(ticket))
            self._news = False
            await self._tell()
            await workflow.wait_condition(lambda: self._news or self._should_continue_as_new())
            if self._should_continue_as_new():
                workflow.continue_as_new(self._turns)
        await recalling

    @workflow.signal
    async def join(self, ticket: QueueEntry) -> None:
        """A removal wants a turn, or wants it no more for now."""
        await workflow.wait_condition(lambda: self._begun)
        self._change(joined(self._turns, ticket))

    @workflow.update(description="For removals: joins as the signal `join` does, and answers whose turn it is.")
    async def position(self, ticket: QueueEntry) -> QueuePosition:
        """Whether this removal has the turn, or who is before it."""
        # Whoever started the queue comes first, though an update is handled before its run begins.
        await workflow.wait_condition(lambda: self._begun)
        self._change(joined(self._turns, ticket))
        turn = turn_of(self._turns, ticket.chain_id)
        self._turns = answered(self._turns, turn)
        return turn

    @workflow.query
    def turns(self) -> ChangeQueueState:
        """Who has the turn and who waits."""
        return self._turns

    async def _tell(self) -> None:
        """Every removal knows its place."""
        for ticket, turn in news(self._turns):
            if all(t != ticket for t in self._turns.tickets) or turn_of(self._turns, ticket.chain_id) != turn:
                continue  # while another one was told, it has changed, which is news again
            self._turns = answered(self._turns, turn)
            handle = workflow.get_external_workflow_handle(ticket.workflow_id)
            try:
                await handle.signal(YOUR_TURN, turn)
            except ApplicationError:
                # It has ended; following it says so too.
                self._change(left(self._turns, ticket.chain_id))
        workflow.set_current_details(page(self._turns))

    async def _recall(self) -> None:
        """Nobody has a turn that this queue does not know of, from one before it that was ended."""
        times = 0
        while self._turns.doubtful:
            only = () if LOST in self._turns.doubtful else self._turns.doubtful
            profiles = tuple(dict.fromkeys(ticket.cluster for ticket in self._turns.tickets))
            try:
                found = await workflow.execute_activity_method(
                    TurnActivities.recall_tickets,
                    RecallEntriesInput(cluster_id=self._turns.cluster_id, profiles=profiles, only=only),
                    start_to_close_timeout=RECALL_TIMEOUT,
                    heartbeat_timeout=HEARTBEAT_TIMEOUT,
                    retry_policy=FEW,
                    summary="who had the turn before?",
                )
            except ActivityError as error:
                if is_cancelled_exception(error):
                    raise
                workflow.logger.warning("it is not known yet who has the turn: %s", error.cause)
            else:
                self._change(recalled(self._turns, found))
            if self._turns.doubtful:
                await workflow.sleep(rejoin_pause(times), summary="until those are asked again that did not answer")
            times += 1

    async def _follow(self, ticket: QueueEntry) -> None:
        """Until the removal has ended, its EtcdMember says what it does; then its place is free."""
        noted, writing = noted_of(self._turns, ticket.chain_id), asyncio.create_task(asyncio.sleep(0))
        while True:
            ask = Follow(workflow_id=ticket.workflow_id, chain_id=ticket.chain_id, state=noted.state, doing=noted.doing)
            # Without end: the turn is free when Temporal says that the removal has ended, and not before.
            try:
                followed = await workflow.execute_activity_method(
                    TemporalActivities.follow_removal,
                    ask,
                    start_to_close_timeout=FOLLOW_TIMEOUT,
                    heartbeat_timeout=HEARTBEAT_TIMEOUT,
                    retry_policy=RETRY,
                    summary=ticket.label,
                )
            except ActivityError as error:
                if is_cancelled_exception(error):
                    raise
                workflow.logger.warning("%s is not followed for a moment: %s", ticket.label, error.cause)
                await workflow.sleep(FOLLOW_AGAIN, summary=f"until {ticket.label} is followed again")
                continue
            if not followed.open:
                break
            # Older words are of no use any more, and an API server that hangs must not keep the others waiting.
            writing.cancel()
            sentences = (*noted.sentences, sentence(followed))
            noted = Noted(chain_id=ticket.chain_id, state=followed.state, doing=followed.doing, sentences=sentences)
            self._turns = with_note(self._turns, noted)
            writing = asyncio.create_task(self._note(ticket, sentences[-1], followed))
        self._change(left(self._turns, ticket.chain_id))
        await workflow.wait([writing])
        if noted.sentences and (last := last_sentence(followed)):
            await self._note(ticket, last, followed, noted.sentences)
        self._following.pop(ticket.chain_id, None)
        self._news = True

    async def _note(
        self, ticket: QueueEntry, message: str, followed: Followed, instead_of: tuple[str, ...] = ()
    ) -> None:
        """The EtcdMember carries what the removal does now, as well as that can be had."""
        note = Note(
            cluster=ticket.cluster,
            resource=resource_name(ticket.member_name),
            member_id=ticket.member_id,
            message=message,
            failed=followed.failed and not followed.cancelled,
            instead_of=instead_of,
        )
        try:
            await workflow.execute_activity_method(
                EtcdMemberActivities.note_progress,
                note,
                schedule_to_close_timeout=NOTE_TIMEOUT,
                retry_policy=ONCE,
                summary=f"{ticket.label}: {message[:80]}",
            )
        except ActivityError as error:
            workflow.logger.info("progress was not noted: %s", error.cause)

    def _change(self, turns: ChangeQueueState) -> None:
        self._turns, self._news = granted(turns), True

    def _should_continue_as_new(self) -> bool:
        """When its history is long, unless the last words about a removal that has ended are still to be written."""
        info = workflow.info()
        long = info.is_continue_as_new_suggested() or info.get_current_history_length() > LONGEST_HISTORY
        ending = self._following.keys() - {ticket.chain_id for ticket in self._turns.tickets}
        return long and not ending and workflow.all_handlers_finished()


def page(turns: ChangeQueueState) -> str:
    """What the Web UI shows."""
    holder = next((t for t in turns.tickets if t.chain_id == turns.holder), None)
    waiting = [t.label for t in turns.tickets if t.waits and t is not holder]
    doubtful = [f"- may have it: {in_doubt(name)}" for name in turns.doubtful]
    lines = [f"**Turn:** {holder.label if holder else 'nobody'}", "", *doubtful]
    return "\n".join([*lines, *(f"- waits: {label}" for label in waiting)])


def entry_of(cluster: str, pinned: Target, request: int, *, noun: str = "removal", waits: bool = True) -> QueueEntry:
    """The ticket of the operation that runs this.

    Args:
        cluster: Cluster profile.
        pinned: The member that it is about.
        request: Higher than in every ticket of this operation before.
        noun: What people call the operation.
        waits: Whether a turn is wanted.
    """
    me = workflow.info()
    return QueueEntry(
        workflow_id=me.workflow_id,
        chain_id=me.first_execution_run_id,
        cluster=cluster,
        member_name=pinned.member_name,
        member_id=pinned.member_id if noun == "removal" else NO_MEMBER,
        noun=noun,
        waits=waits,
        request=request,
    )


async def join(  # noqa: PLR0913  # all that the queue is told
    cluster: str, pinned: Target, request: int, *, noun: str = "removal", waits: bool = True, wakes: bool = True
) -> TakeTurnResult:
    """Stand in the queue of an etcd cluster; for operations.

    Args:
        cluster: Cluster profile.
        pinned: The member that it is about.
        request: Higher than in every call before; what answers an older one is nothing.
        noun: What people call the operation.
        waits: Whether a turn is wanted; False gives it up.
        wakes: Whether the queue is to hear of a turn that is given up at once, though nobody waits for it, so that it
            tells the EtcdMember why. Not when the removal is about to end.

    Returns:
        Granted, or who is before this removal, and `your_turn` tells the rest; or why the queue does not answer.
    """
    ticket = entry_of(cluster, pinned, request, noun=noun, waits=waits)
    try:
        return await workflow.execute_local_activity_method(
            TurnActivities.take_turn,
            Join(cluster_id=pinned.cluster_id, ticket=ticket, wakes=wakes),
            start_to_close_timeout=TAKE_TIMEOUT,
            retry_policy=FEW,
        )
    except ActivityError as error:
        if is_cancelled_exception(error):
            raise
        turn = QueuePosition(granted=False, chain_id=ticket.chain_id, request=request)
        return TakeTurnResult(turn=turn, silent=f"the cluster's queue cannot be asked: {error.cause or error}")
