"""Effects on etcd. Interrupted at any point and run again, anywhere, each ends in the same state.

Every change begins with a fresh look and the planner's word on it: an activity may run long after it was planned, on
another node, or for the second time.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.elsewhere import leave_to_another, leave_to_another_if_blind, unless_blind
from activities.etcd_addition import LearnerStep, SyncWait
from activities.etcd_change import TOO_LATE, is_past
from activities.etcd_looks import Looks, SeenBefore, intent
from activities.etcd_removal import Removal
from activities.interceptor import StepClock
from etcd_handoff import failpoints, timing
from etcd_handoff.activity_io import (
    AdditionInput,
    AwaitElectionInput,
    AwaitSyncInput,
    CheckLeaderInput,
    StepInput,
    StepResult,
    WorkerInfo,
)
from etcd_handoff.contract import StepOutcome
from etcd_handoff.doubts import ResourceClaim
from etcd_handoff.errors import (
    BadTransfereeError,
    EtcdError,
    EtcdPermissionError,
    NotLeaderError,
    UnreachableError,
)
from etcd_handoff.merged_view import node_of
from etcd_handoff.planning import AddLearner, PromoteLearner, Transfer, plan

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection

    from etcd_handoff.cluster_view import ClusterView
    from etcd_handoff.config import Config, EtcdProfile
    from etcd_handoff.doubts import ResourceClaim
    from etcd_handoff.etcd.port import EtcdPort

    MakeEtcd = Callable[[EtcdProfile, str], EtcdPort]
    MissingWorkers = Callable[[Collection[str]], Awaitable[tuple[str, ...]]]
    ReadClaims = Callable[[str], Awaitable[tuple[ResourceClaim, ...] | None]]


class EtcdActivities:
    """The activities on etcd.

    Args:
        config: Where the clusters are.
        node: The node that this worker runs on.
        gateway: Makes the gateway of a profile; told the cluster ID that the profile names, empty when it names none.
        prepare: Told the profile and the name of a member when it leaves, since its record is written next.
        traits: What the worker knows of a profile.
        claims: Reads what the EtcdMembers of a profile say of who is a member; None where there are none.
        missing_workers: Which of some nodes have no worker, as far as Temporal says; None where nobody asks it.
    """

    def __init__(  # noqa: PLR0913  # all that a worker has for it
        self,
        config: Config,
        node: str,
        gateway: MakeEtcd,
        *,
        prefetch: Callable[[str, str], None] | None = None,
        traits: Callable[[str], WorkerInfo] | None = None,
        claims: ReadClaims | None = None,
        missing_workers: MissingWorkers | None = None,
    ) -> None:
        self._config = config
        self._node = node
        self._prefetch = prefetch
        self._traits = traits
        self._make = gateway
        self._claims = claims
        self._missing_workers = missing_workers
        self._clusters: dict[str, Looks] = {}

    async def close(self) -> None:
        """Close the connections to all clusters."""
        for looks in self._clusters.values():
            await looks.gateway.close()

    async def warm(self) -> None:
        """Look at every cluster once, as far as that can be done now."""
        for cluster in self._config.clusters:
            with contextlib.suppress(EtcdError, ApplicationError):
                await self.looks(cluster).observe()

    def looks(self, cluster: str) -> Looks:
        """Looks at the cluster of a profile, whose gateway is opened on first use and kept.

        Raises:
            UnknownClusterError: There is no such profile.
        """
        if cluster not in self._clusters:
            profile = self._config.cluster(cluster)
            self._clusters[cluster] = Looks(self._make(profile.etcd, profile.cluster_id or ""), profile.etcd)
        return self._clusters[cluster]

    @activity.defn
    async def check_leader(self, look: CheckLeaderInput) -> StepResult:
        """Who is a member, who leads, who is healthy; changes nothing."""
        clock, traits = StepClock(self._node), self._traits(look.cluster) if self._traits else None
        looks, acknowledged, write_error = self.looks(look.cluster), None, ""
        claiming = asyncio.ensure_future(self._read_claims(look.cluster)) if look.claims else None
        try:
            if look.probe:
                acknowledged, write_error = await self._commit_probe(looks.gateway)
            seeing = asyncio.ensure_future(looks.observe(look.doubtful))
            await failpoints.reach("check_leader.during")
            try:
                view = await seeing
            except EtcdPermissionError:
                raise
            except EtcdError as error:
                if not look.for_node:
                    leave_to_another(looks, str(error))
                heard = await looks.heard() if look.for_node else ()
                return StepResult(step=clock.step(StepOutcome.UNAVAILABLE, str(error)), traits=traits, heard=heard)
            idle = await self._idle_nodes(look, view)
            claims = await claiming if claiming else None
        finally:
            if claiming is not None:
                claiming.cancel()
        leadership = view.leadership
        leads = f"{view.label(leadership.id)} leads at term {leadership.term}" if leadership else "no leader"
        return StepResult(
            step=clock.step(StepOutcome.OBSERVED, f"{leads}{write_error}"),
            view=view,
            traits=traits,
            claims=claims,
            alone=self._config.cluster(look.cluster).etcd.names_own_member_alone,
            idle_nodes=idle,
            writes_acknowledged=acknowledged,
        )

    @activity.defn
    async def move_leader(self, act: StepInput) -> StepResult:
        """The leading target has handed leadership to the best transferee, or a fresh view says why not.

        MoveLeader's own answer comes with the next 100 ms tick although the transfer takes milliseconds, so the
        transferee is watched meanwhile, and its word ends the step; `await_election` asks the others.
        """
        clock, looks = StepClock(self._node), self.looks(act.cluster)
        if is_past(act):
            return StepResult(step=clock.step(StepOutcome.REPLAN, TOO_LATE))
        view, note = await looks.look(act.doubtful, seen=SeenBefore(act).view)
        if view is None and act.seen is None:
            await leave_to_another_if_blind(looks, note)
        step = plan(view, intent(act)) if view else None
        if view is None or not isinstance(step, Transfer):
            return StepResult(step=clock.step(StepOutcome.REPLAN, note or "no transfer is needed any more"), view=view)
        name, transferee = view.label(step.transferee_id), view.member(step.transferee_id)
        # A transferee that only another worker reaches is heard of by the target, which follows it then.
        watched_id = act.target_id if transferee and transferee.through_node else step.transferee_id
        try:
            leader_id = await self._transfer_leadership(looks.gateway, act.target_id, step, watched_id)
        except NotLeaderError:
            return StepResult(step=clock.step(StepOutcome.REPLAN, "the target does not lead any more"))
        except EtcdPermissionError:
            raise
        except EtcdError as error:
            outcome, note = StepOutcome.TRANSFER_FAILED, f"{name} did not take over: {error}"
        else:
            outcome = StepOutcome.MOVED if leader_id else StepOutcome.TRANSFER_FAILED
            silent = f"{name} did not take over within {timing.STEPS.transfer_seconds:g} s"
            note = f"to {view.label(leader_id)}" if leader_id else silent
        # `await_election` ends with such a look too: both together cost one decision.
        view, _ = await looks.look(act.doubtful)
        return StepResult(step=clock.step(outcome, note), view=view, transferee_id=step.transferee_id)

    @activity.defn
    async def await_election(self, ask: AwaitElectionInput) -> StepResult:
        """A majority of the voters names a current voter other than the target as leader, at a higher term.

        It runs beside `move_leader`. Until the others have heard of a new leader only they are asked, each for itself:
        a linearizable list would make the leader confirm itself to a majority while it hands over.

        Where no worker reaches all voters, `others` are those that this worker is to ask, and the operation looks at
        the whole cluster afterwards.
        """
        clock, looks = StepClock(self._node), self.looks(ask.cluster)
        view, note = None, ""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timing.STEPS.election_seconds):
                while True:
                    heard = await self._wait_for_new_leader(looks.gateway, ask)
                    if heard and ask.seen:
                        await failpoints.reach("await_election.during")
                        return StepResult(step=clock.step(StepOutcome.ELECTED, "its members follow another leader"))
                    view, note = await looks.look(ask.doubtful)
                    if view is None and not ask.seen:
                        await leave_to_another_if_blind(looks, note)
                    await failpoints.reach("await_election.during")
                    leadership = view.leadership if view else None
                    if view and leadership and leadership.id != ask.target_id and leadership.term > ask.term_before:
                        self._prefetch_record(ask, view)
                        leads = f"{view.label(leadership.id)} leads at term {leadership.term}"
                        return StepResult(step=clock.step(StepOutcome.ELECTED, leads), view=view)
                    await asyncio.sleep(timing.STEPS.watch_pause_seconds)
        note = note or f"no majority names another leader after {timing.STEPS.election_seconds:g} s"
        return StepResult(step=clock.step(StepOutcome.NO_ELECTION, note), view=view)

    @activity.defn
    async def remove_member(self, act: StepInput) -> StepResult:
        """The target is not in the linearizable member list, or a fresh view says why it still is.

        etcd's own answer is the membership without the target. After any other answer the state is read again before
        anything is said about it: a lost answer is no failure, and `member not found` no success of ours.
        """
        looks, clock = self.looks(act.cluster), StepClock(self._node)
        removal = Removal(looks, act, clock, lambda view: self._prefetch_record(act, view))
        return await unless_blind(looks, act, await removal.run())

    @activity.defn
    async def add_learner(self, ask: AdditionInput) -> StepResult:
        """A member with the wanted peer URLs is in the member list, or a fresh view says why not."""
        looks = self.looks(ask.cluster)
        return await unless_blind(looks, ask, await LearnerStep(looks, ask, StepClock(self._node), AddLearner).run())

    @activity.defn
    async def await_sync(self, ask: AwaitSyncInput) -> StepResult:
        """The learner is in sync by its own word in two looks, or a view says what has changed, or that time is up."""
        return await SyncWait(self.looks(ask.cluster), ask, StepClock(self._node)).run()

    @activity.defn
    async def promote_member(self, ask: AdditionInput) -> StepResult:
        """The learner with the wanted peer URLs has a vote, or a fresh view says why not."""
        looks, clock = self.looks(ask.cluster), StepClock(self._node)
        return await unless_blind(looks, ask, await LearnerStep(looks, ask, clock, PromoteLearner).run())

    # --- inside ---------------------------------------------------------------------------------------------------

    async def _idle_nodes(self, look: CheckLeaderInput, view: ClusterView) -> tuple[str, ...]:
        """Nodes without a worker of members that this worker does not reach."""
        table = self._config.cluster(look.cluster).nodes
        far = {node_of(m.name, table) for m in view.members if m.name and not m.reachable} - {self._node}
        if self._missing_workers is None or look.for_node or not far:
            return ()
        return await self._missing_workers(far)

    async def _commit_probe(self, gateway: EtcdPort) -> tuple[bool, str]:
        """Whether an entry that changes nothing was committed, and what to say when it was not."""
        try:
            await gateway.commit_probe()
        except EtcdPermissionError:
            raise
        except EtcdError as error:
            return False, f"; no write is committed: {error}"
        return True, ""

    async def _read_claims(self, cluster: str) -> tuple[ResourceClaim, ...] | None:
        """What EtcdMembers say of who is a member; None when that cannot be had soon."""
        if self._claims is None:
            return None
        try:
            async with asyncio.timeout(timing.STEPS.claims_seconds):
                return await self._claims(cluster)
        except Exception:  # noqa: BLE001  # a second witness that is away decides nothing
            return None

    def _prefetch_record(self, act: StepInput, view: ClusterView) -> None:
        """What is written when the member is out is made ready while Temporal and etcd must be waited for anyway."""
        if act.learner_only:
            return
        if self._prefetch is not None and (target := view.member(act.target_id)) is not None:
            self._prefetch(act.cluster, target.name)

    async def _wait_for_new_leader(self, gateway: EtcdPort, ask: AwaitElectionInput) -> bool:
        """Whether all others have heard of a new leader; if not, only a look at the whole cluster can tell."""
        with contextlib.suppress(UnreachableError, TimeoutError):
            async with asyncio.timeout(timing.STEPS.voters_first_seconds):
                while True:
                    statuses = await asyncio.gather(*(gateway.status_of(member_id) for member_id in ask.others))
                    if all(
                        leader_id not in (None, ask.target_id) and term > ask.term_before
                        for leader_id, term in statuses
                    ):
                        return True
                    await asyncio.sleep(timing.STEPS.watch_pause_seconds)
        return False

    async def _transfer_leadership(
        self, gateway: EtcdPort, target_id: str, step: Transfer, watched_id: str
    ) -> str | None:
        """The new leader as the watched member names it, None when it names none in time; refusals are raised."""
        moving = asyncio.ensure_future(gateway.move_leader(target_id, step.transferee_id))
        try:
            async with asyncio.timeout(timing.STEPS.transfer_seconds):
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
                    await asyncio.sleep(timing.STEPS.watch_pause_seconds)
        except TimeoutError:
            return None
        finally:
            # The transfer goes on without its answer: cancelling the call ends only the wait for it.
            moving.cancel()
            await asyncio.gather(moving, return_exceptions=True)
