"""How long activities watch, wait and try again."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Final


@dataclass(frozen=True, slots=True)
class StepTiming:
    """Activities: how long they watch, and how often another attempt may find a better worker."""

    watch_pause_seconds: float = 0.002
    """Pause between looks at the transferee: a transfer takes milliseconds."""
    transfer_seconds: float = 3.0
    """How long a transferee is watched. etcd's leader gives a transfer up after one election time-out (1 s as it
    comes), and turns writes away until then (raft `leadTransferee`)."""
    sync_pause_seconds: float = 0.5
    """Pause between looks at a learner that is waited for, and between the two in which it must be in sync."""
    voters_first_seconds: float = 0.1
    """How long only the other voters are asked for their leader, before the whole cluster is looked at."""
    election_seconds: float = 5.0
    """How long an election is watched before the loop plans again; two to three randomised election time-outs."""
    both_end_seconds: float = 0.5
    """How long a transfer that has succeeded waits for the election beside it: longer than that takes."""
    told_after_seconds: float = 0.001
    """How much later an election ends than the transfer beside it, so that people read of the transfer first."""
    record_ahead_seconds: float = 1.0
    """How long the EtcdMember of a member that is out is being written before `update_status` does it by itself."""
    claims_seconds: float = 0.5
    """How long the EtcdMembers are waited for, beside the look at etcd."""
    patient_claims_seconds: float = 4.0
    """The same where nothing else shows which cluster is meant: rather a look that takes longer than one that blocks
    because an API server is slow."""
    recent_look_seconds: float = 10.0
    """For so long a view says through whom a removal may begin; whether it may go on, a fresh look decides."""
    stale_look_seconds: float = 1.0
    """A look that is older when the proposal is to be sent is made again: the worker was paused meanwhile, and others
    may have had the lock."""
    order_timeout: timedelta = timedelta(seconds=30)
    """For so long after it was decided an order to k0s may be given: k0s follows it whatever became of the voters."""
    attempt_timeout: timedelta = timedelta(seconds=3)
    """How long Temporal may take to say whether it still counts on an attempt; that is asked beside a look."""
    seen_seconds: float = 3.0
    """For so long after a step was scheduled, what other workers saw of their members still counts in it."""
    marked_seconds: float = 10.0
    """Maximum wait for k0s to mark the node. v1.36 does so within 60 ms, or within 9 s if the node holds its lease."""
    mark_pause_seconds: float = 0.03
    """Pause between looks whether it has."""
    latest_proposal_seconds: float = 60.0
    """Nothing is proposed later than this after the attempt began, or than two of the longest looks: others may have
    taken its place long ago."""
    lock_release_seconds: float = 1.5
    """How long a lock is given back when the step ends for another reason; after that it goes stale by itself."""
    lock_release_pause_seconds: float = 0.3
    """Pause between tries to do so: a connection that has ended is opened anew meanwhile."""
    command_poll_seconds: float = 0.02
    """Pause between looks whether a node's command has ended."""
    departed_seconds: float = 1.0
    """How long the etcd of a member that is out may take to end, before it counts as one that runs on."""
    departed_pause_seconds: float = 0.05
    """Pause between looks whether it has."""
    pollers_seconds: float = 0.5
    """How long Temporal may take to say which nodes have no worker; without that all of them are asked."""
    pollers_known_seconds: float = 10.0
    """For so long a node that had a worker counts as one that has; the start time-out of its tasks is there, too."""
    hash_again_seconds: float = 0.1
    """Pause between hashes that could not be compared: a compaction lay between them."""
    unfinished_snapshot_seconds: float = 2 * 3600.0
    """An unfinished file that has not been written for so long belongs to nobody any more."""
    process_pause_seconds: float = 0.25
    """Pause between questions whether a process has started or ended; each runs the node's command."""
    process_settles_seconds: float = 1.0
    """A process that still runs so long after its start has read its flags and its data."""
    process_opens_seconds: float = 5.0
    """How long a process that runs may take until it has its database open."""
    failpoint_poll_seconds: float = 0.01
    """Pause between looks for the file that lets a process go that a test holds at a failpoint."""

    heartbeat_seconds: float = 0.25
    """Pause between heartbeats that nobody would miss; they bring cancellations."""
    position_seconds: tuple[float, ...] = (1.0, 3.0, 8.0)
    """How long a queue may take to answer each time that it is asked. Together more than `QUEUE_TASK_TIMEOUT`, after
    which another worker goes on where one was killed."""
    turn_seconds: float = 1.0
    """How long a step that takes the turn as well waits for that; then the operation asks for it by itself."""
    wake_seconds: float = 0.5
    """How long a queue that others wait for may take to answer: to be asked is what wakes it."""
    rejoin_seconds: float = 5.0
    """How long a removal may take to say whether it has the turn."""
    recent_removal_seconds: float = 10.0
    """Most removals that began within that time are still under way, where there are many."""
    progress_poll_seconds: float = 2.0
    """First pause between polls of a removal that is under way. It doubles while nothing changes; the end of a removal
    ends it. With a fixed pause, polling a thousand removals that are open for a minute would cost more than to do
    them."""
    progress_longest_poll_seconds: float = 10.0
    """Longest pause between those polls."""
    progress_query_seconds: float = 5.0
    """How long a removal may take to say where it stands: its worker may just have died."""
    not_installed_seconds: float = 5.0
    """Pause between looks for a resource kind that is not installed: nothing of it can be watched."""
    deadline_margin_seconds: float = 1.0
    """How long before Temporal gives an attempt up it ends by itself, at most: what it says then is read."""
    elsewhere_pause: timedelta = timedelta(milliseconds=200)
    """Pause before a step is tried again that another worker may be able to do: one with the profile, or other
    files."""
    elsewhere_attempts: int = 15
    """From this attempt on it counts that no worker can do it."""
    unexpected_attempts: int = 4
    """From this attempt on a failure that nobody foresaw is the step's end; the workflow is Blocked by it."""
    snapshot_elsewhere_attempts: int = 8
    """So many attempts find a worker on another node than the one that leaves; the last of them takes the snapshot."""
    no_kubernetes_attempts: int = 3
    """How often it is tried to meet a worker whose cluster profile has Kubernetes."""
    no_kubernetes_pause: timedelta = timedelta(milliseconds=50)
    """Pause between those attempts."""
    absent_seconds: float = 10.0
    """API servers must have said for so long that there is nothing to write, where that is not certain at once: one
    that has just been started serves resource kinds a moment later. The second call for a record has the time."""
    refused_seconds: float = 6.0
    """A kube-apiserver that has just been started refuses everybody until its informers are filled
    (kubernetes/kubernetes#65785): an attempt is refused when that lasts for so long."""
    refused_attempts: int = 2
    """From this attempt on a read is refused for good: one before it may have met a worker with other credentials."""
    refused_pause: timedelta = timedelta(seconds=1)
    """Pause between those attempts."""
    lasting_answers: int = 3
    """So often at least it was answered in that time: a worker that was paused has not seen whether it lasted."""
    lasting_pause_seconds: float = 0.5
    """Pause between those answers."""
    refused_reserve_timeout: timedelta = timedelta(seconds=3)
    """With less time than this no other attempt would surely end."""


STEPS: Final = StepTiming()
