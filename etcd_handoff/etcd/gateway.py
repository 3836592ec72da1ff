"""Etcd as the rest of the project sees it: about a dozen calls, one attempt each, with our errors.

Every endpoint has a separate channel, so a call goes only where we send it. gRPC's own retries are off, and each call
has a deadline. The callers decide about repetition, failover and waiting.
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

    from etcd_handoff.cluster_view import ClusterView, MemberSelfReport
    from etcd_handoff.config import EtcdProfile


class EtcdGateway:
    """One etcd cluster, reached through the endpoints of its profile and the URLs that its members advertise.

    Use it from one event loop only. Channels open on first use and are kept.

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
        """Return a linearizable member list with the status of each member, all asked in parallel.

        Every member is asked for its own linearizable list. That shows that it takes part, and that all have the same
        membership. Status alone is answered from memory, also while the member's disk hangs.

        Args:
            doubtful: IDs of members that did not answer the last look. They are not waited for once all others have
                answered, so an unreachable member costs a removal one time-out and not one in every step.
            leaving: ID of a member that is not asked. etcd panics at a Status call while it leaves the cluster (etcd
                `server/etcdserver/server.go`, IsLearner: "failed to find local ID").

        Raises:
            UnreachableError: No endpoint gave a linearizable list: there is no quorum, or no member can be reached.
            EtcdPermissionError: The user may not list members, or its credentials are wrong.
        """
        return await self._observer.observe(tuple(doubtful), leaving)

    async def self_reports(self) -> tuple[MemberSelfReport, ...]:
        """Return the status of the members at the profile's endpoints that answer.

        A learner gives no member list (etcd `server/etcdserver/api/v3rpc/interceptor.go`, isRPCSupportedForLearner). A
        worker that reaches only a learner has no other source.
        """
        return await self._observer.self_reports()

    async def own_cluster(self) -> str:
        """Return the cluster ID of the member at the profile's first endpoint by its own answer, or "".

        It is read from a list that needs no quorum: a Status call would stop a member that was just removed
        (`observe`).
        """
        return await self._observer.own_cluster()

    async def status_of(self, member_id: str) -> tuple[str | None, int]:
        """Return leader and term as one member names them now. It reads the member's memory, so it is cheap to repeat.

        Raises:
            UnreachableError: It did not answer.
            EtcdPermissionError: The user may not read it, or its credentials are wrong.
        """
        answer = await self._calls.read_at(member_id, lambda c, t: c.maintenance.status(timeout=t))
        return (hex_id(answer.leader) if answer.leader else None, answer.raftTerm)

    async def hash_at(self, member_id: str, revision: int) -> KeyspaceHash:
        """Return the hash of the member's keyspace up to `revision` (0: its newest).

        Raises:
            CompactedError: The member has not reached that revision, or has compacted it.
            UnreachableError: It did not answer.
            EtcdPermissionError: The user may not read it, or its credentials are wrong.
        """
        answer = await self._calls.read_at(
            member_id,
            lambda c, t: c.maintenance.hash_kv(revision=revision, timeout=t),
            self._profile.hash_timeout_seconds,
        )
        return KeyspaceHash(answer.hash, answer.header.revision, answer.compact_revision)

    def snapshot(self, member_id: str) -> AsyncGenerator[bytes, None]:
        """Yield chunks of the member's backend as `etcdctl snapshot save` writes it. The last 32 bytes are its SHA-256.

        Raises:
            UnreachableError: The stream broke, or may be another member's. The chunks before are worthless.
            EtcdPermissionError: The user may not read it, or its credentials are wrong.
        """
        return self._calls.snapshot(member_id)

    # --- changing -------------------------------------------------------------------------------------------------

    async def move_leader(self, leader_id: str, transferee_id: str) -> None:
        """Ask the leader to hand over. Return when the old leader sees the transferee lead.

        The answer takes at least one 100 ms tick although the hand-over takes milliseconds. So watch the transferee
        meanwhile. With the leader as transferee it does nothing (etcd `server/etcdserver/server.go`, moveLeader). Its
        answer has no header. A member that does not lead refuses.

        Raises:
            NotLeaderError: The asked member does not lead.
            BadTransfereeError: The transferee is unknown or a learner.
            TransferTimeoutError: It was not elected in time.
            EtcdPermissionError: The user may not do it (etcd 3.6 requires the root role), or its credentials are wrong.
            UnreachableError: Nothing was sent.
            UnknownOutcomeError: There was no definite answer.
        """
        url, timeout = self._observer.route(leader_id).url, self._profile.change_timeout_seconds
        await self._connections.call(
            url, lambda c, t: c.maintenance.move_leader(int(transferee_id, 16), timeout=t), timeout, change=True
        )

    async def remove_member(self, member_id: str, via_id: str) -> frozenset[str]:
        """Remove `member_id` from the membership, through `via_id`.

        Returns:
            IDs of the membership after it. etcd answers once the asked member has applied the change (etcd
                `server/etcdserver/server.go`, configure), so it is as good as a linearizable list.

        Raises:
            MemberNotFoundError: It is not in the membership.
            UnhealthyClusterError: etcd refuses for now. Nothing changed.
            NotEnoughStartedError: etcd refuses. Nothing changed.
            EtcdPermissionError: The user may not do it, or its credentials are wrong.
            UnreachableError: Nothing was sent.
            UnknownOutcomeError: No definite answer, or another member gave it: list the members through another one.
        """
        number = int(member_id, 16)
        answer = await self._calls.change_at(via_id, lambda c, t: c.cluster.member_remove(number, timeout=t))
        return frozenset(hex_id(m.ID) for m in answer.members)

    async def add_learner(self, peer_urls: Iterable[str], via_id: str) -> str:
        """Add a learner with these peer URLs to the membership, through `via_id`.

        Returns:
            The ID that etcd has given to it. It also depends on the time, so it is not known before (etcd
                `server/etcdserver/api/membership/member.go`, computeMemberID).

        Raises:
            ChangeRefusedError: etcd refuses, or a member has one of the peer URLs. Nothing changed.
            UnhealthyClusterError: etcd refuses for now. Nothing changed.
            NotEnoughStartedError: etcd refuses. Nothing changed.
            EtcdPermissionError: The user may not do it, or its credentials are wrong.
            UnreachableError: Nothing was sent.
            UnknownOutcomeError: No definite answer, or another member gave it: list the members.
        """
        urls = list(peer_urls)
        answer = await self._calls.change_at(
            via_id, lambda c, t: c.cluster.member_add(urls, is_learner=True, timeout=t)
        )
        return hex_id(answer.member.ID)

    async def promote_member(self, member_id: str, via_id: str) -> None:
        """Promote the learner to a voter, through `via_id`.

        Raises:
            ChangeRefusedError: It is no learner, or not in sync with the leader by etcd's own measure. Nothing changed.
            MemberNotFoundError: It is not in the membership.
            NotEnoughStartedError: etcd refuses. Nothing changed.
            EtcdPermissionError: The user may not do it, or its credentials are wrong.
            UnreachableError: Nothing was sent.
            UnknownOutcomeError: No definite answer, or another member gave it: list the members.
        """
        await self._calls.change_at(via_id, lambda c, t: c.cluster.member_promote(int(member_id, 16), timeout=t))

    # --- writing that shows that writes are committed -------------------------------------------------------------

    async def acquire_lock(self, holder: str, label: str, via_id: str, attempt: str = "") -> str:
        """Take the lock in etcd, and return "" or the label of its holder. Either way an entry was committed.

        It is taken when it is free or this holder's. It is also taken when this gateway has seen the same revision of
        it for so long that its holder must have stopped.

        Raises:
            EtcdPermissionError: The user may not write the key, or its credentials are wrong.
            SpaceExceededError: The database is full.
            CorruptClusterError: etcd has raised its CORRUPT alarm.
            UnreachableError: Nothing was sent.
            UnknownOutcomeError: There was no definite answer.
        """
        return await self._lock.acquire(holder, label, via_id, attempt)

    async def release_lock(self, holder: str, via_id: str) -> None:
        """Release the lock if `holder` has it. An entry is committed through `via_id` either way.

        Raises:
            EtcdError: As for `acquire_lock`. A full database does not matter here.
        """
        await self._lock.release(holder, via_id)

    async def abandon_lock(self, holder: str, via_id: str, attempt: str = "") -> None:
        """Delete the lock's key if this attempt alone has written it for `holder`, even if the answer was lost.

        An attempt that was given up releases the lock this way: another attempt for the same holder may rely on it.

        Raises:
            EtcdError: As for `release_lock`.
        """
        await self._lock.abandon(holder, via_id, attempt)

    async def check_rights(self) -> None:
        """Check that the user may change the membership, by the call of `EtcdInspection.why_no_change`.

        Raises:
            EtcdPermissionError: The user may not do it.
            UnreachableError: No member answers, or there was no look yet.
        """
        await self._calls.commit(lambda c, t: c.auth.auth_status(timeout=t))

    async def commit_probe(self, via_id: str = "") -> None:
        """Commit an entry that changes nothing, through `via_id` or through any member.

        It is etcd's Alarm call with action GET, which goes through the raft log (etcd `server/etcdserver/v3_server.go`,
        Alarm). etcd accepts it also when the database is full or an alarm is raised.

        Raises:
            UnreachableError: It was not committed in time.
            EtcdPermissionError: The user may not do it, or its credentials are wrong.
        """
        if not via_id and not self._observer.members:
            await self.observe()
        await self._calls.commit(lambda c, t: c.maintenance.alarms(timeout=t), via_id)
