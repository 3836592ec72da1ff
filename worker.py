"""The worker: all that a node runs. `python worker.py --node NAME` takes removals up until it gets SIGTERM."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import socket
import sys
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from activities.interceptor import ActivityInterceptor
from activities.worker_info import WorkerActivities
from etcd_handoff.config_files import check_files
from etcd_handoff.kubernetes.pool import KubernetesGateways
from etcd_handoff.temporal.client import connect
from etcd_handoff.temporal.connection_failures import connection_failure
from etcd_handoff.temporal.interceptors import ArgumentCheckInterceptor
from etcd_handoff.temporal.process_exit import remove_temporary_files
from etcd_handoff.temporal.readiness import Readiness, check_ready_file
from etcd_handoff.temporal.search_attributes import ensure_search_attributes
from etcd_handoff.temporal.setup import ServerTooOldError, check_namespace, check_server, skip_validation
from temporalio.service import RPCError
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from activities.etcd import EtcdActivities
from activities.registry import all_activities
from etcd_handoff import __version__
from etcd_handoff.config import Config, config_path, load_config
from etcd_handoff.errors import ConfigError
from etcd_handoff.exit_status import EXIT_DONE, EXIT_FAILED, EXIT_USAGE
from workflows.add_member import AddMember
from workflows.record_status import RecordStatus
from workflows.remove_member import RemoveMember
from workflows.turns import ClusterTurns
from workflows.watch import WatchEtcdMembers

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from temporalio.client import Client

STICKY_TIMEOUT: Final = timedelta(milliseconds=100)
"""How long the next decision waits for the worker that made the last one: after `kill -9` another takes over then."""
GRACE: Final = timedelta(seconds=3)
"""How long activities under way may finish after SIGTERM."""
MOST_ACTIVITIES: Final = 5_000
"""Activities at once. Each watched cluster and each open removal keeps one that only waits, so the SDK's 100 would let
waiting ones keep working ones out."""
HEARTBEAT_THROTTLE: Final = timedelta(milliseconds=250)
"""Heartbeats leave at once, so that cancellations reach an activity quickly: the SDK would hold them for 30 to 60 s."""

WORKFLOWS: Final = (RemoveMember, AddMember, RecordStatus, ClusterTurns, WatchEtcdMembers)
INTERCEPTORS: Final = (ActivityInterceptor(), ArgumentCheckInterceptor())


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


async def serve(config: Config, node: str, ready_file: Path | None = None) -> None:
    """Run until SIGTERM or SIGINT.

    Args:
        config: Where the clusters are.
        node: The node that this worker runs on.
        ready_file: Fresh while the worker takes work, removed when it does not; for probes.

    Raises:
        ConfigError: Temporal's environment configuration is wrong, or there is no such namespace.
        ServerTooOldError: Temporal's server lacks what is needed.
        RuntimeError: Temporal cannot be reached at the start, or refuses the worker.
        RPCError: Temporal answers with an error.
    """
    client = await connect()
    await check_server(client)
    described = await check_namespace(client)
    ready = Readiness(ready_file, client, may_describe=described)
    search_attributes = await ensure_search_attributes(client)
    own = WorkerActivities(config, search_attributes=search_attributes)
    gateways = KubernetesGateways(config, node)
    etcd = EtcdActivities(config, node, gateways.prepare, own.traits, claims=gateways.claims)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    worker = make_worker(client, config, all_activities(client, etcd, gateways, node, own))
    if not described:
        skip_validation(worker)
    try:
        async with worker:
            say(
                f"etcd-handoff worker ready: node {node}, task queue {config.task_queue}, "
                f"clusters {', '.join(sorted(config.clusters))}, Temporal {client.service_client.config.target_host} "
                f"namespace {client.namespace}, build {__version__}"
                f"{'' if search_attributes else ', without search attributes'}"
            )
            # The first call to a cluster pays for imports and handshakes: better now than within a removal.
            warming = asyncio.gather(gateways.warm(), etcd.warm(), return_exceptions=True)
            await ready.keep(stop)
            say("etcd-handoff worker stopping")
            warming.cancel()
    finally:
        await etcd.close()
        await gateways.close()
    say("etcd-handoff worker stopped")


def say(text: str) -> None:
    """One line on standard output, at once, also into a pipe."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def parser() -> argparse.ArgumentParser:
    """The worker's options, for this script and for `etcd-handoff worker`."""
    options = argparse.ArgumentParser(prog="worker.py", description=__doc__)
    options.add_argument("--node", default=socket.gethostname(), help="node this worker runs on (default: host name)")
    options.add_argument("--config", help="configuration file (default: $ETCD_HANDOFF_CONFIG or ./etcd-handoff.toml)")
    options.add_argument("--ready-file", type=Path, help="file that is fresh while it takes work; for probes")
    options.add_argument("--log-level", default="INFO", choices=["DEBUG", "INFO", "WARNING", "ERROR"])
    return options


def run(config_file: str | None, node: str, log_level: str = "INFO", ready_file: Path | None = None) -> int:
    """Serve; the exit status for the shell."""
    logging.basicConfig(level=log_level, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    try:
        config = load_config(config_path(config_file))
        check_files(config)
        check_ready_file(ready_file)
        asyncio.run(serve(config, node, ready_file))
    except ConfigError as error:
        status, text = EXIT_USAGE, str(error)
    except ServerTooOldError as error:
        status, text = EXIT_FAILED, str(error)
    except (RuntimeError, RPCError) as error:
        status, text = connection_failure(error)
    else:
        return EXIT_DONE
    sys.stderr.write(f"{text}\n")
    return status


def leave(status: int) -> None:
    """End the process at once: the interpreter's own exit can abort after a worker ran (temporalio sdk-python#300)."""
    remove_temporary_files()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse, serve, leave."""
    given = parser().parse_args(arguments)
    leave(run(given.config, given.node, given.log_level, given.ready_file))


if __name__ == "__main__":
    main()
