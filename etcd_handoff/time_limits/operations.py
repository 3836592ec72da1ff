"""How long an operation waits, and how long its knowledge counts.

What the starter of an operation may choose is in its request (`etcd_handoff.contract.requests`): how long it may stay
blocked, and how long a learner may make no progress.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Final


@dataclass(frozen=True, slots=True)
class OperationTiming:
    """The times by which an operation decides: pauses, and how long an observation or a step counts."""

    blocked_first_pause_seconds: float = 0.25
    """First pause of a blocked operation: most of what blocks one is over in a moment."""
    blocked_longest_pause_seconds: float = 30.0
    """Longest pause: a block that lasts so long needs a person, who can request another look."""
    blocked_pause_growth: float = 1.6
    """Factor by which each pause is longer than the last. The longest comes after eleven, within 90 s."""
    counted_look_seconds: float = 120.0
    """How much of a look between two pauses counts as waiting, at most. A longer look has waited for a worker."""
    without_pause_steps: int = 8
    """How many steps may miss the goal before a short pause comes before the next one."""
    settle_seconds: float = 8.0
    """How long a proposal whose answer was lost may still take effect: longer than etcd itself goes on with it."""
    connected_seconds: float = 5.5
    """How long a new voter must have worked before its addition ends. When the next member joins or leaves, etcd counts
    those that have been connected for more than 5 s (etcd `server/etcdserver/server.go`, HealthInterval)."""
    old_look_seconds: float = 30.0
    """Age of the last look from which the cluster may have been restored since: a restore takes longer."""
    cancelled_seconds: float = 15.0
    """How long an addition waits that was cancelled when its learner was a voter, or may have become one. A
    cancellation asks for an end, but the addition may only go forward. It does so if that takes no longer than an
    election and a restart."""
    approval_lapses_after_seconds: float = 24 * 3600.0
    """How long an approval counts, unless the profile has another value: until somebody else may be on duty."""
    gates_last_seconds: float = 3600.0
    """How long a snapshot and a hash check count. A removal that was blocked for a day should have a fresh one."""
    hash_check_attempts: int = 5
    """How many times to compare the hashes of the voters. A compaction between two hashes makes them incomparable;
    Kubernetes compacts every five minutes."""
    dry_run_seconds: float = 10.0
    """How long a dry run looks for an EtcdMember."""
    confirm_seconds: float = 5.0
    """How long a learner that was in sync in one look may take to be so in two."""
    node_ready_seconds: float = 60.0
    """How long a node counts as ready after it was found ready."""
    ask_again_seconds: float = 10.0
    """How long a node without a worker, or whose worker took no look, is not asked again. Each try costs 2 s."""
    start_again_seconds: float = 2.0
    """How long after a start it is checked that etcd still runs."""
    process_end_seconds: float = 90.0
    """How long to try to stop a removed member, or to archive its data. People wait for the result, which names what is
    left. A command has 60 s for it by default, and 10 s for each `status`."""
    record_at_least_seconds: float = 60.0
    """How long to try to record the status, at least, when blocked_timeout_seconds is shorter. `operation.recording`
    adds up these times; the pauses between attempts are `UNTIL_TIME_IS_UP` in `workflows/retries.py`."""
    record_first_call_seconds: float = 4.0
    """How long to try to record the status before the turn is given to others. To give it up at once would cost each
    removal a round trip for the sake of the few whose status cannot be written at once. Another worker takes over
    within 2 s, and needs some of this time."""
    record_call_seconds: float = 15.0
    """How long the second call to record the status may take. Each later call has twice as long."""
    record_longest_call_seconds: float = 60.0
    """The longest such call. People see why the status is not written only when a call has ended."""
    record_longest_rest_seconds: float = 5.0
    """Longest pause after a call that failed early, for example on a worker whose configuration is wrong."""
    longest_wait_seconds: float = 365 * 24 * 3600.0
    """The longest timer, since Temporal's own timers end within some centuries."""
    queue_start_delay: timedelta = timedelta(seconds=2)
    """How long a new queue waits for its first task. Most removals end within it, and a queue that works meanwhile
    would only slow them down."""
    queue_start_added_delay: timedelta = timedelta(seconds=0.5)
    """What is added for each other removal that began lately on the same worker, since each ends later then."""
    queue_start_longest_delay: timedelta = timedelta(seconds=60)
    """Longest of these delays."""
    rejoin_first_pause: timedelta = timedelta(seconds=10)
    """First pause until a waiting removal checks that it is still in the queue. Each pause is twice the last."""
    rejoin_longest_pause: timedelta = timedelta(minutes=10)
    """Longest of those pauses: a queue that was terminated has lost its entries."""
    learner_removal_attempts: int = 8
    """How many times to try to remove the learner of a cancelled addition. After that the result names it."""
    learner_removal_pause_seconds: float = 2.0
    """Pause between tries to remove a learner. Their sum is longer than the 5 s for which etcd's own guard rejects a
    member that has just connected."""


OPERATION: Final = OperationTiming()
