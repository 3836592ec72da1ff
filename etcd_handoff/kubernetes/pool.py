"""A worker's gateways to API servers, one for each cluster profile, and the EtcdMembers that were read ahead."""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from etcd_handoff import time_limits
from etcd_handoff.errors import ConfigError, KindGoneError, KubernetesError
from etcd_handoff.etcdmember import resource_name
from etcd_handoff.etcdmember_matching import claim_of
from etcd_handoff.kubernetes.gateway import KubernetesGateway
from etcd_handoff.unawaited import mark_exception_retrieved

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Mapping

    from etcd_handoff.config import Config, EtcdProfile
    from etcd_handoff.doubts import ResourceClaim
    from etcd_handoff.kubernetes.port import KubernetesPort


Resource = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Prefetched:
    """An EtcdMember that is read ahead.

    Attributes:
        member_name: Its member.
        resource: What is read; None if it cannot be read.
        began: When the reading began, by the monotonic clock.
    """

    member_name: str
    resource: asyncio.Future[Resource | None]
    began: float

    @property
    def is_fresh(self) -> bool:
        """Whether it may still be current. A removal that was not recorded here may have left it."""
        return time.monotonic() - self.began <= time_limits.KUBERNETES.prefetch_counts_seconds


class KubernetesGateways:
    """The gateways to the API servers of each cluster profile, opened on first use and kept.

    Args:
        config: Where the clusters are.
        node: The node that this worker runs on.
        make: Makes the gateway of a profile, for the member on the node.
        hosts: Reads on which hosts a cluster's members run.
        on_error: Gets the profile and the error of each API server that gave no answer.
    """

    def __init__(
        self,
        config: Config,
        node: str,
        make: Callable[..., KubernetesPort] = KubernetesGateway,
        hosts: Callable[[EtcdProfile], Awaitable[Mapping[str, str]]] | None = None,
        on_error: Callable[[str, KubernetesError], None] | None = None,
    ) -> None:
        self._config = config
        self._node = node
        self._make = make
        self._hosts = hosts
        self._on_error = on_error
        self._opened: dict[str, KubernetesPort] = {}
        self._prefetched: dict[str, Prefetched] = {}
        self._checking: asyncio.Task[None] | None = None
        self._sending: set[asyncio.Task[None]] = set()

    def get(self, cluster: str) -> KubernetesPort | None:
        """Return the gateway of a profile, or None when the profile has no Kubernetes.

        Raises:
            UnknownClusterError: There is no such profile.
        """
        profile = self._config.cluster(cluster)
        if profile.kubernetes is not None and cluster not in self._opened:
            options: dict[str, Any] = {"hosts": partial(self._hosts, profile.etcd)} if self._hosts else {}
            if self._on_error:
                options["on_error"] = partial(self._on_error, cluster)
            self._opened[cluster] = self._make(profile.kubernetes, profile.member_on(self._node), **options)
        return self._opened.get(cluster)

    def require(self, cluster: str) -> KubernetesPort:
        """Return the gateway of a profile that must have Kubernetes.

        Raises:
            ConfigError: The profile has no Kubernetes, or there is no such profile.
        """
        gateway = self.get(cluster)
        if gateway is None:
            msg = f"clusters.{cluster}.kubernetes: is missing in this worker's configuration; add it"
            raise ConfigError(msg)
        return gateway

    def manages(self, cluster: str) -> bool:
        """Return whether members without an EtcdMember get one."""
        return self._config.cluster(cluster).manages_resources

    def is_k0s(self, cluster: str) -> bool:
        """Return whether k0s's own reconciler works on the EtcdMembers too."""
        return self._config.cluster(cluster).is_k0s

    def optional(self, cluster: str) -> bool:
        """Return whether EtcdMembers need not be installed there."""
        kubernetes = self._config.cluster(cluster).kubernetes
        return kubernetes is not None and kubernetes.optional

    def cluster_id(self, cluster: str) -> str:
        """Return the ID of the etcd cluster that the profile names, or "" when it names none."""
        return self._config.cluster(cluster).cluster_id or ""

    async def warm(self) -> None:
        """Open the clients of all profiles where possible, so that the first step does not wait for that.

        Whether their contexts belong together is checked in the background.
        """
        gateways = [gateway for cluster in self._config.clusters if (gateway := self.get(cluster)) is not None]
        for gateway in gateways:
            await gateway.warm()
        self._checking = asyncio.create_task(_check_contexts(gateways))

    def prefetch(self, cluster: str, member_name: str) -> None:
        """Begin to read the EtcdMember of a leaving member, through an API server that will take its status."""
        ahead = self._prefetched.get(cluster)
        known = ahead is not None and ahead.member_name == member_name and ahead.is_fresh
        if member_name and not known and (gateway := self.get(cluster)) is not None:
            reading = asyncio.ensure_future(_read_if_possible(gateway, member_name))
            self._prefetched[cluster] = Prefetched(member_name, reading, time.monotonic())

    def go_on_with_prefetched(
        self, cluster: str, member_name: str, go_on: Callable[[KubernetesPort, Resource], Awaitable[Resource | None]]
    ) -> None:
        """Continue with the EtcdMember of `prefetch` once it was read. `take_prefetched` then returns the result.

        Args:
            cluster: The profile.
            member_name: The member whose EtcdMember was to be read. Nothing is done for another one.
            go_on: Gets the EtcdMember, if it could be read.
        """
        ahead = self._prefetched.get(cluster)
        if ahead is None or ahead.member_name != member_name:
            return

        async def going_on() -> Resource | None:
            resource = await ahead.resource
            return resource and await go_on(self.require(cluster), resource)

        going = asyncio.ensure_future(going_on())
        mark_exception_retrieved(going)
        self._prefetched[cluster] = Prefetched(member_name, going, ahead.began)

    async def take_prefetched(self, cluster: str, member_name: str) -> Resource | None:
        """Return the result of `prefetch` or of what followed, once, or None when there is none."""
        ahead = self._prefetched.pop(cluster, None)
        return await ahead.resource if ahead is not None and ahead.member_name == member_name else None

    async def claims(self, cluster: str) -> tuple[ResourceClaim, ...] | None:
        """Return what EtcdMembers say about membership, or None when they cannot be read or there is no Kubernetes."""
        try:
            gateway = self.get(cluster)
            resources = await gateway.list() if gateway is not None else None
        except KindGoneError:
            return () if self.optional(cluster) else None
        except (KubernetesError, ConfigError):
            return None
        if resources is None:
            return None
        return tuple(sorted(map(claim_of, resources), key=lambda claim: claim.name))

    def send_later(self, sending: Coroutine[Any, Any, None]) -> None:
        """Send Events in the background, for `time_limits.KUBERNETES.events_seconds` at most."""

        async def in_time() -> None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(time_limits.KUBERNETES.events_seconds):
                    await sending

        task = asyncio.create_task(in_time())
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    async def close(self) -> None:
        """Close the connections to all API servers, once the last Events are sent."""
        if self._checking is not None:
            self._checking.cancel()
        await asyncio.gather(*self._sending, return_exceptions=True)
        for gateway in self._opened.values():
            await gateway.close()


async def _check_contexts(gateways: list[KubernetesPort]) -> None:
    """Check for each cluster to which Kubernetes cluster its contexts belong."""
    for gateway in gateways:
        await gateway.check_contexts()


async def _read_if_possible(gateway: KubernetesPort, member_name: str) -> Resource | None:
    """Return the EtcdMember of this name, or None when it cannot be read."""
    await asyncio.sleep(time_limits.KUBERNETES.prefetch_pause_seconds)
    with contextlib.suppress(KubernetesError, ConfigError):
        return await gateway.get(resource_name(member_name), departing=member_name)
    return None
