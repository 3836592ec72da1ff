"""Effects on etcd. Interrupted at any point and run again, anywhere, each ends in the same state.

Every change begins with a fresh look and the planner's word on it: an activity may run long after it was planned, on
another node, or for the second time.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from typing import TYPE_CHECKING, Final

from temporalio import activity

from activities.steps import StepClock
from etcd_handoff import failpoints
from etcd_handoff.errors import (
    BadTransfereeError,
    CompactedError,
    EtcdError,
    EtcdPermissionError,
    MemberNotFoundError,
    NotEnoughStartedError,
    NotLeaderError,
    UnhealthyClusterError,
    UnreachableError,
)
from etcd_handoff.etcd_gateway import EtcdGateway
from etcd_handoff.model import Act, AwaitElection, Look, Report, StepOutcome, WorkerTraits
from etcd_handoff.planner import Done, Intent, Remove, Transfer, plan

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from etcd_handoff.config import Config
    from etcd_handoff.view import ClusterView

WATCH_SECONDS: Final = 0.002
"""Pause between looks at the transferee: a transfer takes milliseconds."""
TRANSFER_SECONDS: Final = 3.0
"""How long a transferee is watched. etcd's leader gives a transfer up after one election time-out (1 s as it comes),
and turns writes away until then (raft `leadTransferee`)."""
HEAR_SECONDS: Final = 0.1
"""How long only the other voters are asked for their leader, before the whole cluster is looked at."""
ELECTION_SECONDS: Final = 5.0
"""How long an election is watched before the loop plans again; two to three randomised election time-outs."""


class EtcdActivities:
    """The activities on etcd.

    Args:
        config: Where the clusters are.
        node: The node that this worker runs on.
        prepare: Told the profile and the name of a member when it leaves, since its record is written next.
        traits: What the worker knows of a profile.
        gateway: Makes the gateway of a cluster profile.
    """

    def __init__(
        self,
        config: Config,
        node: str,
        prepare: Callable[[str, str], None] | None = None,
        traits: Callable[[str], WorkerTraits] | None = None,
        gateway: Callable[..., EtcdGateway] = EtcdGateway,
    ) -> None:
        self._config = config
        self._node = node
        self._prepare = prepare
        self._traits = traits
        self._make = gateway
        self._gateways: dict[str, EtcdGateway] = {}

    async def close(self) -> None:
        """Close the connections to all clusters."""
        for gateway in self._gateways.values():
            await gateway.close()

    async def warm(self) -> None:
        """Look at every cluster once, as far as that can be done now."""
        for cluster in self._config.clusters:
            with contextlib.suppress(EtcdError):
                await self._gateway(cluster).observe()

    @activity.defn
    async def check_leader(self, look: Look) -> Report:
        """Who is a member, who leads, who is healthy; changes nothing."""
        clock, traits = StepClock(self._node), self._traits(look.cluster) if self._traits else None
        seeing = asyncio.ensure_future(self._gateway(look.cluster).observe(look.doubtful))
        await failpoints.reach("check_leader.during")
        try:
            view = await seeing
        except EtcdPermissionError:
            raise
        except EtcdError as error:
            return Report(step=clock.step(StepOutcome.UNAVAILABLE, str(error)), traits=traits)
        leadership = view.leadership
        said = f"{view.label(leadership.id)} leads at term {leadership.term}" if leadership else "no leader"
        return Report(step=clock.step(StepOutcome.OBSERVED, said), view=view, traits=traits)

    @activity.defn
    async def move_leader(self, act: Act) -> Report:
        """The leading target has handed leadership to the best transferee, or a fresh view says why not.

        MoveLeader's own answer comes with the next 100 ms tick although the transfer takes milliseconds, so the
        transferee is watched meanwhile, and its word ends the step; `await_election` asks the others.
        """
        clock, gateway = StepClock(self._node), self._gateway(act.cluster)
        view, note = await self._look(gateway, act)
        step = plan(view, _intent(act)) if view else None
        if view is None or not isinstance(step, Transfer):
            return Report(step=clock.step(StepOutcome.REPLAN, note or "no transfer is needed any more"), view=view)
        name = view.label(step.transferee_id)
        try:
            leader_id = await self._hand_over(gateway, act.target_id, step)
        except NotLeaderError:
            return Report(step=clock.step(StepOutcome.REPLAN, "the target does not lead any more"))
        except EtcdPermissionError:
            raise
        except EtcdError as error:
            outcome, note = StepOutcome.TRANSFER_FAILED, f"{name} did not take over: {error}"
        else:
            outcome = StepOutcome.MOVED if leader_id else StepOutcome.TRANSFER_FAILED
            silent = f"{name} did not take over within {TRANSFER_SECONDS:g} s"
            note = f"to {view.label(leader_id)}" if leader_id else silent
        # `await_election` ends with such a look too: both together cost one decision.
        view, _ = await self._look(gateway, act)
        return Report(step=clock.step(outcome, note), view=view, transferee_id=step.transferee_id)

    @activity.defn
    async def await_election(self, ask: AwaitElection) -> Report:
        """A majority of the voters names a current voter other than the target as leader, at a higher term.

        It runs beside `move_leader`. Until the others have heard of a new leader only they are asked, each for itself:
        a linearizable list would make the leader confirm itself to a majority while it hands over.
        """
        clock, gateway = StepClock(self._node), self._gateway(ask.cluster)
        view, note = None, ""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(ELECTION_SECONDS):
                while True:
                    await self._hear_of_election(gateway, ask)
                    view, note = await self._look(gateway, ask)
                    await failpoints.reach("await_election.during")
                    found = view.leadership if view else None
                    if view and found and found.id != ask.target_id and found.term > ask.term_before:
                        self._prepare_record(ask, view)
                        said = f"{view.label(found.id)} leads at term {found.term}"
                        return Report(step=clock.step(StepOutcome.ELECTED, said), view=view)
                    await asyncio.sleep(WATCH_SECONDS)
        note = note or f"no majority names another leader after {ELECTION_SECONDS:g} s"
        return Report(step=clock.step(StepOutcome.NO_ELECTION, note), view=view)

    @activity.defn
    async def remove_member(self, act: Act) -> Report:
        """The target is not in the linearizable member list, or a fresh view says why it still is.

        etcd's own answer is the membership without the target. After any other answer the state is read again before
        anything is said about it: a lost answer is no failure, and `member not found` no success of ours.
        """
        clock, gateway = StepClock(self._node), self._gateway(act.cluster)
        view, note = await self._look(gateway, act)
        step = plan(view, _intent(act)) if view else None
        if view is not None and isinstance(step, Done):
            return Report(step=clock.step(StepOutcome.ALREADY_ABSENT, "it is not in the member list"), view=view)
        if view is None or not isinstance(step, Remove):
            return Report(step=clock.step(StepOutcome.REPLAN, note or "no removal is safe any more"), view=view)
        via, note, left = view.label(step.via_id), "", None
        self._prepare_record(act, view)
        removing = asyncio.ensure_future(gateway.remove_member(act.target_id, step.via_id))
        await failpoints.reach("remove_member.during")
        try:
            left = await removing
        except (UnhealthyClusterError, NotEnoughStartedError) as error:
            return Report(step=clock.step(StepOutcome.REFUSED_BY_ETCD, f"{via} answers: {error}"), view=view)
        except EtcdPermissionError:
            raise
        except MemberNotFoundError:
            note = f"{via} does not know the member"
        except EtcdError as error:
            note = f"{via} gave no definite answer: {error}"
        after, unread = (view.only(left), "") if left is not None else await self._look(gateway, act, act.target_id)
        if after is not None and after.member(act.target_id) is not None:
            after, unread = await self._look(gateway, act)
        if after is None or after.member(act.target_id) is not None:
            said = note or unread or f"{via} agreed, but the member is still listed"
            return Report(step=clock.step(StepOutcome.REPLAN, said), view=after, proposed=True)
        return Report(
            step=clock.step(StepOutcome.REMOVED, f"through {via}{f'; {note}' if note else ''}"),
            view=after,
            proposed=True,
        )

    @activity.defn
    async def check_hash(self, act: Act) -> Report:
        """All reachable members have the same keyspace at one revision (etcd's HashKV), or a note says which differ."""
        clock, gateway = StepClock(self._node), self._gateway(act.cluster)
        view, note = await self._look(gateway, act)
        if view is None:
            return Report(step=clock.step(StepOutcome.UNAVAILABLE, note))
        asked = [m for m in view.members if m.reachable and not m.is_learner]
        try:
            newest = await asyncio.gather(*(gateway.hash_at(m.id, 0) for m in asked))
            revision = min(at for _, at in newest)
            hashes = await asyncio.gather(*(gateway.hash_at(m.id, revision) for m in asked))
        except (CompactedError, UnreachableError) as error:
            return Report(step=clock.step(StepOutcome.UNAVAILABLE, f"no common revision: {error}"), view=view)
        by_member = {m.label: format(value, "08x") for m, (value, _) in zip(asked, hashes, strict=True)}
        said = f"revision {revision}: " + ", ".join(f"{name} {value}" for name, value in by_member.items())
        same = len(set(by_member.values())) == 1
        return Report(step=clock.step(StepOutcome.CONSISTENT if same else StepOutcome.INCONSISTENT, said), view=view)

    @activity.defn
    async def take_snapshot(self, act: Act) -> Report:
        """A snapshot, checked against the SHA-256 at its end, lies in the profile's snapshot_directory on this node."""
        clock, gateway = StepClock(self._node), self._gateway(act.cluster)
        folder = self._config.cluster(act.cluster).etcd.snapshot_directory
        if folder is None:
            said = f"no snapshot_directory in the profile {act.cluster!r}; set it or start without snapshot"
            return Report(step=clock.step(StepOutcome.FAILED, said))
        view, note = await self._look(gateway, act)
        leadership = view.leadership if view else None
        if view is None or leadership is None:
            return Report(step=clock.step(StepOutcome.UNAVAILABLE, note or "no leader"), view=view)
        source = next((m for m in view.healthy_voters if m.id != leadership.id), view.healthy_voters[0])
        path = folder / f"{act.cluster}-{activity.info().workflow_run_id}.db"
        try:
            size = await _store(gateway, source.id, path)
        except (EtcdError, OSError) as error:
            return Report(step=clock.step(StepOutcome.UNAVAILABLE, f"from {source.label}: {error}"), view=view)
        said = f"{path} on {self._node}, {size} bytes from {source.label}"
        return Report(step=clock.step(StepOutcome.SAVED, said), view=view)

    # --- inside ---------------------------------------------------------------------------------------------------

    def _gateway(self, cluster: str) -> EtcdGateway:
        if cluster not in self._gateways:
            self._gateways[cluster] = self._make(self._config.cluster(cluster).etcd)
        return self._gateways[cluster]

    async def _look(self, gateway: EtcdGateway, ask: Look, leaving: str = "") -> tuple[ClusterView | None, str]:
        """A fresh view, or why there is none."""
        try:
            return await gateway.observe(ask.doubtful, leaving), ""
        except EtcdPermissionError:
            raise
        except EtcdError as error:
            return None, str(error)

    def _prepare_record(self, act: Act, view: ClusterView) -> None:
        """What is written when the member is out is made ready while Temporal and etcd must be waited for anyway."""
        if self._prepare is not None and (target := view.member(act.target_id)) is not None:
            self._prepare(act.cluster, target.name)

    async def _hear_of_election(self, gateway: EtcdGateway, ask: AwaitElection) -> None:
        """All others have heard of a new leader, or only a look at the whole cluster can tell."""
        with contextlib.suppress(UnreachableError, TimeoutError):
            async with asyncio.timeout(HEAR_SECONDS):
                while True:
                    heard = await asyncio.gather(*(gateway.status_of(member_id) for member_id in ask.others))
                    if all(led not in (None, ask.target_id) and term > ask.term_before for led, term in heard):
                        return
                    await asyncio.sleep(WATCH_SECONDS)

    async def _hand_over(self, gateway: EtcdGateway, target_id: str, step: Transfer) -> str | None:
        """The new leader as the transferee names it, None when it names none in time; etcd's refusals are raised."""
        moving = asyncio.ensure_future(gateway.move_leader(target_id, step.transferee_id))
        try:
            async with asyncio.timeout(TRANSFER_SECONDS):
                while True:
                    with contextlib.suppress(UnreachableError):
                        leader_id, term = await gateway.status_of(step.transferee_id)
                        await failpoints.reach("move_leader.during")
                        if leader_id not in (None, target_id) and term > step.term:
                            return leader_id
                    if moving.done() and isinstance(moving.exception(), NotLeaderError | BadTransfereeError):
                        await moving
                    await asyncio.sleep(WATCH_SECONDS)
        except TimeoutError:
            return None
        finally:
            # The transfer goes on without its answer: cancelling the call ends only the wait for it.
            moving.cancel()
            await asyncio.gather(moving, return_exceptions=True)


def _intent(act: Act) -> Intent:
    return Intent(cluster_id=act.cluster_id, target_id=act.target_id, avoid=frozenset(act.avoid))


async def _store(gateway: EtcdGateway, member_id: str, path: Path) -> int:
    """Bytes written to `path`, which appears only when the stream ended with its own checksum."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part, digest, tail, size = path.with_suffix(".part"), hashlib.sha256(), b"", 0
    with part.open("wb") as file:
        async for chunk in gateway.snapshot(member_id):
            file.write(chunk)
            size += len(chunk)
            tail += chunk
            digest.update(tail[:-32])
            tail = tail[-32:]
    if digest.digest() != tail:
        msg = "the snapshot's checksum does not fit"
        raise UnreachableError(msg)
    part.replace(path)
    return size
