"""Whether all contexts of a profile lead to one Kubernetes cluster: those of another one are not used."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from typing import TYPE_CHECKING, Final

from etcd_handoff import time_limits

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

IDENTITY_NAMESPACE: Final = "kube-system"
"""Its UID is taken for a cluster's identity, as OpenTelemetry does (`k8s.cluster.uid`): it is there from the beginning
and cannot be deleted."""

log = logging.getLogger(__name__)


class Identities:
    """The clusters that contexts lead to, as far as they are known.

    Args:
        contexts: Those there are now, in the order of the profile.
        cluster_of: Asks for the UID of the cluster behind a context; empty when it does not say.

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
        """End a comparison that is under way."""
        if self.comparing is not None:
            self.comparing.cancel()
            await asyncio.gather(self.comparing, return_exceptions=True)

    async def compare(self) -> dict[str, str]:
        """Contexts that belong to another Kubernetes cluster than most of them, and what shows it.

        One that may not read the UID of the namespace kube-system, or does not answer, counts as one that belongs.
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
        """Contexts of another cluster than most; where two are as many, than the first of the profile."""
        known = {context: self._clusters[context] for context in self._contexts() if context in self._clusters}
        if len(set(known.values())) <= 1:
            return {}
        most = Counter(known.values()).most_common(1)[0][0]  # in order of the profile where as many
        return {
            context: f"context {context} belongs to another Kubernetes cluster than the others: the UID of namespace"
            f" {IDENTITY_NAMESPACE} is {uid} there, and {most} elsewhere"
            for context, uid in known.items()
            if uid != most
        }

    def compare_later(self) -> None:
        """Compare again, beside everything else, once in a while: any context may lead elsewhere by now."""
        now = asyncio.get_running_loop().time()
        if self._compared_at is None or now - self._compared_at < time_limits.KUBERNETES.identify_seconds:
            return
        self._compared_at = now
        self.comparing = asyncio.create_task(self.compare())
