"""`history`: who started which operation and why, and what was seen and done, from Temporal's records."""
# ruff: noqa: PLC0415
# Commands import what they need when they run: `--help` answers at once, without gRPC and Temporal.

from __future__ import annotations

from typing import TYPE_CHECKING

from etcd_handoff.cli.configuration import cluster_name, read_config
from etcd_handoff.cli.connections import connect_temporal
from etcd_handoff.cli.find_operation import by_workflow_id, listed_operations
from etcd_handoff.cli.past_operations import newest_first, operations_on
from etcd_handoff.cli.terminal import print_json, print_lines
from etcd_handoff.exit_status import EXIT_DONE

if TYPE_CHECKING:
    import argparse

    from etcd_handoff.cli.audit.trail import Trail


def history_command(args: argparse.Namespace) -> int:
    """Print the trails, the last operation first; return 0 also if there is none."""
    import asyncio

    from etcd_handoff.cli.render.history import history_object, overview_lines, trail_lines

    what, trails = asyncio.run(_trails(args))
    nothing = f"Temporal has no record of {what}"
    if args.output == "json":
        from etcd_handoff.cli.shapes.trails import HistoryOutput

        print_json(HistoryOutput, history_object(trails))
    elif args.operation is None or not trails:
        print_lines(overview_lines(trails, nothing))
    else:
        for number, trail in enumerate(trails):
            print_lines([*([""] if number else []), *trail_lines(trail)])
    return EXIT_DONE


async def _trails(args: argparse.Namespace) -> tuple[str, list[Trail]]:
    """Read the trails, the last operation first; also return in words what was searched for."""
    from etcd_handoff.cli.audit.fetch import trails

    if args.operation is not None and "/" in args.operation:
        client = await connect_temporal()
        return args.operation, await trails(client, [await by_workflow_id(client, args.operation)])
    cluster = cluster_name(args, read_config(args))
    client = await connect_temporal()
    if args.operation is None:
        operations = newest_first(await listed_operations(client, cluster, limit=args.limit))
        return f"an operation on cluster {cluster}", await trails(client, operations)
    found = await operations_on(client, cluster, args.operation)
    operations = newest_first([*found.subject, *found.listed])
    what = f"an operation on member {args.operation} of cluster {cluster}"
    return what, await trails(client, operations[: args.limit])
