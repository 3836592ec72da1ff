"""From the lock to the proposal: the order that protects the quorum, the same for every change of the membership.

An entry is committed first, then every member is asked for a linearizable read. A voter whose disk hangs cannot have
taken that entry in, so it cannot answer. In an idle cluster the hanging disk would not show. The proposal follows at
once.
"""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from typing import TYPE_CHECKING, Generic, TypeVar

from activities.etcd_change import Commit, MemberChange
from etcd_handoff import time_limits
from etcd_handoff.activity_io import StepResult
from etcd_handoff.contract import StepOutcome
from etcd_handoff.planning import AddLearner, PromoteLearner, Remove

if TYPE_CHECKING:
    from etcd_handoff.cluster_view import ClusterView

S = TypeVar("S", bound=Remove | AddLearner | PromoteLearner)


class Proposal(MemberChange, Generic[S]):
    """One attempt to make the change that the planner decides on."""

    async def _run(self) -> StepResult:
        before, via_id, note = await self._begin()
        if via_id is None:
            return await self._no_step(before, note)
        view, behind, most = before, "", time_limits.STEPS.proposal_look_attempts
        for _ in range(most):
            began = self._now()
            self._ask_temporal()
            committed = await self._commit(via_id) if self._change.holder else Commit()
            if committed.holder:
                note = f"{committed.holder} changes this etcd cluster and has the lock in etcd"
                return StepResult(step=self._clock.step(StepOutcome.LOCKED, note), view=view)
            locked = self._now()
            view, decision, note = await self._plan()
            ended = self._now()
            if view is None or decision is None:
                return await self._no_step(view, note)
            if committed.silence:
                if decision.via_id == via_id:
                    note = f"no write was committed through {view.label(via_id)}: {committed.silence}"
                    break
                via_id = decision.via_id
                continue
            if behind := self._why_behind(view, decision, before):
                await asyncio.sleep(time_limits.STEPS.sync_pause_seconds)
                continue
            if note := await self._why_over():
                break
            if self._is_fresh(began, locked, ended):
                return await self._propose(view, decision)
        else:
            note = behind or f"no look was fresh enough, or none followed a committed write, in {most} tries"
        return self._replan(view, note)

    async def _begin(self) -> tuple[ClusterView | None, str | None, str]:
        """Return a view, the member through which to commit the first entry, and a note.

        The member is None when the planner does not decide on the change.
        """
        view, decision, note = await self._plan()
        return view, decision.via_id if decision else None, note

    @abstractmethod
    async def _plan(self) -> tuple[ClusterView | None, S | None, str]:
        """Return a fresh view and the decision, or why there is none."""

    @abstractmethod
    async def _propose(self, view: ClusterView, decision: S) -> StepResult:
        """Change the membership, then look at the result."""

    async def _no_step(self, view: ClusterView | None, note: str) -> StepResult:
        """Return the result when the planner does not decide on the change now."""
        return self._replan(view, note)

    def _why_behind(self, view: ClusterView, decision: S, before: ClusterView | None) -> str:  # noqa: ARG002
        """Return why to commit and look once more before the proposal, or "" if that is not necessary."""
        return ""

    def _replan(self, view: ClusterView | None, note: str) -> StepResult:
        return StepResult(step=self._clock.step(StepOutcome.REPLAN, note), view=view)
