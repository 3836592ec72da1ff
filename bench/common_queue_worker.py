"""Our worker without the task queue of its node."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any, Final
from unittest import mock

import worker
from etcd_handoff.contract import node_queue
from etcd_handoff.temporal.worker import make_worker

OF_A_NODE: Final = node_queue("", "")
"""What every node's task queue has in its name."""


def make_common(client: Any, task_queue: str, *rest: Any) -> Any:
    """The worker of the common task queue, and none for the node's."""
    return nullcontext() if OF_A_NODE in task_queue else make_worker(client, task_queue, *rest)


if __name__ == "__main__":
    with mock.patch.object(worker, "make_worker", make_common):
        worker.main()
