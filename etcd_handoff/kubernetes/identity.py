"""Check that all contexts of a profile lead to one Kubernetes cluster. Those of another one are not used."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from typing import TYPE_CHECKING, Final

from etcd_handoff import time_limits

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

IDENTITY_NAMESPACE: Final = "kube-system"
"""Its UID serves as a cluster's identity, as in OpenTelemetry (`k8s.cluster.uid`). It exists from the beginning and
cannot be deleted."""

log = logging.getLogger(__name__)


class Identities:
    """The clusters that contexts lead to, as far as known.

    Args:
        contexts: Gives the present contexts, in the order of the profile.
        cluster_of: Asks for the UID of the cluster behind a context; empty when it is not known.

    Attributes:
        comparing: The comparison that `compare_later` has started last.
    """

    def __init__(self, contexts: Callable[[], tuple[str, ...]], cluster_of: Callable[[str], Awaitable[str]]) -> None:
        self.comparing: asyncio.Task[dict[str, str]] | None = None
        self._contexts = contexts
        self._cluster_of = cluster_of
        self._clusters: dict[str, str] = {}
        self._compared_at: float | None = None

    async def close(self) -> None:
        """End a running comparison."""
        if self.comparing is not None:
            self.comparing.cancel()
            await asyncio.gather(self.comparing, return_exceptions=True)

    async def compare(self) -> dict[str, str]:
        """Return the contexts that belong to another Kubernetes cluster than most, and the evidence.

        A context counts as belonging if it may not read the UID of the namespace kube-system, or does not answer.
        """
        before, contexts = self.foreign(), self._contexts()
        if len(contexts) > 1:
            self._compared_at = asyncio.get_running_loop().time()
            uids = await asyncio.gather(*(self._cluster_of(context) for context in contexts))
            self._clusters.update({context: uid for context, uid in zip(contexts, uids, strict=True) if uid})
        foreign = self.foreign()
        for context, note in foreign.items():
            if note != before.get(context):
                log.warning("%s; it is not used", note)
        return foreign

    def foreign(self) -> dict[str, str]:
        """Return the contexts of another cluster than most. Between equals, the first of the profile decides."""
        known = {context: self._clusters[context] for context in self._contexts() if context in self._clusters}
        if len(set(known.values())) <= 1:
            return {}
        most = Counter(known.values()).most_common(1)[0][0]  # between equals, by the order of the profile
        return {
            context: f"context {context} belongs to another Kubernetes cluster than the others: the UID of namespace"
            f" {IDENTITY_NAMESPACE} is {uid} there, and {most} elsewhere"
            for context, uid in known.items()
            if uid != most
        }

    def compare_later(self) -> None:
        """Compare again in the background once in a while: a context may lead elsewhere by now."""
        now = asyncio.get_running_loop().time()
        if self._compared_at is None or now - self._compared_at < time_limits.KUBERNETES.identify_seconds:
            return
        self._compared_at = now
        self.comparing = asyncio.create_task(self.compare())
