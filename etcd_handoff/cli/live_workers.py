"""The workers that poll a task queue, as Temporal lists them."""
# ruff: noqa: PLC0415
# Commands import what they need when they run: `--help` answers at once, without gRPC and Temporal.

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, NamedTuple

from etcd_handoff import time_limits
from etcd_handoff.certificate_expiry import EXPIRY_HINT_DAYS

if TYPE_CHECKING:
    from temporalio.client import Client

SHORT_BUILD: Final = 8


class LiveWorker(NamedTuple):
    """A worker.

    Attributes:
        node: The node that it was started for; empty if its identity does not name one.
        version: Its version; empty if its identity does not contain one.
        build: Digest of its code, shortened. Workers with the same digest decide alike.
        host: Its host, or its whole identity.
        asked_seconds_ago: Seconds since its last poll.
        config: Digest of the settings that affect decisions. Workers with the same digest follow the same rules.
        profiles: Its cluster profiles.
        certificates: The earliest expiry of each profile's certificates, as an ISO date, by profile.
        expiring: Profiles with a certificate that has expired, or expires within `EXPIRY_HINT_DAYS`.
    """

    node: str
    version: str
    build: str
    host: str
    asked_seconds_ago: float
    config: str = ""
    profiles: tuple[str, ...] = ()
    certificates: tuple[tuple[str, str], ...] = ()
    expiring: tuple[str, ...] = ()


async def live_workers(client: Client, task_queue: str) -> list[LiveWorker]:
    """Return the workers that polled for workflow tasks within about a minute, by node.

    Raises:
        RPCError: Temporal does not answer, or refuses.
    """
    from temporalio.api.enums.v1 import TaskQueueType
    from temporalio.api.taskqueue.v1 import TaskQueue
    from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest

    from etcd_handoff.temporal.identity import parsed

    request = DescribeTaskQueueRequest(
        namespace=client.namespace,
        task_queue=TaskQueue(name=task_queue),
        task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW,
    )
    answer = await client.workflow_service.describe_task_queue(request)
    workers, now = {}, time.time()
    # One whose certificates were renewed has another identity since: its last word counts.
    for poller in sorted(answer.pollers, key=lambda poller: poller.last_access_time.ToNanoseconds()):
        age = max(0.0, now - poller.last_access_time.seconds)
        build = poller.deployment_options.build_id or poller.worker_version_capabilities.build_id
        if age < time_limits.WORKER.fresh_seconds:
            who = parsed(poller.identity)
            workers[who.node, who.process, who.host] = LiveWorker(
                node=who.node,
                version=who.version,
                build=build[:SHORT_BUILD],
                host=who.host,
                asked_seconds_ago=round(age, 1),
                config=who.config,
                profiles=who.profiles,
                certificates=who.ends,
                expiring=_expiring(who.ends, now),
            )
    return sorted(workers.values(), key=lambda worker: (worker.node, worker.host))


def _expiring(ends: tuple[tuple[str, str], ...], now: float) -> tuple[str, ...]:
    """Return the profiles whose earliest certificate has expired or expires soon."""
    from datetime import UTC, datetime, timedelta

    latest = datetime.fromtimestamp(now, UTC) + timedelta(days=EXPIRY_HINT_DAYS)
    return tuple(profile for profile, end in ends if datetime.fromisoformat(end).date() <= latest.date())
