"""Move leadership away from a member: the transfer, and the election beside it.

MoveLeader answers with the next 100 ms tick, although the transfer takes milliseconds. So both steps ask the members
meanwhile which leader they follow.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

from activities.etcd_change import TOO_LATE, is_past
from activities.etcd_looks import SeenBefore, intent
from activities.leave_to_other_worker import leave_to_another_if_blind
from etcd_handoff import failpoints, time_limits
from etcd_handoff.activity_io import StepResult
from etcd_handoff.contract import StepOutcome
from etcd_handoff.errors import BadTransfereeError, EtcdError, EtcdPermissionError, NotLeaderError, UnreachableError
from etcd_handoff.operation.queue_messages import MoveLeaderResult
from etcd_handoff.planning import Transfer, plan
from etcd_handoff.temporal.server_errors import counting_etcd_errors
from etcd_handoff.unawaited import mark_exception_retrieved

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator

    from activities.etcd_looks import Looks
    from activities.interceptor import StepClock
    from activities.record_ahead import RecordAhead
    from etcd_handoff.activity_io import AwaitElectionInput, StepInput
    from etcd_handoff.cluster_view import ClusterView
    from etcd_handoff.operation.queue_messages import TakeTurnResult


@contextlib.contextmanager
def _unset(over: asyncio.Event) -> Iterator[None]:
    """Clear the event for the duration of the block, and set it at its end."""
    over.clear()
    try:
        yield
    finally:
        over.set()


class LeadershipTransfer:
    """One attempt to hand leadership to the best transferee.

    Args:
        looks: The cluster.
        act: The step, whose target leads.
        clock: Times the step.
        turn: A coroutine for the queue's answer, None if that does not come soon. None if the operation has the turn.
    """

    def __init__(
        self,
        looks: Looks,
        act: StepInput,
        clock: StepClock,
        turn: Coroutine[Any, Any, TakeTurnResult | None] | None = None,
    ) -> None:
        self._looks = looks
        self._act = act
        self._clock = clock
        self._taking = asyncio.ensure_future(turn) if turn is not None else None
        if self._taking is not None:
            mark_exception_retrieved(self._taking)

    async def run(self) -> MoveLeaderResult:
        """See `EtcdActivities.move_leader`."""
        try:
            with _unset(self._looks.transfer_over):
                return await self._run()
        finally:
            if self._taking is not None:
                self._taking.cancel()

    async def _run(self) -> MoveLeaderResult:
        looks, act = self._looks, self._act
        if is_past(act):
            return await self._result(StepOutcome.REPLAN, TOO_LATE)
        view, step, note = await self._plan_in_turn()
        if view is None or step is None:
            return await self._result(StepOutcome.REPLAN, note, view)
        await failpoints.reach("move_leader.looked")
        name, transferee = view.label(step.transferee_id), view.member(step.transferee_id)
        # If only another worker reaches the transferee, watch the target, which then follows the transferee.
        watched_id = act.target_id if transferee and transferee.through_node else step.transferee_id
        try:
            with counting_etcd_errors(self._looks.cluster):
                leader_id = await self._move(step, watched_id)
        except NotLeaderError:
            return await self._result(StepOutcome.REPLAN, "the target does not lead any more")
        except EtcdPermissionError:
            raise
        except EtcdError as error:
            outcome, note = StepOutcome.TRANSFER_FAILED, f"{name} did not take over: {error}"
        else:
            outcome = StepOutcome.MOVED if leader_id else StepOutcome.TRANSFER_FAILED
            silent = f"{name} did not take over within {time_limits.STEPS.transfer_seconds:g} s"
            note = f"to {view.label(leader_id)}" if leader_id else silent
        if outcome is StepOutcome.MOVED:
            await self._let_election_end()
            view = self._seen_since(step)
        else:
            view, _ = await looks.look(act.doubtful)
        return await self._result(outcome, note, view, step.transferee_id)

    async def _plan_in_turn(self) -> tuple[ClusterView | None, Transfer | None, str]:
        """Return the transfer by a look in the operation's turn, or why there is none.

        If no other operation had the turn, the look that was taken beside the request for it counts.
        """
        view, step, note = await self._plan()
        if view is None and self._act.seen is None:
            await leave_to_another_if_blind(self._looks, note)
        if step is None or self._taking is None:
            return view, step, note
        turn = await self._taking
        if turn is None or not turn.turn.granted:
            return view, None, "it is not its turn"
        # The operation before it may have changed the cluster since.
        return (view, step, note) if turn.began_queue else await self._plan()

    async def _plan(self) -> tuple[ClusterView | None, Transfer | None, str]:
        """Return a fresh look and the transfer, or why there is none."""
        view, note = await self._looks.look(self._act.doubtful, seen=SeenBefore(self._act).view)
        step = plan(view, intent(self._act)) if view else None
        if isinstance(step, Transfer):
            return view, step, note
        return view, None, note or "no transfer is needed any more"

    async def _let_election_end(self) -> None:
        """Let `await_election` end at about the same time, so that the operation decides once and not twice."""
        self._looks.transfer_over.set()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(time_limits.STEPS.both_end_seconds):
                await self._looks.election_over.wait()

    def _seen_since(self, step: Transfer) -> ClusterView | None:
        """Return the view that the election beside it saw last, or None if the election ran on another worker."""
        view = self._looks.last
        leadership = view.leadership if view else None
        return view if leadership and leadership.term > step.term else None

    async def _turn(self) -> TakeTurnResult | None:
        """Return the queue's answer, or None if the queue was not asked or does not answer soon."""
        return await self._taking if self._taking is not None else None

    async def _result(
        self, outcome: StepOutcome, note: str, view: ClusterView | None = None, transferee_id: str = ""
    ) -> MoveLeaderResult:
        turn = await self._turn()
        return MoveLeaderResult(step=self._clock.step(outcome, note), view=view, transferee_id=transferee_id, turn=turn)

    async def _move(self, step: Transfer, watched_id: str) -> str | None:
        """Return the new leader that the watched member names, or None if it names none in time. Raise refusals."""
        gateway, target_id = self._looks.gateway, self._act.target_id
        moving = asyncio.ensure_future(gateway.move_leader(target_id, step.transferee_id))
        try:
            async with asyncio.timeout(time_limits.STEPS.transfer_seconds):
                while True:
                    with contextlib.suppress(UnreachableError):
                        leader_id, term = await gateway.status_of(watched_id)
                        await failpoints.reach("move_leader.during")
                        if leader_id not in (None, target_id) and term > step.term:
                            return leader_id
                    if moving.done() and isinstance(
                        moving.exception(), NotLeaderError | BadTransfereeError | EtcdPermissionError
                    ):
                        await moving
                    await asyncio.sleep(time_limits.STEPS.leader_poll_seconds)
        except TimeoutError:
            return None
        finally:
            # Cancelling the call ends only the wait for the answer, not the transfer.
            moving.cancel()
            await asyncio.gather(moving, return_exceptions=True)


class Election:
    """One wait for a new leader.

    While a transfer runs on this worker, no member is asked until the transferee leads. Until the other members name a
    new leader, only they are asked, each for its own status. A linearizable list would make the leader confirm itself
    to a majority while it hands over.

    Args:
        looks: The cluster.
        ask: The old leader and its term.
        clock: Times the step.
        ahead: Begins the record of the removal that comes next; None where nothing is recorded.
    """

    def __init__(
        self, looks: Looks, ask: AwaitElectionInput, clock: StepClock, ahead: RecordAhead | None = None
    ) -> None:
        self._looks = looks
        self._ask = ask
        self._clock = clock
        self._ahead = ahead

    async def run(self) -> StepResult:
        """See `EtcdActivities.await_election`."""
        with _unset(self._looks.election_over):
            return await self._run()

    async def _run(self) -> StepResult:
        clock, ask = self._clock, self._ask
        view, note = None, ""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(time_limits.STEPS.election_seconds):
                while True:
                    await self._looks.transfer_over.wait()
                    confirmed = await self._others_follow_another()
                    if confirmed and ask.seen:
                        await failpoints.reach("await_election.during")
                        return StepResult(step=clock.step(StepOutcome.ELECTED, "its members follow another leader"))
                    view, note = await self._looks.look(ask.doubtful)
                    if view is None and not ask.seen:
                        await leave_to_another_if_blind(self._looks, note)
                    await failpoints.reach("await_election.during")
                    leadership = view.leadership if view else None
                    if view and leadership and leadership.id != ask.target_id and leadership.term > ask.term_before:
                        if self._ahead is not None:
                            self._ahead.read(ask, view)
                        self._looks.election_over.set()
                        await asyncio.sleep(time_limits.STEPS.election_end_delay_seconds)
                        return StepResult(step=clock.step(StepOutcome.ELECTED, view.who_leads), view=view)
                    await asyncio.sleep(time_limits.STEPS.leader_poll_seconds)
        note = note or f"no majority names another leader after {time_limits.STEPS.election_seconds:g} s"
        return StepResult(step=clock.step(StepOutcome.NO_ELECTION, note), view=view)

    async def _others_follow_another(self) -> bool:
        """Return whether all others name a new leader. If not, the whole cluster has to be looked at."""
        ask = self._ask
        with contextlib.suppress(UnreachableError, TimeoutError):
            async with asyncio.timeout(time_limits.STEPS.voters_first_seconds):
                while True:
                    statuses = await asyncio.gather(*(self._looks.gateway.status_of(id_) for id_ in ask.others))
                    if all(
                        leader_id not in (None, ask.target_id) and term > ask.term_before
                        for leader_id, term in statuses
                    ):
                        return True
                    await asyncio.sleep(time_limits.STEPS.leader_poll_seconds)
        return False
