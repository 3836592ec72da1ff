"""What a worker says of itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from temporalio import activity

from etcd_handoff.activity_io import WorkerInfo

if TYPE_CHECKING:
    from etcd_handoff.config import Config


class WorkerActivities:
    """The activity on the worker itself.

    Args:
        config: Where the clusters are.
        search_attributes: The namespace has our search attributes.
    """

    def __init__(self, config: Config, *, search_attributes: bool) -> None:
        self._config = config
        self._search_attributes = search_attributes

    @activity.defn
    async def describe_worker(self, cluster: str) -> WorkerInfo:
        """As `traits`, for a removal whose first look did not tell; run as a local activity."""
        return self.traits(cluster)

    def traits(self, cluster: str) -> WorkerInfo:
        """What this worker knows of `cluster`."""
        profile = self._config.clusters.get(cluster)
        return WorkerInfo(
            search_attributes=self._search_attributes,
            remover=profile.remover if profile else "etcd",
            cluster_id=(profile.cluster_id or "") if profile else "",
            kubernetes=profile is not None and profile.kubernetes is not None,
            nodes={member: node for member, node in profile.nodes.items() if member != node} if profile else {},
            sets_leave=profile is not None and profile.sets_leave,
            require_approval=profile is not None and profile.require_approval,
            snapshot=profile is not None and profile.snapshot,
            hash_check=profile is not None and profile.hash_check,
            min_voters=profile.min_voters if profile else 1,
            notifies=self._config.notifications.events if self._config.notifications and profile else (),
        )
