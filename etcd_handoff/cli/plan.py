"""`plan`: show what a removal would do now."""
# ruff: noqa: PLC0415
# Commands import what they need when they run: `--help` answers at once, without gRPC and Temporal.

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from etcd_handoff import time_limits
from etcd_handoff.cli.configuration import cluster_profile, common_options, removal_request, require_controller
from etcd_handoff.cli.connections import denial_reason, import_clients, read_resources, read_view
from etcd_handoff.cli.errors import CommandError, result_or_error, status_and_text
from etcd_handoff.cli.terminal import print_error, print_json, print_lines
from etcd_handoff.exit_status import EXIT_USAGE

if TYPE_CHECKING:
    import argparse

    from etcd_handoff.cli.removal_plan import PlanFacts
    from etcd_handoff.config import ClusterProfile


def plan_command(args: argparse.Namespace) -> int:
    """Print members and steps.

    Returns:
        The exit status: 0 if it could begin or is done, 3 if it would wait or be refused, 1 if etcd would not allow it,
            and 4 if only other nodes can tell.

    Raises:
        CommandError: No member, or more than one, has this name.
    """
    import asyncio
    import dataclasses

    from etcd_handoff.cli.removal_plan import plan_removal
    from etcd_handoff.cli.render.members import cluster_line, cluster_object, member_lines
    from etcd_handoff.cli.render.plan import plan_lines, plan_object

    name, profile = cluster_profile(args)
    request = removal_request(args, name)
    require_controller(profile)
    import_clients(profile, temporal=False)
    facts = asyncio.run(_read_facts(profile))
    if profile.etcd.names_own_member_alone:
        facts = dataclasses.replace(facts, dry_run=dry_run_command(args))
    plan = plan_removal(facts, request).with_cluster(name)
    if args.output == "json":
        if plan.status == EXIT_USAGE:
            print_error(plan.text)
        from etcd_handoff.cli.shapes.cluster import PlanOutput

        print_json(PlanOutput, cluster_object(name, facts.view) | plan_object(plan, facts.view))
        return plan.status
    if plan.status == EXIT_USAGE:
        raise CommandError(EXIT_USAGE, plan.text)
    print_lines([cluster_line(name, facts.view), *member_lines(facts.view), ""])
    print_lines(plan_lines(plan))
    return plan.status


def dry_run_command(args: argparse.Namespace) -> str:
    """Return the command for the same plan through the workers of all nodes."""
    import shlex

    return shlex.join(["etcd-handoff", "remove", args.member, *common_options(args), "--dry-run"])


async def _read_facts(profile: ClusterProfile) -> PlanFacts:
    """Read etcd, EtcdMembers and our permissions in parallel; only an error of etcd is raised."""
    import asyncio

    from etcd_handoff.cli.etcdmembers import claims_of
    from etcd_handoff.cli.removal_plan import PlanFacts

    async def resources() -> list[dict[str, Any]]:
        async with asyncio.timeout(time_limits.COMMANDS.plan_resources_seconds):
            return await read_resources(profile)

    async def rights() -> str:
        async with asyncio.timeout(time_limits.COMMANDS.plan_rights_seconds):
            return await denial_reason(profile)

    view, read, denied = await asyncio.gather(
        read_view(profile, all_voters=not profile.etcd.names_own_member_alone),
        result_or_error(resources()),
        result_or_error(rights()),
    )
    error = status_and_text(read)[1] if isinstance(read, Exception) else ""
    if isinstance(read, TimeoutError):
        error = f"no answer within {time_limits.COMMANDS.plan_resources_seconds:g} s"
    return PlanFacts(
        view,
        profile.cluster_id or "",
        profile.min_voters,
        has_kubernetes=profile.kubernetes is not None,
        claims=None if isinstance(read, Exception) else claims_of(read),
        claims_error=error,
        denied="" if isinstance(denied, Exception) else denied,
        opens=_opening(profile),
    )


def _opening(profile: ClusterProfile) -> str:
    """Return when the next change window opens; empty if changes may begin now."""
    import time

    from etcd_handoff.change_windows import next_opening, shown, zone

    now, wall = time.time(), zone(profile.time_zone)
    opens = next_opening(profile.windows, wall, now)
    return f"{shown(opens, wall)} ({wall.key})" if opens > now else ""
