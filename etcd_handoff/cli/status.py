"""`status`: members, what their EtcdMembers say, open removals."""
# ruff: noqa: PLC0415
# Commands import what they need when they run: `--help` answers at once, without gRPC and Temporal.

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from etcd_handoff.cli.common import (
    EXIT_DONE,
    attempt,
    connected,
    explain,
    profile_of,
    read_resources,
    read_view,
    rpc_stop,
    tell,
    tell_json,
)

if TYPE_CHECKING:
    import argparse

    from etcd_handoff.cli.output import OpenRemoval
    from etcd_handoff.config import ClusterProfile
    from etcd_handoff.view import ClusterView


def status_command(given: argparse.Namespace) -> int:
    """`status`."""
    import asyncio

    from etcd_handoff.cli import output as out

    name, profile = profile_of(given)
    view, resources, removals = asyncio.run(_read_status(name, profile))
    seen = out.Status(
        cluster=name,
        view=None if isinstance(view, Exception) else view,
        resources=None if isinstance(resources, Exception) else resources,
        removals=None if isinstance(removals, Exception) else removals,
        errors={
            part: explain(error)[1]
            for part, error in (("etcd", view), ("kubernetes", resources), ("temporal", removals))
            if isinstance(error, Exception)
        },
    )
    if given.output == "json":
        tell_json(out.status_object(seen))
    else:
        tell(out.status_lines(seen))
    return explain(view)[0] if isinstance(view, Exception) else EXIT_DONE


async def _read_status(
    name: str, profile: ClusterProfile
) -> tuple[ClusterView | Exception, list[dict[str, Any]] | Exception | None, list[OpenRemoval] | Exception]:
    import asyncio

    async def resources() -> list[dict[str, Any]] | None:
        return await read_resources(profile.kubernetes) if profile.kubernetes else None

    view, records, removals = await asyncio.gather(
        attempt(read_view(profile)), attempt(resources()), attempt(_open_removals(name))
    )
    return view, records, removals


async def _open_removals(cluster: str) -> list[OpenRemoval]:
    """Running removals of the cluster; works without the custom search attributes."""
    from temporalio.service import RPCError

    from etcd_handoff.cli.output import OpenRemoval
    from etcd_handoff.client import WORKFLOW_TYPE
    from etcd_handoff.model import workflow_id

    client = await connected()
    query, found = f'WorkflowType = "{WORKFLOW_TYPE}" AND ExecutionStatus = "Running"', []
    try:
        async for run in client.list_workflows(query):
            marks = {pair.key.name: pair.value for pair in run.typed_search_attributes}
            if marks.get("EtcdCluster") == cluster or run.id.startswith(workflow_id(cluster, "")):
                member = str(marks.get("EtcdMember") or run.id.removeprefix(workflow_id(cluster, "")))
                state = str(marks.get("HandoffState") or "Running")
                found.append(OpenRemoval(run.id, member, state, run.start_time.isoformat(timespec="seconds")))
    except RPCError as error:
        raise rpc_stop(error) from None
    return found
