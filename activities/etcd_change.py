"""What all changes of the membership have in common: the lock in etcd, and how old a look may be that decides."""

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

RELEASES: Final = 5
"""How often it is tried to give the lock back."""
UNWRITABLE: Final = (EtcdPermissionError, SpaceExceededError, CorruptClusterError)
"""Why the lock's key cannot be written though the cluster commits entries."""


TOO_LATE: Final = "the time in which it might begin is over"


def is_past(change: ChangeInput) -> bool:
    """Whether the change may begin no more, by this machine's clock."""
    return bool(change.begin_before) and time.time() >= change.begin_before


async def release_left_lock(looks: Looks, ask: ReleaseLockInput) -> bool:
    """Give back the lock of an operation none of whose attempts goes on.

    Returns:
        Whether a member of the right cluster has acknowledged that the lock is not this operation's.
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
    """IDs of the voters through which an entry may be committed, the leader first.

    A worker that reaches too few voters to know who leads asks those that answer linearizable reads: any of them
    forwards the entry to the leader.
    """
    leader_id = view.leadership.id if view.leadership else ""
    voters = view.healthy_voters or [m for m in view.voters if m.reachable and m.serves_reads]
    return sorted((m.id for m in voters), key=lambda member_id: member_id != leader_id)


@dataclass(frozen=True, slots=True)
class Commit:
    """What came of the entry that was to be committed before the look.

    Attributes:
        holder: Who else has the lock; empty when nobody else does.
        silence: Why nothing was committed; empty when it was.
    """

    holder: str = ""
    silence: str = ""


class MemberChange(ABC):
    """One attempt to change the membership.

    Args:
        looks: The cluster.
        change: What is to be changed, and for whom.
        clock: Times the step.
        why_void: Says why this attempt must change nothing any more, empty while it may; None where nobody knows.
    """

    def __init__(self, looks: Looks, change: ChangeInput, clock: StepClock, why_void: WhyVoid | None = None) -> None:
        self._looks, self._gateway, self._change, self._clock = looks, looks.gateway, change, clock
        self._locked_through = ""
        self._may_be_pending = False  # a proposal was sent, and nobody knows what has become of it
        self._started = self._now()
        self._why_void = why_void
        self._asking: asyncio.Future[str] | None = None
        self._given_up = False
        self._attempt = uuid.uuid4().hex

    async def run(self) -> StepResult:
        """The change is in the linearizable member list, or a fresh view says why it is not.

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
                # Also when the step is cancelled: nobody is to wait for a lock behind which nothing happens.
                await asyncio.shield(self._release_lock())

    @abstractmethod
    async def _run(self) -> StepResult:
        """Make the change, or find out why not; `run` has seen to its time before, and gives the lock back after it."""

    @staticmethod
    def _now() -> float:
        """The monotonic clock, in seconds."""
        return time.monotonic()

    def _is_fresh(self, began: float, locked: float, looked: float) -> bool:
        """Whether a look may decide: nothing took longer than usual, and it has just ended.

        Args:
            began: When the entry before the look was sent.
            locked: When it was committed.
            looked: When the look ended.
        """
        usual = locked - began <= self._looks.write_seconds and looked - locked <= self._looks.usual_seconds
        return usual and self._now() - looked <= time_limits.STEPS.stale_look_seconds

    def _ask_temporal(self) -> None:
        """Ask whether this attempt still counts, beside the entry and the look that follow."""
        if self._why_void is not None:
            if self._asking is not None:
                self._asking.cancel()
            self._asking = asyncio.ensure_future(self._why_void())

    async def _why_over(self) -> str:
        """Why this attempt must propose nothing any more: others may have its place, or the time for it is over."""
        if why := await self._asking if self._asking is not None else "":
            self._given_up = True
            return why
        if is_past(self._change):
            return TOO_LATE
        longest = max(time_limits.STEPS.latest_proposal_seconds, 2 * self._looks.longest_seconds)
        return f"it has taken more than {longest:g} s" if self._now() - self._started > longest else ""

    async def _commit(self, via_id: str) -> Commit:
        """An entry was committed through this member, by which the lock is ours where the user may write it."""
        change = self._change
        try:
            try:
                # From the moment that it is sent on it may be ours.
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
                for _ in range(RELEASES):
                    if await self._has_released_lock():
                        return
                    # A worker that was paused has to connect first.
                    await asyncio.sleep(time_limits.STEPS.lock_release_pause_seconds)

    async def _has_released_lock(self) -> bool:
        holder, via_id = self._change.holder, self._locked_through
        try:
            if self._given_up or was_given_up():  # another attempt has the same lock, and may rely on it
                await self._gateway.abandon_lock(holder, via_id, self._attempt)
            else:
                await self._gateway.release_lock(holder, via_id)
        except UNWRITABLE:
            return True
        except EtcdError:
            return False
        return True
