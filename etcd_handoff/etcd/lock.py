"""The lock in etcd, for users who share an etcd cluster but no Temporal namespace. Pure.

It is an ordinary key without a lease. A lease must be kept alive, and it ends by the clock of a leader that may change.
A client that finds the lock held watches it by its own monotonic clock. It takes the lock over once the key has not
been written for longer than any removal needs: `stale_seconds` says how long that is. It follows from the time-outs of
the profile, and `time_limits.ETCD.lock_stale_seconds` is the least.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Final

from etcd_handoff import time_limits

LOCK_KEY: Final = "/etcd-handoff/change"
LONGEST_SECONDS: Final = 600.0
"""More than the longest time-outs of a profile add up to. A longer time in a value is not ours."""


@dataclass(frozen=True, slots=True)
class Holder:
    """The holder of the lock.

    Attributes:
        holder: The chain of workflow runs.
        label: The holder's name for people.
        seconds: How long it may rely on one write of the key, by its profile's time-outs; 0 if it is not known.
        attempt: The only attempt of the holder that has written the key; empty if there were several, or if it is not
            known.
    """

    holder: str
    label: str = ""
    seconds: float = 0.0
    attempt: str = ""

    @property
    def shown(self) -> str:
        """The holder's name in messages."""
        return self.label or self.holder or "somebody"


@dataclass(frozen=True, slots=True)
class LockEntry:
    """The key as it was read.

    Attributes:
        value: Its value.
        created: Its create_revision.
        version: Its version: together with `created` it names one revision of the key.
    """

    value: bytes
    created: int
    version: int


ABSENT: Final = LockEntry(b"", 0, 0)
"""How etcd compares a key that does not exist."""


def lock_value(holder: str, label: str, seconds: float = 0.0, attempt: str = "") -> bytes:
    """Return the key's value while `holder` has the lock. The same arguments give the same bytes."""
    fields = {"holder": holder, "label": label, "seconds": seconds, "attempt": attempt}
    return json.dumps(fields, sort_keys=True).encode()


def read_holder(value: bytes) -> Holder:
    """Return the holder that the value names. An unreadable value counts as another holder's."""
    try:
        fields = json.loads(value)
        seconds = fields.get("seconds")
        known = float(seconds) if isinstance(seconds, int | float) and 0 < seconds <= LONGEST_SECONDS else 0.0
        return Holder(str(fields["holder"]), str(fields.get("label", "")), known, str(fields.get("attempt", "")))
    except (ValueError, KeyError, TypeError, AttributeError):
        return Holder("", "somebody whose entry cannot be read")


def stale_seconds(call_timeout_seconds: float, change_timeout_seconds: float) -> float:
    """Return how long the lock may have no new revision before it counts as abandoned.

    A holder may take that long to write the key, to look, to look again after a pause, and to propose.

    Args:
        call_timeout_seconds: The profile's deadline of a call that reads.
        change_timeout_seconds: The profile's deadline of a call that changes something.
    """
    longest = 2 * call_timeout_seconds + 2 * change_timeout_seconds
    return max(time_limits.ETCD.lock_stale_seconds, longest + time_limits.ETCD.lock_pauses_seconds)


class LockAge:
    """How long one revision of the key has been seen, by the reader's own monotonic clock."""

    def __init__(self, stale_seconds: float = time_limits.ETCD.lock_stale_seconds) -> None:
        """Begin without a revision."""
        self.stale_seconds = stale_seconds
        self._seen: LockEntry | None = None
        self._since = 0.0

    def is_stale(self, entry: LockEntry, now_seconds: float) -> bool:
        """Return whether this revision was first seen long ago. A new revision counts as seen from now on.

        Long ago is more than `stale_seconds`, or more than the time in the holder's value if that is longer: another
        profile of the same cluster may have longer time-outs.
        """
        if entry != self._seen:
            self._seen, self._since = entry, now_seconds
        return now_seconds - self._since > max(self.stale_seconds, read_holder(entry.value).seconds)
