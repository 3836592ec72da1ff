"""How a removal takes its turn to change the etcd cluster, waits for it, and gives it up."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Final

from temporalio import workflow

if TYPE_CHECKING:
    from etcd_handoff.planning import Blocked

with workflow.unsafe.imports_passed_through():
    from etcd_handoff.model import Carried, HandoffState
    from etcd_handoff.operation.change_queue import latest_position, rejoin_pause
    from etcd_handoff.operation.queue_state import QueueEntry, QueuePosition, RecallEntriesInput, TakeTurnResult
    from etcd_handoff.payloads import invalid_input
    from workflows import outcome
    from workflows.gates import Gates
    from workflows.queue_entry import entry_of, take_turn

CARRIED_MEMO: Final = "etcd-handoff-carried"
LONGEST_HISTORY: Final = 2_000
"""Events after which a removal that waits continues as a new run. The server suggests it later, and whoever takes the
removal over replays the whole history within one workflow task."""


class TurnTaking(Gates):
    """The part of a removal that stands in the queue of its etcd cluster."""

    def __init__(self) -> None:
        """It stands in none yet."""
        super().__init__()
        self._queue_knows = False
        self._turn_wanted = False

    async def _take_turn(self) -> Blocked | None:
        """Nobody else changes this etcd cluster now; ends with a fresh look when others did meanwhile."""
        place, times = await self._join(), 0
        if self._has_turn():
            return None
        while not self._has_turn():
            if place.silent:
                return outcome.queue_silent(place.silent)
            behind = ", ".join(self._turn.behind) or "another removal"
            self._show(HandoffState.QUEUED, f"waiting for its turn behind {behind}", "they have ended or are blocked")
            self._continue_if_long()
            self._turn_news = False
            with contextlib.suppress(TimeoutError):
                await workflow.wait_condition(
                    lambda: self._turn_news or self._recheck,
                    timeout=rejoin_pause(times),
                    timeout_summary="is it still in the queue?",
                )
            if not self._turn_news:
                # Whoever terminated the queue made it forget this removal.
                self._recheck = False
                place, times = await self._join(), times + 1
        await self._look(patient=True)
        return None

    def _has_turn(self) -> bool:
        return self._turn.granted

    async def _give_turn_up(self, *, wakes: bool = False) -> None:
        """Others may change the cluster.

        Args:
            wakes: The queue is to tell the EtcdMember at once what the removal waits for.
        """
        if self._turn.granted or (wakes and not self._queue_knows):
            place = await self._join(waits=False, wakes=wakes)
            self._queue_knows = not place.silent  # else it is told again at the next pause

    async def _join(self, *, waits: bool = True, wakes: bool = True) -> TakeTurnResult:
        """Tell the queue whether a turn is wanted; what it answers to anything said before counts no more."""
        self._turn_request, self._queue_knows = self._turn_request + 1, True
        self._turn, self._turn_wanted = QueuePosition(granted=False), waits
        place = await take_turn(
            self._request.cluster, self._pin_or_fail(), self._turn_request, waits=waits, wakes=wakes
        )
        self._turn = latest_position(self._turn, place.turn, workflow.info().first_execution_run_id, self._turn_request)
        return place

    @workflow.update(description="For queues: a new one asks whether this removal has or wants a turn.")
    def rejoin(self, recall: RecallEntriesInput) -> QueueEntry:  # noqa: ARG002  # which the validator has looked at
        """The removal's place, from now on in the queue that asks."""
        self._turn_request += 1
        self._turn = self._turn.model_copy(update={"request": self._turn_request})
        entry = entry_of(self._request.cluster, self._pin_or_fail(), self._turn_request, waits=self._turn_wanted)
        return entry.model_copy(update={"holds": self._turn.granted})

    @rejoin.validator
    def _may_rejoin(self, recall: RecallEntriesInput) -> None:
        if self._pinned is None or self._pinned.cluster_id != recall.cluster_id or not self._turn_request:
            text = f"the removal of {self._label()} stands in no queue of cluster {recall.cluster_id}"
            raise invalid_input(text)

    def _take_place(self, carried: Carried) -> None:
        """The queue knows a removal by its first run, so a later run has the place of the one before."""
        self._turn_request, self._turn_wanted = carried.turn_request, carried.wants_turn
        chain_id = workflow.info().first_execution_run_id
        self._turn = QueuePosition(granted=carried.holds_turn, chain_id=chain_id, request=carried.turn_request)

    # --- continuing as a new run ----------------------------------------------------------------------------------

    def _continue_if_long(self) -> None:
        info = workflow.info()
        long = info.is_continue_as_new_suggested() or info.get_current_history_length() > LONGEST_HISTORY
        if long and workflow.all_handlers_finished():
            workflow.continue_as_new(self._request, memo={CARRIED_MEMO: self._hand_on()})

    def _hand_on(self) -> Carried:
        raise NotImplementedError
