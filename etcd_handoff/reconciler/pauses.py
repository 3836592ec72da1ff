"""Decide how long the reconciler waits: until its next round, and until a removal is tried again. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from etcd_handoff import time_limits

if TYPE_CHECKING:
    from etcd_handoff.reconciler.state import ReconcilerState

MOST_DOUBLINGS: Final = 30
"""Doublings beyond the longest pause, and far from what a float can hold."""


def retry_after(failures: int) -> float:
    """Return the seconds until a removal is tried again after so many failures in a row."""
    limits = time_limits.WATCHER
    return min(limits.first_retry_seconds * limits.pause_growth ** _doublings(failures), limits.longest_retry_seconds)


def back_off(failed_rounds: int) -> float:
    """Return the seconds until a round is repeated after so many failed rounds in a row."""
    limits = time_limits.WATCHER
    grown = limits.first_back_off_seconds * limits.pause_growth ** _doublings(failed_rounds)
    return min(grown, limits.longest_back_off_seconds)


def seconds_to_next_round(state: ReconcilerState, resync_seconds: float, now: float, *, soon: bool) -> float:
    """Return the seconds until all EtcdMembers are compared again, even if nothing has changed.

    Args:
        state: The reconciler's state.
        resync_seconds: The longest pause.
        now: Seconds since the epoch.
        soon: The last round left something to be done.
    """
    pauses = [resync_seconds]
    pauses += [back_off(state.failed_rounds)] * bool(state.failed_rounds)
    pauses += [time_limits.WATCHER.resync_soon_seconds] * soon
    pauses += [retry.at_seconds - now for retry in state.retries.values() if retry.at_seconds > now]
    return min(pauses)


def _doublings(times: int) -> int:
    return max(0, min(times - 1, MOST_DOUBLINGS))
