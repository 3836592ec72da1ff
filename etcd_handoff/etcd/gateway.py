"""Etcd as the rest of the project sees it: a dozen calls, one attempt each, own errors.

Every endpoint has a channel of its own, so that a call goes where we say and nowhere else; gRPC's own retries are off
and each call has a deadline. Repeating, failing over and waiting are decisions, made above.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from etcd_handoff.etcd.connections import Connections
from etcd_handoff.etcd.lock import stale_seconds
from etcd_handoff.etcd.lock_calls import LockCalls
from etcd_handoff.etcd.member_calls import MemberCalls
from etcd_handoff.etcd.observer import Observer
from etcd_handoff.etcd.port import KeyspaceHash
from etcd_handoff.etcd.replies import hex_id

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable

    from etcd_handoff.cluster_view import ClusterView, HeardMember
    from etcd_handoff.config import EtcdProfile


class EtcdGateway:
    """One etcd cluster, reached through the endpoints of its profile and what its members advertise.

    Not for use from more than one event loop. Channels open on first use and are kept.

    Args:
        profile: How to reach the members.
        cluster_id: The cluster that the profile names; empty when it names none.
    """

    def __init__(self, profile: EtcdProfile, cluster_id: str = "") -> None:
        self._profile = profile
        self._connections = Connections(profile)
        self._observer = Observer(profile, self._connections, cluster_id)
        self._calls = MemberCalls(profile, self._connections, self._observer)
        self._lock = LockCalls(self._calls, stale_seconds(profile.call_timeout_seconds, profile.change_timeout_seconds))

    async def close(self) -> None:
        """Close all connections."""
        await self._connections.close()

    # --- looking --------------------------------------------------------------------------------------------------

    async def observe(self, doubtful: Iterable[str] = (), leaving: str = "") -> ClusterView:
        """A linearizable member list with the status of each member, everything asked in parallel.

        Every member is asked for a linearizable list of its own: that shows that it takes part, where Status answers
        from memory while the member's disk hangs, and that all see the same membership.

        Args:
            doubtful: IDs of members that did not answer the last look: they are not waited for once all others have
                answered, so that an unreachable member costs one time-out in a removal and not one in every step.
            leaving: ID of a member that is not asked: etcd panics when a Status call meets it while it leaves the
                cluster (etcd `server/etcdserver/server.go`, IsLearner: "failed to find local ID").

        Raises:
            UnreachableError: No endpoint gave a linearizable list: no quorum, or nobody can be reached.
            EtcdPermissionError: The user may not list members, or its credentials are wrong.
        """
        return await self._observer.observe(tuple(doubtful), leaving)

    async def heard(self) -> tuple[HeardMember, ...]:
        """What the members at the profile's endpoints say of themselves; those that do not answer are left out.

        A learner gives no member list (etcd `server/etcdserver/api/v3rpc/interceptor.go`, isRPCSupportedForLearner),
        so where a worker reaches a learner alone, its own word is all that can be had.
        """
        return await self._observer.heard()

    async def own_cluster(self) -> str:
        """ID of the cluster of the member at the profile's first endpoint, by its own word; empty where it gives none.

        Read from a list that needs no quorum. A member that has just been removed does not survive the question for its
        status (`observe`).
        """
        return await self._observer.own_cluster()

    async def status_of(self, member_id: str) -> tuple[str | None, int]:
        """Leader and term that one member names now; a read of its own knowledge, cheap enough to repeat.

        Raises:
            UnreachableError: It did not answer.
        """
        answer = await self._calls.read_at(member_id, lambda c, t: c.maintenance.status(timeout=t))
        return (hex_id(answer.leader) if answer.leader else None, answer.raftTerm)

    async def hash_at(self, member_id: str, revision: int) -> KeyspaceHash:
        """Hash of the member's keyspace up to `revision` (0: its newest).

        Raises:
            CompactedError: The member has not reached that revision, or has compacted it.
            UnreachableError: It did not answer.
        """
        answer = await self._calls.read_at(
            member_id,
            lambda c, t: c.maintenance.hash_kv(revision=revision, timeout=t),
            self._profile.hash_timeout_seconds,
        )
        return KeyspaceHash(answer.hash, answer.header.revision, answer.compact_revision)

    def snapshot(self, member_id: str) -> AsyncGenerator[bytes, None]:
        """Chunks of the member's backend as `etcdctl snapshot save` writes it; the last 32 bytes are its SHA-256.

        Raises:
            UnreachableError: The stream broke, or is perhaps another member's; what was yielded is worthless.
        """
        return self._calls.snapshot(member_id)

    # --- changing -------------------------------------------------------------------------------------------------

    async def move_leader(self, leader_id: str, transferee_id: str) -> None:
        """Ask the leader to hand over; returns when the old leader sees the transferee lead.

        The answer takes at least one 100 ms tick although the hand-over takes milliseconds, so watch the transferee
        beside it. To the leader itself it is a no-op (etcd `server/etcdserver/server.go`, moveLeader). Its answer has
        no header; who does not lead turns it down.

        Raises:
            NotLeaderError: The asked member does not lead.
            BadTransfereeError: The transferee is unknown or a learner.
            TransferTimeoutError: It was not elected in time.
            EtcdPermissionError: The user may not do it (etcd 3.6 wants the root role).
            UnknownOutcomeError: No definite answer.
        """
        url, timeout = self._observer.route(leader_id).url, self._profile.change_timeout_seconds
        await self._connections.call(
            url, lambda c, t: c.maintenance.move_leader(int(transferee_id, 16), timeout=t), timeout, change=True
        )

    async def remove_member(self, member_id: str, via_id: str) -> frozenset[str]:
        """`member_id` is no longer in the membership that `via_id` reports.

        Returns:
            IDs of that membership. etcd answers once the asked member has applied the change (etcd
            `server/etcdserver/server.go`, configure), so it is as good as a linearizable list.

        Raises:
            MemberNotFoundError: It is not in the membership.
            UnhealthyClusterError: etcd refuses for now; nothing changed.
            NotEnoughStartedError: etcd refuses; nothing changed.
            UnknownOutcomeError: No definite answer, or another member gave it: list the members through another one.
        """
        answer = await self._calls.change_at(
            via_id,
            lambda c, t: c.cluster.member_remove(int(member_id, 16), timeout=t),
            self._profile.change_timeout_seconds,
        )
        return frozenset(hex_id(m.ID) for m in answer.members)

    async def add_learner(self, peer_urls: Iterable[str], via_id: str) -> str:
        """A learner with these peer URLs is in the membership that `via_id` reports.

        Returns:
            The ID that etcd has given to it. It follows from the time too, so nobody knows it before (etcd
            `server/etcdserver/api/membership/member.go`, computeMemberID).

        Raises:
            ChangeRefusedError: etcd refuses, or a member has one of the peer URLs; nothing changed.
            UnhealthyClusterError: etcd refuses for now; nothing changed.
            NotEnoughStartedError: etcd refuses; nothing changed.
            UnknownOutcomeError: No definite answer, or another member gave it: list the members.
        """
        answer = await self._calls.change_at(
            via_id,
            lambda c, t: c.cluster.member_add(list(peer_urls), is_learner=True, timeout=t),
            self._profile.change_timeout_seconds,
        )
        return hex_id(answer.member.ID)

    async def promote_member(self, member_id: str, via_id: str) -> None:
        """The learner has a vote in the membership that `via_id` reports.

        Raises:
            ChangeRefusedError: It is no learner, or not in sync with the leader by etcd's own measure; nothing changed.
            MemberNotFoundError: It is not in the membership.
            NotEnoughStartedError: etcd refuses; nothing changed.
            UnknownOutcomeError: No definite answer, or another member gave it: list the members.
        """
        await self._calls.change_at(
            via_id,
            lambda c, t: c.cluster.member_promote(int(member_id, 16), timeout=t),
            self._profile.change_timeout_seconds,
        )

    # --- writing that shows that writes are committed -------------------------------------------------------------

    async def acquire_lock(self, holder: str, label: str, via_id: str, attempt: str = "") -> str:
        """The lock in etcd is ours, or the label of who holds it; an entry was committed through `via_id` either way.

        It is taken when nobody has it, when it is ours already, and when this gateway has seen the same revision of it
        for so long that its holder must have gone.

        Raises:
            EtcdPermissionError: The user may not write the key.
            SpaceExceededError: The database is full.
            CorruptClusterError: etcd has raised its CORRUPT alarm.
            UnknownOutcomeError: No definite answer.
        """
        return await self._lock.acquire(holder, label, via_id, attempt)

    async def release_lock(self, holder: str, via_id: str) -> None:
        """The lock is not `holder`'s; an entry was committed through `via_id`, whoever had it.

        Raises:
            UnknownOutcomeError: No definite answer.
        """
        await self._lock.release(holder, via_id)

    async def abandon_lock(self, holder: str, via_id: str, attempt: str = "") -> None:
        """The lock's key is gone if this attempt alone has written it for `holder`, whether it was told so or not.

        Whoever was given up releases it so: another attempt for the same holder may have taken it over, or had it
        before.

        Raises:
            UnknownOutcomeError: No definite answer.
        """
        await self._lock.abandon(holder, via_id, attempt)

    async def check_rights(self) -> None:
        """The user may change the membership, by the question of `EtcdInspection.why_no_change`.

        Raises:
            EtcdPermissionError: The user may not do it.
            UnreachableError: Nobody tells, or nobody has looked yet.
        """
        await self._calls.commit(lambda c, t: c.auth.auth_status(timeout=t))

    async def commit_probe(self, via_id: str = "") -> None:
        """An entry that changes nothing was committed, through `via_id` or through anybody.

        It is etcd's Alarm call with action GET, which goes through the raft log (etcd `server/etcdserver/v3_server.go`,
        Alarm) and is not turned down when the database is full or an alarm is raised.

        Raises:
            UnreachableError: It was not committed in time.
        """
        if not via_id and not self._observer.members:
            await self.observe()
        await self._calls.commit(lambda c, t: c.maintenance.alarms(timeout=t), via_id)
