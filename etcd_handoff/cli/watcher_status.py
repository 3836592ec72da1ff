"""The watcher of a cluster and its status, for `watch` and `status`."""
# ruff: noqa: PLC0415
# Commands import what they need when they run: `--help` answers at once, without gRPC and Temporal.

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from etcd_handoff import time_limits
from etcd_handoff.cli.errors import CommandError, temporal_error
from etcd_handoff.command_lines import START_A_WORKER
from etcd_handoff.exit_status import EXIT_FAILED

if TYPE_CHECKING:
    from temporalio.client import Client
    from temporalio.service import RPCError

    from etcd_handoff.cli.render.operations import WatcherHealth
    from etcd_handoff.reconciler.state import ReconcilerStatus
    from etcd_handoff.temporal.client import Watcher

NOBODY_ANSWERS: Final = f"the watcher is started, but no worker answers; {START_A_WORKER}"
NO_STATUS: Final = "the watcher is started, but cannot tell where it stands"
READ_LOGS: Final = "the logs of the workers say why"


async def running_watcher(client: Client, cluster: str) -> Watcher:
    """Return the running watcher.

    The check is needed because Temporal silently accepts a cancellation of one that has ended.

    Raises:
        CommandError: None runs.
        RPCError: Temporal does not answer, or refuses.
    """
    from temporalio.client import WorkflowExecutionStatus
    from temporalio.service import RPCError

    from etcd_handoff.reconciler.state import watcher_id
    from etcd_handoff.temporal.connection_failures import is_unknown_workflow

    handle = client.get_workflow_handle(watcher_id(cluster))
    try:
        runs = (await handle.describe()).status is WorkflowExecutionStatus.RUNNING
    except RPCError as error:
        if not is_unknown_workflow(error):
            raise
        runs = False
    if not runs:
        start = f"etcd-handoff watch start -c {cluster}"
        raise CommandError(EXIT_FAILED, f"nothing watches cluster {cluster}; start it with `{start}`")
    return handle


async def health_of(client: Client, cluster: str) -> WatcherHealth:
    """Return the watcher's health for `status`; a watcher without an answer counts as trouble.

    Raises:
        RPCError: Temporal cannot be asked.
    """
    from etcd_handoff.cli.render.operations import WatcherHealth

    try:
        watcher = await running_watcher(client, cluster)
    except CommandError:
        return WatcherHealth()
    try:
        status = await status_of(watcher)
    except CommandError as error:
        return WatcherHealth(runs=True, trouble=str(error))
    return WatcherHealth(
        runs=True, trouble=status.trouble, resync_seconds=status.resync_seconds, removing=len(status.removing)
    )


async def status_of(watcher: Watcher) -> ReconcilerStatus:
    """Read the watcher's status.

    Raises:
        CommandError: It does not answer, or not so that this version can read it.
    """
    import asyncio

    from temporalio.client import WorkflowQueryFailedError
    from temporalio.service import RPCError

    from etcd_handoff.errors import HandoffError
    from etcd_handoff.reconciler.state import ReconcilerStatus

    try:
        async with asyncio.timeout(time_limits.COMMANDS.watcher_query_seconds):
            status: ReconcilerStatus = await watcher.query("status", result_type=ReconcilerStatus)
    except TimeoutError:
        raise CommandError(EXIT_FAILED, NOBODY_ANSWERS) from None
    except (WorkflowQueryFailedError, HandoffError) as error:
        raise CommandError(EXIT_FAILED, f"{NO_STATUS}: {error}") from None
    except RPCError as error:
        raise _refusal(error) from None
    return status


def _refusal(error: RPCError) -> CommandError:
    """Return why there is no answer: no worker polls, the worker's decisions fail, or Temporal itself fails."""
    from temporalio.service import RPCStatusCode

    not_ready = error.status is RPCStatusCode.FAILED_PRECONDITION
    if error.status in (RPCStatusCode.DEADLINE_EXCEEDED, RPCStatusCode.CANCELLED) or (
        not_ready and "poller" in error.message
    ):
        return CommandError(EXIT_FAILED, NOBODY_ANSWERS)
    if not_ready:
        return CommandError(EXIT_FAILED, f"{NO_STATUS}: {error.message.rstrip('.')}; {READ_LOGS}")
    return temporal_error(error)
