"""How long the reconciler of EtcdMembers waits: until its next round, and until a removal is tried again. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from etcd_handoff.operation.reconciler_state import ReconcilerState

RESYNC_SECONDS: Final = 300.0
"""How often all EtcdMembers are compared though nothing has changed, where a watcher is not told otherwise."""
FIRST_RETRY_SECONDS: Final = 15.0
LONGEST_RETRY_SECONDS: Final = 600.0
FIRST_BACK_OFF_SECONDS: Final = 1.0
LONGEST_BACK_OFF_SECONDS: Final = 60.0
PAUSE_GROWTH: Final = 2.0
MOST_DOUBLINGS: Final = 30
"""Beyond the longest pause, and far from what a float can hold."""
RESYNC_SOON_SECONDS: Final = 1.0


def retry_after(failures: int) -> float:
    """Seconds until a removal that failed so often in a row is tried again."""
    return min(FIRST_RETRY_SECONDS * PAUSE_GROWTH ** _doublings(failures), LONGEST_RETRY_SECONDS)


def back_off(failed_rounds: int) -> float:
    """Seconds until a round is repeated after so many in a row that could not be done."""
    return min(FIRST_BACK_OFF_SECONDS * PAUSE_GROWTH ** _doublings(failed_rounds), LONGEST_BACK_OFF_SECONDS)


def seconds_to_next_round(state: ReconcilerState, resync_seconds: float, now: float, *, soon: bool) -> float:
    """Seconds until all EtcdMembers are compared again though nothing has changed.

    Args:
        state: What is known.
        resync_seconds: The longest pause.
        now: Seconds since the epoch.
        soon: The last round left something to be done.
    """
    pauses = [resync_seconds]
    pauses += [back_off(state.failed_rounds)] * bool(state.failed_rounds) + [RESYNC_SOON_SECONDS] * soon
    pauses += [retry.at_seconds - now for retry in state.retries.values() if retry.at_seconds > now]
    return min(pauses)


def _doublings(times: int) -> int:
    return max(0, min(times - 1, MOST_DOUBLINGS))
