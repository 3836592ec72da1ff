"""`status`: members, what their EtcdMembers say, open removals."""
# ruff: noqa: PLC0415
# Commands import what they need when they run: `--help` answers at once, without gRPC and Temporal.

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from etcd_handoff.cli.common import (
    attempt,
    connected,
    explain,
    load_clients,
    profile_of,
    read_resources,
    read_view,
    rpc_stop,
    tell,
    tell_json,
)
from etcd_handoff.search_attributes import CLUSTER_ATTRIBUTE, MEMBER_ATTRIBUTE, STATE_ATTRIBUTE

if TYPE_CHECKING:
    import argparse

    from etcd_handoff.cli.output import OpenRemoval
    from etcd_handoff.config import ClusterProfile
    from etcd_handoff.view import ClusterView


def status_command(given: argparse.Namespace) -> int:
    """`status`: what could be read; 4 where a server could not be reached, 1 where etcd's answers contradict."""
    import asyncio

    from etcd_handoff.cli import output as out
    from etcd_handoff.cli.records import claims_of, doubt_of

    name, profile = profile_of(given)
    load_clients(profile, temporal=True)
    view, resources, removals, trouble = asyncio.run(_read_status(name, profile))
    parts = (("etcd", view), ("kubernetes", resources), ("temporal", removals))
    failed = {part: explain(error) for part, error in parts if isinstance(error, Exception)}
    claims = () if isinstance(resources, Exception) else claims_of(resources or ())
    seen = out.Status(
        cluster=name,
        view=None if isinstance(view, Exception) else view,
        resources=None if isinstance(resources, Exception) else resources,
        removals=None if isinstance(removals, Exception) else removals,
        errors={part: text for part, (_, text) in failed.items()},
        doubt=None if isinstance(view, Exception) else doubt_of(view, profile.cluster_id or "", claims),
        statuses=tuple(status for status, _ in failed.values()),
        watcher_trouble=trouble,
    )
    if given.output == "json":
        tell_json(out.status_object(seen))
    else:
        tell(out.status_lines(seen))
    return out.status_exit(seen)


async def _read_status(
    name: str, profile: ClusterProfile
) -> tuple[ClusterView | Exception, list[dict[str, Any]] | Exception | None, list[OpenRemoval] | Exception, str]:
    import asyncio

    from etcd_handoff.cli.watch import trouble_of

    async def resources() -> list[dict[str, Any]] | None:
        return await read_resources(profile.kubernetes) if profile.kubernetes else None

    view, records, removals, trouble = await asyncio.gather(
        attempt(read_view(profile)), attempt(resources()), attempt(_open_removals(name)), attempt(trouble_of(name))
    )
    # What cannot be had of Temporal is told in place of the removals already.
    return view, records, removals, "" if isinstance(trouble, Exception) else trouble


async def _open_removals(cluster: str) -> list[OpenRemoval]:
    """Running removals of the cluster; works without the custom search attributes."""
    from temporalio.service import RPCError

    from etcd_handoff.cli.output import OpenRemoval
    from etcd_handoff.model import plan_id, workflow_id
    from etcd_handoff.temporal.client import WORKFLOW_TYPE

    client = await connected()
    query, found = f'WorkflowType = "{WORKFLOW_TYPE}" AND ExecutionStatus = "Running"', []
    try:
        async for run in client.list_workflows(query):
            marks = {pair.key.name: pair.value for pair in run.typed_search_attributes}
            ours = marks.get(CLUSTER_ATTRIBUTE) == cluster or run.id.startswith(workflow_id(cluster, ""))
            if ours and not run.id.startswith(plan_id(cluster, "")):
                member = str(marks.get(MEMBER_ATTRIBUTE) or run.id.removeprefix(workflow_id(cluster, "")))
                state = str(marks.get(STATE_ATTRIBUTE) or "Running")
                found.append(OpenRemoval(run.id, member, state, run.start_time.isoformat(timespec="seconds")))
    except RPCError as error:
        raise rpc_stop(error) from None
    return found
