"""How long calls to etcd and to API servers, and a worker process, take, wait or hold.

The deadlines of single calls are in a profile: `call_timeout_seconds` and others in `etcd_handoff/config/servers.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Final


@dataclass(frozen=True, slots=True)
class EtcdTiming:
    """Calls to etcd: connections, looks, the lock."""

    hedge_seconds: float = 0.2
    """How long one endpoint may be silent before the next is asked too, if any answer is sufficient."""
    file_check_seconds: float = 1.0
    """Shortest pause between checks of certificates and passwords for a change."""
    late_member_seconds: float = 0.02
    """How much longer than the others a member may take that did not answer the last look."""
    second_look_seconds: float = 0.05
    """Pause before contradictory answers are read once more: a membership change may just be passing."""
    lock_stale_seconds: float = 20.0
    """How long without a new revision before the lock counts as abandoned, at least. `etcd.lock.stale_seconds` has
    more if a profile's time-outs need it. A removal holds the lock for one look and one change, and takes it anew
    after every pause."""
    lock_pauses_seconds: float = 6.0
    """How long the holder of the lock may wait between its calls, at most."""
    lock_attempts: int = 3
    """How many times to write the lock's key until it is ours. Between two writes it may be released, or prove to be
    ours."""
    lock_call_seconds: float = 1.0
    """Deadline, at least, of a write that only shows that writes are committed. More would delay the removal."""
    snapshot_idle_seconds: float = 30.0
    """How long a snapshot's stream may bring nothing. A dead connection gives no error for a quarter of an hour."""


@dataclass(frozen=True, slots=True)
class KubernetesTiming:
    """Calls to API servers: clients, failover, watches."""

    hedge_seconds: float = 0.15
    """How long an API server may be silent before the next one is asked too. A healthy one needs some 10 ms."""
    identify_seconds: float = 60.0
    """Shortest pause between comparisons of contexts: a changed kubeconfig may lead to another cluster."""
    watch_seconds: int = 300
    """How long until an API server ends a watch, which is then opened again."""
    watch_silence_seconds: float = 90.0
    """How long a watch may be silent before it counts as dead: bookmarks come about once a minute."""
    watch_again_seconds: float = 1.0
    """Pause between attempts to open a watch that broke or was refused."""
    idle_connection_seconds: float = 1.0
    """How long an idle connection stays open: the steps of a removal follow each other faster, retries soon do not."""
    file_check_seconds: float = 1.0
    """Shortest pause between checks of a kubeconfig and its files for changes."""
    renew_before_seconds: float = 60.0
    """How long before their end credentials are renewed, or the last tenth of their time when that is shorter."""
    renew_again_seconds: float = 5.0
    """Pause between attempts to renew credentials that are still valid."""
    refused_again_seconds: float = 1.0
    """How long a client opened after a refusal is kept despite another refusal: its credentials are wrong."""
    failed_again_seconds: float = 0.5
    """How long the credentials of a context are not requested again after a failure."""
    replaced_client_seconds: float = 60.0
    """How long a client that was replaced stays open for requests that still use it."""
    plugin_seconds: float = 30.0
    """Time for a credential plugin. Those of clouds take some seconds. Requests do not wait so long, but the next one
    finds the result."""
    leftover_seconds: float = 60.0
    """Age from which the folder of an ended process is removed."""
    events_seconds: float = 3.0
    """Time for all Events of one removal: they are news, and no step waits for them."""
    prefetch_counts_seconds: float = 2.0
    """How long an EtcdMember that was read ahead is not read again."""
    prefetch_pause_seconds: float = 0.002
    """Pause before an EtcdMember is read ahead: a TLS handshake would delay the answer of the step that needs it."""


@dataclass(frozen=True, slots=True)
class WorkerTiming:
    """The worker process and its probes."""

    sticky_timeout: timedelta = timedelta(milliseconds=100)
    """How long the next workflow task waits for the last worker: after `kill -9` another one takes over."""
    shutdown_grace: timedelta = timedelta(seconds=3)
    """How long running activities may finish after SIGTERM."""
    heartbeat_throttle: timedelta = timedelta(milliseconds=250)
    """The SDK's throttle of heartbeats. They leave at once, so that cancellations reach an activity quickly. The SDK's
    default holds them for 30 to 60 s."""
    probe_timeout: timedelta = timedelta(seconds=5)
    """How long Temporal may take to answer the check whether it answers."""
    probe_pause_seconds: float = 5.0
    """Pause between these checks. The files for probes are renewed as often."""
    probe_silence_seconds: float = 15.0
    """How long without an answer before a worker counts as one that takes no work."""
    probe_stuck_seconds: float = 45.0
    """How long without a turn of the event loop before a process counts as stuck. systemd's watchdog allows a little
    more."""
    metrics_pause_seconds: float = 15.0
    """Pause between reads of open workflows and certificates for the metrics."""
    identity_pause_seconds: float = 30.0
    """Pause between checks of when certificates end, which lists of workers show."""
    fresh_seconds: float = 75.0
    """How long a worker counts as alive after a request. It asks for work at least once a minute. Temporal lists it for
    five minutes after its last request."""
    exit_seconds: float = 1.0
    """How long a script's end waits for the SDK's own threads."""


ETCD: Final = EtcdTiming()
KUBERNETES: Final = KubernetesTiming()
WORKER: Final = WorkerTiming()
