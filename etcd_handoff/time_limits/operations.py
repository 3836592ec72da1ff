"""How long an operation waits, and for how long it counts what it knows.

What whoever starts an operation may choose is in its request (`etcd_handoff.contract.requests`): how long it may stay
blocked, and how long a learner may make no progress.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Final


@dataclass(frozen=True, slots=True)
class OperationTiming:
    """What an operation decides by: pauses, and how long something that was seen or done counts."""

    blocked_first_pause_seconds: float = 0.25
    """First pause of an operation that is blocked: most of what blocks one is over in a moment."""
    blocked_longest_pause_seconds: float = 30.0
    """Longest pause: what lasts so long is a person's to end, who can ask for another look."""
    blocked_pause_growth: float = 1.6
    """By which each pause is longer than the last: eleven pauses until the longest, within a minute and a half."""
    counted_look_seconds: float = 120.0
    """How much of a look between two pauses counts as waiting at most: one that took longer waited for a worker."""
    without_pause_steps: int = 8
    """After so many steps that did not reach the goal, the cluster is left alone for a moment before the next one."""
    settle_seconds: float = 8.0
    """How long a proposal whose answer was lost may still take effect: longer than etcd itself goes on with it."""
    connected_seconds: float = 5.5
    """How long a new voter must have worked before its addition ends: when the next member joins or leaves, etcd counts
    who has been connected for more than 5 s (etcd `server/etcdserver/server.go`, HealthInterval)."""
    old_look_seconds: float = 30.0
    """After so long the cluster may have been restored since the last look: nobody restores one in less."""
    cancelled_seconds: float = 15.0
    """How long an addition waits on that was cancelled when its learner had a vote, or may have got one. Whoever
    cancels wants an end, and it may only go forward: so it does if that takes no longer than an election and a
    restart."""
    gates_last_seconds: float = 3600.0
    """How long a snapshot and a hash check count: a removal that was blocked for a day is to have a fresh one."""
    dry_run_seconds: float = 10.0
    """How long a dry run looks for an EtcdMember."""
    confirm_seconds: float = 5.0
    """How long a learner that was in sync in one look may take to be so in two."""
    node_ready_seconds: float = 60.0
    """How long it counts that a node was found ready."""
    ask_again_seconds: float = 10.0
    """How long a node without a worker, or whose worker took no look, is not asked again: each question costs two
    seconds."""
    start_again_seconds: float = 2.0
    """How long a start is given before it is made sure that etcd still runs."""
    process_end_seconds: float = 90.0
    """How long it is tried to stop a member that is out, or to put its data away: people wait for the result, and what
    is left is told. A command has 60 s for it as it comes, and 10 s for each `status`."""
    record_at_least_seconds: float = 60.0
    """How long at least the status is tried to be recorded, when blocked_timeout_seconds is shorter."""
    record_first_call_seconds: float = 4.0
    """How long the status is tried before the turn is given to others. To give it up at once would cost each removal a
    round trip for the sake of the few whose status cannot be written at once. Another worker takes over within 2 s: it
    is to find some of this time left."""
    record_call_seconds: float = 15.0
    """How long the status is tried the second time; each call after it has twice as long."""
    record_longest_call_seconds: float = 60.0
    """How long the status is tried before people are told why it is not written: what the API servers answer is seen
    only when a call has ended."""
    record_longest_rest_seconds: float = 5.0
    """Longest pause after a call that failed before its time, as one does on a worker whose configuration is wrong."""
    longest_wait_seconds: float = 365 * 24 * 3600.0
    """Temporal's own timers end within some centuries."""
    queue_start_delay: timedelta = timedelta(seconds=2)
    """How long a queue that was started waits for its first task: most removals end within it, and a queue that works
    meanwhile would only slow them down."""
    queue_start_added_delay: timedelta = timedelta(seconds=0.5)
    """What is added to it for each other removal that began lately on the same worker: each ends later then."""
    queue_start_longest_delay: timedelta = timedelta(seconds=60)
    """Longest of these delays."""
    rejoin_first_pause: timedelta = timedelta(seconds=10)
    """First pause until a removal that waits makes sure that it still stands in the queue; each is twice the last."""
    rejoin_longest_pause: timedelta = timedelta(minutes=10)
    """Longest of those pauses: a queue that was terminated has forgotten who waits."""
    withdrawal_attempts: int = 8
    """How often it is tried to take the learner of a cancelled addition out; then people are told that it is there."""
    withdrawal_pause_seconds: float = 2.0
    """Pause between tries to take a learner out; together longer than etcd's own guard minds a member that has just
    connected, 5 s."""


OPERATION: Final = OperationTiming()
