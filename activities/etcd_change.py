"""What all changes of the membership share: the lock in etcd, and how old a look may be that decides."""

from __future__ import annotations

import asyncio
import contextlib
import time
import uuid
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from activities.attempts import was_given_up
from etcd_handoff import time_limits
from etcd_handoff.activity_io import StepResult
from etcd_handoff.contract import StepOutcome
from etcd_handoff.errors import CorruptClusterError, EtcdError, EtcdPermissionError, SpaceExceededError
from etcd_handoff.temporal.server_errors import counting_etcd_errors

if TYPE_CHECKING:
    from activities.attempts import WhyVoid
    from activities.etcd_looks import Looks
    from activities.interceptor import StepClock
    from etcd_handoff.activity_io import ChangeInput, ReleaseLockInput
    from etcd_handoff.cluster_view import ClusterView

UNWRITABLE: Final = (EtcdPermissionError, SpaceExceededError, CorruptClusterError)
"""Errors after which the lock's key cannot be written, although the cluster commits entries."""


TOO_LATE: Final = "the time in which it might begin is over"


def is_past(change: ChangeInput) -> bool:
    """Return whether the time to begin the change has passed, by this machine's clock."""
    return bool(change.begin_before) and time.time() >= change.begin_before


async def release_abandoned_lock(looks: Looks, ask: ReleaseLockInput) -> bool:
    """Release the lock of an operation that has no running attempt.

    Returns:
        Whether a member of the right cluster has acknowledged that this operation does not have the lock.
    """
    try:
        view = await looks.observe(ask.doubtful)
    except EtcdError:
        return False
    if view.cluster_id != ask.cluster_id:
        return False
    for member_id in committing(view):
        try:
            await looks.gateway.release_lock(ask.holder, member_id)
        except UNWRITABLE:
            return False
        except EtcdError:
            continue
        return True
    return False


def committing(view: ClusterView) -> list[str]:
    """Return the IDs of the voters through which an entry may be committed, the leader first.

    A worker may reach too few voters to know the leader. Then it uses those that answer linearizable reads, since each
    of them forwards the entry to the leader.
    """
    leader_id = view.leadership.id if view.leadership else ""
    voters = view.healthy_voters or [m for m in view.voters if m.reachable and m.serves_reads]
    return sorted((m.id for m in voters), key=lambda member_id: member_id != leader_id)


@dataclass(frozen=True, slots=True)
class Commit:
    """The result of the entry that was to be committed before the look.

    Attributes:
        holder: Who else has the lock; empty if there is no other holder.
        silence: Why nothing was committed; empty if the entry was committed.
    """

    holder: str = ""
    silence: str = ""


class MemberChange(ABC):
    """One attempt to change the membership.

    Args:
        looks: The cluster.
        change: What is to be changed, and for which operation.
        clock: Times the step.
        why_void: Gives why this attempt must change nothing any more, or ""; None if Temporal is not asked.
    """

    def __init__(self, looks: Looks, change: ChangeInput, clock: StepClock, why_void: WhyVoid | None = None) -> None:
        self._looks, self._gateway, self._change, self._clock = looks, looks.gateway, change, clock
        self._locked_through = ""
        self._may_be_pending = False  # a proposal was sent, and its result is unknown
        self._started = self._now()
        self._why_void = why_void
        self._asking: asyncio.Future[str] | None = None
        self._given_up = False
        self._attempt = uuid.uuid4().hex

    async def run(self) -> StepResult:
        """Make the change.

        When it returns, the change is in the linearizable member list, or a fresh view says why it is not. The lock is
        released, unless a proposal may be pending.

        Raises:
            EtcdPermissionError: The user may not change the membership.
        """
        if is_past(self._change):
            return StepResult(step=self._clock.step(StepOutcome.REPLAN, TOO_LATE))
        try:
            return await self._run()
        finally:
            if self._asking is not None:
                self._asking.cancel()
            if self._locked_through and not self._may_be_pending:
                # Also when the step is cancelled: others must not wait for a lock under which nothing happens.
                await asyncio.shield(self._release_lock())

    @abstractmethod
    async def _run(self) -> StepResult:
        """Make the change, or find out why not. `run` checks the time before, and releases the lock afterwards."""

    @staticmethod
    def _now() -> float:
        """Return the monotonic clock, in seconds."""
        return time.monotonic()

    def _is_fresh(self, began: float, locked: float, looked: float) -> bool:
        """Whether a look may decide: nothing took longer than usual, and the look has just ended.

        Args:
            began: When the entry before the look was sent.
            locked: When it was committed.
            looked: When the look ended.
        """
        usual = locked - began <= self._looks.write_seconds and looked - locked <= self._looks.usual_seconds
        return usual and self._now() - looked <= time_limits.STEPS.stale_look_seconds

    def _ask_temporal(self) -> None:
        """Begin to ask whether this attempt still counts, beside the entry and the look that follow."""
        if self._why_void is not None:
            if self._asking is not None:
                self._asking.cancel()
            self._asking = asyncio.ensure_future(self._why_void())

    async def _why_over(self) -> str:
        """Return why this attempt must not propose any more, or "": it was given up, or its time is over."""
        if why := await self._asking if self._asking is not None else "":
            self._given_up = True
            return why
        if is_past(self._change):
            return TOO_LATE
        longest = max(time_limits.STEPS.latest_proposal_seconds, 2 * self._looks.longest_seconds)
        return f"it has taken more than {longest:g} s" if self._now() - self._started > longest else ""

    async def _commit(self, via_id: str) -> Commit:
        """Commit an entry through this member. The entry takes the lock if the user may write its key."""
        change = self._change
        try:
            try:
                # As soon as the call is sent, this attempt may have the lock.
                self._locked_through = via_id
                label = change.holder_label or change.holder
                with counting_etcd_errors(self._looks.cluster):
                    holder = await self._gateway.acquire_lock(change.holder, label, via_id, self._attempt)
            except UNWRITABLE:
                self._locked_through = ""
                with counting_etcd_errors(self._looks.cluster):
                    await self._gateway.commit_probe(via_id)
                return Commit()
        except EtcdPermissionError:
            raise
        except EtcdError as error:
            return Commit(silence=str(error))
        if holder:
            self._locked_through = ""
        return Commit(holder=holder)

    async def _release_lock(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(time_limits.STEPS.lock_release_seconds):
                for _ in range(time_limits.STEPS.lock_release_attempts):
                    if await self._has_released_lock():
                        return
                    # A worker that was paused has to connect first.
                    await asyncio.sleep(time_limits.STEPS.lock_release_pause_seconds)

    async def _has_released_lock(self) -> bool:
        holder, via_id = self._change.holder, self._locked_through
        try:
            if self._given_up or was_given_up():  # another attempt uses the same lock, and may rely on it
                await self._gateway.abandon_lock(holder, via_id, self._attempt)
            else:
                await self._gateway.release_lock(holder, via_id)
        except UNWRITABLE:
            return True
        except EtcdError:
            return False
        return True
