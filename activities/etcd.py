"""Activities that change etcd. Repeated at any point and on any node, each ends in the same state."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.etcd_addition import LearnerChange, SyncWait
from activities.etcd_change import release_abandoned_lock
from activities.etcd_looks import Looks
from activities.etcd_removal import Removal
from activities.etcd_transfer import Election, LeadershipTransfer
from activities.interceptor import StepClock
from activities.leader_check import LeaderCheck, Sources
from activities.leave_to_other_worker import unless_blind
from etcd_handoff.activity_io import (
    AdditionInput,
    AwaitElectionInput,
    AwaitSyncInput,
    CheckLeaderInput,
    ReleaseLockInput,
    ReleaseLockResult,
    StepInput,
    StepResult,
    WorkerInfo,
)
from etcd_handoff.errors import EtcdError
from etcd_handoff.operation.queue_messages import MoveLeaderInTurnInput, MoveLeaderResult
from etcd_handoff.planning import AddLearner, PromoteLearner

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from activities.attempts import WhyVoid
    from activities.leader_check import ReadClaims, ReadData
    from activities.node_workers import NodeWorkers
    from activities.record_ahead import RecordAhead
    from etcd_handoff.config import Config, EtcdProfile
    from etcd_handoff.etcd.port import EtcdPort
    from etcd_handoff.operation.queue_messages import TakeTurnInput, TakeTurnResult

    MakeEtcd = Callable[[EtcdProfile, str], EtcdPort]
    TakeTurn = Callable[[TakeTurnInput], Coroutine[Any, Any, TakeTurnResult | None]]


async def _no_turn(_: TakeTurnInput) -> None:
    """Return None: this worker does not ask the queue, so the operation has to."""


class EtcdActivities:
    """The activities on etcd.

    Args:
        config: Where the clusters are.
        node: The node that this worker runs on.
        gateway: Makes the gateway of a profile. Its second argument is the cluster ID that the profile names, or "".
        ahead: Begins the record of a member that leaves while the steps before it still run.
        worker_info: Gives what the worker knows of a profile.
        claims: Reads what the EtcdMembers of a profile say about membership; None if there are none.
        workers: Gives which nodes have a worker, as far as Temporal knows; None if that is not asked.
        data: Gives the owner of the etcd data on this node, and why they cannot be read, by profile; None if nobody
            reads them.
        why_void: Gives why the running attempt must change nothing any more; None if Temporal is not asked.
        take_turn: Takes the turn in a cluster's queue; it returns None if the queue does not answer soon.
    """

    def __init__(  # noqa: PLR0913  # all that a worker has for it
        self,
        config: Config,
        node: str,
        gateway: MakeEtcd,
        *,
        ahead: RecordAhead | None = None,
        worker_info: Callable[[str], WorkerInfo] | None = None,
        claims: ReadClaims | None = None,
        workers: NodeWorkers | None = None,
        data: ReadData | None = None,
        why_void: WhyVoid | None = None,
        take_turn: TakeTurn = _no_turn,
    ) -> None:
        self._config = config
        self._node = node
        self._ahead = ahead
        self._make = gateway
        self._sources = Sources(config, node, worker_info, claims, workers, data)
        self._why_void = why_void
        self._take_turn = take_turn
        self._clusters: dict[str, Looks] = {}

    async def close(self) -> None:
        """Close the connections to all clusters."""
        for looks in self._clusters.values():
            await looks.gateway.close()

    async def warm(self) -> None:
        """Look at every cluster once, and ignore errors."""
        for cluster in self._config.clusters:
            with contextlib.suppress(EtcdError, ApplicationError):
                await self.looks(cluster).observe()

    def looks(self, cluster: str) -> Looks:
        """Return the looks at a profile's cluster. The gateway is opened on first use and kept.

        Raises:
            UnknownClusterError: There is no such profile.
        """
        if cluster not in self._clusters:
            profile = self._config.cluster(cluster)
            gateway = self._make(profile.etcd, profile.cluster_id or "")
            self._clusters[cluster] = Looks(gateway, profile.etcd, cluster)
        return self._clusters[cluster]

    @activity.defn
    async def check_leader(self, look: CheckLeaderInput) -> StepResult:
        """Look at the cluster without a change. The result has a view, or says why there is none.

        Raises:
            UnknownClusterError: There is no such profile.
            EtcdPermissionError: The user may not read, or may not change the membership.
            ApplicationError: Another worker has to look.
        """
        looks, clock = self.looks(look.cluster), StepClock(self._node)
        return await LeaderCheck(looks, look, clock, self._sources).run()

    @activity.defn
    async def move_leader(self, act: StepInput | MoveLeaderInTurnInput) -> MoveLeaderResult:
        """Move leadership to the best transferee. Afterwards a transferee leads, or a fresh view says why not.

        MoveLeader answers with the next 100 ms tick, although the transfer takes milliseconds. So the step watches the
        transferee, for `STEPS.transfer_seconds`, and ends by its answer. The call itself has the profile's
        `change_timeout_seconds`. If the turn is to be taken too, leadership stays until the queue grants it.

        Raises:
            UnknownClusterError: There is no such profile.
            EtcdPermissionError: The user may not read, or may not move leadership.
            ApplicationError: Another worker has to make the attempt, or a look took too long.
        """
        looks, clock = self.looks(act.cluster), StepClock(self._node)
        if not isinstance(act, MoveLeaderInTurnInput):
            return await LeadershipTransfer(looks, act, clock).run()
        return await LeadershipTransfer(looks, act.transfer, clock, self._take_turn(act.turn)).run()

    @activity.defn
    async def await_election(self, ask: AwaitElectionInput) -> StepResult:
        """Wait until a majority of voters names a current voter other than the target as leader, at a higher term.

        It runs beside `move_leader`. If no worker reaches all voters, it asks those in `others`, for the operation to
        judge.

        Raises:
            UnknownClusterError: There is no such profile.
            EtcdPermissionError: The user may not read.
            ApplicationError: Another worker has to look, or a look took too long.
        """
        return await Election(self.looks(ask.cluster), ask, StepClock(self._node), self._ahead).run()

    @activity.defn
    async def remove_member(self, act: StepInput) -> StepResult:
        """Remove the target. Afterwards it is not in the linearizable member list, or a fresh view says why it is.

        etcd's own answer is the membership without the target. After any other answer the state is read again. A lost
        answer is no failure, and `member not found` does not prove that this attempt removed it.

        Raises:
            UnknownClusterError: There is no such profile.
            EtcdPermissionError: The user may not read, or may not change the membership.
            ApplicationError: Another worker has to make the attempt, or a look took too long.
        """
        clock, looks = StepClock(self._node), self.looks(act.cluster)
        removal = Removal(looks, act, clock, self._ahead, self._why_void)
        return await unless_blind(looks, act, await removal.run())

    @activity.defn
    async def add_learner(self, ask: AdditionInput) -> StepResult:
        """Add a learner. Afterwards a member has the wanted peer URLs, or a fresh view says why not.

        Raises:
            UnknownClusterError: There is no such profile.
            EtcdPermissionError: The user may not read, or may not change the membership.
            ApplicationError: Another worker has to make the attempt, or a look took too long.
        """
        clock, looks = StepClock(self._node), self.looks(ask.cluster)
        step = LearnerChange(looks, ask, clock, AddLearner, self._why_void)
        return await unless_blind(looks, ask, await step.run())

    @activity.defn
    async def await_sync(self, ask: AwaitSyncInput) -> StepResult:
        """Wait until the learner is in sync in two looks, or a view shows another change, or the time is up.

        Raises:
            UnknownClusterError: There is no such profile.
            EtcdPermissionError: The user may not read.
            ApplicationError: Another worker has to look, or a look took too long.
        """
        return await SyncWait(self.looks(ask.cluster), ask, StepClock(self._node)).run()

    @activity.defn
    async def promote_member(self, ask: AdditionInput) -> StepResult:
        """Promote the learner. Afterwards the member with its peer URLs is a voter, or a fresh view says why not.

        Raises:
            UnknownClusterError: There is no such profile.
            EtcdPermissionError: The user may not read, or may not change the membership.
            ApplicationError: Another worker has to make the attempt, or a look took too long.
        """
        clock, looks = StepClock(self._node), self.looks(ask.cluster)
        step = LearnerChange(looks, ask, clock, PromoteLearner, self._why_void)
        return await unless_blind(looks, ask, await step.run())

    @activity.defn
    async def release_lock(self, ask: ReleaseLockInput) -> ReleaseLockResult:
        """Release this operation's lock in etcd, and return whether a member has acknowledged that."""
        return ReleaseLockResult(released=await release_abandoned_lock(self.looks(ask.cluster), ask))
