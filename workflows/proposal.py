"""Whether etcd may still take the member out because of what this removal has proposed. Pure.

The point of no return. While `remove_member` runs, and after any attempt that may have sent the proposal without
hearing what became of it, the member may disappear at any moment, so the removal can only roll forward.

That ends when nothing can be pending any more, which takes two proofs:

1. The last attempt ended at least `SETTLE_SECONDS` ago. Until then the proposal may wait in the member that was asked,
   or on its way to the leader, without standing in anybody's log. etcd gives a proposal up after its own request
   time-out: 5 s and two election time-outs, 7 s as it comes (etcd `server/config/config.go`, ReqTimeout).
2. After that an entry has been committed, and a linearizable list read later still shows the member. The leader of that
   entry commits only what is in its own log, in order (raft, Log Matching and Leader Completeness): a removal that
   stood before the entry is applied and would show in the list, and one that stood only in another member's log, left
   from an earlier term, has been overwritten or never will be committed.

What this cannot exclude: a member that was stopped as a whole (SIGSTOP, a paused virtual machine) with the unread call
in its socket, and reads it when it wakes. The call's deadline and the closed connection make etcd drop it, unless the
handler wins that race. Then the list is what counts: the next look, or the next resync, finds the member gone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

SETTLE_SECONDS: Final = 8.0
"""Longer than etcd itself goes on with a proposal."""


@dataclass(slots=True)
class Proposal:
    """What is known of the proposal to take the member out.

    Attributes:
        in_flight: It is being made, or its effect is being recorded.
        pending_since: Workflow time, in seconds, at which the last attempt ended that may have made it; None when
            nothing can be pending.
    """

    in_flight: bool = False
    pending_since: float | None = None

    @property
    def point_of_no_return(self) -> bool:
        """The member may disappear because of it."""
        return self.in_flight or self.pending_since is not None

    def ended(self, now: float, *, may_be_pending: bool) -> None:
        """An attempt has ended; one before it may be pending all the same."""
        self.in_flight = False
        if may_be_pending:
            self.pending_since = now

    def seconds_to_settle(self, now: float) -> float:
        """How long to wait until a look with a probe can show that nothing is pending; 0 when it can already."""
        return 0.0 if self.pending_since is None else max(0.0, self.pending_since + SETTLE_SECONDS - now)

    def wants_probe(self, now: float) -> bool:
        """Whether the next look is to commit an entry first."""
        return self.pending_since is not None and self.seconds_to_settle(now) <= 0

    def settle(self, *, acknowledged: bool | None, still_listed: bool) -> bool:
        """A look with a probe has ended; whether it has shown that nothing is pending.

        Args:
            acknowledged: The entry was committed.
            still_listed: The list that was read after it, and that nothing contradicts, shows the member.
        """
        if acknowledged is not True or not still_listed:
            return False
        self.pending_since = None
        return True
