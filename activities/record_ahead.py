"""The record of a removal, begun while Temporal and etcd must be waited for anyway. It only saves time.

The EtcdMember is read when a member is about to leave, and written once etcd has confirmed that it is out. Neither has
to succeed: `update_status` comes later, through Temporal. It finds the EtcdMember as it should be, or makes it so.
"""

from __future__ import annotations

import asyncio
import contextlib
from functools import partial
from typing import TYPE_CHECKING

from activities.member_resource import write_known
from etcd_handoff import time_limits
from etcd_handoff.errors import ConfigError, KubernetesError

if TYPE_CHECKING:
    from activities.member_resource import Resource
    from etcd_handoff.activity_io import StepInput, UpdateStatusInput
    from etcd_handoff.cluster_view import ClusterView
    from etcd_handoff.kubernetes.pool import KubernetesGateways
    from etcd_handoff.kubernetes.port import KubernetesPort


class RecordAhead:
    """Reads and writes the EtcdMember of a member that leaves, beside everything else.

    Args:
        gateways: Gateways to the API servers of each cluster profile.
    """

    def __init__(self, gateways: KubernetesGateways) -> None:
        self._gateways = gateways

    def read(self, act: StepInput, view: ClusterView) -> None:
        """The EtcdMember of the member that is about to leave is being read; a learner's removal has no record."""
        if not act.learner_only and (target := view.member(act.target_id)) is not None:
            self._gateways.prefetch(act.cluster, target.name)

    def write(self, act: StepInput, after: ClusterView) -> None:
        """The EtcdMember that was read is being written.

        Args:
            act: Whose removal etcd has confirmed, and what is to be recorded then.
            after: What etcd has confirmed: the members without it.
        """
        if act.record is None:
            return
        names = tuple(m.name for m in after.members if m.name)
        record = act.record.model_copy(update={"members": tuple(m.id for m in after.members), "present_names": names})
        self._gateways.go_on_with_prefetched(record.cluster, record.member_name, partial(self._written, record))

    async def _written(self, record: UpdateStatusInput, gateway: KubernetesPort, known: Resource) -> Resource | None:
        """The EtcdMember as it was written, None when it was not: it may have changed since it was read."""
        with contextlib.suppress(KubernetesError, ConfigError, TimeoutError):
            async with asyncio.timeout(time_limits.STEPS.record_ahead_seconds):
                return await write_known(gateway, record, known, k0s=self._gateways.is_k0s(record.cluster))
        return None
