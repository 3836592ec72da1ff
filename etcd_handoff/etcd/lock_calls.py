"""Transactions that acquire and release the lock in etcd; each commits an entry, whoever holds the lock."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from etcd_handoff.etcd.lock import ABSENT, LOCK_KEY, LockAge, LockEntry, lock_value, read_holder

if TYPE_CHECKING:
    from etcd_handoff.etcd.member_calls import MemberCalls

LOCK_TRIES: Final = 3
"""Writes of the lock's key until it is ours: it may be released, or prove to be ours, between two of them."""


class LockCalls:
    """The lock in one etcd cluster.

    Args:
        calls: Calls to the cluster's members.
        stale_seconds: After how many seconds without a write of its key the lock counts as left behind.
    """

    def __init__(self, calls: MemberCalls, stale_seconds: float) -> None:
        self._calls = calls
        self._values: dict[str, bytes] = {}
        """What the key holds, by holder that acquired the lock here."""
        self._own: dict[str, tuple[str, int, int]] = {}
        """Which attempt has created the key, and its create_revision and version as it left it, by holder."""
        self.age = LockAge(stale_seconds)

    async def acquire(self, holder: str, label: str, via_id: str, attempt: str) -> str:
        """See `EtcdGateway.acquire_lock`."""
        value, expect = lock_value(holder, label, self.age.stale_seconds), ABSENT
        self._values[holder] = value
        before = self._own.get(holder)  # kept where a call fails: the next one finds the key as this attempt left it
        for _ in range(LOCK_TRIES):
            ours, stored, revision = await self._put(via_id, value, expect)
            if ours:
                if expect is ABSENT or before == (attempt, expect.created, expect.version):
                    self._own[holder] = (attempt, expect.created or revision, expect.version + 1)
                else:
                    self._own.pop(holder, None)
                return ""
            expect = stored or ABSENT
            other = read_holder(expect.value)
            # Ours is written anew, so that it does not count as left behind.
            free = stored is None or other.holder == holder or self.age.is_stale(stored, time.monotonic())
            if not free:
                return other.shown
        return "several other changes, one after the other"

    async def release(self, holder: str, via_id: str) -> None:
        """See `EtcdGateway.release_lock`."""
        _, stored = await self._delete(via_id, self._values.pop(holder, b""))
        if stored is not None and read_holder(stored.value).holder == holder:  # another worker wrote it for the holder
            await self._delete(via_id, stored.value)

    async def abandon(self, holder: str, via_id: str, attempt: str) -> None:
        """See `EtcdGateway.abandon_lock`."""
        whose, created, version = self._own.get(holder, ("", 0, 0))
        if whose == attempt and created:
            await self._delete_own(via_id, created, version)
            self._own.pop(holder, None)

    async def _put(self, via_id: str, value: bytes, expect: LockEntry) -> tuple[bool, LockEntry | None, int]:
        """Whether the key was as expected and is ours now, what it is if not, and the revision of this.

        A transaction that may put goes through the raft log whatever its condition says (etcd
        `server/etcdserver/txn/txn.go`, IsTxnReadonly).
        """

        def write(channel: Any, timeout: float) -> Any:
            kv = channel.kv
            same = _is_at(kv, expect.created, expect.version)
            return kv.txn(same, [kv.txn_op_put(LOCK_KEY, value)], [kv.txn_op_get(LOCK_KEY)], timeout=timeout)

        answer = await self._calls.change_at(via_id, write, self._calls.write_seconds)
        return (*_entry(answer), int(answer.header.revision))

    async def _delete_own(self, via_id: str, created: int, version: int) -> None:
        """Delete the key if nobody else has written it since."""

        def write(channel: Any, timeout: float) -> Any:
            kv = channel.kv
            same = _is_at(kv, created, version)
            return kv.txn(same, [kv.txn_op_delete(LOCK_KEY)], [], timeout=timeout)

        await self._calls.change_at(via_id, write, self._calls.write_seconds)

    async def _delete(self, via_id: str, value: bytes) -> tuple[bool, LockEntry | None]:
        """Whether the key held this value and is deleted; if not, what it is."""

        def write(channel: Any, timeout: float) -> Any:
            kv = channel.kv
            same = [kv.txn_compare_value(LOCK_KEY, value)]
            return kv.txn(same, [kv.txn_op_delete(LOCK_KEY)], [kv.txn_op_get(LOCK_KEY)], timeout=timeout)

        return _entry(await self._calls.change_at(via_id, write, self._calls.write_seconds))


def _is_at(kv: Any, created: int, version: int) -> list[Any]:
    """What a transaction demands: the key is at this one revision; both are 0 where it must not exist."""
    return [kv.txn_compare_create_revision(LOCK_KEY, created), kv.txn_compare_version(LOCK_KEY, version)]


def _entry(answer: Any) -> tuple[bool, LockEntry | None]:
    """Whether a transaction on the lock's key took place, else what it found there."""
    if answer.succeeded:
        return True, None
    stored = answer.responses[0].response_range.kvs
    return False, LockEntry(stored[0].value, stored[0].create_revision, stored[0].version) if stored else None
