"""Check whether EtcdMembers still have the orders that they had when they were read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from temporalio import workflow

if TYPE_CHECKING:
    from etcd_handoff.reconciler.member_resources import MemberResource, WatchMembersResult

with workflow.unsafe.imports_passed_through():
    from activities.etcdmembers import EtcdMemberActivities
    from etcd_handoff import time_limits
    from etcd_handoff.reconciler.member_resources import WatchMembersInput
    from workflows import retries


async def unchanged(cluster: str, seen: WatchMembersResult) -> tuple[MemberResource, ...]:
    """Return the EtcdMembers that are as they were seen, or none if the answer took too long.

    Args:
        cluster: Cluster profile.
        seen: All EtcdMembers as they were read before.

    Raises:
        ActivityError: All attempts failed, or it was cancelled.
    """
    asked_at = workflow.now().timestamp()
    again = await workflow.execute_activity_method(
        EtcdMemberActivities.watch_members,
        WatchMembersInput(cluster=cluster, known_digest=seen.digest, seconds=0),
        start_to_close_timeout=time_limits.WORKFLOWS.sync_timeout,
        heartbeat_timeout=time_limits.WORKFLOWS.follow_heartbeat_timeout,
        retry_policy=retries.WATCHER_STEP,
        summary="check that removals are still requested",
    )
    if workflow.now().timestamp() - asked_at > time_limits.OPERATION.old_look_seconds:
        return ()
    still = {resource.compared for resource in again.resources}
    return seen.resources if again.unchanged else tuple(r for r in seen.resources if r.compared in still)
