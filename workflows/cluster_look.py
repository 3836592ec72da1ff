"""The look at etcd's member list with which each round of a reconciler begins."""

from __future__ import annotations

from typing import TYPE_CHECKING

from temporalio import workflow

if TYPE_CHECKING:
    from etcd_handoff.activity_io import StepResult

with workflow.unsafe.imports_passed_through():
    from activities.etcd import EtcdActivities
    from etcd_handoff import time_limits
    from etcd_handoff.activity_io import CheckLeaderInput
    from etcd_handoff.operation import node_doubts, node_looks
    from etcd_handoff.operation.node_answers import merge_looks
    from workflows import activity_calls, retries


class ClusterLook:
    """Looks at one cluster. Between looks it knows which nodes to ask, and which did not answer in this run.

    Args:
        far_nodes: The value at the end of the run before.

    Attributes:
        far_nodes: Nodes whose members only their own workers reach, as far as that was seen.
    """

    def __init__(self, far_nodes: tuple[str, ...] = ()) -> None:
        self._silent_nodes: dict[str, float] = {}
        self.far_nodes = far_nodes

    async def take(self, cluster: str, cluster_id: str) -> StepResult:
        """Return what a worker sees, merged with what other nodes' workers see of members that it does not reach.

        Args:
            cluster: Cluster profile.
            cluster_id: The etcd cluster that is meant; empty when that is not known yet.

        Raises:
            ActivityError: All attempts failed, or it was cancelled.
        """
        report = await workflow.execute_activity_method(
            EtcdActivities.check_leader,
            CheckLeaderInput(cluster=cluster, cluster_id=cluster_id),
            start_to_close_timeout=time_limits.WORKFLOWS.look_timeout,
            heartbeat_timeout=time_limits.WORKFLOWS.follow_heartbeat_timeout,
            retry_policy=retries.STEP,  # workers that see no member leave it to others, as often as they may
            summary="read etcd's own member list",
        )
        table = report.worker_info.nodes if report.worker_info else {}
        now = workflow.now().timestamp()
        known = (*self.far_nodes, *report.worker_nodes)
        nodes = node_looks.nodes_to_ask(report, table, self._silent_nodes, now, known=known)
        if not nodes:
            return node_doubts.confirmed_by_its_worker(report)
        asking = node_looks.looks_through(cluster, cluster_id, report, nodes, table)
        results = await activity_calls.look_through_nodes(asking)
        report, _, self._silent_nodes = merge_looks(report, nodes, results, table, self._silent_nodes, now)
        self.far_nodes = node_doubts.far_nodes(report) or self.far_nodes
        return report
