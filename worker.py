"""The worker: all that a node runs. `python worker.py --node NAME` takes removals up until it gets SIGTERM."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import inspect
import logging
import os
import signal
import socket
import sys
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from temporalio import workflow
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest, ListSearchAttributesRequest
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError, RPCStatusCode
from temporalio.worker import (
    ExecuteWorkflowInput,
    HandleQueryInput,
    HandleSignalInput,
    HandleUpdateInput,
    Interceptor,
    UnsandboxedWorkflowRunner,
    Worker,
    WorkflowInboundInterceptor,
    WorkflowInterceptorClassInput,
)

from activities.etcd import EtcdActivities
from activities.etcdmembers import EtcdMemberActivities
from activities.kubernetes import Gateways, KubernetesActivities
from activities.steps import ActivityFrame
from activities.temporal import TemporalActivities
from activities.turns import TurnActivities
from activities.worker import WorkerActivities
from etcd_handoff import __version__
from etcd_handoff.client import connect, unreachable_note
from etcd_handoff.config import Config, config_path, load_config
from etcd_handoff.errors import ConfigError
from etcd_handoff.payloads import (
    CLUSTER_KEY,
    KEYWORD,
    MEMBER_KEY,
    STATE_KEY,
    attributes_of_another_type,
    invalid_input,
)
from workflows.record_status import RecordStatus
from workflows.remove_member import RemoveMember
from workflows.turns import ClusterTurns
from workflows.watch import WatchEtcdMembers

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from temporalio.client import Client

EXIT_DONE, EXIT_USAGE, EXIT_UNREACHABLE = 0, 2, 4

STICKY_TIMEOUT: Final = timedelta(milliseconds=100)
"""How long the next decision waits for the worker that made the last one: after `kill -9` another takes over then."""
GRACE: Final = timedelta(seconds=3)
"""How long activities under way may finish after SIGTERM."""
READY_SECONDS: Final = 5.0
"""Pause between touches of the ready file."""
MOST_ACTIVITIES: Final = 5_000
"""Activities at once. Each watched cluster and each open removal keeps one that only waits, so the SDK's 100 would let
waiting ones keep working ones out."""
HEARTBEAT_THROTTLE: Final = timedelta(milliseconds=250)
"""Heartbeats leave at once, so that cancellations reach an activity quickly: the SDK would hold them for 30 to 60 s."""

log = logging.getLogger("etcd_handoff.worker")


class WorkflowFrame(Interceptor):
    """Answers a wrong number of arguments in words, where the SDK would fail the workflow's task for ever."""

    def workflow_interceptor_class(
        self,
        input: WorkflowInterceptorClassInput,  # noqa: A002, ARG002  # the SDK's signature
    ) -> type[WorkflowInboundInterceptor]:
        """Called by the SDK once for each workflow type."""
        return _WorkflowFrame


class _WorkflowFrame(WorkflowInboundInterceptor):
    """Without hints for a wrong number of arguments the SDK hands handlers plain JSON, and fails the task for ever."""

    async def execute_workflow(self, input: ExecuteWorkflowInput) -> Any:  # noqa: A002
        if len(input.args) > 1:
            text = f"input: one JSON object is expected, {len(input.args)} arguments were given"
            raise invalid_input(text)
        return await self.next.execute_workflow(input)

    def handle_update_validator(self, input: HandleUpdateInput) -> None:  # noqa: A002
        self._count(input.update, workflow.get_update_handler(input.update), input.args)
        self.next.handle_update_validator(input)

    async def handle_update_handler(self, input: HandleUpdateInput) -> Any:  # noqa: A002
        self._count(input.update, workflow.get_update_handler(input.update), input.args)
        return await self.next.handle_update_handler(input)

    async def handle_query(self, input: HandleQueryInput) -> Any:  # noqa: A002
        self._count(input.query, workflow.get_query_handler(input.query), input.args)
        return await self.next.handle_query(input)

    async def handle_signal(self, input: HandleSignalInput) -> None:  # noqa: A002
        try:
            self._count(input.signal, workflow.get_signal_handler(input.signal), input.args)
        except ApplicationError as error:
            # Nobody waits for an answer, and raising would fail the workflow. The SDK drops bad JSON in the same way.
            workflow.logger.warning("a signal was dropped: %s", error.message)
        else:
            await self.next.handle_signal(input)

    @staticmethod
    def _count(name: str, handler: Callable[..., Any] | None, args: Sequence[Any]) -> None:
        """Raise `InvalidInput` for a number of arguments that the handler does not take."""
        if handler is None:
            return
        signature = inspect.signature(handler)
        try:
            signature.bind(*args)
        except TypeError:
            takes = "one JSON object" if signature.parameters else "nothing"
            raise invalid_input(f"{name}: it takes {takes}, {len(args)} arguments were given") from None


WORKFLOWS: Final = (RemoveMember, RecordStatus, ClusterTurns, WatchEtcdMembers)
INTERCEPTORS: Final = (ActivityFrame(), WorkflowFrame())


async def ensure_search_attributes(client: Client) -> bool:
    """Whether the namespace has our search attributes; they are registered when they are missing and we may."""
    names = [key.name for key in (CLUSTER_KEY, MEMBER_KEY, STATE_KEY)]
    asked = ListSearchAttributesRequest(namespace=client.namespace)
    try:
        known = (await client.operator_service.list_search_attributes(asked)).custom_attributes
        missing = {name: KEYWORD for name in names if name not in known}
        if missing:
            await client.operator_service.add_search_attributes(
                AddSearchAttributesRequest(namespace=client.namespace, search_attributes=missing)
            )
    except RPCError as error:
        # Another worker may have registered them meanwhile.
        why = "" if error.status is RPCStatusCode.ALREADY_EXISTS else error.message.rstrip(".")
    else:
        # Temporal refuses a value of another type, and with it the workflow task, again and again.
        odd = attributes_of_another_type(known)
        why = f"not of type Keyword, to be removed first: {', '.join(odd)}" if odd else ""
    if why:
        log.warning(
            "running without search attributes: %s; register EtcdCluster, EtcdMember and HandoffState as Keyword with "
            "`temporal operator search-attribute create`, then restart the workers",
            why,
        )
    return not why


async def check_namespace(client: Client) -> None:
    """Return when the namespace exists.

    Raises:
        ConfigError: It does not.
        RPCError: Temporal does not say.
    """
    try:
        await client.workflow_service.describe_namespace(DescribeNamespaceRequest(namespace=client.namespace))
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise
        msg = f"Temporal has no namespace {client.namespace!r}; set TEMPORAL_NAMESPACE to one that it has"
        raise ConfigError(msg) from None


def make_worker(client: Client, config: Config, activities: Sequence[Callable[..., Any]]) -> Worker:
    """A worker for all workflows and these activities; the caller runs it."""
    return Worker(
        client,
        task_queue=config.task_queue,
        workflows=WORKFLOWS,
        activities=activities,
        interceptors=INTERCEPTORS,
        # The sandbox loads the workflows anew for each run and proxies every call, which costs more than all decisions
        # of a removal together. What it guards against, the replay tests find: they run in it.
        workflow_runner=UnsandboxedWorkflowRunner(),
        sticky_queue_schedule_to_start_timeout=STICKY_TIMEOUT,
        graceful_shutdown_timeout=GRACE,
        max_concurrent_activities=MOST_ACTIVITIES,
        max_heartbeat_throttle_interval=HEARTBEAT_THROTTLE,
        default_heartbeat_throttle_interval=HEARTBEAT_THROTTLE,
    )


def all_activities(
    client: Client, etcd: EtcdActivities, gateways: Gateways, node: str, worker: WorkerActivities
) -> list[Callable[..., Any]]:
    """Everything that a worker does for workflows; the caller closes `etcd` and `gateways` afterwards."""
    kubernetes, members = KubernetesActivities(gateways, node), EtcdMemberActivities(gateways)
    temporal, turns = TemporalActivities(client), TurnActivities(client)
    return [
        etcd.check_leader,
        etcd.move_leader,
        etcd.await_election,
        etcd.remove_member,
        etcd.check_hash,
        etcd.take_snapshot,
        kubernetes.find_resource,
        kubernetes.request_leave,
        kubernetes.read_leave,
        kubernetes.update_status,
        members.watch_members,
        members.sync_members,
        members.note_progress,
        turns.take_turn,
        turns.recall_tickets,
        temporal.follow_removal,
        worker.describe_worker,
    ]


async def serve(config: Config, node: str, ready_file: Path | None = None) -> None:
    """Run until SIGTERM or SIGINT.

    Args:
        config: Where the clusters are.
        node: The node that this worker runs on.
        ready_file: Touched every few seconds while the worker takes work, removed when it stops; for probes.

    Raises:
        ConfigError: Temporal's environment configuration is wrong, or there is no such namespace.
        RuntimeError: Temporal cannot be reached at the start.
    """
    client = await connect()
    await check_namespace(client)
    search_attributes = await ensure_search_attributes(client)
    worker = WorkerActivities(config, search_attributes=search_attributes)
    gateways = Gateways(config, node)
    etcd = EtcdActivities(config, node, gateways.prepare, worker.traits, claims=gateways.claims)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    try:
        async with make_worker(client, config, all_activities(client, etcd, gateways, node, worker)):
            say(
                f"etcd-handoff worker ready: node {node}, task queue {config.task_queue}, "
                f"clusters {', '.join(sorted(config.clusters))}, Temporal {client.service_client.config.target_host} "
                f"namespace {client.namespace}, build {__version__}"
                f"{'' if search_attributes else ', without search attributes'}"
            )
            # The first call to a cluster pays for imports and handshakes: better now than within a removal.
            warming = asyncio.create_task(warm(etcd, gateways))
            while not stop.is_set():
                mark(ready_file, ready=True)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), READY_SECONDS)
            say("etcd-handoff worker stopping")
            warming.cancel()
            mark(ready_file, ready=False)
    finally:
        await etcd.close()
        await gateways.close()
    say("etcd-handoff worker stopped")


def mark(ready_file: Path | None, *, ready: bool) -> None:
    """Tell probes, where a file for them was named, whether this worker takes work."""
    if ready_file is not None and ready:
        ready_file.touch()
    elif ready_file is not None:
        ready_file.unlink(missing_ok=True)


async def warm(etcd: EtcdActivities, gateways: Gateways) -> None:
    """Open the connections to all clusters, as far as that can be done now."""
    await gateways.warm()
    await etcd.warm()


def check_files(config: Config) -> None:
    """Raise ConfigError for the first file that the configuration names and this process cannot read."""
    for name, profile in config.clusters.items():
        named = {f"etcd.{key}": value for key, value in profile.etcd if key.endswith("_file")}
        named["kubernetes.kubeconfig"] = profile.kubernetes.kubeconfig if profile.kubernetes else None
        for field, path in named.items():
            if isinstance(path, Path) and not os.access(path, os.R_OK):
                msg = f"clusters.{name}.{field}: {path} cannot be read; correct the path or its permissions"
                raise ConfigError(msg)


def say(text: str) -> None:
    """One line on standard output, at once, also into a pipe."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def parser() -> argparse.ArgumentParser:
    """The worker's options, for this script and for `etcd-handoff worker`."""
    options = argparse.ArgumentParser(prog="worker.py", description=__doc__)
    options.add_argument("--node", default=socket.gethostname(), help="node this worker runs on (default: host name)")
    options.add_argument("--config", help="configuration file (default: $ETCD_HANDOFF_CONFIG or ./etcd-handoff.toml)")
    options.add_argument("--ready-file", type=Path, help="file to touch every few seconds while it takes work")
    options.add_argument("--log-level", default="INFO", choices=["DEBUG", "INFO", "WARNING", "ERROR"])
    return options


def run(config_file: str | None, node: str, log_level: str = "INFO", ready_file: Path | None = None) -> int:
    """Serve; the exit status for the shell."""
    logging.basicConfig(level=log_level, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    try:
        config = load_config(config_path(config_file))
        check_files(config)
        asyncio.run(serve(config, node, ready_file))
    except ConfigError as error:
        sys.stderr.write(f"{error}\n")
        return EXIT_USAGE
    except (RuntimeError, RPCError) as error:
        sys.stderr.write(f"{unreachable_note(error)}\n")
        return EXIT_UNREACHABLE
    return EXIT_DONE


def leave(status: int) -> None:
    """End the process at once: the interpreter's own exit can abort after a worker ran (temporalio sdk-python#300)."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse, serve, leave."""
    given = parser().parse_args(arguments)
    leave(run(given.config, given.node, given.log_level, given.ready_file))


if __name__ == "__main__":
    main()
