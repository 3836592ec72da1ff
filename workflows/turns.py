"""The workflow `ClusterTurns`: one change at a time per etcd cluster, first come first served.

A removal takes the free turn by *starting* this workflow with its ticket: Temporal lets only one run per workflow ID,
so the start itself is the lock; a local activity does it within the removal's own workflow task. When it runs
already, that signals `join` instead, and the removal awaits `your_turn`. Nobody has to give a turn back: every ticket
is followed until its removal has ended, however that came about. With the last ticket the workflow ends.
"""

from __future__ import annotations

import asyncio
import functools
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, ApplicationError

with workflow.unsafe.imports_passed_through():
    from activities.etcdmembers import EtcdMemberActivities
    from activities.temporal import TemporalActivities
    from etcd_handoff.change_queue import Ticket, Turn, Turns, granted, joined, left, turn_of
    from etcd_handoff.etcdmember import resource_name
    from etcd_handoff.payloads import invalid_input
    from etcd_handoff.removal_progress import Follow, Followed, Note, sentence

if TYPE_CHECKING:
    from etcd_handoff.model import Pinned

FOLLOW_TIMEOUT: Final = timedelta(hours=1)
FOLLOW_HEARTBEAT: Final = timedelta(seconds=5)
TAKE_TIMEOUT: Final = timedelta(seconds=5)
NOTE_TIMEOUT: Final = timedelta(seconds=5)
RETRY: Final = RetryPolicy(initial_interval=timedelta(milliseconds=200), maximum_interval=timedelta(seconds=5))
MOST_SAID: Final = 5
"""Sentences that are remembered, of which an EtcdMember may carry one when its removal ends."""
YOUR_TURN: Final = "your_turn"


@workflow.defn
class ClusterTurns:
    """Whose turn it is to change one etcd cluster."""

    def __init__(self) -> None:
        """Nobody stands in it yet."""
        self._turns = Turns.model_construct(cluster_id="")
        self._following: dict[str, asyncio.Task[None]] = {}
        self._told: dict[str, Turn] = {}
        self._news = True

    @workflow.run
    async def run(self, turns: Turns | None = None) -> None:
        """Serve until the last removal has ended."""
        if turns is None:
            raise invalid_input("input: missing; removals start this workflow themselves")
        # Whoever joined within the same workflow task was heard before this.
        heard = self._turns.tickets
        self._turns = granted(functools.reduce(joined, heard, turns))
        # Whoever started this workflow knows by that alone that the turn is his, until he joins again.
        known = {t.chain_id for t in turns.tickets if not turns.holder} - {t.chain_id for t in heard}
        self._told |= {chain_id: turn_of(self._turns, chain_id) for chain_id in known}
        while self._turns.tickets or self._following:
            for ticket in self._turns.tickets:
                if ticket.chain_id not in self._following:
                    self._following[ticket.chain_id] = asyncio.create_task(self._follow(ticket))
            self._news = False
            await self._tell()
            await workflow.wait_condition(lambda: self._news or workflow.info().is_continue_as_new_suggested())
            if workflow.info().is_continue_as_new_suggested() and workflow.all_handlers_finished():
                workflow.continue_as_new(self._turns)

    @workflow.signal
    def join(self, ticket: Ticket) -> None:
        """A removal wants a turn, or wants it no more for now."""
        self._told.pop(ticket.chain_id, None)
        self._change(joined(self._turns, ticket))

    @workflow.update(description="Go on at once, where it keeps still. Takes no input.")
    def wake(self) -> None:
        """Nothing is changed, but an update ends a start delay, as a signal does not."""

    @workflow.query
    def turns(self) -> Turns:
        """Who has the turn and who waits."""
        return self._turns

    async def _tell(self) -> None:
        """Every removal knows its place."""
        for ticket in self._turns.tickets:
            turn = turn_of(self._turns, ticket.chain_id)
            if not ticket.waits or self._told.get(ticket.chain_id) == turn:
                continue
            self._told[ticket.chain_id] = turn
            handle = workflow.get_external_workflow_handle(ticket.workflow_id)
            try:
                await handle.signal(YOUR_TURN, turn)
            except ApplicationError:
                # It has ended; following it says so too.
                self._change(left(self._turns, ticket.chain_id))
        holder = next((t for t in self._turns.tickets if t.chain_id == self._turns.holder), None)
        waiting = [t.label for t in self._turns.tickets if t.waits and t is not holder]
        lines = [f"**Turn:** {holder.label if holder else 'nobody'}", "", *(f"- waits: {label}" for label in waiting)]
        workflow.set_current_details("\n".join(lines))

    async def _follow(self, ticket: Ticket) -> None:
        """Until the removal has ended, its EtcdMember says what it does; then its place is free."""
        followed, noting = Followed(open=True, state=""), asyncio.create_task(asyncio.sleep(0))
        said = list[str]()
        while True:
            ask = Follow(
                workflow_id=ticket.workflow_id, chain_id=ticket.chain_id, state=followed.state, doing=followed.doing
            )
            followed = await workflow.execute_activity_method(
                TemporalActivities.follow_removal,
                ask,
                start_to_close_timeout=FOLLOW_TIMEOUT,
                heartbeat_timeout=FOLLOW_HEARTBEAT,
                retry_policy=RETRY,
                summary=ticket.label,
            )
            if not followed.open:
                break
            # Older words are of no use any more, and an API server that hangs must not keep the others waiting.
            noting.cancel()
            said = [*said, sentence(followed)][-MOST_SAID:]
            noting = asyncio.create_task(self._note(ticket, said[-1], followed))
        self._told.pop(ticket.chain_id, None)
        self._change(left(self._turns, ticket.chain_id))
        await workflow.wait([noting])
        if followed.failed and said:
            await self._note(ticket, f"Not removed: {followed.doing}", followed, tuple(said))
        self._following.pop(ticket.chain_id, None)
        self._news = True

    async def _note(self, ticket: Ticket, message: str, followed: Followed, instead_of: tuple[str, ...] = ()) -> None:
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
                retry_policy=RetryPolicy(maximum_attempts=1),
                summary=f"{ticket.label}: {message[:80]}",
            )
        except ActivityError as error:
            workflow.logger.info("progress was not noted: %s", error.cause)

    def _change(self, turns: Turns) -> None:
        self._turns, self._news = granted(turns), True


async def join(cluster: str, pinned: Pinned, *, waits: bool = True) -> bool:
    """Stand in the queue of an etcd cluster; for removals.

    Args:
        cluster: Cluster profile.
        pinned: The member that leaves.
        waits: Whether a turn is wanted; False gives it up, for as long as something else blocks.

    Returns:
        True when there was no queue, so that its start alone gives the turn; else `your_turn` tells.
    """
    me, cluster_id = workflow.info(), pinned.cluster_id
    ticket = Ticket(
        workflow_id=me.workflow_id,
        chain_id=me.first_execution_run_id,
        cluster=cluster,
        member_name=pinned.member_name,
        member_id=pinned.member_id,
        waits=waits,
    )
    return await workflow.execute_local_activity_method(
        TemporalActivities.take_turn,
        Turns(cluster_id=cluster_id, tickets=(ticket,)),
        start_to_close_timeout=TAKE_TIMEOUT,
        retry_policy=RETRY,
    )
