"""Etcd as the rest of the project sees it: a dozen calls, one attempt each, own errors.

Every endpoint has a channel of its own, so that a call goes where we say and nowhere else; gRPC's own retries are off
and each call has a deadline. Repeating, failing over and waiting are decisions, made above. An answer counts only as
the word of the member that its header names.
"""

from __future__ import annotations

import time
from contextlib import aclosing
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from etcd_handoff import timing
from etcd_handoff.errors import EtcdError, UnknownOutcomeError, UnreachableError
from etcd_handoff.etcd.connections import Call, Connections, any_answer
from etcd_handoff.etcd.lock import ABSENT, LOCK_KEY, LockAge, LockEntry, lock_value, read_holder
from etcd_handoff.etcd.observer import Observer, Route
from etcd_handoff.etcd.port import KeyspaceHash
from etcd_handoff.etcd.replies import hex_id

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable

    from etcd_handoff.cluster_view import ClusterView, HeardMember
    from etcd_handoff.config import EtcdProfile

LOCK_TRIES: Final = 3
"""Writes of the lock's key until it is ours: it may be released, or prove to be ours, between two of them."""


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
        self._lock_values: dict[str, bytes] = {}
        # As long as its holder may take: to write the key, to look, to look again after a pause, and to propose.
        longest = 2 * profile.call_timeout_seconds + 2 * profile.change_timeout_seconds
        self._lock_age = LockAge(max(timing.ETCD.lock_stale_seconds, longest + 6))

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

    async def status_of(self, member_id: str) -> tuple[str | None, int]:
        """Leader and term that one member names now; a read of its own knowledge, cheap enough to repeat.

        Raises:
            UnreachableError: It did not answer.
        """
        answer = await self._read_at(member_id, lambda c, t: c.maintenance.status(timeout=t))
        return (hex_id(answer.leader) if answer.leader else None, answer.raftTerm)

    async def member_ids(self) -> frozenset[str]:
        """IDs of the linearizable member list that an endpoint gives first.

        Raises:
            UnreachableError: No endpoint gave one.
        """
        return (await self._observer.first_list()).ids

    async def hash_at(self, member_id: str, revision: int) -> KeyspaceHash:
        """Hash of the member's keyspace up to `revision` (0: its newest).

        Raises:
            CompactedError: The member has not reached that revision, or has compacted it.
            UnreachableError: It did not answer.
        """
        answer = await self._read_at(
            member_id,
            lambda c, t: c.maintenance.hash_kv(revision=revision, timeout=t),
            self._profile.hash_timeout_seconds,
        )
        return KeyspaceHash(answer.hash, answer.header.revision, answer.compact_revision)

    async def snapshot(self, member_id: str) -> AsyncGenerator[bytes, None]:
        """Chunks of the member's backend as `etcdctl snapshot save` writes it; the last 32 bytes are its SHA-256.

        Raises:
            UnreachableError: The stream broke; what was yielded is worthless.
        """
        url = self._observer.route(member_id).url
        async with aclosing(self._connections.stream(url, timing.ETCD.snapshot_idle_seconds)) as chunks:
            async for chunk in chunks:
                yield chunk

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
        answer = await self._change_at(
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
        answer = await self._change_at(
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
        await self._change_at(
            via_id,
            lambda c, t: c.cluster.member_promote(int(member_id, 16), timeout=t),
            self._profile.change_timeout_seconds,
        )

    # --- writing that shows that writes are committed -------------------------------------------------------------

    async def acquire_lock(self, holder: str, label: str, via_id: str) -> str:
        """The lock in etcd is ours, or the label of who holds it; an entry was committed through `via_id` either way.

        It is taken when nobody has it, when it is ours already, and when this gateway has seen the same revision of it
        for so long that its holder must have gone.

        Raises:
            EtcdPermissionError: The user may not write the key.
            SpaceExceededError: The database is full.
            CorruptClusterError: etcd has raised its CORRUPT alarm.
            UnknownOutcomeError: No definite answer.
        """
        value, expect = lock_value(holder, label), ABSENT
        self._lock_values[holder] = value
        for _ in range(LOCK_TRIES):
            ours, stored = await self._put_lock(via_id, value, expect)
            if ours:
                return ""
            expect = stored or ABSENT
            other = read_holder(expect.value)
            # Ours is written anew, so that it does not count as left behind.
            free = stored is None or other.holder == holder or self._lock_age.is_stale(stored, time.monotonic())
            if not free:
                return other.shown
        return "others, who take it in turns"

    async def release_lock(self, holder: str, via_id: str) -> None:
        """The lock is not `holder`'s; an entry was committed through `via_id`, whoever had it.

        Raises:
            UnknownOutcomeError: No definite answer.
        """
        _, stored = await self._delete_lock(via_id, self._lock_values.pop(holder, b""))
        if stored is not None and read_holder(stored.value).holder == holder:  # another worker wrote it for the holder
            await self._delete_lock(via_id, stored.value)

    async def commit_probe(self, via_id: str = "") -> None:
        """An entry that changes nothing was committed, through `via_id` or through anybody.

        It is etcd's Alarm call with action GET, which goes through the raft log (etcd `server/etcdserver/v3_server.go`,
        Alarm) and is not turned down when the database is full or an alarm is raised.

        Raises:
            UnreachableError: It was not committed in time.
        """
        if not via_id and not self._observer.members:
            await self.observe()
        members = (via_id,) if via_id else self._observer.members
        await any_answer([partial(self._probe, member_id) for member_id in members])

    # --- inside: calls --------------------------------------------------------------------------------------------

    async def _read_at(self, member_id: str, call: Call[Any], timeout_seconds: float | None = None) -> Any:
        route = self._observer.route(member_id)
        timeout = timeout_seconds or self._profile.call_timeout_seconds
        answer = await self._connections.call(route.url, call, timeout, change=False)
        return self._from(member_id, route, answer, UnreachableError)

    async def _change_at(self, member_id: str, call: Call[Any], timeout_seconds: float) -> Any:
        route = self._observer.route(member_id)
        answer = await self._connections.call(route.url, call, timeout_seconds, change=True)
        # It has been done, through somebody else: what is true now must be read.
        return self._from(member_id, route, answer, UnknownOutcomeError)

    def _from(self, member_id: str, route: Route, answer: Any, error: type[EtcdError]) -> Any:
        """The answer, where the member gave it that was asked: a shared URL leads to anybody."""
        header = (hex_id(answer.header.cluster_id), hex_id(answer.header.member_id))
        if header == (route.cluster_id, member_id):
            return answer
        self._observer.forget(member_id)
        msg = f"member {header[1]} of cluster {header[0]} answered where member {member_id} was asked"
        raise error(msg)

    @property
    def _write_seconds(self) -> float:
        return max(timing.ETCD.lock_call_seconds, self._profile.call_timeout_seconds)

    async def _probe(self, member_id: str) -> None:
        await self._read_at(member_id, lambda c, t: c.maintenance.alarms(timeout=t), self._write_seconds)

    async def _put_lock(self, via_id: str, value: bytes, expect: LockEntry) -> tuple[bool, LockEntry | None]:
        """Whether the key was as expected and is ours now; if not, what it is.

        A transaction that may put goes through the raft log whatever its condition says (etcd
        `server/etcdserver/txn/txn.go`, IsTxnReadonly).
        """

        def write(channel: Any, timeout: float) -> Any:
            kv = channel.kv
            same = [
                kv.txn_compare_create_revision(LOCK_KEY, expect.created),
                kv.txn_compare_version(LOCK_KEY, expect.version),
            ]
            return kv.txn(same, [kv.txn_op_put(LOCK_KEY, value)], [kv.txn_op_get(LOCK_KEY)], timeout=timeout)

        return _entry(await self._change_at(via_id, write, self._write_seconds))

    async def _delete_lock(self, via_id: str, value: bytes) -> tuple[bool, LockEntry | None]:
        """Whether the key held this value and is deleted; if not, what it is."""

        def write(channel: Any, timeout: float) -> Any:
            kv = channel.kv
            same = [kv.txn_compare_value(LOCK_KEY, value)]
            return kv.txn(same, [kv.txn_op_delete(LOCK_KEY)], [kv.txn_op_get(LOCK_KEY)], timeout=timeout)

        return _entry(await self._change_at(via_id, write, self._write_seconds))


def _entry(answer: Any) -> tuple[bool, LockEntry | None]:
    """Whether a transaction on the lock's key took place, else what it found there."""
    if answer.succeeded:
        return True, None
    stored = answer.responses[0].response_range.kvs
    return False, LockEntry(stored[0].value, stored[0].create_revision, stored[0].version) if stored else None
