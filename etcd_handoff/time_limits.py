"""How long gateways, activities and a worker process take, wait or hold, with the reason at each value.

Time-outs, retries and heartbeats of activities are in `workflows.activity_calls`, pauses of an operation that is
blocked in `etcd_handoff.operation.blocked_pauses`, those of the watcher, its resync among them, in
`etcd_handoff.operation.reconciler_pauses`, and times for writing an EtcdMember in `etcd_handoff.operation.recording`.

Each group is read when it is used, as `time_limits.ETCD.hedge_seconds`, so that a test or a benchmark replaces a whole
group (`dataclasses.replace`) and nothing else. Fields whose names end in `_seconds` are seconds; those that end in
`_attempts` count attempts; `_timeout`, `_pause` and `_grace` are `timedelta`, as Temporal's SDK takes them. What an
operator may set is in the configuration instead.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Final


@dataclass(frozen=True, slots=True)
class EtcdTiming:
    """Calls to etcd: connections, looks, the lock."""

    hedge_seconds: float = 0.2
    """How long one endpoint may be silent before the next is asked too, where any of them will do."""
    file_check_seconds: float = 1.0
    """How often, at most, certificates and passwords are looked at for a change."""
    late_member_seconds: float = 0.02
    """What a member that did not answer the last look gets beyond the slowest of the others."""
    second_look_seconds: float = 0.05
    """Pause before answers that contradict each other are read once more: a membership change may just be passing."""
    lock_stale_seconds: float = 20.0
    """After so long without a new revision, at least, the lock counts as left behind: `etcd.lock.stale_seconds` has
    more where a profile's time-outs need it. A removal holds the lock for one look and one change, and takes it anew
    after every pause."""
    lock_call_seconds: float = 1.0
    """Deadline, at least, of a write that only shows that writes are committed: more would hold the removal up."""
    snapshot_idle_seconds: float = 30.0
    """How long a snapshot's stream may bring nothing; a connection that went dark says nothing for a quarter of an
    hour."""


@dataclass(frozen=True, slots=True)
class KubernetesTiming:
    """Calls to API servers: clients, failover, watches."""

    hedge_seconds: float = 0.15
    """How long an API server may be silent before the next one is asked too; a healthy one needs some 10 ms."""
    identify_seconds: float = 60.0
    """How often, at most, contexts are compared: a kubeconfig may be changed so that one leads to another cluster."""
    watch_seconds: int = 300
    """After so long an API server ends a watch by itself, and it is opened again."""
    watch_silence_seconds: float = 90.0
    """A watch without a word for so long is dead: bookmarks come about once a minute."""
    watch_again_seconds: float = 1.0
    """Pause between attempts to open a watch that broke or was refused."""
    idle_connection_seconds: float = 1.0
    """How long an idle connection stands: the steps of a removal lie closer together, retries soon do not."""
    file_check_seconds: float = 1.0
    """How often, at most, a kubeconfig and its files are looked at for changes."""
    renew_before_seconds: float = 60.0
    """Credentials are renewed so long before their end, or in the last tenth of their time when that is shorter."""
    renew_again_seconds: float = 5.0
    """Pause between attempts to renew credentials that still hold."""
    refused_again_seconds: float = 1.0
    """How long after a client was opened because of a refusal another refusal opens none: its credentials are wrong."""
    failed_again_seconds: float = 0.5
    """How long the credentials of a context are not asked for again after they could not be had."""
    replaced_client_seconds: float = 60.0
    """How long a client that was replaced stays open for requests that still use it."""
    plugin_seconds: float = 30.0
    """Time for a credential plugin; those of clouds take some seconds. Requests do not wait so long, the next finds
    it."""
    leftover_seconds: float = 60.0
    """Age from which a folder of a process that has ended is removed."""
    events_seconds: float = 3.0
    """Time for all Events of one removal: they are news, and nobody waits for them."""
    prefetch_pause_seconds: float = 0.002
    """Pause before an EtcdMember is read ahead: a TLS handshake would hold up the answer of the step that wants it."""


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
    claims_seconds: float = 0.5
    """How long the EtcdMembers are waited for, beside the look at etcd."""
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
    """How long it is waited for k0s to tell a node to stop. v1.36 does so within 60 ms, or within 9 s where the node
    holds its lease."""
    mark_pause_seconds: float = 0.03
    """Pause between looks whether it has."""
    latest_proposal_seconds: float = 60.0
    """Nothing is proposed later than this after the attempt began, or than two of the longest looks: others may have
    taken its place long ago."""
    lock_release_seconds: float = 1.5
    """How long a lock is given back when the step ends for another reason; after that it goes stale by itself."""
    lock_release_pause_seconds: float = 0.3
    """Pause between tries to do so: a connection that has ended is opened anew meanwhile."""
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
    deadline_margin_seconds: float = 1.0
    """How long before Temporal gives an attempt up it ends by itself, at most: what it says then is read."""
    elsewhere_pause: timedelta = timedelta(milliseconds=200)
    """Pause before a step is tried again that another worker may be able to do: one with the profile, or other
    files."""
    elsewhere_attempts: int = 15
    """From this attempt on it counts that no worker can do it."""
    unexpected_attempts: int = 4
    """From this attempt on a failure that nobody foresaw is the step's end; the workflow is Blocked by it."""
    snapshot_elsewhere_attempts: int = 3
    """So many attempts find a worker on another node than the one that leaves; the last of them takes the snapshot."""
    no_kubernetes_attempts: int = 3
    """How often it is tried to meet a worker whose cluster profile has Kubernetes."""
    no_kubernetes_pause: timedelta = timedelta(milliseconds=50)
    """Pause between those attempts."""
    absent_attempts: int = 12
    """After so many attempts, some ten seconds with the workflow's retry policy, it is believed that there is nothing
    to write although not all API servers say so: one that has just been started serves resource kinds a moment
    later."""
    refused_attempts: int = 12
    """A kube-apiserver that has just been started refuses everybody until its informers are filled
    (kubernetes/kubernetes#65785): a read is refused for good when that lasts; the workflow allows some more."""
    refused_pause: timedelta = timedelta(seconds=1)
    """Pause between those attempts."""
    refused_reserve_timeout: timedelta = timedelta(seconds=3)
    """With less time than this no other attempt would surely end."""


@dataclass(frozen=True, slots=True)
class WorkerTiming:
    """The worker process and its probes."""

    sticky_timeout: timedelta = timedelta(milliseconds=100)
    """How long the next decision waits for the worker that made the last one: after `kill -9` another takes over."""
    shutdown_grace: timedelta = timedelta(seconds=3)
    """How long activities under way may finish after SIGTERM."""
    heartbeat_throttle: timedelta = timedelta(milliseconds=250)
    """Heartbeats leave at once, so that cancellations reach an activity quickly: the SDK would hold them for 30 to
    60 s."""
    probe_timeout: timedelta = timedelta(seconds=5)
    """How long Temporal may take for the question whether it still answers."""
    probe_pause_seconds: float = 5.0
    """Pause between two of these questions; the files for probes are renewed as often."""
    probe_silence_seconds: float = 15.0
    """After so long without an answer a worker counts as one that takes no work."""
    probe_stuck_seconds: float = 45.0
    """After so long without a turn of the event loop's own clockwork a process counts as stuck; systemd's watchdog
    allows a little more."""
    metrics_pause_seconds: float = 15.0
    """Pause between two looks at what metrics tell of open workflows and certificates."""
    identity_pause_seconds: float = 30.0
    """Pause between two looks at when certificates end, which lists of workers tell."""
    exit_seconds: float = 1.0
    """How long a script's end waits for the SDK's own threads."""


ETCD: Final = EtcdTiming()
KUBERNETES: Final = KubernetesTiming()
STEPS: Final = StepTiming()
WORKER: Final = WorkerTiming()
