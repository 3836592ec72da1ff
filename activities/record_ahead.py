"""Begin the record of a removal while Temporal and etcd must be waited for anyway. It only saves time.

The EtcdMember is read when a member is about to leave. It is written once etcd has confirmed that the member has left.
Neither has to succeed, since `update_status` comes later, through Temporal. It finds the EtcdMember correct, or
corrects it.
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
        """Begin to read the EtcdMember of the member that is about to leave. A learner's removal has no record."""
        if not act.learner_only and (target := view.member(act.target_id)) is not None:
            self._gateways.prefetch(act.cluster, target.name)

    def write(self, act: StepInput, after: ClusterView) -> None:
        """Begin to write the EtcdMember that was read.

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
        """Return the EtcdMember as it was written, or None, as when it has changed since."""
        with contextlib.suppress(KubernetesError, ConfigError, TimeoutError):
            async with asyncio.timeout(time_limits.STEPS.record_ahead_seconds):
                return await write_known(gateway, record, known, k0s=self._gateways.is_k0s(record.cluster))
        return None
