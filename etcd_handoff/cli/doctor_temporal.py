"""The checks of `doctor` on Temporal: server, workers, search attributes, the queue of changes."""
# ruff: noqa: PLC0415
# Commands import what they need when they run: `--help` answers at once, without gRPC and Temporal.

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from etcd_handoff.cli.connections import connect_temporal
from etcd_handoff.cli.errors import result_or_error, status_and_text
from etcd_handoff.exit_status import EXIT_FAILED

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from temporalio.client import Client

    from etcd_handoff.cli.doctor_checks import CheckResult


@dataclass(frozen=True, slots=True)
class TemporalReport:
    """What Temporal reports.

    Attributes:
        results: Results of the checks.
        workers: Number of workers on each node's queue; None if that is unknown.
    """

    results: tuple[CheckResult, ...]
    workers: Mapping[str, int] | None = None


async def check_temporal(task_queue: str, cluster_id: str = "", nodes: Collection[str] = ()) -> TemporalReport:
    """Check the Temporal server, the workers on the task queue, and our search attributes.

    Args:
        task_queue: The task queue in the configuration.
        cluster_id: The etcd cluster; empty if it is unknown.
        nodes: Nodes whose own queues are checked.
    """
    import asyncio

    from etcd_handoff.cli.doctor_checks import CheckResult

    client = await result_or_error(connect_temporal())
    if isinstance(client, Exception):
        status, text = status_and_text(client)
        return TemporalReport((CheckResult("temporal", text, status=status),))
    checks = {
        "temporal": _check_server(client),
        "workers": _check_workers(client, task_queue),
        "queue of changes": _check_queue(client, task_queue, cluster_id),
        "search attributes": _check_attributes(client),
    }
    results = []
    workers, found = await asyncio.gather(
        result_or_error(_node_workers(client, task_queue, nodes)),
        asyncio.gather(*map(result_or_error, checks.values())),
    )
    for check, result in zip(checks, found, strict=True):
        if isinstance(result, Exception):
            status, text = status_and_text(result)
            results.append(CheckResult(check, text, status=status))
        elif result is not None:
            results.append(result)
    return TemporalReport(tuple(results), None if isinstance(workers, Exception) else workers)


async def _check_server(client: Client) -> CheckResult:
    from etcd_handoff.cli.doctor_checks import CheckResult
    from etcd_handoff.temporal.setup import check_namespace, check_server

    await check_server(client)
    await check_namespace(client)
    return CheckResult("temporal", f"{client.service_client.config.target_host}, namespace {client.namespace} answers")


async def _check_workers(client: Client, task_queue: str) -> CheckResult:
    from etcd_handoff.cli.doctor_checks import check_workers
    from etcd_handoff.cli.live_workers import live_workers

    return check_workers(task_queue, await live_workers(client, task_queue))


async def _node_workers(client: Client, task_queue: str, nodes: Collection[str]) -> dict[str, int]:
    """Return how many workers polled each node's queue recently."""
    import asyncio

    from etcd_handoff.contract import node_queue
    from etcd_handoff.temporal.pollers import pollers

    queues = [pollers(client, node_queue(task_queue, node), activities=True) for node in nodes]
    return {node: len(listed) for node, listed in zip(nodes, await asyncio.gather(*queues), strict=True)}


async def _check_queue(client: Client, own_task_queue: str, cluster_id: str) -> CheckResult | None:
    """Check that workers serve the open queue of this etcd cluster; None if there is no such queue."""
    from temporalio.client import WorkflowExecutionStatus
    from temporalio.service import RPCError, RPCStatusCode

    from etcd_handoff.cli.doctor_checks import check_queue
    from etcd_handoff.operation.queue_messages import change_queue_id
    from etcd_handoff.temporal.pollers import pollers

    if not cluster_id:
        return None
    name = change_queue_id(cluster_id)
    try:
        described = await client.get_workflow_handle(name).describe()
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            return None
        raise
    if described.status is not WorkflowExecutionStatus.RUNNING:
        return None
    return check_queue(name, described.task_queue, own_task_queue, await pollers(client, described.task_queue))


async def _check_attributes(client: Client) -> CheckResult:
    from temporalio.service import RPCError

    from etcd_handoff.cli.doctor_checks import CheckResult, check_attributes
    from etcd_handoff.temporal.search_attributes import REGISTER, attributes_of_another_type, registered, unusable
    from etcd_handoff.temporal.setup import NOT_FOR_US

    try:
        known = await registered(client)
    except RPCError as error:
        if error.status not in NOT_FOR_US:
            raise
    else:
        return check_attributes(known, attributes_of_another_type(known))
    if why := await unusable(client):
        return CheckResult("search attributes", f"cannot be used: {why}", REGISTER, EXIT_FAILED)
    return CheckResult(
        "search attributes", "a query that names them is answered; their list is not for these credentials"
    )
