"""`status`: members, what their EtcdMembers say, open removals."""
# ruff: noqa: PLC0415
# Commands import what they need when they run: `--help` answers at once, without gRPC and Temporal.

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from etcd_handoff.cli.configuration import cluster_profile
from etcd_handoff.cli.connections import connect_temporal, import_clients, read_resources, read_view
from etcd_handoff.cli.errors import result_or_error, status_and_text, temporal_error
from etcd_handoff.cli.terminal import print_json, print_lines
from etcd_handoff.exit_status import EXIT_DONE, EXIT_FAILED, worst_exit
from etcd_handoff.search_attributes import CLUSTER_ATTRIBUTE, MEMBER_ATTRIBUTE, STATE_ATTRIBUTE

if TYPE_CHECKING:
    import argparse

    from etcd_handoff.cli.render.status import OpenRemoval, StatusReport
    from etcd_handoff.config import ClusterProfile


def status_command(args: argparse.Namespace) -> int:
    """Print all parts that could be read. Exit 0; 4 if a server cannot be reached, 1 if etcd's answers contradict."""
    import asyncio

    from etcd_handoff.cli.render.status import status_lines, status_object

    name, profile = cluster_profile(args)
    import_clients(profile, temporal=True)
    report = asyncio.run(_read_report(name, profile))
    if args.output == "json":
        print_json(status_object(report))
    else:
        print_lines(status_lines(report))
    return status_exit(report)


def status_exit(report: StatusReport) -> int:
    """Return 4 if a server cannot be reached, 1 if etcd's answers contradict each other or a server refuses us."""
    return worst_exit([*report.statuses, EXIT_FAILED if report.doubt else EXIT_DONE])


async def _read_report(name: str, profile: ClusterProfile) -> StatusReport:
    """Read etcd, Kubernetes and Temporal at once; an error leaves out its part alone."""
    import asyncio

    from etcd_handoff.cli.etcdmembers import claims_of, doubt_of
    from etcd_handoff.cli.render.status import StatusReport
    from etcd_handoff.cli.watch import trouble_of

    async def read_all_resources() -> list[dict[str, Any]] | None:
        return await read_resources(profile) if profile.kubernetes else None

    view, resources, removals, trouble = await asyncio.gather(
        result_or_error(read_view(profile)),
        result_or_error(read_all_resources()),
        result_or_error(_open_removals(name)),
        result_or_error(trouble_of(name)),
    )
    parts = (("etcd", view), ("kubernetes", resources), ("temporal", removals))
    failed = {part: status_and_text(error) for part, error in parts if isinstance(error, Exception)}
    claims = () if isinstance(resources, Exception) else claims_of(resources or ())
    return StatusReport(
        cluster=name,
        view=None if isinstance(view, Exception) else view,
        resources=None if isinstance(resources, Exception) else resources,
        removals=None if isinstance(removals, Exception) else removals,
        errors={part: text for part, (_, text) in failed.items()},
        doubt=None if isinstance(view, Exception) else doubt_of(view, profile.cluster_id or "", claims),
        statuses=tuple(status for status, _ in failed.values()),
        # An error of Temporal's stands in place of the removals already.
        watcher_trouble="" if isinstance(trouble, Exception) else trouble,
    )


async def _open_removals(cluster: str) -> list[OpenRemoval]:
    """Return the running operations on the cluster; works without the custom search attributes.

    Raises:
        CommandError: Temporal does not answer, or refuses.
    """
    from temporalio.service import RPCError

    from etcd_handoff.cli.render.status import OpenRemoval
    from etcd_handoff.membership_contract import OPERATIONS

    client = await connect_temporal()
    types = ", ".join(f"'{operation.workflow_type}'" for operation in OPERATIONS)
    query, removals = f"WorkflowType IN ({types}) AND ExecutionStatus = 'Running'", []
    try:
        async for run in client.list_workflows(query):
            values = {pair.key.name: pair.value for pair in run.typed_search_attributes}
            kind, _, rest = run.id.partition("/")  # a workflow ID of ours names cluster and member
            named, _, member_id = rest.partition("/")
            ours = values.get(CLUSTER_ATTRIBUTE) == cluster or (kind.startswith("etcd-") and named == cluster)
            if ours and not kind.startswith("etcd-plan"):
                member = str(values.get(MEMBER_ATTRIBUTE) or member_id)
                state = str(values.get(STATE_ATTRIBUTE) or "Running")
                removals.append(OpenRemoval(run.id, member, state, run.start_time.isoformat(timespec="seconds")))
    except RPCError as error:
        raise temporal_error(error) from None
    return removals
