"""The lock in etcd: what its key holds, and when it counts as abandoned."""

from __future__ import annotations

import json

import pytest

from etcd_handoff import time_limits
from etcd_handoff.config.servers import EtcdProfile
from etcd_handoff.etcd.lock import LockAge, LockEntry, lock_value, read_holder, stale_seconds
from etcd_handoff.operation import texts


def test_default_that_people_read_follows_from_the_default_time_outs() -> None:
    """The text of an operation that waits for the lock names it."""
    profile = EtcdProfile(endpoints=("http://127.0.0.1:2379",))
    seconds = stale_seconds(profile.call_timeout_seconds, profile.change_timeout_seconds)
    assert f"by default after {seconds:g} s" in texts.locked("somebody has it").unblocks


def test_value_is_read_as_it_was_written() -> None:
    """Holder and label, always in the same bytes, since they are compared as bytes."""
    value = lock_value("run-1", "removal of node2", 24.0, "a1")
    assert json.loads(value) == {"holder": "run-1", "label": "removal of node2", "seconds": 24.0, "attempt": "a1"}
    assert value == lock_value("run-1", "removal of node2", 24.0, "a1")
    found = read_holder(value)
    assert (found.holder, found.shown, found.seconds, found.attempt) == ("run-1", "removal of node2", 24.0, "a1")
    assert read_holder(lock_value("run-1", "")).shown == "run-1"


@pytest.mark.parametrize("value", [b"", b"null", b"[]", b'"x"', b"{}", b"\xff", b'{"label": "x"}', b"3"])
def test_value_that_cannot_be_read_is_somebody_elses(value: bytes) -> None:
    """Nobody's holder is empty, so nobody takes such a lock for his own."""
    assert read_holder(value).holder == ""
    assert read_holder(value).shown


@pytest.mark.parametrize(
    ("seconds", "stale_after"),
    [("120", 120), ("5", 20), ("0", 20), ("-1", 20), ("1e9", 20), ("NaN", 20), ('"x"', 20), ("null", 20), ("true", 20)],
)
def test_holder_with_longer_time_outs_is_waited_for(seconds: str, stale_after: float) -> None:
    """It says so itself; nonsense, and an older worker that says nothing, count as usual."""
    age, entry = LockAge(20.0), LockEntry(f'{{"holder": "h", "seconds": {seconds}}}'.encode(), 5, 1)
    assert not age.is_stale(entry, 1000.0)
    assert not age.is_stale(entry, 1000.0 + stale_after)
    assert age.is_stale(entry, 1000.1 + stale_after)


def test_lock_is_stale_after_no_new_revision_for_long_enough() -> None:
    """Counted from when this revision was first seen, by our own clock; every write of it begins anew."""
    age, entry = LockAge(), LockEntry(b"v", 5, 1)
    assert not age.is_stale(entry, 1000.0)
    assert not age.is_stale(entry, 1000.0 + time_limits.ETCD.lock_stale_seconds)
    assert age.is_stale(entry, 1000.1 + time_limits.ETCD.lock_stale_seconds)
    written = LockEntry(b"v", 5, 2)
    assert not age.is_stale(written, 1001.0 + time_limits.ETCD.lock_stale_seconds)
    assert not age.is_stale(LockEntry(b"v", 9, 2), 2000.0)
    assert age.is_stale(LockEntry(b"v", 9, 2), 2000.1 + time_limits.ETCD.lock_stale_seconds)
