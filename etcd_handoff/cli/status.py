"""`status`: members, EtcdMembers, operations, workers and the watcher."""
# ruff: noqa: PLC0415
# Commands import what they need when they run: `--help` answers at once, without gRPC and Temporal.

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from etcd_handoff.cli.configuration import cluster_profile, named_options, read_config, require_controller
from etcd_handoff.cli.connections import import_clients, read_resources, read_view
from etcd_handoff.cli.errors import result_or_error, status_and_advice
from etcd_handoff.cli.temporal_parts import read_temporal, with_places
from etcd_handoff.cli.terminal import print_json, print_lines
from etcd_handoff.exit_status import EXIT_DONE, EXIT_FAILED, worst_exit

if TYPE_CHECKING:
    import argparse

    from etcd_handoff.cli.render.status import StatusReport
    from etcd_handoff.config import ClusterProfile


def status_command(args: argparse.Namespace) -> int:
    """Print all parts that could be read.

    Returns:
        The exit status: 0, 4 if a server cannot be reached, or 1 if etcd's answers contradict each other.
    """
    import asyncio

    from etcd_handoff.cli.render.status import status_lines, status_object
    from etcd_handoff.contract import TASK_QUEUE

    name, profile = cluster_profile(args)
    require_controller(profile)
    import_clients(profile, temporal=True)
    config = read_config(args)
    report = asyncio.run(_read_report(args, name, profile, config.task_queue if config else TASK_QUEUE))
    if args.output == "json":
        from etcd_handoff.cli.shapes.status import StatusOutput

        print_json(StatusOutput, status_object(report))
    else:
        print_lines(status_lines(report))
    return status_exit(report)


def status_exit(report: StatusReport) -> int:
    """Return 4 if a server cannot be reached, 1 if etcd's answers contradict each other or a server refuses us."""
    return worst_exit([*report.statuses, EXIT_FAILED if report.doubt else EXIT_DONE])


async def _read_report(args: argparse.Namespace, name: str, profile: ClusterProfile, task_queue: str) -> StatusReport:
    """Read etcd, Kubernetes and Temporal in parallel; an error leaves out only its own part."""
    import asyncio

    from etcd_handoff.cli.etcdmembers import claims_of, doubt_of
    from etcd_handoff.cli.render.status import StatusReport

    async def read_all_resources() -> list[dict[str, Any]] | None:
        return await read_resources(profile) if profile.kubernetes else None

    view, resources, temporal = await asyncio.gather(
        result_or_error(read_view(profile)),
        result_or_error(read_all_resources()),
        result_or_error(read_temporal(name, task_queue)),
    )
    if not isinstance(temporal, Exception):
        unread = temporal.cluster_id or profile.cluster_id or ""
        temporal = await with_places(temporal, unread if isinstance(view, Exception) else view.cluster_id)
    parts = (("etcd", view), ("kubernetes", resources), ("temporal", temporal))
    failed = {part: status_and_advice(error, args) for part, error in parts if isinstance(error, Exception)}
    claims = None if isinstance(resources, Exception) else claims_of(resources or ())
    return StatusReport(
        cluster=name,
        view=None if isinstance(view, Exception) else view,
        resources=None if isinstance(resources, Exception) else resources,
        temporal=None if isinstance(temporal, Exception) else temporal,
        errors={part: text for part, (_, text) in failed.items()},
        doubt=None if isinstance(view, Exception) else doubt_of(view, profile.cluster_id or "", claims),
        statuses=tuple(status for status, _ in failed.values()),
        options=named_options(args, name),
    )
