"""Our worker with Temporal's own settings: 10 s sticky, no heartbeats, so that only its time-out ends a lost step."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import worker
from etcd_handoff import time_limits
from workflows import activity_calls

if __name__ == "__main__":
    activity_calls.HEARTBEAT_TIMEOUT = None  # type: ignore[assignment,misc]  # the default of the SDK
    time_limits.WORKER = replace(time_limits.WORKER, sticky_timeout=timedelta(seconds=10))  # type: ignore[misc]
    worker.main()
