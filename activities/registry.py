"""All activities that a worker registers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from etcd_handoff.kubernetes.pool import KubernetesGateways

from activities.etcdmembers import EtcdMemberActivities
from activities.member_status import KubernetesActivities
from activities.temporal import TemporalActivities
from activities.turns import TurnActivities

if TYPE_CHECKING:
    from collections.abc import Callable

    from temporalio.client import Client

    from activities.etcd import EtcdActivities
    from activities.worker_info import WorkerActivities


MARK: Final = "__temporal_activity_definition"


def all_activities(
    client: Client, etcd: EtcdActivities, gateways: KubernetesGateways, node: str, worker: WorkerActivities
) -> list[Callable[..., Any]]:
    """Everything that a worker does for workflows; the caller closes `etcd` and `gateways` afterwards."""
    kubernetes, members = KubernetesActivities(gateways, node), EtcdMemberActivities(gateways)
    temporal, turns = TemporalActivities(client), TurnActivities(client)
    return [activity for owner in (etcd, kubernetes, members, turns, temporal, worker) for activity in _of(owner)]


def _of(owner: object) -> list[Callable[..., Any]]:
    """The activities of an object, by the mark that `activity.defn` leaves (temporalio `activity.py`, _Definition)."""
    kind = type(owner)
    return [getattr(owner, name) for name in dir(kind) if hasattr(getattr(kind, name), MARK)]
