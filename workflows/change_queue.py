"""The workflow `ChangeQueue`: one change at a time per etcd cluster, first come first served.

A removal takes the free turn by *starting* this workflow with its entry. Temporal allows only one run per workflow ID,
so the start itself is the lock. A step or a local activity of the removal does it. If the queue runs already, the
activity sends the signal `enqueue` and the update `position`. Then the removal waits for the signal `your_turn`. No
removal has to give its turn back, since the queue follows every removal to its end of any kind. With the last entry the
workflow completes. If it ended otherwise, the next queue first asks all open removals for the turn's holder.
"""

from __future__ import annotations

import asyncio
from typing import Final

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError, is_cancelled_exception

with workflow.unsafe.imports_passed_through():
    from activities.change_queue import ChangeQueueActivities
    from activities.removal_progress import RemovalProgressActivities
    from etcd_handoff import time_limits
    from etcd_handoff.etcdmember import resource_name
    from etcd_handoff.operation import change_queue as queue
    from etcd_handoff.operation import current_details, unblocking_commands
    from etcd_handoff.operation.queue_messages import (
        LOST_HOLDER,
        ChangeQueueState,
        KnownProgress,
        QueueEntry,
        QueuePosition,
        RecallEntriesInput,
    )
    from etcd_handoff.reconciler.removal_progress import (
        FollowRemovalInput,
        FollowRemovalResult,
        NoteProgressInput,
        last_sentence,
        sentence,
    )
    from etcd_handoff.temporal.converter import invalid_input
    from etcd_handoff.unawaited import mark_exception_retrieved
    from workflows import continuation, retries
    from workflows.progress_notes import note_progress

YOUR_TURN: Final = "your_turn"


@workflow.defn
class ChangeQueue:
    """Decides which removal may change one etcd cluster. The contract is in docs/reference.md."""

    def __init__(self) -> None:
        self._state = ChangeQueueState.model_construct(cluster_id="")
        self._started = False
        self._following: dict[str, asyncio.Task[None]] = {}
        self._changed = True

    @workflow.run
    async def run(self, state: ChangeQueueState | None = None) -> None:
        """Serve until the last removal has ended.

        Raises:
            ApplicationError: There is no input.
            ContinueAsNewError: The history is long.
        """
        if state is None:
            raise invalid_input("input: missing; removals start this workflow themselves")
        again = workflow.info().continued_run_id is not None
        self._state, self._started = queue.grant(state) if again else queue.start(state), True
        recalling = asyncio.create_task(self._recall())
        while self._state.entries or self._following or self._state.possible_holders:
            for entry in self._state.entries:
                if entry.chain_id not in self._following:
                    self._following[entry.chain_id] = asyncio.create_task(self._follow(entry))
            self._changed = False
            await self._send_positions()
            await workflow.wait_condition(lambda: self._changed or self._should_continue_as_new())
            if self._should_continue_as_new():
                workflow.continue_as_new(self._state)
        await recalling

    @workflow.signal
    async def enqueue(self, entry: QueueEntry) -> None:
        """Take in a removal that wants the turn."""
        await self._take_in(entry.model_copy(update={"waits": True}))

    @workflow.signal
    async def step_aside(self, entry: QueueEntry) -> None:
        """Take in a removal that gives the turn up or does not want it for now. The queue still follows it."""
        await self._take_in(entry.model_copy(update={"waits": False}))

    @workflow.update(description="For removals: takes an entry as the signals do, and answers where it stands.")
    async def position(self, entry: QueueEntry) -> QueuePosition:
        """Return whether this removal has the turn, or which ones are before it."""
        await self._take_in(entry)
        position = queue.position_of(self._state, entry.chain_id)
        self._state = queue.with_position(self._state, position)
        return position

    @workflow.query
    def state(self) -> ChangeQueueState:
        """Return which removal has the turn and which ones wait."""
        return self._state

    async def _take_in(self, entry: QueueEntry) -> None:
        """Put an entry into the queue, after the removal that started the queue.

        Temporal runs the handlers of messages that have already arrived before `run`.
        """
        await workflow.wait_condition(lambda: self._started)
        self._change(queue.enqueue(self._state, entry))

    async def _send_positions(self) -> None:
        """Signal its position to every removal whose position has changed."""
        for entry, position in queue.changed_positions(self._state):
            if entry not in self._state.entries or queue.position_of(self._state, entry.chain_id) != position:
                continue  # it changed while another removal was signalled; the next round signals it
            self._state = queue.with_position(self._state, position)
            handle = workflow.get_external_workflow_handle(entry.workflow_id)
            try:
                await handle.signal(YOUR_TURN, position)
            except ApplicationError:
                # The removal has ended, as the activity that follows it will report too.
                self._change(queue.dequeue(self._state, entry.chain_id))
        workflow.set_current_details(current_details.queue_details(self._state))

    async def _recall(self) -> None:
        """Ask open removals which has the turn from an earlier queue, until each has answered."""
        times = 0
        while self._state.possible_holders:
            only = () if LOST_HOLDER in self._state.possible_holders else self._state.possible_holders
            profiles = tuple(dict.fromkeys(entry.cluster for entry in self._state.entries))
            try:
                answer = await workflow.execute_activity_method(
                    ChangeQueueActivities.recall_entries,
                    RecallEntriesInput(cluster_id=self._state.cluster_id, profiles=profiles, only=only),
                    start_to_close_timeout=time_limits.WORKFLOWS.recall_timeout,
                    heartbeat_timeout=time_limits.WORKFLOWS.follow_heartbeat_timeout,
                    retry_policy=retries.RECALL,
                    summary="ask open operations which of them may change the cluster",
                )
            except ActivityError as error:
                if is_cancelled_exception(error):
                    raise
                workflow.logger.warning("open removals could not be asked who has the turn: %s", error.cause)
            else:
                self._change(queue.recall(self._state, answer))
            if self._state.possible_holders:
                await workflow.sleep(queue.rejoin_pause(times), summary="wait before asking operations again")
            times += 1

    async def _follow(self, entry: QueueEntry) -> None:
        """Write the removal's progress to its EtcdMember until it has ended, then free its place."""
        known, writing = queue.progress_of(self._state, entry.chain_id), asyncio.create_task(asyncio.sleep(0))
        while True:
            progress = await self._next_progress(entry, known)
            if not progress.open:
                break
            # An older message is useless now, and an API server that hangs must not delay the next one.
            writing.cancel()
            # A worker of an older version may have written the sentence without the names.
            written = dict.fromkeys((sentence(progress), sentence(progress, _approve(entry))))
            sentences = (*known.sentences, *written)
            known = KnownProgress(
                chain_id=entry.chain_id, state=progress.state, doing=progress.doing, sentences=sentences
            )
            self._state = queue.with_progress(self._state, known)
            writing = asyncio.create_task(_note(entry, sentences[-1], progress))
            mark_exception_retrieved(writing)
        self._change(queue.dequeue(self._state, entry.chain_id))
        await workflow.wait([writing])
        if known.sentences and (last := last_sentence(progress)):
            await _note(entry, last, progress, known.sentences)
        self._following.pop(entry.chain_id, None)
        self._changed = True

    async def _next_progress(self, entry: QueueEntry, known: KnownProgress) -> FollowRemovalResult:
        """Return what is new about a removal. It never gives up: only Temporal's report of the end frees the turn."""
        follow = FollowRemovalInput(
            workflow_id=entry.workflow_id, chain_id=entry.chain_id, state=known.state, doing=known.doing
        )
        while True:
            try:
                return await workflow.execute_activity_method(
                    RemovalProgressActivities.follow_removal,
                    follow,
                    start_to_close_timeout=time_limits.WORKFLOWS.queue_follow_timeout,
                    heartbeat_timeout=time_limits.WORKFLOWS.follow_heartbeat_timeout,
                    retry_policy=retries.QUEUE_FOLLOW,
                    summary=f"follow {entry.label}",
                )
            except ActivityError as error:
                if is_cancelled_exception(error):
                    raise
                workflow.logger.warning("%s is not followed for a moment: %s", entry.label, error.cause)
                pause = time_limits.WORKFLOWS.queue_follow_pause
                await workflow.sleep(pause, summary=f"wait before following {entry.label} again")

    def _change(self, state: ChangeQueueState) -> None:
        self._state, self._changed = queue.grant(state), True

    def _should_continue_as_new(self) -> bool:
        """Return whether the history is long and no last message about an ended removal is still to be written."""
        ending = self._following.keys() - {entry.chain_id for entry in self._state.entries}
        return (
            continuation.is_long(continuation.LONGEST_QUEUE_HISTORY) and not ending and workflow.all_handlers_finished()
        )


def _approve(entry: QueueEntry) -> str:
    """Return the command that approves a removal in the queue."""
    return unblocking_commands.command("approve", entry.cluster, entry.member_name or entry.member_id)


async def _note(
    entry: QueueEntry, message: str, progress: FollowRemovalResult, instead_of: tuple[str, ...] = ()
) -> None:
    """Write the removal's progress to the EtcdMember."""
    note = NoteProgressInput(
        cluster=entry.cluster,
        resource=resource_name(entry.member_name),
        member_id=entry.member_id,
        message=message,
        failed=progress.failed and not progress.cancelled,
        instead_of=instead_of,
    )
    limits = time_limits.WORKFLOWS
    await note_progress(note, timeout=limits.queue_note_timeout)
