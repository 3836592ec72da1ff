"""Our worker with Temporal's own settings: 10 s sticky, no heartbeats, so that only its time-out ends a lost step."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import worker
from etcd_handoff import time_limits
from workflows import activity_calls

if __name__ == "__main__":
    # The SDK's default is no heartbeat. Steps that take minutes have theirs from elsewhere.
    activity_calls.CALLS.update({kind: call._replace(heartbeat=None) for kind, call in activity_calls.CALLS.items()})  # type: ignore[arg-type]
    time_limits.WORKER = replace(time_limits.WORKER, sticky_timeout=timedelta(seconds=10))  # type: ignore[misc]
    worker.main()
