"""`add`: start the addition of a member, or attach to the one that runs, and follow it.

Its options are declared in `etcd_handoff.cli.change_options`.
"""
# ruff: noqa: PLC0415
# Commands import what they need when they run: `--help` answers at once, without gRPC and Temporal.

from __future__ import annotations

from typing import TYPE_CHECKING

from etcd_handoff.cli.configuration import cluster_name, gate_options, read_config, wrong_options
from etcd_handoff.cli.environment_file import environment_file
from etcd_handoff.cli.operations import Ends, run_operation
from etcd_handoff.exit_status import EXIT_DONE, EXIT_FAILED, EXIT_REFUSED

if TYPE_CHECKING:
    import argparse

    from etcd_handoff.cli.environment_file import EnvironmentFile
    from etcd_handoff.contract import AdditionRequest, AdditionResult


def add_command(args: argparse.Namespace) -> int:
    """Print progress and the result. Exit 0 if the member has a vote, otherwise as the failure says; 130 on Ctrl-C."""
    from etcd_handoff.contract import TASK_QUEUE

    config = read_config(args)
    news = environment_file(args)
    request = _request(args, cluster_name(args, config))
    return run_operation(args, request, config.task_queue if config else TASK_QUEUE, _ends(news))


def _ends(news: EnvironmentFile | None) -> Ends:
    """Return how the ends of an addition are told, and what writes what to start etcd with."""
    from etcd_handoff.cli.shapes.operations import AddOutput
    from etcd_handoff.contract import AdditionResult

    there = "`etcd-handoff status` shows what is there: a learner has no vote and can be removed"
    return Ends(
        AdditionResult,
        AddOutput,
        result_lines,
        result_exit,
        cancelled=f"the addition was cancelled before the member had a vote; {there}",
        terminated=f"the addition was terminated; {there}",
        timed_out=f"the addition timed out; {there}",
        news=news,
    )


def _request(args: argparse.Namespace, cluster: str) -> AdditionRequest:
    """The checked input."""
    from pydantic import ValidationError

    from etcd_handoff.contract import AdditionRequest

    options = {
        "cluster": cluster,
        "name": args.name,
        "peer_urls": tuple(args.peer_url),
        "reason": args.reason,
        **gate_options(args),
        "snapshot": args.snapshot,
        "hash_check": args.hash_check,
        "progress_timeout_seconds": args.progress_timeout,
        "blocked_timeout_seconds": args.blocked_timeout,
        "dry_run": args.dry_run,
    }
    try:
        return AdditionRequest.model_validate(options)
    except ValidationError as error:
        raise wrong_options(error) from None


def result_lines(result: AdditionResult, *, dry_run: bool) -> list[str]:
    """How an addition ended.

    Args:
        result: Its result.
        dry_run: Whether no more than a dry run was asked for.
    """
    from etcd_handoff.cli.render.result import people_lines
    from etcd_handoff.contract import Outcome

    who = f"{result.member_name} ({result.member_id})" if result.member_id else result.member_name
    if result.outcome == Outcome.PLANNED:
        if not dry_run:
            return [f"WARNING: {who} was NOT added: the workflow that was joined is a dry run. Run the command again."]
        if result.blocked_by:
            return [f"Dry run, nothing was changed. An addition of {who} would wait now: {result.blocked_by}"]
        steps = (f"  {i}. {step}" for i, step in enumerate(result.plan, 1))
        return [f"Dry run, nothing was changed. An addition of {who} would:", *steps]
    if result.outcome not in (Outcome.ADDED, Outcome.ALREADY_PRESENT):
        return [f"WARNING: the addition of {who} ended as {result.outcome!r}, which this version does not know."]
    was = "was a voter already" if result.outcome == Outcome.ALREADY_PRESENT else "is a voter now"
    recorded = "says so" if result.status_recorded else f"was not written: {result.status_note}"
    lines = [f"{who} {was}, cluster {result.cluster}."]
    return [*lines, *people_lines(result), f"Its EtcdMember {recorded}."]


def result_exit(result: AdditionResult, *, dry_run: bool) -> int:
    """3 for a dry run that found the addition blocked; 1 where a member was only planned for."""
    from etcd_handoff.contract import Outcome

    if result.outcome == Outcome.PLANNED and dry_run:
        return EXIT_REFUSED if result.blocked_by else EXIT_DONE
    return EXIT_DONE if result.outcome in (Outcome.ADDED, Outcome.ALREADY_PRESENT) else EXIT_FAILED
