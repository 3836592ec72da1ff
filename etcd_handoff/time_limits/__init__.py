"""How long everything takes, waits or holds, with the reason for each value, in one group for each part of the product.

Each group is read when it is used, as `time_limits.ETCD.hedge_seconds`. So a test or a benchmark replaces a whole group
(`dataclasses.replace`) and nothing else. These have the values at their import: the tables in
`workflows/activity_calls.py` and `workflows/retries.py`, and the default of a setting.

Fields whose names end in `_seconds` are seconds, and those that end in `_attempts` count attempts. `_timeout`,
`_pause`, `_delay` and `_grace` are `timedelta`, as in Temporal's SDK.

The groups, each in the file of its part:

    activities.py   STEPS                       what an activity does within one attempt
    gateways.py     ETCD, KUBERNETES, WORKER    calls to etcd and to API servers; the worker process
    operations.py   OPERATION                   what an operation decides by
    workflows.py    WORKFLOWS                   time-outs of activities, heartbeats, pauses between calls
    watcher.py      WATCHER                     rounds of the watcher of EtcdMembers
    commands.py     COMMANDS                    the command line, and the client for scripts

Where to look for the time or the number of attempts of:

    an election, a transfer             STEPS.election_seconds, STEPS.transfer_seconds
    a learner that gets in sync         STEPS.sync_pause_seconds, OPERATION.confirm_seconds
    the next server, asked meanwhile    ETCD.hedge_seconds, KUBERNETES.hedge_seconds
    the lock in etcd                    ETCD.lock_stale_seconds, ETCD.lock_attempts, STEPS.lock_release_seconds
    how long an approval counts         OPERATION.approval_lapses_after_seconds
    pauses while it is blocked          OPERATION.blocked_first_pause_seconds and those around it
    a snapshot, a hash check            WORKFLOWS.snapshot_timeout, WORKFLOWS.hash_timeout, OPERATION.gates_last_seconds
    the record on the EtcdMember        OPERATION.record_first_call_seconds and those around it, WORKFLOWS.record_grace
    an etcd process on a node           STEPS.process_pause_seconds, OPERATION.process_end_seconds
    the queue of a cluster              STEPS.position_seconds, OPERATION.queue_start_delay
    the watcher's resync                WATCHER.resync_seconds
    a removal that a watcher retries    WATCHER.first_retry_seconds and those around it
    one attempt of an activity          WORKFLOWS.look_timeout, WORKFLOWS.change_timeout and others
    heartbeats                          WORKFLOWS.step_heartbeat_timeout and others, WORKER.heartbeat_throttle
    taking over from a dead worker      WORKER.sticky_timeout, WORKFLOWS.operation_task_timeout
    a worker's end, its probes          WORKER.shutdown_grace, WORKER.probe_silence_seconds
    a step that another worker can do   STEPS.elsewhere_attempts, STEPS.elsewhere_pause
    an unexpected failure of a step     STEPS.unexpected_attempts
    what the command line waits for     COMMANDS.connect_seconds, COMMANDS.poll_seconds, COMMANDS.query_timeout
    a message to the webhook            WORKFLOWS.notice_grace

Elsewhere are:

- retries of activities: `workflows/retries.py`
- what an operator may set, such as the deadline of one call to etcd or to an API server: `config/servers.py`, of one
  message to the webhook: `config/notifications.py`, of a node's command: `config/member.py`
- what a request may set, `blocked_timeout_seconds`, `progress_timeout_seconds`, and `not_after`, which alone limits the
  wait for an approval: `contract/requests.py`, and for `--help` also `cli/change_options.py`
- the days from which the end of a certificate is reported: `certificate_expiry.py`
"""

from __future__ import annotations

from etcd_handoff.time_limits.activities import STEPS
from etcd_handoff.time_limits.commands import COMMANDS
from etcd_handoff.time_limits.gateways import ETCD, KUBERNETES, WORKER
from etcd_handoff.time_limits.operations import OPERATION
from etcd_handoff.time_limits.watcher import WATCHER
from etcd_handoff.time_limits.workflows import WORKFLOWS

__all__ = ["COMMANDS", "ETCD", "KUBERNETES", "OPERATION", "STEPS", "WATCHER", "WORKER", "WORKFLOWS"]
