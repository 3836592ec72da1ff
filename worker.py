"""The worker: all that a node runs. `python worker.py --node NAME` runs the steps of operations until SIGTERM."""

from __future__ import annotations

import os

os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # read at its import: its own lines repeat ours, and are no JSON

import argparse
import asyncio
import contextlib
import logging
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from temporalio.service import RPCError

from activities.attempts import Attempts
from activities.change_queue import ChangeQueueActivities
from activities.etcd import EtcdActivities
from activities.interceptor import ActivityInterceptor
from activities.node_data import NodeData
from activities.node_workers import NodeWorkers
from activities.record_ahead import RecordAhead
from activities.registry import all_activities, node_activities
from activities.worker_info import WorkerActivities
from etcd_handoff import __version__
from etcd_handoff.config.choice import chosen_config, own_node
from etcd_handoff.config.file_checks import check_files
from etcd_handoff.config.presets import PRESETS
from etcd_handoff.contract import node_queue
from etcd_handoff.errors import ConfigError
from etcd_handoff.etcd.gateway import EtcdGateway
from etcd_handoff.etcd.member_hosts import member_hosts
from etcd_handoff.exit_status import EXIT_DONE, EXIT_FAILED, EXIT_USAGE
from etcd_handoff.kubernetes.pool import KubernetesGateways
from etcd_handoff.temporal.client import connect
from etcd_handoff.temporal.connection_failures import connection_failure
from etcd_handoff.temporal.identity import worker_identity
from etcd_handoff.temporal.interceptors import ArgumentCheckInterceptor
from etcd_handoff.temporal.log_context import LogContextInterceptor
from etcd_handoff.temporal.logs import chosen_format, configure, core_logging, say
from etcd_handoff.temporal.metrics import MetricsInterceptor, StandingMetrics, make_runtime
from etcd_handoff.temporal.probes import answering
from etcd_handoff.temporal.process_exit import end_process
from etcd_handoff.temporal.readiness import Readiness, check_ready_file
from etcd_handoff.temporal.renewal import keep_identity
from etcd_handoff.temporal.search_attributes import ensure_search_attributes
from etcd_handoff.temporal.server_errors import count_kubernetes_error
from etcd_handoff.temporal.setup import ServerTooOldError, check_namespace, check_server
from etcd_handoff.temporal.tracing import Tracing, chosen_tracing
from etcd_handoff.temporal.worker import make_worker, skip_validation
from etcd_handoff.worker_options import (
    CONFIG_HELP,
    DATA_DIR_HELP,
    LOG_FORMATS,
    METRICS_VARIABLE,
    PROBE_VARIABLE,
    add_worker_options,
    preset_help,
)
from workflows.registry import WORKFLOWS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from temporalio.client import Client
    from temporalio.worker import Interceptor

    from etcd_handoff.config import Config

INTERCEPTORS: Final = (LogContextInterceptor(), ActivityInterceptor(), ArgumentCheckInterceptor())


@dataclass(frozen=True, slots=True)
class Options:
    """How a worker runs.

    Attributes:
        node: The node that it runs on.
        ready_file: A file for probes. It is fresh while the worker takes work, and removed when it does not.
        metrics_address: The address of the metrics for Prometheus, `<IP address>:<port>`; empty for none.
        probe_address: The address of `/livez` and `/readyz`; empty for none.
        log_format: The format of the log, one of `LOG_FORMATS`.
        tracing: Makes spans of the worker's calls; None for no traces.
    """

    node: str
    ready_file: Path | None = None
    metrics_address: str = ""
    probe_address: str = ""
    log_format: str = LOG_FORMATS[0]
    tracing: Tracing | None = None


async def serve(config: Config, options: Options) -> None:
    """Run until SIGTERM or SIGINT, and answer probes meanwhile.

    Args:
        config: Where the clusters are.
        options: How the worker runs.

    Raises:
        ConfigError: Temporal's environment configuration is wrong, there is no such namespace, or this machine does not
            let the worker listen at the address for metrics or probes.
        ServerTooOldError: Temporal's server lacks what is needed.
        RuntimeError: Temporal cannot be reached at the start, or refuses the worker.
        RPCError: Temporal answers with an error.
    """
    ready = Readiness(options.ready_file)
    async with answering(options.probe_address, {"/livez": ready.alive, "/readyz": ready.ready}):
        try:
            await _work(config, options, ready)
        finally:
            if options.tracing:
                await asyncio.to_thread(options.tracing.close)


async def _work(config: Config, options: Options, ready: Readiness) -> None:
    node, metrics_address = options.node, options.metrics_address
    runtime = make_runtime(metrics_address, core_logging(options.log_format))
    client = await connect(identity=worker_identity(node, config), runtime=runtime)
    await check_server(client)
    described = await check_namespace(client)
    search_attributes = await ensure_search_attributes(client)
    own = WorkerActivities(config, search_attributes=search_attributes)
    gateways = KubernetesGateways(config, node, hosts=member_hosts, on_error=count_kubernetes_error)
    queue = ChangeQueueActivities(client)
    etcd = EtcdActivities(
        config,
        node,
        EtcdGateway,
        ahead=RecordAhead(gateways),
        worker_info=own.worker_info,
        claims=gateways.claims,
        workers=NodeWorkers(client, config.task_queue),
        data=NodeData(config).owner,
        why_void=Attempts(client).why_void,
        take_turn=queue.take_turn_soon,
    )
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    activities = all_activities(client, config, node, etcd, gateways, own, queue)
    interceptors = _interceptors(options)
    worker = make_worker(client, config.task_queue, WORKFLOWS, activities, interceptors)
    at_node = make_worker(client, node_queue(config.task_queue, node), (), node_activities(activities), interceptors)
    if not described:
        skip_validation(worker)
        skip_validation(at_node)
    try:
        async with worker, at_node:
            say(_greeting(config, options, client, search_attributes=search_attributes), options.log_format)
            # The first call to a cluster pays for imports and handshakes: better now than within a removal.
            tasks = [gateways.warm(), etcd.warm(), keep_identity((worker, at_node), runtime, config, node)]
            if metrics_address:
                tasks.append(StandingMetrics(client, runtime.metric_meter, config, node).keep())
            beside = asyncio.gather(*tasks, return_exceptions=True)
            await ready.keep(client, stop, may_describe=described)
            say("etcd-handoff worker stopping", options.log_format)
            beside.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await beside
    finally:
        await etcd.close()
        await gateways.close()
    say("etcd-handoff worker stopped", options.log_format)


def _interceptors(options: Options) -> tuple[Interceptor, ...]:
    """Return the interceptors of all workflows and activities, the outermost first."""
    traced = (options.tracing.interceptor,) if options.tracing else ()  # it records failures as Temporal gets them
    counted = (MetricsInterceptor(),) if options.metrics_address else ()  # it counts failures as they were raised
    return (*traced, *INTERCEPTORS, *counted)


def _greeting(config: Config, options: Options, client: Client, *, search_attributes: bool) -> str:
    """Return the line that a worker logs once it takes work."""
    return (
        f"etcd-handoff worker ready: node {options.node}, task queue {config.task_queue}, "
        f"clusters {', '.join(sorted(config.clusters))}, Temporal {client.service_client.config.target_host} "
        f"namespace {client.namespace}, version {__version__}"
        f"{'' if search_attributes else ', without search attributes'}"
        f"{f', metrics at http://{options.metrics_address}/metrics' if options.metrics_address else ''}"
        f"{f', probes at {options.probe_address}' if options.probe_address else ''}"
    )


def parser() -> argparse.ArgumentParser:
    """Return the parser of this script's options. That of `etcd-handoff worker` is in `etcd_handoff.cli.options`."""
    options = argparse.ArgumentParser(prog="worker.py", description="Runs the steps of operations until SIGTERM.")
    options.add_argument("--config", help=CONFIG_HELP)
    one = options.add_mutually_exclusive_group()
    for name in PRESETS:
        text = preset_help(name, "--cluster")
        one.add_argument(f"--{name}", dest="preset", action="store_const", const=name, help=text)
    options.add_argument("--data-dir", type=Path, help=DATA_DIR_HELP)
    options.add_argument("--cluster", help="what its cluster is called (default: like the distribution)")
    add_worker_options(options)
    return options


def run(options: argparse.Namespace) -> int:
    """Serve with the options of `parser`, and return the exit status for the shell."""
    log_format = LOG_FORMATS[0]
    try:
        log_format = chosen_format(options.log_format)
        configure(options.log_level, log_format)
        config = chosen_config(options.config, options.preset, options.cluster, options.data_dir)
        check_files(config)
        check_ready_file(options.ready_file)
        node = options.node or own_node(config)
        chosen = Options(
            node=node,
            ready_file=options.ready_file,
            metrics_address=options.metrics_address or os.environ.get(METRICS_VARIABLE, ""),
            probe_address=options.probe_address or os.environ.get(PROBE_VARIABLE, ""),
            log_format=log_format,
            tracing=chosen_tracing(options.traces, node),
        )
        asyncio.run(serve(config, chosen))
    except ConfigError as error:
        status, text = EXIT_USAGE, str(error)
    except ServerTooOldError as error:
        status, text = EXIT_FAILED, str(error)
    except (RuntimeError, RPCError) as error:
        status, text = connection_failure(error)
    else:
        return EXIT_DONE
    say(text, log_format, logging.ERROR)
    return status


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the options, serve, and end the process."""
    end_process(run(parser().parse_args(arguments)))


if __name__ == "__main__":
    main()
