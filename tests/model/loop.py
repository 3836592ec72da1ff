"""A removal as `workflows.remove_member` goes about it, without Temporal: look, plan, one activity, plan again.

The activities and the planner are the real ones. Whoever calls `step` decides what happens in between.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from etcd_handoff.planning import Blocked, Done, MemberAbsent, Refused, Remove, Transfer, plan, resolve
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities.etcd import EtcdActivities
from activities.member_status import KubernetesActivities
from etcd_handoff import belief
from etcd_handoff.belief import Binding
from etcd_handoff.errors import EtcdError, KubernetesError
from etcd_handoff.etcdmember import MESSAGE_REMOVED
from etcd_handoff.model import (
    Act,
    AwaitElection,
    FailureType,
    Look,
    Pinned,
    Record,
    RemovalRequest,
    ResourceQuery,
    StepOutcome,
)
from etcd_handoff.view import ClusterView, MemberView
from tests.model.cluster import CrashError
from tests.model.gateways import claims_of, config_of, etcd_of, gateways_of
from tests.model.judge import MAYBE
from workflows import outcome

if TYPE_CHECKING:
    from etcd_handoff.planning import Decision

    from etcd_handoff.belief import ResourceClaim
    from tests.model.cluster import Cluster

CLUSTER: Final = "model"
HOLDER: Final = "model"
STEPS_TO_END: Final = 40
"""More than any removal needs once nothing happens any more."""
Activity = Callable[[], Awaitable[Any]]
"""Runs an activity, and answers with the next one; None at the end."""


class Loop:
    """One removal.

    Args:
        cluster: The model; its target is to leave.
    """

    def __init__(self, cluster: Cluster) -> None:
        config, clusters = config_of([CLUSTER]), {CLUSTER: cluster}
        self._etcd = EtcdActivities(config, "model", etcd_of(clusters), claims=claims_of(clusters))
        self._kubernetes = KubernetesActivities(gateways_of(config, clusters), "model")
        self._request = RemovalRequest(cluster=CLUSTER, member=cluster.target)
        self._view: ClusterView | None = None
        self._pinned: Pinned | None = None
        self._claims: tuple[ResourceClaim, ...] = ()
        self._binding = Binding()
        self._proposed = False
        self._avoid: frozenset[str] = frozenset()
        self._next: Activity | None = self._look
        self._number, self._attempt = 0, 0
        self.outcome, self.said, self.recorded = "", "", False

    async def step(self) -> None:
        """One activity has run, as far as it came; one that failed is what the next step tries again."""
        if self._next is None:
            return
        self._attempt += 1
        try:
            self._next = await self._next()
        except (CrashError, EtcdError, KubernetesError, ApplicationError):
            return
        self._number, self._attempt = self._number + 1, 0

    async def _look(self) -> Activity | None:
        ask = Look(cluster=CLUSTER, claims=self._pinned is None)
        report = await self._run(self._etcd.check_leader, ask)
        self._claims = report.claims or ()
        return self._decide(report.view)

    def _decide(self, view: ClusterView | None) -> Activity | None:
        """What the planner says to do next; where it blocks, a look."""
        self._view = view
        if view is None:
            return self._look
        if self._pinned is None:
            found = resolve(view, self._request.member)
            if not isinstance(found, MemberView):
                return self._find
            if self._doubts(view, belief.silent_outsiders(view)):
                return self._look
            self._pinned = outcome.pinned(view, found)
        self._note(view)
        return self._next_after(plan(view, self._intent()), view)

    def _next_after(self, decision: Decision, view: ClusterView) -> Activity | None:
        pinned = self._pin_or_fail()
        if not pinned.present and not view.doubts and view.member(pinned.member_id):
            self._end(FailureType.UNKNOWN_MEMBER, "it has joined since")
            return None
        if isinstance(decision, Refused):
            maybe = f"; the removal {MAYBE}" if self._proposed else ""
            self._end(FailureType.REMOVAL_REFUSED, f"{decision.reason}: {decision.seen}{maybe}")
            return None
        if isinstance(decision, Transfer):
            return partial(self._transfer, decision.term)
        if isinstance(decision, Blocked):
            self._avoid = frozenset()
        return {Done: self._record, Remove: self._remove, Blocked: self._look}[type(decision)]

    def _doubts(self, view: ClusterView, departed: tuple[str, ...] = ()) -> bool:
        """Whether something speaks against pinning a member in this view."""
        return bool(belief.contradiction(view, Binding(), departed) or belief.witness(view, self._claims))

    def _note(self, view: ClusterView) -> None:
        """What nothing contradicts says how far the cluster has come."""
        pinned = self._pin_or_fail()
        self._binding = self._binding.model_copy(update={"cluster_id": pinned.cluster_id})
        if belief.contradiction(view, self._binding, (pinned.member_id,)) is None:
            self._binding = belief.bound(self._binding, view)

    async def _find(self) -> Activity | None:
        found = await self._run(
            self._kubernetes.find_resource, ResourceQuery(cluster=CLUSTER, member=self._request.member)
        )
        if self._view is None or self._doubts(self._view, (found.member_id,)):
            return self._look
        if not found.member_id:
            self._end(FailureType.UNKNOWN_MEMBER, found.step.note)
            return None
        listed = self._view.member(found.member_id)
        absent = MemberView(id=found.member_id, name=found.name)
        self._pinned = outcome.pinned(self._view, listed or absent).model_copy(update={"present": listed is not None})
        return self._look  # the member may have joined after the list was read, and before its EtcdMember was

    async def _transfer(self, term: int) -> Activity | None:
        report = await self._run(self._etcd.move_leader, Act(**self._act()))
        if report.step.outcome is StepOutcome.TRANSFER_FAILED:
            self._avoid |= {report.transferee_id}
        if report.step.outcome is StepOutcome.MOVED:
            return partial(self._await_election, term)
        return self._decide(report.view) if report.view is not None else self._look

    async def _await_election(self, term: int) -> Activity | None:
        voters = self._view.healthy_voters if self._view else ()
        others = tuple(m.id for m in voters if m.id != self._pin_or_fail().member_id)
        ask = AwaitElection(**self._act(), term_before=term, others=others)
        return self._decide((await self._run(self._etcd.await_election, ask)).view)

    async def _remove(self) -> Activity | None:
        self._proposed = True
        report = await self._run(self._etcd.remove_member, Act(**self._act()))
        waits = report.step.outcome in (StepOutcome.REFUSED_BY_ETCD, StepOutcome.LOCKED)
        return self._look if waits else self._decide(report.view)

    async def _record(self) -> None:
        pinned, view = self._pin_or_fail(), self._view
        record = Record(
            cluster=CLUSTER,
            member_name=pinned.member_name,
            member_id=pinned.member_id,
            peer_urls=pinned.peer_urls,
            joined=False,
            members=tuple(m.id for m in view.members) if view else (),
            present_names=tuple(m.name for m in view.members if m.name) if view else (),
            message=MESSAGE_REMOVED,
        )
        self.recorded = (await self._run(self._kubernetes.update_status, record)).recorded
        self._end("removed" if pinned.present else "already-absent", "")

    def _end(self, ended: str, said: str) -> None:
        self.outcome, self.said = str(ended), said

    async def _run(self, method: Callable[..., Awaitable[Any]], ask: object) -> Any:
        environment = ActivityEnvironment()
        environment.info = replace(
            environment.info,
            activity_type=method.__name__,
            activity_id=str(self._number),
            attempt=self._attempt,
        )
        return await environment.run(method, ask)

    def _act(self) -> dict[str, Any]:
        intent = self._intent()
        return {
            "cluster": CLUSTER,
            "cluster_id": intent.cluster_id,
            "target_id": intent.target_id,
            "avoid": tuple(sorted(intent.avoid)),
            "seen_term": intent.seen_term,
            "seen_index": intent.seen_index,
            "holder": HOLDER,
            "holder_label": "the model's removal",
        }

    def _intent(self) -> MemberAbsent:
        pinned = self._pin_or_fail()
        seen = self._binding
        return MemberAbsent(
            pinned.cluster_id, pinned.member_id, self._avoid, seen_term=seen.term, seen_index=seen.raft_index
        )

    def _pin_or_fail(self) -> Pinned:
        if self._pinned is None:
            msg = "a step was asked for before the member was pinned"
            raise RuntimeError(msg)
        return self._pinned


class Leap(selectors.DefaultSelector):
    """Time passes only while nobody has anything to do, and then at once."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Nobody waits."""
        self.now += timeout or 0.0
        return super().select(0)


def leaping() -> asyncio.AbstractEventLoop:
    """An event loop in which waits take no time."""
    selector = Leap()
    loop = asyncio.SelectorEventLoop(selector)
    loop.time = lambda: selector.now  # type: ignore[method-assign]
    return loop
