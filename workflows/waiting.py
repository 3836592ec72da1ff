"""How long a removal waits: pauses that grow, and the time in all after which it gives up. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

FIRST_PAUSE_SECONDS: Final = 0.25
LONGEST_PAUSE_SECONDS: Final = 30.0
PAUSE_GROWTH: Final = 1.6
MOST_PAUSES: Final = 100
"""From here on a pause grows no more; a power of many would be no number of seconds."""


@dataclass(slots=True)
class WaitBudget:
    """What is left of `blocked_timeout_seconds`, and how long the next pause is.

    Attributes:
        seconds_left: How long it may still wait, in all.
        pauses: How many pauses in a row have ended without a `recheck`.
    """

    seconds_left: float
    pauses: int = 0

    def pause_seconds(self) -> float:
        """How long the next pause is."""
        grown = FIRST_PAUSE_SECONDS * PAUSE_GROWTH ** min(self.pauses, MOST_PAUSES)
        return min(grown, LONGEST_PAUSE_SECONDS, self.seconds_left)

    def waited(self, seconds: float, *, rechecked: bool) -> None:
        """A pause has ended after so long; somebody asked for another look, or it was over."""
        self.pauses = 0 if rechecked else self.pauses + 1
        self.seconds_left -= max(0.001, seconds)
