"""Etcd without processes: three healthy voters that do what they are asked, fail where they are told to, and take time.

It implements `EtcdPort`, so that mypy notices when the gateway and it differ.
"""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from etcd_handoff.cluster_view import ClusterView, MemberView
from etcd_handoff.errors import UnreachableError
from etcd_handoff.etcd.port import EtcdPort, KeyspaceHash

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable, Mapping

    from etcd_handoff.cluster_view import MemberSelfReport
    from etcd_handoff.errors import EtcdError

DATABASE: Final = b"all that there is" * 1000


@dataclass(frozen=True, slots=True)
class EtcdLatency:
    """How long calls take, in seconds.

    Attributes:
        read: A read.
        write: A write of a key, or a removal.
        transfer: A transfer, until the transferee says so.
        tick: MoveLeader's answer, which comes with a tick of the old leader.
    """

    read: float = 0.0
    write: float = 0.0
    transfer: float = 0.0
    tick: float = 0.0


class FakeEtcd(EtcdPort):
    """The gateway to one cluster, of which the first member leads at term 2.

    Args:
        members: Names by ID.
        cluster_id: ID of the cluster.
        latency: How long calls take.
        locked_by: Who else has the lock in etcd; empty when nobody has.
        failures: What a call (`observe`, `remove_member`, ...) raises instead, in order; None for its usual answer.

    Attributes:
        calls: Names of the calls so far, each with the member that it went through.
        members: Names by ID, as they are now.
        hanging: IDs of members that serve no linearizable read.
        reached: IDs of the only members that answer this worker; None where all do.
    """

    def __init__(
        self,
        members: Mapping[str, str],
        cluster_id: str = "c",
        latency: EtcdLatency = EtcdLatency(),  # it is frozen
        locked_by: str = "",
        failures: Mapping[str, Iterable[EtcdError | None]] | None = None,
    ) -> None:
        self.calls: list[str] = []
        self.members = dict(members)
        self.hanging: set[str] = set()
        self.reached: set[str] | None = None
        self._cluster_id = cluster_id
        self._leader_id, self._term = next(iter(self.members)), 2
        self._latency = latency
        self._locked_by = locked_by
        self._failures = {name: list(errors) for name, errors in (failures or {}).items()}

    async def close(self) -> None:
        """Nothing is open."""

    async def observe(self, doubtful: Iterable[str] = (), leaving: str = "") -> ClusterView:  # noqa: ARG002
        """All members, healthy but for those that hang."""
        await self._call("observe", self._latency.read)
        members = tuple(
            MemberView(
                id=member_id,
                name=name,
                peer_urls=(f"http://{name}.{self._cluster_id}:2380",),
                reachable=True,
                serves_reads=member_id not in self.hanging,
                leader_id=self._leader_id,
                term=self._term,
                raft_index=1000,
                version="3.6.16",
                db_size_bytes=1_000_000,
            )
            if self.reached is None or member_id in self.reached
            else MemberView(id=member_id, name=name)
            for member_id, name in self.members.items()
        )
        return ClusterView(cluster_id=self._cluster_id, members=members)

    async def self_reports(self) -> tuple[MemberSelfReport, ...]:
        """Nobody is heard who gives no list."""
        return ()

    async def own_cluster(self) -> str:
        """The cluster of its members."""
        return self._cluster_id

    async def status_of(self, member_id: str) -> tuple[str | None, int]:
        """Leader and term, of which all members say the same."""
        await self._call("status_of", self._latency.read, member_id)
        return self._leader_id, self._term

    async def hash_at(self, member_id: str, revision: int) -> KeyspaceHash:
        """The same hash for all members."""
        await self._call("hash_at", self._latency.read, member_id)
        return KeyspaceHash(1, max(revision, 1), 1)

    async def snapshot(self, member_id: str) -> AsyncGenerator[bytes, None]:
        """A small database, and its SHA-256."""
        await self._call("snapshot", self._latency.read, member_id)
        yield DATABASE + hashlib.sha256(DATABASE).digest()

    async def move_leader(self, leader_id: str, transferee_id: str) -> None:
        """The transferee leads long before it is answered."""
        await self._call("move_leader", self._latency.transfer, leader_id)
        self._leader_id, self._term = transferee_id, self._term + 1
        await asyncio.sleep(self._latency.tick - self._latency.transfer)

    async def remove_member(self, member_id: str, via_id: str) -> frozenset[str]:
        """The member has left."""
        await self._call("remove_member", self._latency.write, via_id)
        self.members.pop(member_id, None)
        return frozenset(self.members)

    async def add_learner(self, peer_urls: Iterable[str], via_id: str) -> str:
        """Nobody joins."""
        raise NotImplementedError

    async def promote_member(self, member_id: str, via_id: str) -> None:
        """Nobody joins."""
        raise NotImplementedError

    async def acquire_lock(self, holder: str, label: str, via_id: str, attempt: str = "") -> str:  # noqa: ARG002
        """The lock is the holder's, unless somebody else has it."""
        await self._call("acquire_lock", self._latency.write, via_id)
        return self._locked_by

    async def release_lock(self, holder: str, via_id: str) -> None:  # noqa: ARG002
        """The lock is nobody's."""
        await self._call("release_lock", self._latency.write, via_id)

    async def abandon_lock(self, holder: str, via_id: str, attempt: str = "") -> None:  # noqa: ARG002
        """The lock is left to whoever has it."""
        await self._call("abandon_lock", self._latency.write, via_id)

    async def check_rights(self) -> None:
        """Everybody may do everything."""
        await self._call("check_rights", self._latency.read)

    async def commit_probe(self, via_id: str = "") -> None:
        """An entry is committed."""
        await self._call("commit_probe", self._latency.write, via_id)

    async def _call(self, name: str, seconds: float, via_id: str = "") -> None:
        """Note the call, take time, and fail where a failure is due."""
        self.calls.append(f"{name} {via_id}".strip())
        await asyncio.sleep(seconds)
        if via_id and self.reached is not None and via_id not in self.reached:
            msg = f"member {via_id} is out of reach"
            raise UnreachableError(msg)
        if (due := self._failures.get(name)) and (error := due.pop(0)) is not None:
            raise error
