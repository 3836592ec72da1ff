"""The worker: all that a node runs. `python worker.py --node NAME` takes removals up until it gets SIGTERM."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from temporalio.service import RPCError

from activities.etcd import EtcdActivities
from activities.interceptor import ActivityInterceptor
from activities.node_workers import NodeWorkers
from activities.registry import all_activities, node_activities
from activities.worker_info import WorkerActivities
from etcd_handoff import __version__
from etcd_handoff.config_choice import chosen_config, own_node
from etcd_handoff.config_files import check_files
from etcd_handoff.contract import node_queue
from etcd_handoff.errors import ConfigError
from etcd_handoff.etcd.gateway import EtcdGateway
from etcd_handoff.etcd.member_hosts import member_hosts
from etcd_handoff.exit_status import EXIT_DONE, EXIT_FAILED, EXIT_USAGE
from etcd_handoff.kubernetes.pool import KubernetesGateways
from etcd_handoff.presets import PRESETS
from etcd_handoff.temporal.client import connect
from etcd_handoff.temporal.connection_failures import connection_failure
from etcd_handoff.temporal.identity import worker_identity
from etcd_handoff.temporal.interceptors import ArgumentCheckInterceptor
from etcd_handoff.temporal.metrics import MetricsInterceptor, StandingMetrics, exporting_runtime
from etcd_handoff.temporal.process_exit import end_process
from etcd_handoff.temporal.readiness import Readiness, check_ready_file
from etcd_handoff.temporal.search_attributes import ensure_search_attributes
from etcd_handoff.temporal.setup import ServerTooOldError, check_namespace, check_server
from etcd_handoff.temporal.worker import make_worker, skip_validation
from workflows.add_member import AddMember
from workflows.apply_membership import ApplyMembership
from workflows.change_queue import ChangeQueue
from workflows.reconcile_members import ReconcileEtcdMembers
from workflows.record_status import RecordStatus
from workflows.remove_member import RemoveMember
from workflows.replace_member import ReplaceMember

if TYPE_CHECKING:
    from collections.abc import Sequence

    from etcd_handoff.config import Config

WORKFLOWS: Final = (
    RemoveMember,
    AddMember,
    ReplaceMember,
    ApplyMembership,
    RecordStatus,
    ChangeQueue,
    ReconcileEtcdMembers,
)
INTERCEPTORS: Final = (ActivityInterceptor(), ArgumentCheckInterceptor())
METRICS_VARIABLE: Final = "ETCD_HANDOFF_METRICS_ADDRESS"


async def serve(config: Config, node: str, ready_file: Path | None = None, metrics_address: str = "") -> None:
    """Run until SIGTERM or SIGINT.

    Args:
        config: Where the clusters are.
        node: The node that this worker runs on.
        ready_file: Fresh while the worker takes work, removed when it does not; for probes.
        metrics_address: Where Prometheus finds metrics, `<IP address>:<port>`; nowhere when it is empty.

    Raises:
        ConfigError: Temporal's environment configuration is wrong, there is no such namespace, or this machine does
            not let the worker listen at the metrics' address.
        ServerTooOldError: Temporal's server lacks what is needed.
        RuntimeError: Temporal cannot be reached at the start, or refuses the worker.
        RPCError: Temporal answers with an error.
    """
    runtime = exporting_runtime(metrics_address) if metrics_address else None
    client = await connect(identity=worker_identity(node, config), runtime=runtime)
    await check_server(client)
    described = await check_namespace(client)
    ready = Readiness(ready_file, client, may_describe=described)
    search_attributes = await ensure_search_attributes(client)
    own = WorkerActivities(config, search_attributes=search_attributes)
    gateways = KubernetesGateways(config, node, hosts=member_hosts)
    etcd = EtcdActivities(
        config,
        node,
        EtcdGateway,
        prefetch=gateways.prefetch,
        traits=own.traits,
        claims=gateways.claims,
        missing_workers=NodeWorkers(client, config.task_queue).missing,
    )
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    activities = all_activities(client, config, node, etcd, gateways, own)
    # The first is the outermost: metrics count what is not yet translated for Temporal.
    interceptors = (*INTERCEPTORS, MetricsInterceptor()) if runtime is not None else INTERCEPTORS
    worker = make_worker(client, config.task_queue, WORKFLOWS, activities, interceptors)
    own_queue = node_queue(config.task_queue, node)
    at_node = make_worker(client, own_queue, (), node_activities(activities), interceptors)
    if not described:
        skip_validation(worker)
        skip_validation(at_node)
    try:
        async with worker, at_node:
            say(
                f"etcd-handoff worker ready: node {node}, task queue {config.task_queue}, "
                f"clusters {', '.join(sorted(config.clusters))}, Temporal {client.service_client.config.target_host} "
                f"namespace {client.namespace}, version {__version__}"
                f"{'' if search_attributes else ', without search attributes'}"
                f"{f', metrics at http://{metrics_address}/metrics' if metrics_address else ''}"
            )
            # The first call to a cluster pays for imports and handshakes: better now than within a removal.
            tasks = [gateways.warm(), etcd.warm()]
            if runtime is not None:
                tasks.append(StandingMetrics(client, runtime.metric_meter, config, node).keep())
            beside = asyncio.gather(*tasks, return_exceptions=True)
            await ready.keep(stop)
            say("etcd-handoff worker stopping")
            beside.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await beside
    finally:
        await etcd.close()
        await gateways.close()
    say("etcd-handoff worker stopped")


def say(text: str) -> None:
    """One line on standard output, at once, also into a pipe."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def parser() -> argparse.ArgumentParser:
    """The worker's options, for this script; `etcd-handoff worker` has the same."""
    options = argparse.ArgumentParser(prog="worker.py", description=__doc__)
    text = "node this worker runs on (default: host name; on a controller, the name of its member)"
    options.add_argument("--node", help=text)
    options.add_argument("--config", help="configuration file (default: $ETCD_HANDOFF_CONFIG or ./etcd-handoff.toml)")
    one = options.add_mutually_exclusive_group()
    for name in PRESETS:
        text = f"this is a {name} controller: no configuration file is needed"
        one.add_argument(f"--{name}", dest="preset", action="store_const", const=name, help=text)
    options.add_argument("--data-dir", type=Path, help="its data directory (default: where it is as it comes)")
    options.add_argument("--cluster", help="what its cluster is called (default: like the distribution)")
    options.add_argument("--ready-file", type=Path, help="file that is fresh while it takes work; for probes")
    text = f"where Prometheus finds metrics, such as 127.0.0.1:9464 (default: ${METRICS_VARIABLE}, else nowhere)"
    options.add_argument("--metrics-address", default="", metavar="IP:PORT", help=text)
    options.add_argument("--log-level", default="INFO", choices=["DEBUG", "INFO", "WARNING", "ERROR"])
    return options


def run(options: argparse.Namespace) -> int:
    """Serve, with the options of `parser`; the exit status for the shell."""
    logging.basicConfig(level=options.log_level, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    try:
        config = chosen_config(options.config, options.preset, options.cluster, options.data_dir)
        check_files(config)
        check_ready_file(options.ready_file)
        metrics_address = options.metrics_address or os.environ.get(METRICS_VARIABLE, "")
        asyncio.run(serve(config, options.node or own_node(config), options.ready_file, metrics_address))
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


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the options, serve, end the process."""
    end_process(run(parser().parse_args(arguments)))


if __name__ == "__main__":
    main()
