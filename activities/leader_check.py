"""The activity `check_leader`: one look at a cluster, and what is asked beside it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from activities.leave_to_other_worker import leave_to_another
from etcd_handoff import failpoints, time_limits
from etcd_handoff.activity_io import StepResult
from etcd_handoff.contract import StepOutcome
from etcd_handoff.errors import EtcdError, EtcdPermissionError
from etcd_handoff.temporal.server_errors import count_etcd_error

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from activities.etcd_looks import Looks
    from activities.interceptor import StepClock
    from activities.node_workers import NodeWorkers
    from etcd_handoff.activity_io import CheckLeaderInput, DataOwner, WorkerInfo
    from etcd_handoff.cluster_view import ClusterView, MemberSelfReport
    from etcd_handoff.config import Config
    from etcd_handoff.doubts import ResourceClaim

    Claims = tuple[ResourceClaim, ...] | None
    ReadClaims = Callable[[str], Awaitable[Claims]]
    ReadData = Callable[[str], Awaitable[tuple[DataOwner | None, str]]]


@dataclass(frozen=True, slots=True)
class Sources:
    """What a worker knows of a cluster beside etcd's answers.

    Attributes:
        config: Where the clusters are.
        node: The node that this worker runs on.
        worker_info: Gives what the worker knows of a profile.
        claims: Reads what the EtcdMembers of a profile say about membership; None if there are none.
        workers: Gives which nodes have a worker, as far as Temporal knows; None if that is not asked.
        data: Gives the owner of the etcd data on this node, and why they cannot be read, by profile; None if nobody
            reads them.
    """

    config: Config
    node: str
    worker_info: Callable[[str], WorkerInfo] | None
    claims: ReadClaims | None
    workers: NodeWorkers | None
    data: ReadData | None = None


class LeaderCheck:
    """One look at a cluster without a change.

    Args:
        looks: The cluster.
        look: What the operation asks.
        clock: Times the step.
        sources: What the worker knows beside etcd's answers.
    """

    def __init__(self, looks: Looks, look: CheckLeaderInput, clock: StepClock, sources: Sources) -> None:
        self._looks, self._look, self._clock, self._sources = looks, look, clock, sources
        self._worker_info = sources.worker_info(look.cluster) if sources.worker_info else None

    async def run(self) -> StepResult:
        """See `EtcdActivities.check_leader`. EtcdMembers and workers are asked for beside the look."""
        claiming = asyncio.ensure_future(self._read_claims())
        listing = asyncio.ensure_future(self._worker_nodes())
        try:
            return await self._run(claiming, listing)
        finally:
            listing.cancel()
            claiming.cancel()

    async def _run(self, claiming: Awaitable[Claims], listing: Awaitable[tuple[str, ...] | None]) -> StepResult:
        looks, look = self._looks, self._look
        acknowledged, write_error = await looks.commit_probe() if look.probe else (None, "")
        seeing = asyncio.ensure_future(looks.observe(look.doubtful))
        await failpoints.reach("check_leader.during")
        try:
            view = await seeing
        except EtcdPermissionError:
            raise
        except EtcdError as error:
            return await self._without_view(error, listing)
        self._require_asked_cluster(view)
        if look.rights:
            await looks.check_rights()
        idle = await self._idle_nodes(view)
        claims, nodes = await claiming, await listing
        return StepResult(
            step=self._clock.step(StepOutcome.OBSERVED, f"{view.who_leads}{write_error}"),
            view=view,
            worker_info=self._worker_info,
            claims=claims,
            alone=looks.own_member_alone,
            idle_nodes=idle,
            worker_nodes=nodes or (),
            workers_unlisted=nodes is None,
            writes_acknowledged=acknowledged,
        )

    async def _without_view(self, error: EtcdError, listing: Awaitable[tuple[str, ...] | None]) -> StepResult:
        """Return the result of a look that saw no member list.

        Raises:
            ApplicationError: Another worker has to look.
        """
        looks, look = self._looks, self._look
        count_etcd_error(look.cluster, error)
        if not look.for_node:
            leave_to_another(looks, str(error))
        (owner, data_error), reports = await asyncio.gather(self._data_owner(), self._self_reports())
        step, nodes = self._clock.step(StepOutcome.UNAVAILABLE, str(error)), await listing
        return StepResult(
            step=step,
            worker_info=self._worker_info,
            self_reports=reports,
            data_owner=owner,
            data_error=data_error,
            worker_nodes=nodes or (),
            workers_unlisted=nodes is None,
        )

    async def _self_reports(self) -> tuple[MemberSelfReport, ...]:
        """Return what members say of themselves; none where other workers reach the same members."""
        return await self._looks.self_reports() if self._look.for_node or self._looks.own_member_alone else ()

    async def _data_owner(self) -> tuple[DataOwner | None, str]:
        """Return whose etcd data lie on this node and why they cannot be read, as long as the cluster is not known."""
        look, read = self._look, self._sources.data
        named = look.cluster_id or self._sources.config.cluster(look.cluster).cluster_id
        return (None, "") if read is None or named or not self._looks.own_member_alone else await read(look.cluster)

    def _require_asked_cluster(self, view: ClusterView) -> None:
        """Check that the view is of the cluster that the operation means.

        Raises:
            ApplicationError: It is another cluster's, and another worker has to look.
        """
        look = self._look
        if not look.for_node and look.cluster_id not in ("", view.cluster_id):
            text = f"this node's etcd is of cluster {view.cluster_id}, and not of {look.cluster_id}"
            leave_to_another(self._looks, text)

    async def _idle_nodes(self, view: ClusterView) -> tuple[str, ...]:
        """Return the nodes without a worker; none where that is not asked."""
        workers = None if self._look.for_node else self._sources.workers
        table = self._sources.config.cluster(self._look.cluster).nodes
        return await workers.idle(view, table, self._sources.node) if workers else ()

    async def _worker_nodes(self) -> tuple[str, ...] | None:
        """Return the nodes of all workers, if each asks only its own member and the cluster is not yet known.

        The answer is None if Temporal does not list them.
        """
        look, workers = self._look, self._sources.workers
        named = look.cluster_id or self._sources.config.cluster(look.cluster).cluster_id
        settled = look.for_node or named or not self._looks.own_member_alone
        return () if settled or workers is None else await workers.serving(look.cluster)

    async def _read_claims(self) -> Claims:
        """Return what EtcdMembers say about membership, or None if that is not asked or cannot be read soon."""
        look, limits = self._look, time_limits.STEPS
        if self._sources.claims is None or not look.claims:
            return None
        seconds = limits.patient_claims_seconds if look.patient_claims else limits.claims_seconds
        try:
            async with asyncio.timeout(seconds):
                return await self._sources.claims(look.cluster)
        except Exception:  # noqa: BLE001  # `etcd_handoff.doubts` decides what a missing second source means
            return None
