"""The lock in etcd itself, for those who share an etcd cluster and no Temporal namespace: its key, value and age. Pure.

It is an ordinary key without a lease: a lease needs somebody who keeps it alive, and ends by the clock of a leader that
changes. Who finds it held watches it by its own monotonic clock, and takes it over once it has not been written for as
long as no removal lasts between its look and its answer.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Final

from etcd_handoff import time_limits

LOCK_KEY: Final = "/etcd-handoff/change"
LONGEST_SECONDS: Final = 600.0
"""Longer than the longest time-outs of a profile come to: what a value says beyond that is no time of ours."""


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds the lock.

    Attributes:
        holder: The chain of workflow runs.
        label: The same for people.
        seconds: How long it may rely on one write of the key, by the time-outs of its own profile; 0 where it does not
            say so.
        attempt: The one attempt of the holder that has written the key; empty where there were several, or where it is
            not said.
    """

    holder: str
    label: str = ""
    seconds: float = 0.0
    attempt: str = ""

    @property
    def shown(self) -> str:
        """How to speak of it."""
        return self.label or self.holder or "somebody"


@dataclass(frozen=True, slots=True)
class LockEntry:
    """The key as it was read.

    Attributes:
        value: What it holds.
        created: Its create_revision.
        version: Its version: together with `created` it names one revision of the key.
    """

    value: bytes
    created: int
    version: int


ABSENT: Final = LockEntry(b"", 0, 0)
"""How etcd compares a key that does not exist."""


def lock_value(holder: str, label: str, seconds: float = 0.0, attempt: str = "") -> bytes:
    """What the key holds while `holder` has the lock; always the same bytes for the same arguments."""
    fields = {"holder": holder, "label": label, "seconds": seconds, "attempt": attempt}
    return json.dumps(fields, sort_keys=True).encode()


def read_holder(value: bytes) -> Holder:
    """Who the value names; what cannot be read is somebody else's."""
    try:
        fields = json.loads(value)
        seconds = fields.get("seconds")
        known = float(seconds) if isinstance(seconds, int | float) and 0 < seconds <= LONGEST_SECONDS else 0.0
        return Holder(str(fields["holder"]), str(fields.get("label", "")), known, str(fields.get("attempt", "")))
    except (ValueError, KeyError, TypeError, AttributeError):
        return Holder("", "somebody whose entry cannot be read")


def stale_seconds(call_timeout_seconds: float, change_timeout_seconds: float) -> float:
    """How long the lock may have no new revision before it counts as left behind.

    That is as long as its holder may take to write the key, to look, to look again after a pause, and to propose.

    Args:
        call_timeout_seconds: Deadline of a call that reads, as the profile has it.
        change_timeout_seconds: Deadline of a call that changes something.
    """
    longest = 2 * call_timeout_seconds + 2 * change_timeout_seconds
    return max(time_limits.ETCD.lock_stale_seconds, longest + time_limits.ETCD.lock_pauses_seconds)


class LockAge:
    """For how long one revision of the key has been seen, by the reader's own monotonic clock."""

    def __init__(self, stale_seconds: float = time_limits.ETCD.lock_stale_seconds) -> None:
        """Nothing has been seen."""
        self.stale_seconds = stale_seconds
        self._seen: LockEntry | None = None
        self._since = 0.0

    def is_stale(self, entry: LockEntry, now_seconds: float) -> bool:
        """Whether this revision was first seen long ago; it counts as seen from now on.

        That is more than `stale_seconds`, or what its holder says where that is more: another profile of the same
        cluster may have longer time-outs.
        """
        if entry != self._seen:
            self._seen, self._since = entry, now_seconds
        return now_seconds - self._since > max(self.stale_seconds, read_holder(entry.value).seconds)
