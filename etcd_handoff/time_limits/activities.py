"""How long activities watch, wait and try again.

How long one attempt may take is in `time_limits/workflows.py`. The retry policies are in `workflows/retries.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Final


@dataclass(frozen=True, slots=True)
class StepTiming:
    """Activities: how long they watch, and how many further attempts may find a better worker."""

    leader_poll_seconds: float = 0.002
    """Pause between questions who leads, while leadership moves: a transfer takes milliseconds."""
    transfer_seconds: float = 3.0
    """How long a transferee is watched. etcd's leader gives a transfer up after one election time-out (1 s by default),
    and refuses writes until then (raft `leadTransferee`)."""
    sync_pause_seconds: float = 0.5
    """Pause between looks while waiting for a learner, and between the two looks in which it must be in sync."""
    voters_first_seconds: float = 0.1
    """How long only the other voters are asked for their leader, before a look at the whole cluster."""
    election_seconds: float = 5.0
    """How long an election is watched before the loop plans again: two to three randomised election time-outs."""
    both_end_seconds: float = 0.5
    """How long a successful transfer waits for the election beside it: longer than the election takes."""
    election_end_delay_seconds: float = 0.001
    """How much later an election ends than the transfer beside it, so that people read of the transfer first."""
    record_ahead_seconds: float = 1.0
    """How long a removed member's EtcdMember is written ahead, before `update_status` writes it."""
    claims_seconds: float = 0.5
    """How long to wait for the EtcdMembers, beside the look at etcd."""
    patient_claims_seconds: float = 4.0
    """How long to wait if nothing else shows which cluster is meant. A slower look is better than one that blocks
    because an API server is slow."""
    recent_look_seconds: float = 10.0
    """How long a view may decide through which member a removal begins. A fresh look decides whether it goes on."""
    stale_look_seconds: float = 1.0
    """Age from which a look is repeated before the proposal: the worker was paused meanwhile, and others may have had
    the lock."""
    order_timeout: timedelta = timedelta(seconds=30)
    """How long after its decision an order to k0s may be given: k0s follows it without a look at the voters."""
    attempt_timeout: timedelta = timedelta(seconds=3)
    """How long Temporal may take to answer whether it still counts on an attempt. The call runs beside a look."""
    seen_seconds: float = 3.0
    """How long after a step was scheduled it may use what other workers saw of their members."""
    marked_seconds: float = 10.0
    """Maximum wait for k0s to mark the node. v1.36 does so within 60 ms, or within 9 s if the node holds its lease."""
    mark_pause_seconds: float = 0.03
    """Pause between checks for the mark."""
    latest_proposal_seconds: float = 60.0
    """How long after an attempt began it may propose, or two of the longest looks if that is more. Later, other
    attempts may have replaced it."""
    lock_release_seconds: float = 1.5
    """How long to try to release a lock when the step ends for another reason. After that the lock goes stale."""
    lock_release_pause_seconds: float = 0.3
    """Pause between tries to release it: a closed connection is opened again meanwhile."""
    lock_release_attempts: int = 5
    """How many times to try to release it."""
    proposal_look_attempts: int = 5
    """How many looks may come before a proposal, each after a committed entry. After the last one the workflow plans
    again."""
    command_poll_seconds: float = 0.02
    """Pause between checks whether a node's command has ended."""
    departed_seconds: float = 1.0
    """How long a removed member's etcd may take to end, before it counts as still running."""
    departed_pause_seconds: float = 0.05
    """Pause between checks whether it has ended."""
    pollers_seconds: float = 0.5
    """How long Temporal may take to list nodes without a worker. Without an answer, all nodes are asked."""
    workers_seconds: float = 3.0
    """How long Temporal may take to list the workers that have a profile. A look waits for it as long as it is not
    known which cluster is meant."""
    data_directory_seconds: float = 3.0
    """How long the node's disk may take to tell whose etcd data lie there. It is asked only as long as it is not known
    which cluster is meant, and only if etcd gives no list; a disk that hangs may be why."""
    pollers_known_seconds: float = 10.0
    """How long a node that had a worker counts as one with a worker. Its tasks have a start time-out too."""
    hash_again_seconds: float = 0.1
    """Pause between hashes that were not comparable because of a compaction."""
    unfinished_snapshot_seconds: float = 2 * 3600.0
    """Age from which an unfinished file belongs to no running attempt."""
    process_pause_seconds: float = 0.25
    """Pause between checks whether a process has started or ended. Each runs the node's command."""
    process_settles_seconds: float = 1.0
    """How long after its start a process must run to have read its flags and its data."""
    process_opens_seconds: float = 5.0
    """How long a running process may take to open its database."""
    failpoint_poll_seconds: float = 0.01
    """Pause between checks for the file that releases a process which a test holds at a failpoint."""

    heartbeat_seconds: float = 0.25
    """Pause between heartbeats of an activity without a heartbeat time-out. They bring cancellations."""
    position_seconds: tuple[float, ...] = (1.0, 3.0, 8.0)
    """How long a queue may take to answer, for each try. The sum is more than `WORKFLOWS.queue_task_timeout`, after
    which another worker replaces a killed one."""
    turn_seconds: float = 1.0
    """How long a step that takes the turn too waits for it. After that the operation asks for it."""
    wake_seconds: float = 0.5
    """How long a queue with waiting operations may take to answer: the call itself wakes it."""
    rejoin_seconds: float = 5.0
    """How long a removal may take to answer whether it has the turn."""
    recent_removal_seconds: float = 10.0
    """How long a removal counts as recent: where there are many, most of these are still running."""
    progress_poll_seconds: float = 2.0
    """First pause between polls of a running removal. It doubles while nothing changes, and the end of a removal ends
    it. With a fixed pause, polling a thousand removals for a minute would cost more than the removals."""
    progress_longest_poll_seconds: float = 10.0
    """Longest pause between those polls."""
    progress_query_seconds: float = 5.0
    """How long a removal may take to answer where it stands: its worker may just have died."""
    not_installed_seconds: float = 5.0
    """Pause between checks for a resource kind that is not installed, since it cannot be watched."""
    deadline_margin_seconds: float = 1.0
    """How long before Temporal's time-out an attempt ends itself, at most. Its own failure has a readable text."""
    elsewhere_pause: timedelta = timedelta(milliseconds=200)
    """Pause before another attempt of a step that another worker may be able to do, with the profile or with other
    files."""
    elsewhere_attempts: int = 15
    """The attempt from which on it counts that no worker can do it."""
    unexpected_attempts: int = 4
    """The attempt from which on an unexpected failure ends the step. The workflow is then Blocked by it."""
    snapshot_elsewhere_attempts: int = 8
    """How many attempts look for a worker on another node than the one that leaves. The last one takes the snapshot
    anyway."""
    no_kubernetes_attempts: int = 3
    """How many attempts look for a worker whose cluster profile has Kubernetes."""
    no_kubernetes_pause: timedelta = timedelta(milliseconds=50)
    """Pause between those attempts."""
    conflict_attempts: int = 10
    """How many times an EtcdMember is read again after a conflict, before Temporal tries the activity again."""
    repair_conflict_attempts: int = 5
    """The same for a correction by the watcher, and for its notes."""
    absent_seconds: float = 10.0
    """How long API servers must answer that there is nothing to write, if that is not certain at once. One that was
    just started serves resource kinds a moment later. The second call for a record has the time."""
    refused_seconds: float = 6.0
    """How long a refusal must last to count. A kube-apiserver that was just started refuses every user until its
    informers are filled (kubernetes/kubernetes#65785)."""
    refused_attempts: int = 2
    """The attempt from which on a read is refused for good. An earlier one may have met a worker with other
    credentials."""
    refused_pause: timedelta = timedelta(seconds=1)
    """Pause between those attempts."""
    lasting_answers: int = 3
    """How many answers in that time must agree: a worker that was paused has not seen whether the error lasted."""
    lasting_pause_seconds: float = 0.5
    """Pause between those answers."""
    refused_reserve_timeout: timedelta = timedelta(seconds=3)
    """The least time for which another attempt is made: with less it might not end."""


STEPS: Final = StepTiming()
