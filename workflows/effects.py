"""How a removal calls its activities, and what it learns from each: the view, how far the cluster is, the steps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from etcd_handoff import belief
    from etcd_handoff.model import Act, HandoffState, Look, Pinned, Report
    from etcd_handoff.planning import MemberAbsent
    from workflows import calls
    from workflows.desk import Desk

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from datetime import timedelta

    from etcd_handoff.belief import ResourceClaim
    from etcd_handoff.view import ClusterView


class Effects(Desk):
    """The part of a removal that looks and acts; what is done when is decided elsewhere."""

    def __init__(self) -> None:
        """Nothing has been seen yet."""
        super().__init__()
        self._avoid: tuple[str, ...] = ()
        self._claims: tuple[ResourceClaim, ...] | None = None
        self._absent = False
        self._was_leader = False
        self._writes_acknowledged: bool | None = None

    async def _look(self, *, patient: bool = False, probe: bool = False) -> None:
        """A fresh view.

        Args:
            patient: Members that did not answer the last time get their full time-out again.
            probe: An entry is committed first, also when nothing can be pending.
        """
        if not patient:
            self._show(HandoffState.CHECKING, self._doing, self._waiting_for)
        now = workflow.time()
        ask = Look(
            cluster=self._request.cluster,
            doubtful=() if patient else self._doubtful(),
            claims=self._pinned is None,
            probe=probe or self._proposal.wants_probe(now),
        )
        try:
            report = await calls.look(ask)
        except calls.StepFailedError:
            self._view = None  # what was seen before is no word on what is true now
            raise
        # A removal that is blocked for hours looks hundreds of times; the last look says it all.
        self._log.append(report.step, instead_of_last=patient)
        self._claims = report.claims
        self._see(report.view)
        if ask.probe:
            self._writes_acknowledged = report.writes_acknowledged
        if ask.probe and self._proposal.wants_probe(now):
            listed = self._undoubted is not None and self._undoubted.member(self._pin_or_fail().member_id) is not None
            self._proposal.settle(acknowledged=report.writes_acknowledged, still_listed=listed)
        await self._know_worker(report)

    async def _act(
        self,
        method: Callable[..., Awaitable[Report]],
        summary: str,
        timeout: timedelta = calls.CHANGE_TIMEOUT,
    ) -> Report:
        report = await calls.act(method, self._act_input(), summary, timeout)
        self._log.append(report.step)
        return report

    async def _know_worker(self, report: Report | None = None) -> None:
        """Record the worker's capabilities in the history once, so that replay on another worker sees the same."""
        if self._traits is None and report is not None:
            self._traits = report.traits
        if self._traits is None:
            self._traits = await calls.describe_worker(self._request.cluster)

    def _see(self, view: ClusterView | None) -> None:
        """This is what was seen last; what nothing contradicts says how far the cluster has come."""
        self._view = view
        if self._pinned is not None and (undoubted := self._undoubted) is not None:
            self._binding = belief.bound(self._binding, undoubted)
            self._absent = self._absent or undoubted.member(self._pinned.member_id) is None

    @property
    def _undoubted(self) -> ClusterView | None:
        """The last view; None when there is none, or when something contradicts it."""
        if self._view is None or self._pinned is None:
            return None
        departed = (self._pinned.member_id,)
        return None if belief.contradiction(self._view, self._binding, departed) else self._view

    def _act_input(self) -> Act:
        intent, me = self._intent(), workflow.info()
        return Act(
            cluster=self._request.cluster,
            cluster_id=intent.cluster_id,
            target_id=intent.target_id,
            avoid=self._avoid,
            doubtful=self._doubtful(),
            seen_term=intent.seen_term,
            seen_index=intent.seen_index,
            holder=me.first_execution_run_id,
            holder_label=f"the removal of {self._label()}, Temporal namespace {me.namespace}",
        )

    def _intent(self) -> MemberAbsent:
        pinned = self._pin_or_fail()
        return MemberAbsent(
            pinned.cluster_id,
            pinned.member_id,
            frozenset(self._avoid),
            seen_term=self._binding.term,
            seen_index=self._binding.raft_index,
        )

    def _pin_or_fail(self) -> Pinned:
        if self._pinned is None:
            msg = "a step was asked for before the member was pinned"
            raise RuntimeError(msg)
        return self._pinned

    def _doubtful(self) -> tuple[str, ...]:
        """Members that gave no full answer to the last look: one that hangs would cost its time-out in every look."""
        if self._view is None:
            return ()
        return tuple(m.id for m in self._view.members if not m.reachable or not (m.serves_reads or m.is_learner))

    def _label(self, member_id: str | None = None) -> str:
        pinned = self._pinned
        if member_id is None:
            return (pinned.member_name or pinned.member_id) if pinned else self._request.member
        return self._view.label(member_id) if self._view else member_id
