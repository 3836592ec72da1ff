"""`replace`: start the replacement of a member, or attach to a running one, and follow it.

Its options are declared in `etcd_handoff.cli.change_options`.
"""
# ruff: noqa: PLC0415
# Commands import what they need when they run: `--help` answers at once, without gRPC and Temporal.

from __future__ import annotations

from typing import TYPE_CHECKING

from etcd_handoff.cli.configuration import change_fields, cluster_name, read_config, wrong_options
from etcd_handoff.cli.environment_file import environment_file
from etcd_handoff.cli.operations import Ends, run_operation

if TYPE_CHECKING:
    import argparse

    from etcd_handoff.cli.environment_file import EnvironmentFile
    from etcd_handoff.contract import ReplacementRequest


def replace_command(args: argparse.Namespace) -> int:
    """Print progress and the result.

    Returns:
        The exit status: 0 if the member is replaced, 130 on Ctrl-C, otherwise the exit status of the failure.
    """
    from etcd_handoff.contract import TASK_QUEUE

    config = read_config(args)
    on_progress = environment_file(args)
    request = replacement_request(args, cluster_name(args, config))
    return run_operation(args, request, config.task_queue if config else TASK_QUEUE, _ends(on_progress))


def _ends(on_progress: EnvironmentFile | None) -> Ends:
    """Return the texts for each way a replacement can end, and the writer of the environment file."""
    from etcd_handoff.cli.render.change_results import change_exit, replacement_lines
    from etcd_handoff.cli.shapes.operations import ReplaceOutput
    from etcd_handoff.contract import ReplacementResult

    there = "`etcd-handoff status` shows what is there, and the same command again goes on with what is left"
    return Ends(
        ReplacementResult,
        ReplaceOutput,
        replacement_lines,
        change_exit,
        cancelled=f"the replacement was cancelled; {there}",
        terminated=f"the replacement was terminated; {there}",
        timed_out=f"the replacement timed out; {there}",
        on_progress=on_progress,
    )


def replacement_request(args: argparse.Namespace, cluster: str) -> ReplacementRequest:
    """Return the validated input.

    Raises:
        CommandError: A field is wrong; one line for each.
    """
    from pydantic import ValidationError

    from etcd_handoff.contract import ReplacementRequest

    options = {"member": args.member, "name": args.name, "peer_urls": tuple(args.peer_url)}
    try:
        return ReplacementRequest.model_validate({**change_fields(args, cluster), **options})
    except ValidationError as error:
        raise wrong_options(error, name="--with") from None
