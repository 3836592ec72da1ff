"""How long everything takes, waits or holds, with the reason for each value, in one group for each part of the product.

Each group is read when it is used, as `time_limits.ETCD.hedge_seconds`. So a test or a benchmark replaces a whole group
(`dataclasses.replace`) and nothing else. These have the values at their import: the tables in
`workflows/activity_calls.py` and `workflows/retries.py`, and the default of a setting.

Fields whose names end in `_seconds` are seconds, and those that end in `_attempts` count attempts. `_timeout`,
`_pause`, `_delay` and `_grace` are `timedelta`, as in Temporal's SDK.

Elsewhere are what an operator may set (the configuration, with the deadlines of single calls in `config/servers.py`),
what a request may set (`blocked_timeout_seconds` and `progress_timeout_seconds` in `contract/requests.py`), and the
retry policies of activities (`workflows/retries.py`).
"""

from __future__ import annotations

from etcd_handoff.time_limits.activities import STEPS
from etcd_handoff.time_limits.commands import COMMANDS
from etcd_handoff.time_limits.gateways import ETCD, KUBERNETES, WORKER
from etcd_handoff.time_limits.operations import OPERATION
from etcd_handoff.time_limits.watcher import WATCHER
from etcd_handoff.time_limits.workflows import WORKFLOWS

__all__ = ["COMMANDS", "ETCD", "KUBERNETES", "OPERATION", "STEPS", "WATCHER", "WORKER", "WORKFLOWS"]
