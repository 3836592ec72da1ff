"""What a worker says of itself."""

from __future__ import annotations

from temporalio import activity

from etcd_handoff.model import WorkerTraits


class WorkerActivities:
    """The activity on the worker itself.

    Args:
        traits: What this worker can do.
    """

    def __init__(self, traits: WorkerTraits) -> None:
        self._traits = traits

    @activity.defn
    async def describe_worker(self) -> WorkerTraits:
        """This worker's traits; run as a local activity, so that they stand in the history."""
        return self._traits
