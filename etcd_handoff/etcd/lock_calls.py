"""Transactions that acquire and release the lock in etcd. Each commits an entry, whether or not it succeeds."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from etcd_handoff import time_limits
from etcd_handoff.etcd.lock import ABSENT, LOCK_KEY, LockAge, LockEntry, lock_value, read_holder

if TYPE_CHECKING:
    from etcd_handoff.etcd.member_calls import MemberCalls

NOBODY: Final = b""
"""A value of no holder: a comparison with it only reads the key, and commits an entry."""


class LockCalls:
    """The lock in one etcd cluster.

    Args:
        calls: Calls to the cluster's members.
        stale_seconds: After how many seconds without a write of its key the lock counts as abandoned.
    """

    def __init__(self, calls: MemberCalls, stale_seconds: float) -> None:
        self._calls = calls
        self._values: dict[str, bytes] = {}
        """The key's value, by each holder that acquired the lock here."""
        self.age = LockAge(stale_seconds)

    async def acquire(self, holder: str, label: str, via_id: str, attempt: str) -> str:
        """See `EtcdGateway.acquire_lock`."""
        # An attempt that is cut off here may still have written the key, whose value names the holder.
        value, expect = self._value(holder, label, attempt), ABSENT
        for _ in range(time_limits.ETCD.lock_attempts):
            self._values[holder] = value
            ours, stored = await self._put(via_id, value, expect)
            if ours:
                return ""
            expect = stored or ABSENT
            other = read_holder(expect.value)
            # Our own lock is written anew, so that it does not count as abandoned.
            free = stored is None or other.holder == holder or self.age.is_stale(stored, time.monotonic())
            if not free:
                return other.shown
            shared = other.holder == holder and other.attempt != attempt
            value = self._value(holder, label, "" if shared else attempt)
        return "several other changes, one after the other"

    def _value(self, holder: str, label: str, attempt: str) -> bytes:
        return lock_value(holder, label, self.age.stale_seconds, attempt)

    async def release(self, holder: str, via_id: str) -> None:
        """See `EtcdGateway.release_lock`."""
        _, stored = await self._delete(via_id, self._values.pop(holder, NOBODY))
        if stored is not None and read_holder(stored.value).holder == holder:  # another worker wrote it for the holder
            await self._delete(via_id, stored.value)

    async def abandon(self, holder: str, via_id: str, attempt: str) -> None:
        """See `EtcdGateway.abandon_lock`."""
        _, stored = await self._delete(via_id, NOBODY)
        owner = read_holder(stored.value) if stored else None
        if stored and owner and attempt and (owner.holder, owner.attempt) == (holder, attempt):
            await self._delete(via_id, stored.value)

    async def _put(self, via_id: str, value: bytes, expect: LockEntry) -> tuple[bool, LockEntry | None]:
        """Write the key if it is as expected. Return whether it is ours now, and the entry if not.

        A transaction that may put goes through the raft log whatever its condition says (etcd
        `server/etcdserver/txn/txn.go`, IsTxnReadonly).
        """

        def write(channel: Any, timeout: float) -> Any:
            kv = channel.kv
            created = kv.txn_compare_create_revision(LOCK_KEY, expect.created)  # 0 where it must not exist
            same = [created, kv.txn_compare_version(LOCK_KEY, expect.version)]
            return kv.txn(same, [kv.txn_op_put(LOCK_KEY, value)], [kv.txn_op_get(LOCK_KEY)], timeout=timeout)

        return _entry(await self._calls.change_at(via_id, write, self._calls.write_seconds))

    async def _delete(self, via_id: str, value: bytes) -> tuple[bool, LockEntry | None]:
        """Delete the key if it has this value. Return whether it was deleted, and the entry if not."""

        def write(channel: Any, timeout: float) -> Any:
            kv = channel.kv
            same = [kv.txn_compare_value(LOCK_KEY, value)]
            return kv.txn(same, [kv.txn_op_delete(LOCK_KEY)], [kv.txn_op_get(LOCK_KEY)], timeout=timeout)

        return _entry(await self._calls.change_at(via_id, write, self._calls.write_seconds))


def _entry(answer: Any) -> tuple[bool, LockEntry | None]:
    """Return whether a transaction on the lock's key succeeded, or else the entry that it found."""
    if answer.succeeded:
        return True, None
    stored = answer.responses[0].response_range.kvs
    return False, LockEntry(stored[0].value, stored[0].create_revision, stored[0].version) if stored else None
