"""`watch`: start, stop and look at the workflow that does what EtcdMembers ask for."""
# ruff: noqa: PLC0415
# Commands import what they need when they run: `--help` answers at once, without gRPC and Temporal.

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from etcd_handoff.cli.common import (
    EXIT_DONE,
    EXIT_FAILED,
    EXIT_USAGE,
    Stop,
    cluster_name,
    connected,
    read_config,
    rpc_stop,
    tell,
    tell_json,
)

if TYPE_CHECKING:
    import argparse

    from etcd_handoff.config import Config
    from etcd_handoff.leave_requests import Asked, Watching
    from etcd_handoff.temporal.client import Watcher

QUERY_SECONDS: Final = 3.0
UPDATE_SECONDS: Final = 10.0
NOBODY_ANSWERS: Final = "the watcher stands in Temporal, but no worker answers; run `etcd-handoff worker`"
K0S_ACTS: Final = (
    "with remover = k0s, k0s's own reconciler acts on spec.leave at once, before leadership has moved;"
    " to move leadership first, remove members with `etcd-handoff remove`"
)


def watch_command(given: argparse.Namespace) -> int:
    """`watch start|stop|status|resync`."""
    import asyncio

    from temporalio.service import RPCError

    config = read_config(given)
    cluster = cluster_name(given, config)
    if config is not None and cluster not in config.clusters:
        known = ", ".join(sorted(config.clusters))
        raise Stop(EXIT_USAGE, f"cluster: no profile {cluster!r} in the configuration; known: {known}")
    if config is not None and config.clusters[cluster].kubernetes is None:
        text = f"clusters.{cluster}.kubernetes: is missing, so there are no EtcdMembers to watch; add it"
        raise Stop(EXIT_USAGE, text)
    if given.confirm and given.what != "resync":
        raise Stop(EXIT_USAGE, "--confirm: belongs to `watch resync`")
    work = {"start": _start, "stop": _stop, "status": _status, "resync": _resync}[given.what]
    try:
        return asyncio.run(work(given, cluster, config))
    except RPCError as error:
        raise rpc_stop(error) from None


async def _start(given: argparse.Namespace, cluster: str, config: Config | None) -> int:
    from pydantic import ValidationError

    from etcd_handoff.leave_requests import WatchRequest
    from etcd_handoff.model import TASK_QUEUE
    from etcd_handoff.temporal.client import start_watch
    from etcd_handoff.wire import describe

    try:
        request = WatchRequest(cluster=cluster, resync_seconds=given.resync)
    except ValidationError as error:
        raise Stop(EXIT_USAGE, "\n".join(describe(error))) from None
    handle = await start_watch(await connected(), request, config.task_queue if config else TASK_QUEUE)
    said = {"workflow_id": handle.id, "run_id": handle.result_run_id or handle.first_execution_run_id}
    k0s_acts = config is not None and config.clusters[cluster].remover == "k0s"
    if given.output == "json":
        tell_json({**said, "warning": K0S_ACTS if k0s_acts else ""})
    else:
        tell([f"watching the EtcdMembers of cluster {cluster}: workflow {handle.id}", *[K0S_ACTS] * k0s_acts])
    return EXIT_DONE


async def _watcher(cluster: str) -> Watcher:
    """The watcher, which runs: Temporal takes a cancellation of one that has ended, too, and says nothing."""
    from temporalio.client import WorkflowExecutionStatus
    from temporalio.service import RPCError, RPCStatusCode

    from etcd_handoff.leave_requests import watch_id

    handle = (await connected()).get_workflow_handle(watch_id(cluster))
    try:
        runs = (await handle.describe()).status is WorkflowExecutionStatus.RUNNING
    except RPCError as error:
        # A missing namespace is not found either; `rpc_stop` tells that.
        if error.status is not RPCStatusCode.NOT_FOUND or "amespace" in error.message:
            raise
        runs = False
    if not runs:
        raise Stop(EXIT_FAILED, f"nothing watches cluster {cluster}; start it with `etcd-handoff watch start`")
    return handle


async def _stop(given: argparse.Namespace, cluster: str, _: Config | None) -> int:
    watcher = await _watcher(cluster)
    await watcher.cancel()
    if given.output == "json":
        tell_json({"workflow_id": watcher.id, "stopped": True})
    else:
        tell([f"cluster {cluster} is not watched any more; removals that have begun go on"])
    return EXIT_DONE


async def _resync(given: argparse.Namespace, cluster: str, _: Config | None) -> int:
    import asyncio

    from temporalio.client import WorkflowUpdateFailedError, WorkflowUpdateRPCTimeoutOrCancelledError

    from etcd_handoff.leave_requests import ResyncRequest

    watcher = await _watcher(cluster)
    request = ResyncRequest(confirm=given.confirm, reason="command line")
    try:
        async with asyncio.timeout(UPDATE_SECONDS):
            answer = await watcher.execute_update("resync", request, result_type=str)
    except (TimeoutError, WorkflowUpdateRPCTimeoutOrCancelledError):
        raise Stop(EXIT_FAILED, NOBODY_ANSWERS) from None
    except WorkflowUpdateFailedError as error:
        raise Stop(EXIT_FAILED, f"the watcher refuses: {error.cause}") from None
    if given.output == "json":
        tell_json({"workflow_id": watcher.id, "confirmed": given.confirm, "answer": answer})
    else:
        tell([answer])
    return EXIT_DONE


async def trouble_of(cluster: str) -> str:
    """What is wrong with the watcher of a cluster, for `status`; empty when nothing is, or nothing watches it.

    Raises:
        Stop: Temporal cannot be asked.
    """
    try:
        watcher = await _watcher(cluster)
    except Stop as stop:
        if stop.status == EXIT_FAILED:
            return ""
        raise
    try:
        return (await _watching(watcher)).trouble
    except Stop as stop:
        return str(stop)


async def _watching(watcher: Watcher) -> Watching:
    """What the watcher sees.

    Raises:
        Stop: It does not answer.
    """
    import asyncio

    from etcd_handoff.leave_requests import Watching

    try:
        async with asyncio.timeout(QUERY_SECONDS):
            seen: Watching = await watcher.query("watching", result_type=Watching)
    except TimeoutError:
        raise Stop(EXIT_FAILED, NOBODY_ANSWERS) from None
    return seen


async def _status(given: argparse.Namespace, cluster: str, _: Config | None) -> int:
    seen = await _watching(await _watcher(cluster))
    if given.output == "json":
        tell_json(seen.model_dump(mode="json"))
    else:
        tell(_lines(seen))
    return EXIT_DONE


def _lines(seen: Watching) -> list[str]:
    from etcd_handoff.cli.output import table

    lines = [f"cluster {seen.cluster} is watched"]
    if seen.trouble:
        lines.append(f"trouble: {seen.trouble}")
    failures = {retry.uid: retry.failures for retry in seen.retries}
    rows = [
        [
            asked.name,
            asked.member_id or "-",
            asked.joined,
            _wish(seen, asked),
            f"failed {failures[asked.uid]} times, tried again" if asked.uid in failures else "",
        ]
        for asked in seen.members
    ]
    if rows or not seen.trouble:
        lines += table(("ETCDMEMBER", "MEMBER ID", "JOINED", "ASKED", ""), rows)
    return [*lines, *(f"put right: {text}" for text in seen.repaired)]


def _wish(seen: Watching, asked: Asked) -> str:
    """What an EtcdMember asks for."""
    if not asked.leave:
        return ""
    about = next((order.member_id for order in seen.orders if order.uid == asked.uid), asked.member_id)
    return "asked to leave" if about == asked.member_id else f"old request for {about or 'nobody'}"
