"""The activity by which a worker describes itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from temporalio import activity

from etcd_handoff.activity_io import WorkerInfo

if TYPE_CHECKING:
    from etcd_handoff.config import ClusterProfile, Config


class WorkerActivities:
    """The activity on the worker itself.

    Args:
        config: Where the clusters are.
        search_attributes: Whether the namespace has our search attributes.
    """

    def __init__(self, config: Config, *, search_attributes: bool) -> None:
        self._config = config
        self._search_attributes = search_attributes

    @activity.defn
    async def describe_worker(self, cluster: str) -> WorkerInfo:
        """Return what this worker knows of `cluster`. It reads only the configuration.

        It is a local activity, for an operation whose first look did not bring this.
        """
        return self.worker_info(cluster)

    def worker_info(self, cluster: str) -> WorkerInfo:
        """Return what this worker knows of `cluster`."""
        profile = self._config.clusters.get(cluster)
        return WorkerInfo(
            search_attributes=self._search_attributes,
            remover=profile.remover if profile else "etcd",
            cluster_id=(profile.cluster_id or "") if profile else "",
            kubernetes=profile is not None and profile.kubernetes is not None,
            nodes={member: node for member, node in profile.nodes.items() if member != node} if profile else {},
            sets_leave=profile is not None and profile.sets_leave,
            k0s=profile is not None and profile.is_k0s,
            **_policies(profile),
            notifies=self._config.notifications.events if self._config.notifications and profile else (),
        )


def _policies(profile: ClusterProfile | None) -> dict[str, Any]:
    """Return what the profile requires of every change."""
    if profile is None:
        return {}
    return {
        "require_approval": profile.require_approval,
        "snapshot": profile.snapshot,
        "hash_check": profile.hash_check,
        "min_voters": profile.min_voters,
        "change_windows": profile.windows,
        "time_zone": profile.time_zone,
        "four_eyes": profile.four_eyes,
        "approval_lapses_after_seconds": profile.approval_lapses_after_seconds,
    }
