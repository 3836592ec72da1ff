"""The removal itself: lock, look, propose, and a write that shows that the survivors still acknowledge writes.

The order up to the proposal is the one of every change (`activities.etcd_proposal`). After the proposal, the remaining
members must commit another entry.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from activities.etcd_change import UNWRITABLE, committing
from activities.etcd_looks import SeenBefore, intent
from activities.etcd_proposal import Proposal
from etcd_handoff import failpoints
from etcd_handoff.activity_io import StepResult
from etcd_handoff.contract import StepOutcome
from etcd_handoff.errors import (
    EtcdError,
    EtcdPermissionError,
    MemberNotFoundError,
    NotEnoughStartedError,
    UnhealthyClusterError,
    UnreachableError,
)
from etcd_handoff.planning import Done, Remove, plan
from etcd_handoff.temporal.server_errors import counting_etcd_errors

if TYPE_CHECKING:
    from activities.attempts import WhyVoid
    from activities.etcd_looks import Looks
    from activities.interceptor import StepClock
    from activities.record_ahead import RecordAhead
    from etcd_handoff.activity_io import StepInput
    from etcd_handoff.cluster_view import ClusterView

NOT_PROPOSED: Final = (UnhealthyClusterError, NotEnoughStartedError, EtcdPermissionError, UnreachableError)
"""Errors after which nothing is pending: etcd has refused, or was not asked."""


@dataclass(frozen=True, slots=True)
class _Answer:
    """What etcd has answered to the removal.

    Attributes:
        remaining_ids: The membership without the target; None without a definite answer.
        note: What is to be said of the answer; empty if it was the wanted one.
        by_others: The member had left before, so nothing was proposed.
    """

    remaining_ids: frozenset[str] | None = None
    note: str = ""
    by_others: bool = False


class Removal(Proposal[Remove]):
    """One attempt to remove a member.

    Args:
        looks: The cluster.
        act: What is to be removed, and for which operation.
        clock: Times the step.
        ahead: Begins the record while the removal still runs; None where nothing is recorded.
        why_void: As for any change.
    """

    def __init__(
        self,
        looks: Looks,
        act: StepInput,
        clock: StepClock,
        ahead: RecordAhead | None = None,
        why_void: WhyVoid | None = None,
    ) -> None:
        super().__init__(looks, act, clock, why_void)
        self._act = act
        self._seen = SeenBefore(act)
        self._ahead = ahead

    async def _begin(self) -> tuple[ClusterView | None, str | None, str]:
        if not self._act.holder:  # no entry is committed
            return None, "", ""
        view, via_id = self._looks.recent_via(self._act) if self._act.seen is None else (None, "")
        return (view, via_id, "") if via_id else await super()._begin()

    async def _plan(self) -> tuple[ClusterView | None, Remove | None, str]:
        view, note = await self._look()
        return view, self._wanted_removal(view), note

    async def _why_over(self) -> str:
        await failpoints.reach("remove_member.looked")
        return await super()._why_over()

    async def _propose(self, view: ClusterView, decision: Remove) -> StepResult:
        via = view.label(decision.via_id)
        self._read_ahead(view)
        try:
            answer = await self._ask_etcd(view, decision)
        except (UnhealthyClusterError, NotEnoughStartedError) as error:
            return StepResult(step=self._clock.step(StepOutcome.REFUSED_BY_ETCD, f"{via} answers: {error}"), view=view)
        except UnreachableError as error:
            return self._replan((await self._look())[0], f"{via} could not be asked: {error}")
        after, look_error = await self._look_after(view, answer)
        if after is None or after.member(self._act.target_id) is not None:
            text = answer.note or look_error or f"{via} agreed, but the member is still listed"
            return StepResult(
                step=self._clock.step(StepOutcome.REPLAN, text), view=after, proposed=not answer.by_others
            )
        acknowledged, write_error = await self._acknowledge(after, decision.via_id)
        texts = ("" if answer.by_others else f"through {via}", answer.note, write_error)
        outcome = StepOutcome.ALREADY_ABSENT if answer.by_others else StepOutcome.REMOVED
        return StepResult(
            step=self._clock.step(outcome, "; ".join(text for text in texts if text)),
            view=after,
            proposed=not answer.by_others,
            writes_acknowledged=acknowledged,
        )

    async def _ask_etcd(self, view: ClusterView, decision: Remove) -> _Answer:
        """Ask etcd for the removal, and return what it answers.

        Raises:
            UnhealthyClusterError: etcd refuses for now. Nothing was proposed.
            NotEnoughStartedError: etcd refuses. Nothing was proposed.
            EtcdPermissionError: The user may not do it. Nothing was proposed.
            UnreachableError: Nothing was sent.
        """
        via = view.label(decision.via_id)
        removing = asyncio.ensure_future(self._gateway.remove_member(self._act.target_id, decision.via_id))
        self._may_be_pending = True
        await failpoints.reach("remove_member.during")
        try:
            with counting_etcd_errors(self._looks.cluster):
                remaining_ids = await removing
        except NOT_PROPOSED:
            self._may_be_pending = False
            raise
        except MemberNotFoundError:  # another attempt or another client was faster, and nothing was proposed
            self._may_be_pending = False
            return _Answer(note=f"{via} does not know the member", by_others=True)
        except EtcdError as error:
            return _Answer(note=f"{via} gave no definite answer: {error}")
        self._write_ahead(view.only(remaining_ids))
        return _Answer(remaining_ids)

    async def _look_after(self, view: ClusterView, answer: _Answer) -> tuple[ClusterView | None, str]:
        """Return the membership after the proposal, or None and why it is not known.

        First the departing member is not asked. If the list still has it, all members are asked.
        """
        target_id, remaining_ids = self._act.target_id, answer.remaining_ids
        try:
            after, note = (view.only(remaining_ids), "") if remaining_ids is not None else await self._look(target_id)
            if after is not None and after.member(target_id) is not None:
                after, note = await self._look()
        except EtcdPermissionError as error:  # the proposal was sent, although nothing may be read now
            return None, str(error)
        if after is not None and remaining_ids is None and not self._may_be_whole(after):
            return None, "its own list alone does not tell what became of it"
        return after, note

    # --- what is written before and after -------------------------------------------------------------------------

    async def _acknowledge(self, after: ClusterView, via_id: str) -> tuple[bool | None, str]:
        """Return whether the remaining members have committed a write since, and a note if they have not.

        The write releases the lock, also that of an earlier attempt which did not release it. The answer is None if
        this worker reaches no member to ask.
        """
        if not self._act.holder:
            return None, ""
        self._locked_through = ""
        others = [m for m in committing(after) if m != via_id]
        voters = [m for m in (via_id, *others[:1]) if after.member(m)]
        failure = ""
        for member_id in voters:
            try:
                try:
                    await self._gateway.release_lock(self._act.holder, member_id)
                except UNWRITABLE:
                    await self._gateway.commit_probe(member_id)
            except EtcdError as error:
                failure = str(error)
            else:
                return True, ""
        return (False, f"the survivors have acknowledged no write since: {failure}") if voters else (None, "")

    # --- the record ------------------------------------------------------------------------------------------------

    def _read_ahead(self, view: ClusterView) -> None:
        if self._ahead is not None:
            self._ahead.read(self._act, view)

    def _write_ahead(self, after: ClusterView) -> None:
        if self._ahead is not None and after.member(self._act.target_id) is None:
            self._ahead.write(self._act, after)

    # --- small things ---------------------------------------------------------------------------------------------

    async def _look(self, leaving: str = "") -> tuple[ClusterView | None, str]:
        return await self._looks.look(self._act.doubtful, leaving, self._seen.view)

    def _wanted_removal(self, view: ClusterView | None) -> Remove | None:
        """Return the removal if the planner wants it.

        With `learner_only`, a member that votes is not removed.
        """
        decision = plan(view, intent(self._act)) if view else None
        target = view.member(self._act.target_id) if view else None
        votes = target is not None and not target.is_learner
        return decision if isinstance(decision, Remove) and not (self._act.learner_only and votes) else None

    def _may_be_whole(self, after: ClusterView) -> bool:
        """Whether a list shows only the removal as a change, if this worker sees only its own member."""
        seen = self._act.seen
        return seen is None or {m.id for m in after.members} == {m.id for m in seen.members} - {self._act.target_id}

    async def _no_step(self, view: ClusterView | None, note: str) -> StepResult:
        """Return the step's end when the planner does not want the removal now."""
        if view is None or not isinstance(plan(view, intent(self._act)), Done):
            return self._replan(view, note or "the removal is no longer safe")
        leadership = view.leadership
        acknowledged, write_error = await self._acknowledge(view, leadership.id if leadership else self._locked_through)
        text = "; ".join(text for text in ("it is not in the member list", write_error) if text)
        step = self._clock.step(StepOutcome.ALREADY_ABSENT, text)
        return StepResult(step=step, view=view, writes_acknowledged=acknowledged)
