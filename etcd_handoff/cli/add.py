"""`add`: start the addition of a member, or attach to a running one, and follow it.

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
    from etcd_handoff.contract import AdditionRequest


def add_command(args: argparse.Namespace) -> int:
    """Print progress and the result.

    Returns:
        The exit status: 0 if the member has a vote, 130 on Ctrl-C, otherwise the exit status of the failure.
    """
    from etcd_handoff.contract import TASK_QUEUE

    config = read_config(args)
    on_progress = environment_file(args)
    request = _request(args, cluster_name(args, config))
    return run_operation(args, request, config.task_queue if config else TASK_QUEUE, _ends(on_progress))


def _ends(on_progress: EnvironmentFile | None) -> Ends:
    """Return the texts for each way an addition can end, and the writer of the environment file."""
    from etcd_handoff.cli.render.addition_result import addition_exit, addition_lines
    from etcd_handoff.cli.shapes.operations import AddOutput
    from etcd_handoff.contract import AdditionResult

    there = "`etcd-handoff status` shows what is there: a learner has no vote and can be removed"
    return Ends(
        AdditionResult,
        AddOutput,
        addition_lines,
        addition_exit,
        cancelled=f"the addition was cancelled before the member had a vote; {there}",
        terminated=f"the addition was terminated; {there}",
        timed_out=f"the addition timed out; {there}",
        on_progress=on_progress,
    )


def _request(args: argparse.Namespace, cluster: str) -> AdditionRequest:
    """Return the validated input."""
    from pydantic import ValidationError

    from etcd_handoff.contract import AdditionRequest

    options = {**change_fields(args, cluster), "name": args.name, "peer_urls": tuple(args.peer_url)}
    try:
        return AdditionRequest.model_validate(options)
    except ValidationError as error:
        raise wrong_options(error) from None
