"""How long calls to etcd and to API servers, and a worker process, take, wait or hold."""

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
    lock_pauses_seconds: float = 6.0
    """What the holder of the lock may wait between its calls, at most."""
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
    prefetch_counts_seconds: float = 2.0
    """For so long an EtcdMember that was read ahead is not read again."""
    prefetch_pause_seconds: float = 0.002
    """Pause before an EtcdMember is read ahead: a TLS handshake would hold up the answer of the step that wants it."""


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
    fresh_seconds: float = 75.0
    """A worker asks for work at least once a minute, and counts as alive for so long; Temporal lists one for five
    minutes after its last request."""
    exit_seconds: float = 1.0
    """How long a script's end waits for the SDK's own threads."""


ETCD: Final = EtcdTiming()
KUBERNETES: Final = KubernetesTiming()
WORKER: Final = WorkerTiming()
