"""How long Temporal gives the activities that workflows order, and how long workflows wait between them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Final


@dataclass(frozen=True, slots=True)
class WorkflowTiming:
    """Activities that workflows call: time-outs, heartbeats, and pauses between calls."""

    step_heartbeat_timeout: timedelta = timedelta(milliseconds=700)
    """After this a killed worker's step starts elsewhere. The server's timers fire up to a second late (its
    `history.timerProcessorMaxTimeShift`), so less would gain little."""
    wait_heartbeat_timeout: timedelta = timedelta(seconds=2)
    """A step that waits for a learner may do so for days, and each heartbeat is a request to Temporal."""
    long_heartbeat_timeout: timedelta = timedelta(seconds=10)
    """A snapshot takes minutes: to begin anew for a hiccup of half a second would cost more than a late takeover."""
    follow_heartbeat_timeout: timedelta = timedelta(seconds=5)
    """For what the queue and the watcher follow or read: it lasts long, and no removal waits for it."""
    delivery_heartbeat_timeout: timedelta = timedelta(seconds=10)
    """For notices and for records that an operation has left behind: nobody waits for them."""
    look_timeout: timedelta = timedelta(minutes=15)
    """Never reached: an attempt to look at a cluster ends by itself, in a time that follows from its profile."""
    change_timeout: timedelta = timedelta(minutes=30)
    """Never reached: an attempt ends by itself in a time that follows from its profile's `call_timeout_seconds` and
    `change_timeout_seconds`, each at most 60 s, and a worker that is lost is missed by its heartbeats."""
    record_timeout: timedelta = timedelta(seconds=60)
    """One attempt to read or write an EtcdMember; API servers that answer take milliseconds."""
    hash_timeout: timedelta = timedelta(hours=3)
    """Never reached: `node_hashes.TRIES` rounds of three hashes, each as long as a profile's `hash_timeout_seconds` may
    be."""
    departed_timeout: timedelta = timedelta(seconds=4)
    """A look whether the etcd of a member that is out has ended: it only adds to the result."""
    snapshot_timeout: timedelta = timedelta(hours=1)
    """A snapshot of the largest database over a slow network."""
    process_timeout: timedelta = timedelta(hours=1)
    """Never reached either: the profile bounds each run of a node's command, by at most 10 minutes."""
    node_start_timeout: timedelta = timedelta(seconds=2)
    """A worker that serves its node's queue takes a task within milliseconds; after this the node counts as one
    without."""
    node_look_start_timeout: timedelta = timedelta(seconds=1)
    """The same for a look, which costs nothing to be taken anew: a dead node holds up the first look of an
    operation."""
    describe_timeout: timedelta = timedelta(seconds=5)
    """What a worker tells of its profile: it has that in memory."""
    take_turn_timeout: timedelta = timedelta(seconds=40)
    """Much longer than the activity goes on asking a queue that does not answer, which a busy Temporal draws out: it is
    to end with the reason. A killed worker is not waited for, since this is a local activity."""
    recall_timeout: timedelta = timedelta(minutes=1)
    """Which operations run, as a queue asks that has been started anew."""
    queue_follow_timeout: timedelta = timedelta(hours=1)
    """For so long a queue follows an operation in one attempt."""
    queue_follow_pause: timedelta = timedelta(seconds=5)
    """Pause after a removal could not be followed in several attempts, or not for longer than one attempt may last."""
    queue_note_timeout: timedelta = timedelta(seconds=5)
    """A note in an EtcdMember of who waits: it is news, and the queue goes on without it."""
    note_attempts: int = 3
    """How often a note in an EtcdMember is tried."""
    watcher_follow_timeout: timedelta = timedelta(days=7)
    """For so long a watcher follows a removal in one attempt."""
    watcher_follow_pause: timedelta = timedelta(seconds=30)
    """Pause after a removal could not be followed in several attempts."""
    watcher_note_timeout: timedelta = timedelta(minutes=1)
    """A note in an EtcdMember of what has become of its order: whoever gave the order reads it there."""
    question_timeout: timedelta = timedelta(seconds=30)
    """How long a removal may take to say whether it is the one that was ordered."""
    sync_timeout: timedelta = timedelta(seconds=60)
    """Reading or writing all EtcdMembers of a cluster; a watch has its own time beside."""
    watch_task_timeout: timedelta = timedelta(seconds=10)
    """Another worker must be able to replay the longest history of a reconciler within it, also when it is busy."""
    delivery_timeout: timedelta = timedelta(seconds=90)
    """Longer than the longest `timeout_seconds` of a webhook."""
    record_first_pause: timedelta = timedelta(minutes=1)
    """First pause between tries to record a status that an operation has left behind; each is twice the last."""
    record_longest_pause: timedelta = timedelta(hours=1)
    """Longest pause between those tries."""
    record_grace: timedelta = timedelta(days=7)
    """For so long a status that an operation has left behind is tried to be recorded: an API server that was away for a
    weekend is back by then."""
    notice_grace: timedelta = timedelta(hours=24)
    """For so long a notice is tried to be delivered. After a day the news is none any more, and who asks Temporal is
    told all of it."""
    listing_delay: timedelta = timedelta(seconds=1)
    """An operation that takes longer is listed with each of its states: most end before it, and save the requests."""


WORKFLOWS: Final = WorkflowTiming()
