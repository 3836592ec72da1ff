"""`doctor`: is everything there that a removal needs?"""
# ruff: noqa: PLC0415
# Commands import what they need when they run: `--help` answers at once, without gRPC and Temporal.

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Final

from etcd_handoff.cli.common import (
    EXIT_DONE,
    EXIT_FAILED,
    EXIT_USAGE,
    attempt,
    connected,
    explain,
    profile_of,
    read_config,
    read_resources,
    read_view,
    rpc_stop,
    tell,
    tell_json,
)

if TYPE_CHECKING:
    import argparse

    from temporalio.client import Client

    from etcd_handoff.cli.findings import Finding
    from etcd_handoff.config import ClusterProfile
    from etcd_handoff.view import ClusterView

POLLER_FRESH_SECONDS: Final = 75.0
"""A worker asks for work at least once a minute; Temporal lists it five minutes after its last request."""


def doctor_command(given: argparse.Namespace) -> int:
    """`doctor`."""
    import asyncio

    from etcd_handoff.cli import findings as out

    findings = asyncio.run(_examine(given))
    if given.output == "json":
        tell_json([out.finding_object(found) for found in findings])
    else:
        tell(out.finding_lines(findings))
    return out.findings_exit(findings)


async def _examine(given: argparse.Namespace) -> list[Finding]:
    """All checks, in order; a broken configuration leaves those of Temporal."""
    import asyncio

    from etcd_handoff.cli.findings import Finding
    from etcd_handoff.model import TASK_QUEUE

    try:
        name, profile = profile_of(given)
        config = read_config(given)
    except Exception as error:  # noqa: BLE001  # each becomes a finding
        status, text = explain(error)
        first = [Finding("configuration", text, "correct the file, or name the right one with --config", status)]
        return [*first, *await _examine_temporal(TASK_QUEUE)]
    queue = config.task_queue if config else TASK_QUEUE
    files = _check_files(name, profile)
    first = [Finding("configuration", f"cluster {name}, task queue {queue}"), files]
    cluster = _examine_cluster(profile) if files.status == EXIT_DONE else _no_findings()
    parts = await asyncio.gather(cluster, _examine_temporal(queue))
    return [*first, *parts[0], *parts[1]]


async def _no_findings() -> list[Finding]:
    return []


def _check_files(name: str, profile: ClusterProfile) -> Finding:
    from etcd_handoff.cli.findings import Finding
    from etcd_handoff.cli.output import count

    named = {f"etcd.{key}": value for key, value in profile.etcd if key.endswith("_file") and value}
    if profile.kubernetes and profile.kubernetes.kubeconfig:
        named["kubernetes.kubeconfig"] = profile.kubernetes.kubeconfig
    bad = [f"clusters.{name}.{key}: {path}" for key, path in named.items() if not os.access(path, os.R_OK)]
    if bad:
        text = f"cannot be read: {'; '.join(bad)}"
        return Finding("files", text, "correct the paths or their permissions", EXIT_USAGE)
    return Finding("files", f"{count(len(named), 'file')} named, all readable" if named else "none named")


async def _examine_cluster(profile: ClusterProfile) -> list[Finding]:
    import asyncio

    from etcd_handoff.cli.findings import judge_cluster

    numbers = range(1, len(profile.etcd.endpoints) + 1)
    view, endpoints = await asyncio.gather(
        attempt(read_view(profile)),
        asyncio.gather(*(_examine_endpoint(profile, number) for number in numbers)),
    )
    seen = None if isinstance(view, Exception) else view
    judged = (
        [_trouble("etcd", view, "bring a majority of the members back")]
        if isinstance(view, Exception)
        else judge_cluster(view)
    )
    contexts = profile.kubernetes.contexts or ("",) if profile.kubernetes else ()
    asked = [_examine_context(profile, context, seen) for context in contexts]
    return [*endpoints, *judged, *await asyncio.gather(*asked)]


async def _examine_endpoint(profile: ClusterProfile, number: int) -> Finding:
    """Whether one endpoint, asked alone, gives a member list."""
    from etcd_handoff.cli.findings import Finding
    from etcd_handoff.cli.output import count
    from etcd_handoff.etcd_gateway import EtcdGateway

    check, url = f"endpoint {number}", profile.etcd.endpoints[number - 1]
    gateway = EtcdGateway(profile.etcd.model_copy(update={"endpoints": (url,)}))
    try:
        members = await attempt(gateway.member_ids())
    finally:
        await gateway.close()
    if isinstance(members, Exception):
        status, text = explain(members)
        remedy = "is a member running there, is it one of a majority, and do the certificates fit?"
        return Finding(check, f"{url}: {text.rpartition('member list: ')[2]}", remedy, status)
    return Finding(check, f"{url} answers and lists {count(len(members), 'member')}")


async def _examine_context(profile: ClusterProfile, context: str, view: ClusterView | None) -> Finding:
    """Whether one API server answers, has the resource kind, and agrees with etcd."""
    from etcd_handoff.cli.findings import Finding, judge_records
    from etcd_handoff.cli.output import compare
    from etcd_handoff.errors import ObjectGoneError

    check = f"kubernetes {context or 'in-cluster'}"
    kubernetes = profile.kubernetes
    if kubernetes is None:
        return Finding(check, "no Kubernetes in the profile")
    alone = kubernetes.model_copy(update={"contexts": (context,) if context else ()})
    resources = await attempt(read_resources(alone))
    if isinstance(resources, ObjectGoneError):
        remedy = "install k0s's CustomResourceDefinition etcdmembers.etcd.k0sproject.io"
        return Finding(check, "EtcdMembers are not installed", remedy, EXIT_FAILED)
    if isinstance(resources, Exception):
        return _trouble(check, resources, "check the context, its API server, and get and list on etcdmembers")
    return judge_records(check, compare(view, resources))


async def _examine_temporal(task_queue: str) -> list[Finding]:
    """Whether Temporal answers, who asks for work there, and whether our search attributes are registered."""
    from etcd_handoff.cli.findings import Finding

    client = await attempt(connected())
    if isinstance(client, Exception):
        return [_trouble("temporal", client)]
    where = f"{client.service_client.config.target_host}, namespace {client.namespace}"
    workers, attributes = await attempt(_pollers(client, task_queue)), await attempt(_attributes(client))
    return [
        Finding("temporal", f"{where} answers"),
        _trouble("workers", workers) if isinstance(workers, Exception) else workers,
        _trouble("search attributes", attributes) if isinstance(attributes, Exception) else attributes,
    ]


async def _pollers(client: Client, task_queue: str) -> Finding:
    from temporalio.api.enums.v1 import TaskQueueType
    from temporalio.api.taskqueue.v1 import TaskQueue
    from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest
    from temporalio.service import RPCError

    from etcd_handoff.cli.findings import judge_pollers

    asked = DescribeTaskQueueRequest(
        namespace=client.namespace,
        task_queue=TaskQueue(name=task_queue),
        task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW,
    )
    try:
        answer = await client.workflow_service.describe_task_queue(asked)
    except RPCError as error:
        raise rpc_stop(error) from None
    ages = {poller.identity: time.time() - poller.last_access_time.seconds for poller in answer.pollers}
    return judge_pollers(task_queue, [who for who, age in ages.items() if age < POLLER_FRESH_SECONDS])


async def _attributes(client: Client) -> Finding:
    from temporalio.api.operatorservice.v1 import ListSearchAttributesRequest
    from temporalio.service import RPCError

    from etcd_handoff.cli.findings import judge_attributes
    from etcd_handoff.payloads import attributes_of_another_type

    try:
        known = await client.operator_service.list_search_attributes(
            ListSearchAttributesRequest(namespace=client.namespace)
        )
    except RPCError as error:
        raise rpc_stop(error) from None
    return judge_attributes(known.custom_attributes, attributes_of_another_type(known.custom_attributes))


def _trouble(check: str, error: Exception, remedy: str = "") -> Finding:
    """What could not be checked, as a failed finding."""
    from etcd_handoff.cli.findings import Finding

    status, text = explain(error)
    return Finding(check, text, remedy, status)
