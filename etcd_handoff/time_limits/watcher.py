"""How long the watcher of EtcdMembers waits between its rounds, and before it tries again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class WatcherTiming:
    """The watcher of EtcdMembers: rounds and retries."""

    resync_seconds: float = 300.0
    """Pause between comparisons of all EtcdMembers when nothing has changed, unless the watcher has its own value."""
    resync_soon_seconds: float = 1.0
    """This pause when the last round left something to be done."""
    first_retry_seconds: float = 15.0
    """First pause before a failed removal is tried again. `pause_growth` makes the next ones longer."""
    longest_retry_seconds: float = 600.0
    """Longest pause before a removal is tried again."""
    first_back_off_seconds: float = 1.0
    """First pause after a failed round. The next ones grow likewise."""
    longest_back_off_seconds: float = 60.0
    """Longest pause after failed rounds."""
    pause_growth: float = 2.0
    """Factor by which each of these pauses is longer than the last."""


WATCHER: Final = WatcherTiming()
