"""The removal proper: lock, look, propose, and a write that shows that the survivors still acknowledge writes.

The order is what protects the quorum. An entry is committed first, then everybody is asked for a linearizable read: a
voter whose disk hangs cannot have taken that entry in and so cannot answer, where an idle cluster would hide it. The
proposal follows at once, and after it another entry must be committed by those that remain.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from activities.etcd_looks import intent
from etcd_handoff import failpoints, timing
from etcd_handoff.activity_io import StepResult
from etcd_handoff.contract import StepOutcome
from etcd_handoff.errors import (
    CorruptClusterError,
    EtcdError,
    EtcdPermissionError,
    MemberNotFoundError,
    NotEnoughStartedError,
    SpaceExceededError,
    UnhealthyClusterError,
    UnreachableError,
)
from etcd_handoff.planning import Done, Remove, plan

if TYPE_CHECKING:
    from collections.abc import Callable

    from activities.etcd_looks import Looks
    from activities.interceptor import StepClock
    from etcd_handoff.activity_io import StepInput
    from etcd_handoff.cluster_view import ClusterView

LOOKS: Final = 3
"""Looks before the proposal, each after a committed entry; then the workflow plans again."""
UNWRITABLE: Final = (EtcdPermissionError, SpaceExceededError, CorruptClusterError)
"""Why the lock's key cannot be written though the cluster commits entries."""


@dataclass(frozen=True, slots=True)
class _Commit:
    """What came of the entry that was to be committed before the look.

    Attributes:
        holder: Who else has the lock; empty when nobody else does.
        silence: Why nothing was committed; empty when it was.
    """

    holder: str = ""
    silence: str = ""


class Removal:
    """One attempt to take a member out.

    Args:
        looks: The cluster.
        act: What is to be removed, and for whom.
        clock: Times the step.
        prepare: Called with the view once the removal is about to be proposed.
    """

    def __init__(self, looks: Looks, act: StepInput, clock: StepClock, prefetch: Callable[[ClusterView], None]) -> None:
        self._looks, self._gateway, self._act, self._clock = looks, looks.gateway, act, clock
        self._prefetch = prefetch
        self._locked_through = ""
        self._proposed = False
        self._started = time.monotonic()

    async def run(self) -> StepResult:
        """The target is not in the linearizable member list, or a fresh view says why it still is.

        Raises:
            EtcdPermissionError: The user may not remove members.
        """
        try:
            return await self._run()
        finally:
            if self._locked_through and not self._proposed:
                # Also when the step is cancelled: nobody is to wait for a lock behind which nothing happens.
                await asyncio.shield(self._release_lock())

    async def _run(self) -> StepResult:
        view, via_id = self._looks.recent_via(self._act) if self._act.holder else (None, "")
        if self._act.holder and not via_id:
            view, note = await self._look()
            step = plan(view, intent(self._act)) if view else None
            if view is None or not isinstance(step, Remove):
                return await self._nothing_to_do(view, note)
            via_id = step.via_id
        for _ in range(LOOKS):
            began = time.monotonic()
            committed = await self._commit(via_id) if self._act.holder else _Commit()
            if committed.holder:
                note = f"{committed.holder} changes this etcd cluster and has the lock in etcd"
                return StepResult(step=self._clock.step(StepOutcome.LOCKED, note), view=view)
            locked = time.monotonic()
            view, note = await self._look()
            ended = time.monotonic()
            step = plan(view, intent(self._act)) if view else None
            if view is None or not isinstance(step, Remove):
                return await self._nothing_to_do(view, note)
            if committed.silence:
                if step.via_id == via_id:
                    note = f"no write was committed through {view.label(via_id)}: {committed.silence}"
                    return StepResult(step=self._clock.step(StepOutcome.REPLAN, note), view=view)
                via_id = step.via_id
                continue
            await failpoints.reach("remove_member.looked")
            usual = locked - began <= self._looks.write_seconds and ended - locked <= self._looks.usual_seconds
            longest = max(timing.STEPS.latest_proposal_seconds, 2 * self._looks.longest_seconds)
            if time.monotonic() - self._started > longest:
                break
            if usual and time.monotonic() - ended <= timing.STEPS.stale_look_seconds:
                return await self._propose(view, step.via_id)
        note = f"no look was fresh enough, or none followed a committed write, in {LOOKS} tries"
        return StepResult(step=self._clock.step(StepOutcome.REPLAN, note), view=view)

    async def _propose(self, view: ClusterView, via_id: str) -> StepResult:
        via, target_id = view.label(via_id), self._act.target_id
        self._prefetch(view)
        removing = asyncio.ensure_future(self._gateway.remove_member(target_id, via_id))
        self._proposed = True
        await failpoints.reach("remove_member.during")
        remaining_ids, note = None, ""
        try:
            remaining_ids = await removing
        except (UnhealthyClusterError, NotEnoughStartedError) as error:
            self._proposed = False
            return StepResult(step=self._clock.step(StepOutcome.REFUSED_BY_ETCD, f"{via} answers: {error}"), view=view)
        except EtcdPermissionError:
            self._proposed = False
            raise
        except UnreachableError as error:  # it was not sent
            self._proposed = False
            note = f"{via} could not be asked: {error}"
            return StepResult(step=self._clock.step(StepOutcome.REPLAN, note), view=(await self._look())[0])
        except MemberNotFoundError:
            note = f"{via} does not know the member"
        except EtcdError as error:
            note = f"{via} gave no definite answer: {error}"
        try:
            after, look_error = (
                (view.only(remaining_ids), "") if remaining_ids is not None else await self._look(target_id)
            )
            if after is not None and after.member(target_id) is not None:
                after, look_error = await self._look()
        except EtcdPermissionError as error:  # whatever may be read now, the proposal was sent
            after, look_error = None, str(error)
        if after is None or after.member(target_id) is not None:
            text = note or look_error or f"{via} agreed, but the member is still listed"
            return StepResult(step=self._clock.step(StepOutcome.REPLAN, text), view=after, proposed=True)
        acknowledged, write_error = await self._acknowledge(after, via_id)
        texts = (f"through {via}", note, write_error)
        return StepResult(
            step=self._clock.step(StepOutcome.REMOVED, "; ".join(text for text in texts if text)),
            view=after,
            proposed=True,
            writes_acknowledged=acknowledged,
        )

    # --- what is written before and after -------------------------------------------------------------------------

    async def _commit(self, via_id: str) -> _Commit:
        """An entry was committed through this member, by which the lock is ours where the user may write it."""
        act = self._act
        try:
            try:
                # From the moment that it is sent on it may be ours.
                self._locked_through = via_id
                holder = await self._gateway.acquire_lock(act.holder, act.holder_label or act.holder, via_id)
            except UNWRITABLE:
                self._locked_through = ""
                await self._gateway.commit_probe(via_id)
                return _Commit()
        except EtcdPermissionError:
            raise
        except EtcdError as error:
            return _Commit(silence=str(error))
        if holder:
            self._locked_through = ""
        return _Commit(holder=holder)

    async def _acknowledge(self, after: ClusterView, via_id: str) -> tuple[bool | None, str]:
        """Whether those that remain have committed a write since, and what to say when they have not.

        It is the write that gives the lock back, also one that an earlier attempt of this step left behind.
        """
        if not self._act.holder:
            return None, ""
        self._locked_through = ""
        others = [m.id for m in after.healthy_voters if m.id != via_id]
        failure = "nobody could be asked"
        for member_id in [m for m in (via_id, *others[:1]) if after.member(m)]:
            try:
                try:
                    await self._gateway.release_lock(self._act.holder, member_id)
                except UNWRITABLE:
                    await self._gateway.commit_probe(member_id)
            except EtcdError as error:
                failure = str(error)
            else:
                return True, ""
        return False, f"the survivors have acknowledged no write since: {failure}"

    async def _release_lock(self) -> None:
        with contextlib.suppress(EtcdError, TimeoutError):
            async with asyncio.timeout(timing.STEPS.lock_release_seconds):
                await self._gateway.release_lock(self._act.holder, self._locked_through)

    # --- small things ---------------------------------------------------------------------------------------------

    async def _look(self, leaving: str = "") -> tuple[ClusterView | None, str]:
        return await self._looks.look(self._act.doubtful, leaving)

    async def _nothing_to_do(self, view: ClusterView | None, note: str) -> StepResult:
        """The step's end when the planner does not want the removal now."""
        if view is None or not isinstance(plan(view, intent(self._act)), Done):
            return StepResult(
                step=self._clock.step(StepOutcome.REPLAN, note or "no removal is safe any more"), view=view
            )
        leadership = view.leadership
        acknowledged, write_error = await self._acknowledge(view, leadership.id if leadership else self._locked_through)
        text = "; ".join(text for text in ("it is not in the member list", write_error) if text)
        step = self._clock.step(StepOutcome.ALREADY_ABSENT, text)
        return StepResult(step=step, view=view, writes_acknowledged=acknowledged)
