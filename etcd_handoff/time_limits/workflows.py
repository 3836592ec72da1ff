"""Time-outs of the activities that workflows call, and how long workflows wait between them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Final


@dataclass(frozen=True, slots=True)
class WorkflowTiming:
    """Activities that workflows call: time-outs, heartbeats, and pauses between calls."""

    step_heartbeat_timeout: timedelta = timedelta(milliseconds=700)
    """How long until a killed worker's step starts elsewhere. The server's timers fire up to a second late (its
    `history.timerProcessorMaxTimeShift`), so a shorter one would gain little."""
    wait_heartbeat_timeout: timedelta = timedelta(seconds=2)
    """For a step that waits for a learner, perhaps for days. Each heartbeat is a request to Temporal."""
    long_heartbeat_timeout: timedelta = timedelta(seconds=10)
    """For a snapshot, which takes minutes. To begin again after a pause of half a second would cost more than a late
    takeover."""
    follow_heartbeat_timeout: timedelta = timedelta(seconds=5)
    """For what the queue and the watcher follow or read. It lasts long, and no removal waits for it."""
    delivery_heartbeat_timeout: timedelta = timedelta(seconds=10)
    """For notices and for records that an operation has handed over. No operation waits for them."""
    look_timeout: timedelta = timedelta(minutes=15)
    """Never reached: an attempt to look at a cluster ends itself, in a time that follows from its profile."""
    change_timeout: timedelta = timedelta(minutes=30)
    """Never reached: an attempt ends itself in a time that follows from its profile's `call_timeout_seconds` and
    `change_timeout_seconds`, each at most 60 s. A lost worker is noticed by its missing heartbeats."""
    record_timeout: timedelta = timedelta(seconds=60)
    """One attempt to read or write an EtcdMember. API servers that answer take milliseconds."""
    hash_timeout: timedelta = timedelta(hours=3)
    """Never reached: `OPERATION.hash_check_attempts` rounds of three hashes, each as long as a profile's
    `hash_timeout_seconds` may be."""
    departed_timeout: timedelta = timedelta(seconds=4)
    """A check whether the etcd of a removed member has ended. It only adds to the result."""
    snapshot_timeout: timedelta = timedelta(hours=1)
    """A snapshot of the largest database over a slow network."""
    process_timeout: timedelta = timedelta(hours=1)
    """Never reached either: the profile bounds each run of a node's command, by at most 10 minutes."""
    node_start_timeout: timedelta = timedelta(seconds=2)
    """A worker on its node's queue takes a task within milliseconds. After this time the node counts as one without a
    worker."""
    node_look_start_timeout: timedelta = timedelta(seconds=1)
    """This time for a look, which costs nothing to repeat: a dead node delays the first look of an operation."""
    describe_timeout: timedelta = timedelta(seconds=5)
    """For a worker's answer about its profile, which it has in memory."""
    take_turn_timeout: timedelta = timedelta(seconds=40)
    """Much longer than the activity asks a queue that does not answer, even with a busy Temporal, so it ends with the
    reason. A killed worker is not waited for, since this is a local activity."""
    recall_timeout: timedelta = timedelta(minutes=1)
    """For the call of a new queue that asks which operations run."""
    queue_follow_timeout: timedelta = timedelta(hours=1)
    """How long a queue follows an operation in one attempt."""
    queue_follow_pause: timedelta = timedelta(seconds=5)
    """Pause after a removal could not be followed in several attempts, or not for longer than one attempt may last."""
    queue_note_timeout: timedelta = timedelta(seconds=5)
    """A note in an EtcdMember of what waits. It is news, and the queue goes on without it."""
    note_attempts: int = 3
    """How many times a note in an EtcdMember is tried."""
    watcher_follow_timeout: timedelta = timedelta(days=7)
    """How long a watcher follows a removal in one attempt."""
    watcher_follow_pause: timedelta = timedelta(seconds=30)
    """Pause after a removal could not be followed in several attempts."""
    watcher_note_timeout: timedelta = timedelta(minutes=1)
    """A note in an EtcdMember of the result of its order: people read it there."""
    question_timeout: timedelta = timedelta(seconds=30)
    """How long a removal may take to answer whether it is the ordered one."""
    sync_timeout: timedelta = timedelta(seconds=60)
    """Reading or writing all EtcdMembers of a cluster. A watch has its time in addition."""
    operation_task_timeout: timedelta = timedelta(seconds=2)
    """How long a worker may take to decide for an operation before it counts as killed. Temporal's default is 10 s."""
    queue_task_timeout: timedelta = timedelta(seconds=10)
    """This time for a queue. It lives long, and its replay takes time."""
    watcher_task_timeout: timedelta = timedelta(seconds=10)
    """Another worker must be able to replay the longest history of a reconciler within it, also when it is busy."""
    delivery_timeout: timedelta = timedelta(seconds=90)
    """Longer than the longest `timeout_seconds` of a webhook."""
    record_first_pause: timedelta = timedelta(minutes=1)
    """First pause between tries to record a status that an operation has handed over. Each pause is twice the last."""
    record_longest_pause: timedelta = timedelta(hours=1)
    """Longest pause between those tries."""
    record_grace: timedelta = timedelta(days=7)
    """How long to try to record a status that an operation has handed over. An API server that was away for a weekend
    is back by then."""
    notice_grace: timedelta = timedelta(hours=24)
    """How long to try to deliver a notice. After a day it is no news any more, and Temporal has all of it."""
    listing_delay: timedelta = timedelta(seconds=1)
    """How long an operation runs before lists show each of its states. Most end earlier, which saves the requests."""


WORKFLOWS: Final = WorkflowTiming()
