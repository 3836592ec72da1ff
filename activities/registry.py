"""All activities that a worker registers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from activities.attempts import Attempts
from activities.departed import DepartedActivities
from activities.etcdmembers import EtcdMemberActivities
from activities.hash_and_snapshot import HashAndSnapshotActivities
from activities.leave_to_other_worker import leave_to_another_if_elsewhere, reached_cluster
from activities.member_process import MemberProcessActivities
from activities.member_status import KubernetesActivities
from activities.notices import NoticeActivities
from activities.removal_progress import RemovalProgressActivities

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from temporalio.client import Client

    from activities.change_queue import ChangeQueueActivities
    from activities.etcd import EtcdActivities
    from activities.worker_info import WorkerActivities
    from etcd_handoff.config import Config
    from etcd_handoff.kubernetes.pool import KubernetesGateways


NODE_ACTIVITIES: Final = frozenset(
    {
        "check_leader",
        "move_leader",
        "await_election",
        "remove_member",
        "add_learner",
        "await_sync",
        "promote_member",
        "release_lock",
        "check_hash",
        "take_snapshot",
        "see_departed",
        "update_status",
        "preflight_member",
        "start_member",
        "stop_member",
        "archive_member",
    }
)


def node_activities(activities: Iterable[Callable[..., Any]]) -> list[Callable[..., Any]]:
    """Return the activities that only the worker of one node may be able to do.

    It serves them on the node's own task queue.

    Args:
        activities: All that the worker has.
    """
    return [activity for activity in activities if activity.__name__ in NODE_ACTIVITIES]


def all_activities(  # noqa: PLR0913, PLR0917  # all that activities stand on
    client: Client,
    config: Config,
    node: str,
    etcd: EtcdActivities,
    gateways: KubernetesGateways,
    worker: WorkerActivities,
    queue: ChangeQueueActivities,
) -> list[Callable[..., Any]]:
    """Return everything that a worker does for workflows. The caller closes `etcd` and `gateways` afterwards."""
    void = Attempts(client).why_void

    def listed(cluster: str, cluster_id: str) -> Awaitable[tuple[frozenset[str] | None, str]]:
        return etcd.looks(cluster).listed(cluster_id)

    def elsewhere(cluster: str, cluster_id: str) -> Awaitable[None]:
        return leave_to_another_if_elsewhere(etcd.looks(cluster), cluster_id)

    kubernetes = KubernetesActivities(gateways, node, listed, void, elsewhere)
    members = EtcdMemberActivities(gateways, listed, lambda cluster: reached_cluster(etcd.looks(cluster)))
    gates = HashAndSnapshotActivities(config, node, etcd.looks)
    processes = MemberProcessActivities(config, node)
    progress = RemovalProgressActivities(client)
    return [
        etcd.check_leader,
        etcd.move_leader,
        etcd.await_election,
        etcd.remove_member,
        etcd.add_learner,
        etcd.await_sync,
        etcd.promote_member,
        etcd.release_lock,
        gates.check_hash,
        gates.take_snapshot,
        processes.preflight_member,
        processes.start_member,
        processes.stop_member,
        processes.archive_member,
        kubernetes.find_resource,
        kubernetes.request_leave,
        kubernetes.read_leave,
        kubernetes.update_status,
        members.watch_members,
        members.sync_members,
        members.note_progress,
        queue.take_turn,
        queue.recall_entries,
        progress.follow_removal,
        worker.describe_worker,
        DepartedActivities(config, node).see_departed,
        NoticeActivities(config.notifications).send_notice,
    ]
