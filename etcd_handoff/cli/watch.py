"""`watch`: start, stop and look at the workflow that does what EtcdMembers ask for."""
# ruff: noqa: PLC0415
# Commands import what they need when they run: `--help` answers at once, without gRPC and Temporal.

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from etcd_handoff.cli.configuration import cluster_name, read_config
from etcd_handoff.cli.connections import connect_temporal
from etcd_handoff.cli.errors import CommandError, temporal_error
from etcd_handoff.cli.terminal import print_json, print_lines
from etcd_handoff.exit_status import EXIT_DONE, EXIT_FAILED, EXIT_USAGE

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


def watch_command(args: argparse.Namespace) -> int:
    """`watch start|stop|status|resync`."""
    import asyncio

    from temporalio.service import RPCError

    config = read_config(args)
    cluster = cluster_name(args, config)
    if config is not None and cluster not in config.clusters:
        known = ", ".join(sorted(config.clusters))
        raise CommandError(EXIT_USAGE, f"cluster: no profile {cluster!r} in the configuration; known: {known}")
    if config is not None and config.clusters[cluster].kubernetes is None:
        text = f"clusters.{cluster}.kubernetes: is missing, so there are no EtcdMembers to watch; add it"
        raise CommandError(EXIT_USAGE, text)
    if args.confirm and args.what != "resync":
        raise CommandError(EXIT_USAGE, "--confirm: belongs to `watch resync`")
    work = {"start": _start, "stop": _stop, "status": _status, "resync": _resync}[args.what]
    try:
        return asyncio.run(work(args, cluster, config))
    except RPCError as error:
        raise temporal_error(error) from None


async def _start(args: argparse.Namespace, cluster: str, config: Config | None) -> int:
    from pydantic import ValidationError

    from etcd_handoff.leave_requests import WatchRequest
    from etcd_handoff.model import TASK_QUEUE
    from etcd_handoff.temporal.client import start_watch
    from etcd_handoff.wire import describe

    try:
        request = WatchRequest(cluster=cluster, resync_seconds=args.resync)
    except ValidationError as error:
        raise CommandError(EXIT_USAGE, "\n".join(describe(error))) from None
    handle = await start_watch(await connect_temporal(), request, config.task_queue if config else TASK_QUEUE)
    said = {"workflow_id": handle.id, "run_id": handle.result_run_id or handle.first_execution_run_id}
    k0s_acts = config is not None and config.clusters[cluster].remover == "k0s"
    if args.output == "json":
        print_json({**said, "warning": K0S_ACTS if k0s_acts else ""})
    else:
        print_lines([f"watching the EtcdMembers of cluster {cluster}: workflow {handle.id}", *[K0S_ACTS] * k0s_acts])
    return EXIT_DONE


async def _watcher(cluster: str) -> Watcher:
    """The watcher, which runs: Temporal takes a cancellation of one that has ended, too, and says nothing."""
    from temporalio.client import WorkflowExecutionStatus
    from temporalio.service import RPCError, RPCStatusCode

    from etcd_handoff.leave_requests import watch_id

    handle = (await connect_temporal()).get_workflow_handle(watch_id(cluster))
    try:
        runs = (await handle.describe()).status is WorkflowExecutionStatus.RUNNING
    except RPCError as error:
        # A missing namespace is not found either; `temporal_error` tells that.
        if error.status is not RPCStatusCode.NOT_FOUND or "amespace" in error.message:
            raise
        runs = False
    if not runs:
        raise CommandError(EXIT_FAILED, f"nothing watches cluster {cluster}; start it with `etcd-handoff watch start`")
    return handle


async def _stop(args: argparse.Namespace, cluster: str, _: Config | None) -> int:
    watcher = await _watcher(cluster)
    await watcher.cancel()
    if args.output == "json":
        print_json({"workflow_id": watcher.id, "stopped": True})
    else:
        print_lines([f"cluster {cluster} is not watched any more; removals that have begun go on"])
    return EXIT_DONE


async def _resync(args: argparse.Namespace, cluster: str, _: Config | None) -> int:
    import asyncio

    from temporalio.client import WorkflowUpdateFailedError, WorkflowUpdateRPCTimeoutOrCancelledError

    from etcd_handoff.leave_requests import ResyncRequest

    watcher = await _watcher(cluster)
    request = ResyncRequest(confirm=args.confirm, reason="command line")
    try:
        async with asyncio.timeout(UPDATE_SECONDS):
            answer = await watcher.execute_update("resync", request, result_type=str)
    except (TimeoutError, WorkflowUpdateRPCTimeoutOrCancelledError):
        raise CommandError(EXIT_FAILED, NOBODY_ANSWERS) from None
    except WorkflowUpdateFailedError as error:
        raise CommandError(EXIT_FAILED, f"the watcher refuses: {error.cause}") from None
    if args.output == "json":
        print_json({"workflow_id": watcher.id, "confirmed": args.confirm, "answer": answer})
    else:
        print_lines([answer])
    return EXIT_DONE


async def trouble_of(cluster: str) -> str:
    """What is wrong with the watcher of a cluster, for `status`; empty when nothing is, or nothing watches it.

    Raises:
        CommandError: Temporal cannot be asked.
    """
    try:
        watcher = await _watcher(cluster)
    except CommandError as error:
        if error.status == EXIT_FAILED:
            return ""
        raise
    try:
        return (await _watching(watcher)).trouble
    except CommandError as error:
        return str(error)


async def _watching(watcher: Watcher) -> Watching:
    """What the watcher sees.

    Raises:
        CommandError: It does not answer.
    """
    import asyncio

    from etcd_handoff.leave_requests import Watching

    try:
        async with asyncio.timeout(QUERY_SECONDS):
            seen: Watching = await watcher.query("watching", result_type=Watching)
    except TimeoutError:
        raise CommandError(EXIT_FAILED, NOBODY_ANSWERS) from None
    return seen


async def _status(args: argparse.Namespace, cluster: str, _: Config | None) -> int:
    seen = await _watching(await _watcher(cluster))
    if args.output == "json":
        print_json(seen.model_dump(mode="json"))
    else:
        print_lines(_lines(seen))
    return EXIT_DONE


def _lines(seen: Watching) -> list[str]:
    from etcd_handoff.cli.render.table import table

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
