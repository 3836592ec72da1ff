"""All activities that a worker registers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from activities.etcdmembers import EtcdMemberActivities
from activities.kubernetes import Gateways, KubernetesActivities
from activities.temporal import TemporalActivities
from activities.turns import TurnActivities

if TYPE_CHECKING:
    from collections.abc import Callable

    from temporalio.client import Client

    from activities.etcd import EtcdActivities
    from activities.worker import WorkerActivities


def all_activities(
    client: Client, etcd: EtcdActivities, gateways: Gateways, node: str, worker: WorkerActivities
) -> list[Callable[..., Any]]:
    """Everything that a worker does for workflows; the caller closes `etcd` and `gateways` afterwards."""
    kubernetes, members = KubernetesActivities(gateways, node), EtcdMemberActivities(gateways)
    temporal, turns = TemporalActivities(client), TurnActivities(client)
    return [
        etcd.check_leader,
        etcd.move_leader,
        etcd.await_election,
        etcd.remove_member,
        etcd.check_hash,
        etcd.take_snapshot,
        etcd.add_learner,
        etcd.promote_member,
        kubernetes.find_resource,
        kubernetes.request_leave,
        kubernetes.read_leave,
        kubernetes.update_status,
        members.watch_members,
        members.sync_members,
        members.note_progress,
        turns.take_turn,
        turns.recall_tickets,
        temporal.follow_removal,
        worker.describe_worker,
    ]
