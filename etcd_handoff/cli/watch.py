"""`watch`: start, stop and show the workflow that acts on EtcdMembers."""
# ruff: noqa: PLC0415
# Commands import what they need when they run: `--help` answers at once, without gRPC and Temporal.

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from etcd_handoff import time_limits
from etcd_handoff.annotations import LEAVE_ANNOTATION
from etcd_handoff.cli.configuration import cluster_name, read_config, wrong_options
from etcd_handoff.cli.connections import connect_temporal
from etcd_handoff.cli.errors import CommandError, temporal_error
from etcd_handoff.cli.terminal import print_json, print_lines
from etcd_handoff.cli.watcher_status import NOBODY_ANSWERS, running_watcher, status_of
from etcd_handoff.command_lines import with_cluster
from etcd_handoff.exit_status import EXIT_DONE, EXIT_FAILED, EXIT_REFUSED, EXIT_USAGE

if TYPE_CHECKING:
    import argparse

    from etcd_handoff.cluster_view import Doubt
    from etcd_handoff.config import Config
    from etcd_handoff.reconciler.state import ReconcilerStatus, ResyncRequest
    from etcd_handoff.temporal.client import Watcher

LIST_WORKERS: Final = "etcd-handoff status"
K0S_ACTS: Final = (
    f"on k0s, set the annotation instead of spec.leave: `kubectl annotate etcdmember NAME {LEAVE_ANNOTATION}=true`;"
    " k0s's own reconciler acts on spec.leave at once, before leadership has moved, and the watcher cannot hold it back"
)


def watch_command(args: argparse.Namespace) -> int:
    """Run `watch start|stop|status|resync`, and return its exit status.

    It is 3 if `status` shows that a doubt holds corrections back.

    Raises:
        CommandError: Temporal does not answer, or refuses.
    """
    import asyncio

    from temporalio.service import RPCError

    config = read_config(args)
    cluster = cluster_name(args, config)
    _check(args, cluster, config)
    command = {"start": _start, "stop": _stop, "status": _status, "resync": _resync}[args.what]
    try:
        return asyncio.run(command(args, cluster, config))
    except RPCError as error:
        raise temporal_error(error) from None


def _check(args: argparse.Namespace, cluster: str, config: Config | None) -> None:
    """Refuse options that do not fit, before any server is asked.

    Raises:
        CommandError: An option belongs to another command, or the profile is missing or cannot be watched.
    """
    if args.confirm is not None and args.what != "resync":
        raise CommandError(EXIT_USAGE, "--confirm: belongs to `watch resync`")
    if args.resync is not None and args.what != "start":
        raise CommandError(EXIT_USAGE, "--resync: belongs to `watch start`")
    if config is None:
        return
    if cluster not in config.clusters:
        known = ", ".join(sorted(config.clusters))
        raise CommandError(EXIT_USAGE, f"cluster: no profile {cluster!r} in the configuration; known: {known}")
    if args.what == "start" and config.clusters[cluster].kubernetes is None:
        text = f"clusters.{cluster}.kubernetes: is missing, so there are no EtcdMembers to watch; add it"
        raise CommandError(EXIT_USAGE, text)


async def _start(args: argparse.Namespace, cluster: str, config: Config | None) -> int:
    from pydantic import ValidationError
    from temporalio.exceptions import WorkflowAlreadyStartedError

    from etcd_handoff.contract import TASK_QUEUE
    from etcd_handoff.reconciler.state import ReconcileEtcdMembersRequest
    from etcd_handoff.temporal.client import start_watcher

    seconds = time_limits.WATCHER.resync_seconds if args.resync is None else args.resync
    try:
        request = ReconcileEtcdMembersRequest(cluster=cluster, resync_seconds=seconds)
    except ValidationError as error:
        raise wrong_options(error) from None
    task_queue = config.task_queue if config else TASK_QUEUE
    try:
        watcher = await start_watcher(await connect_temporal(), request, task_queue, join=False)
    except WorkflowAlreadyStartedError:
        watcher, note = await _running(cluster, args.resync)
    else:
        note = f"watching the EtcdMembers of cluster {cluster}, every {seconds:g} s: workflow {watcher.id}"
    warning = K0S_ACTS if config is not None and config.clusters[cluster].is_k0s else ""
    if args.output == "json":
        run_id = watcher.result_run_id or (await watcher.describe()).run_id
        from etcd_handoff.cli.shapes.watch import WatchStartOutput

        print_json(WatchStartOutput, {"workflow_id": watcher.id, "run_id": run_id, "note": note, "warning": warning})
    else:
        print_lines(text for text in (note, warning) if text)
    return EXIT_DONE


async def _running(cluster: str, resync_seconds: float | None) -> tuple[Watcher, str]:
    """Return the running watcher, and a note on it.

    Args:
        cluster: Cluster profile.
        resync_seconds: The requested interval; None if none was requested.

    Raises:
        CommandError: It has another interval, or does not say which.
    """
    watcher = await _watcher(cluster)
    try:
        seconds = (await status_of(watcher)).resync_seconds
    except CommandError as error:
        if resync_seconds is not None:
            raise
        return watcher, f"cluster {cluster} is watched already: workflow {watcher.id}; {error}"
    note = f"cluster {cluster} is watched already, every {seconds:g} s: workflow {watcher.id}"
    if resync_seconds not in (None, seconds):
        start = f"etcd-handoff watch start -c {cluster} --resync {resync_seconds:g}"
        remedy = f"to change that, run `etcd-handoff watch stop -c {cluster}`, then `{start}` again"
        raise CommandError(EXIT_FAILED, f"{note}; {remedy}")
    return watcher, note


async def _watcher(cluster: str) -> Watcher:
    return await running_watcher(await connect_temporal(), cluster)


async def _stop(args: argparse.Namespace, cluster: str, _: Config | None) -> int:
    watcher = await _watcher(cluster)
    await watcher.cancel()
    if args.output == "json":
        from etcd_handoff.cli.shapes.watch import WatchStopOutput

        print_json(WatchStopOutput, {"workflow_id": watcher.id, "stopped": True})
    else:
        print_lines([f"cluster {cluster} is not watched any more; removals that have begun go on"])
    return EXIT_DONE


async def _resync(args: argparse.Namespace, cluster: str, _: Config | None) -> int:
    import asyncio

    from pydantic import ValidationError
    from temporalio.client import WorkflowUpdateFailedError, WorkflowUpdateRPCTimeoutOrCancelledError

    from etcd_handoff.reconciler.state import ResyncRequest
    from etcd_handoff.temporal.updates import execute_update

    watcher, confirm, kind = await _watcher(cluster), args.confirm is not None, ""
    if confirm:
        kind = _doubt_to_confirm(await status_of(watcher), args.confirm).kind
    try:
        request = ResyncRequest(confirm=confirm, doubt=kind, digest=args.confirm or "", reason="command line")
    except ValidationError as error:
        raise wrong_options(error) from None
    try:
        async with asyncio.timeout(time_limits.COMMANDS.watcher_update_seconds):
            answer = await execute_update(watcher, "resync", request, result_type=str)
    except (TimeoutError, WorkflowUpdateRPCTimeoutOrCancelledError):
        raise CommandError(EXIT_FAILED, NOBODY_ANSWERS) from None
    except WorkflowUpdateFailedError as error:
        why = _older_worker(error.cause, request) or f"the watcher refuses: {error.cause}"
        raise CommandError(EXIT_FAILED, with_cluster(why, cluster)) from None
    if args.output == "json":
        from etcd_handoff.cli.shapes.watch import WatchResyncOutput

        output = {"workflow_id": watcher.id, "confirmed": confirm, "doubt": kind, "answer": answer}
        print_json(WatchResyncOutput, output)
    else:
        print_lines([answer])
    return EXIT_DONE


def _older_worker(cause: BaseException | None, request: ResyncRequest) -> str:
    """Return that the worker is too old for digests; empty if that is not the cause.

    An older worker refuses any field that it does not know.
    """
    from temporalio.exceptions import ApplicationError

    from etcd_handoff.contract import FailureType
    from etcd_handoff.reconciler.drift import CONFIRM

    if not (isinstance(cause, ApplicationError) and cause.type == FailureType.INVALID_INPUT):
        return ""
    if not request.digest or "digest:" not in cause.message:
        return ""
    text = "nothing is confirmed: the worker that answers is older than this command, and knows no digest"
    upgrade = f"`{LIST_WORKERS}` lists the workers with their versions: upgrade those on all nodes"
    return f"{text}. {upgrade}, then run `{CONFIRM} {request.digest}` again"


def _doubt_to_confirm(status: ReconcilerStatus, digest: str) -> Doubt:
    """Return the present doubt; the watcher compares the digest with it.

    Raises:
        CommandError: There is none, or no digest was given.
    """
    from etcd_handoff.cli.render.watch import held_back

    if status.doubt is None:
        see = f"etcd-handoff watch status -c {status.cluster}"
        raise CommandError(EXIT_FAILED, f"nothing is held back, so there is nothing to confirm; see `{see}`")
    if not digest:
        raise CommandError(EXIT_REFUSED, f"nothing is confirmed yet; {held_back(status.doubt, status.cluster)}")
    return status.doubt


async def _status(args: argparse.Namespace, cluster: str, _: Config | None) -> int:
    from etcd_handoff.cli.render.watch import status_exit, status_lines

    status = await status_of(await _watcher(cluster))
    if args.output == "json":
        from etcd_handoff.cli.shapes.watch import WatchStatusOutput

        print_json(WatchStatusOutput, status.model_dump(mode="json"))
    else:
        print_lines(status_lines(status))
    return status_exit(status)
