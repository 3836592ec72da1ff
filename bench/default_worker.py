"""Our worker with Temporal's own settings: 10 s sticky, no heartbeats, so that only its time-out ends a lost step."""

from __future__ import annotations

from datetime import timedelta

import worker
from workflows import execute

if __name__ == "__main__":
    execute.HEARTBEAT_TIMEOUT = None  # type: ignore[assignment,misc]  # the default of the SDK
    worker.STICKY_TIMEOUT = timedelta(seconds=10)  # type: ignore[misc]
    worker.main()
