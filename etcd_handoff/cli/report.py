"""`report`: one page on an operation, for a change ticket."""
# ruff: noqa: PLC0415
# Commands import what they need when they run: `--help` answers at once, without gRPC and Temporal.

from __future__ import annotations

from typing import TYPE_CHECKING

from etcd_handoff.cli.past_operations import last_operation
from etcd_handoff.cli.terminal import print_json, print_lines
from etcd_handoff.exit_status import EXIT_DONE

if TYPE_CHECKING:
    import argparse

    from etcd_handoff.cli.audit.trail import Trail


def report_command(args: argparse.Namespace) -> int:
    """Print the page, and return 0 whatever the operation's end is."""
    import asyncio

    from etcd_handoff.cli.render.report import html_lines, markdown_lines

    trail = asyncio.run(_trail(args))
    if args.output == "json":
        from etcd_handoff.cli.shapes.trails import TrailOutput

        print_json(TrailOutput, trail.as_object())
    else:
        print_lines(html_lines(trail) if args.output == "html" else markdown_lines(trail))
    return EXIT_DONE


async def _trail(args: argparse.Namespace) -> Trail:
    from etcd_handoff.cli.audit.fetch import trail

    return await trail(*await last_operation(args))
