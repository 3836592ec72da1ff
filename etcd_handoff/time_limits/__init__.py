"""How long everything takes, waits or holds, with the reason for each value, in one group for each part of the product.

Each group is read when it is used, as `time_limits.ETCD.hedge_seconds`. So a test or a benchmark replaces a whole group
(`dataclasses.replace`) and nothing else. Fields whose names end in `_seconds` are seconds, and those that end in
`_attempts` count attempts. `_timeout`, `_pause`, `_delay` and `_grace` are `timedelta`, as in Temporal's SDK. What an
operator may set is in the configuration instead. What a request may set (`blocked_timeout_seconds`,
`progress_timeout_seconds`) is in `contract/requests.py`. Retry policies of activities are in
`workflows/activity_calls.py`, and the deadlines of single calls in a profile (`config_servers.py`).
"""

from __future__ import annotations

from etcd_handoff.time_limits.activities import STEPS
from etcd_handoff.time_limits.commands import COMMANDS
from etcd_handoff.time_limits.gateways import ETCD, KUBERNETES, WORKER
from etcd_handoff.time_limits.operations import OPERATION
from etcd_handoff.time_limits.watcher import WATCHER
from etcd_handoff.time_limits.workflows import WORKFLOWS

__all__ = ["COMMANDS", "ETCD", "KUBERNETES", "OPERATION", "STEPS", "WATCHER", "WORKER", "WORKFLOWS"]
