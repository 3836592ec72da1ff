"""Effects on EtcdMember resources: the truth about a member, written where it survives the member."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from temporalio import activity

from activities.steps import StepClock
from etcd_handoff import failpoints
from etcd_handoff.errors import (
    ConfigError,
    ConflictError,
    KubernetesError,
    KubernetesPermissionError,
    ObjectGoneError,
    RejectedError,
)
from etcd_handoff.etcdmember import (
    News,
    Truth,
    asks_to_leave,
    event_for,
    member_id_of,
    resource_name,
    status_for,
    status_of,
)
from etcd_handoff.kubernetes_gateway import KubernetesGateway
from etcd_handoff.model import FoundResource, LeaveRequest, Record, Recorded, ResourceQuery, Step, StepOutcome
from etcd_handoff.planner import canonical_id

if TYPE_CHECKING:
    from etcd_handoff.config import Config

UNWRITTEN: Final[dict[type[Exception], str]] = {
    ObjectGoneError: "the EtcdMember is gone, or EtcdMembers are not installed: {}",
    KubernetesPermissionError: "Kubernetes does not allow it: {}; grant what deploy/rbac.yaml lists",
    RejectedError: "the API server does not accept the status: {}",
}
"""What no retry can mend, and what is said of it: the member is out all the same."""
BAD: Final = (
    StepOutcome.TRANSFER_FAILED,
    StepOutcome.NO_ELECTION,
    StepOutcome.REFUSED_BY_ETCD,
    StepOutcome.UNAVAILABLE,
)
"""Outcomes that an operator should know of although the removal went on."""
CONFLICT_TRIES: Final = 10
"""How often a status is read again after a conflict before the attempt gives up, to be retried by Temporal."""


LET_GO_SECONDS: Final = 0.002
"""Pause before an EtcdMember is read ahead: a TLS handshake would hold up the answer of the step that wants it read."""


class Gateways:
    """The gateways to the API servers of each cluster profile, opened on first use and kept.

    Args:
        config: Where the clusters are.
        node: The node that this worker runs on.
    """

    def __init__(self, config: Config, node: str) -> None:
        self._config = config
        self._node = node
        self._opened: dict[str, KubernetesGateway] = {}
        self._prepared: dict[str, tuple[str, asyncio.Future[dict[str, Any] | None]]] = {}

    def get(self, cluster: str) -> KubernetesGateway | None:
        """The gateway of a profile; None when the profile has no Kubernetes.

        Raises:
            UnknownClusterError: There is no such profile.
        """
        profile = self._config.cluster(cluster).kubernetes
        if profile is not None and cluster not in self._opened:
            self._opened[cluster] = KubernetesGateway(profile, self._node)
        return self._opened.get(cluster)

    def require(self, cluster: str) -> KubernetesGateway:
        """As `get`, for what makes no sense without Kubernetes.

        Raises:
            ConfigError: The profile has no Kubernetes, or there is no such profile.
        """
        gateway = self.get(cluster)
        if gateway is None:
            msg = f"clusters.{cluster}.kubernetes: is missing in this worker's configuration; add it"
            raise ConfigError(msg)
        return gateway

    def manages(self, cluster: str) -> bool:
        """Whether members without an EtcdMember get one."""
        return self._config.cluster(cluster).manages_resources

    def cluster_id(self, cluster: str) -> str:
        """ID of the etcd cluster that the profile names; empty when it names none."""
        return self._config.cluster(cluster).cluster_id or ""

    async def warm(self) -> None:
        """The clients of all profiles are open where they can be, so that the first step does not wait for it."""
        for cluster in self._config.clusters:
            if (gateway := self.get(cluster)) is not None:
                await gateway.warm()

    def prepare(self, cluster: str, member_name: str) -> None:
        """The EtcdMember of a member that leaves is being read, through an API server that will take its status."""
        known = self._prepared.get(cluster, ("", None))[0] == member_name
        if member_name and not known and (gateway := self.get(cluster)) is not None:
            self._prepared[cluster] = (member_name, asyncio.ensure_future(_as_it_is(gateway, member_name)))

    async def prepared(self, cluster: str, member_name: str) -> dict[str, Any] | None:
        """What `prepare` has read, once; None when it was not asked to, or could not."""
        name, reading = self._prepared.pop(cluster, ("", None))
        return await reading if reading is not None and name == member_name else None

    async def close(self) -> None:
        """Close the connections to all API servers."""
        for gateway in self._opened.values():
            await gateway.close()


class KubernetesActivities:
    """The activities on the EtcdMember of a member that leaves.

    Args:
        gateways: Gateways to the API servers of each cluster profile.
        node: The node that this worker runs on.
    """

    def __init__(self, gateways: Gateways, node: str) -> None:
        self._gateways = gateways
        self._node = node

    @activity.defn
    async def find_resource(self, query: ResourceQuery) -> FoundResource:
        """The EtcdMember that has this name or carries this member ID, for a member that etcd does not list."""
        clock, gateway = StepClock(self._node), self._gateways.get(query.cluster)
        if gateway is None:
            return FoundResource(step=clock.step(StepOutcome.OBSERVED, "no Kubernetes in the profile"))
        try:
            resources = await gateway.list(query.member)
        except ObjectGoneError:
            return FoundResource(step=clock.step(StepOutcome.OBSERVED, "EtcdMembers are not installed"))
        name, member_id = resource_name(query.member), canonical_id(query.member)
        found = next((r for r in resources if r["metadata"]["name"] == name), None)
        found = found or next((r for r in resources if member_id_of(r) == member_id), None)
        if found is None:
            return FoundResource(step=clock.step(StepOutcome.OBSERVED, "no such EtcdMember"))
        return FoundResource(
            step=clock.step(StepOutcome.OBSERVED),
            name=found["metadata"]["name"],
            member_id=member_id_of(found),
            peer_address=str(status_of(found).get("peerAddress") or ""),
        )

    @activity.defn
    async def request_leave(self, ask: LeaveRequest) -> Step:
        """`spec.leave` of the member's EtcdMember is true, so that k0s takes the member out."""
        clock, gateway = StepClock(self._node), self._gateways.require(ask.cluster)
        for _ in range(CONFLICT_TRIES):
            resource = await _resource(gateway, ask.member_name, ask.member_id)
            if resource is None or member_id_of(resource) != ask.member_id:
                return clock.step(StepOutcome.FAILED, f"there is no EtcdMember for {ask.member_name or ask.member_id}")
            name = resource["metadata"]["name"]
            if asks_to_leave(resource):
                return clock.step(StepOutcome.REQUESTED, f"EtcdMember {name} asks to leave already")
            try:
                await gateway.patch_spec(resource, {"leave": True}, departing=ask.member_name)
            except ConflictError:
                continue
            return clock.step(StepOutcome.REQUESTED, f"spec.leave is set on EtcdMember {name}")
        msg = f"the EtcdMember changed {CONFLICT_TRIES} times while its spec was written"
        raise ConflictError(msg)

    @activity.defn
    async def update_status(self, record: Record) -> Recorded:
        """The member's EtcdMember says what `record` says, written through an API server that outlives the member."""
        clock = StepClock(self._node)

        def nothing(note: str) -> Recorded:
            return Recorded(step=clock.step(StepOutcome.NOT_RECORDED, note), recorded=False, note=note)

        try:
            gateway = self._gateways.get(record.cluster)
            if gateway is None:
                return nothing("the cluster profile has no Kubernetes, so there is no EtcdMember to write")
            known = await self._gateways.prepared(record.cluster, record.member_name)
            writing = asyncio.ensure_future(_write(gateway, record, known))
            await failpoints.reach("update_status.during")
            note, resource = await writing
        except (ObjectGoneError, KubernetesPermissionError, RejectedError, ConfigError) as error:
            return nothing(UNWRITTEN.get(type(error), "{}").format(error))
        if resource is not None:
            await _tell(gateway, resource, record)
        if note:
            return nothing(note)
        return Recorded(step=clock.step(StepOutcome.RECORDED, record.message), recorded=True)


async def _write(
    gateway: KubernetesGateway, record: Record, known: dict[str, Any] | None
) -> tuple[str, dict[str, Any] | None]:
    """Nothing and the resource once that says what is true; otherwise why none was touched.

    Args:
        gateway: Of the cluster.
        record: What is true.
        known: The member's EtcdMember as it was a moment ago. It only saves a read: has it changed since, or is there
            nothing to write by it, then it is read.
    """
    if known is not None and member_id_of(known) in ("", record.member_id) and (status := _status(known, record)):
        with contextlib.suppress(ConflictError):
            return "", await gateway.patch_status(known, status, departing=record.member_name)
    for _ in range(CONFLICT_TRIES):
        resource = await _resource(gateway, record.member_name, record.member_id)
        if resource is None:
            return f"there is no EtcdMember for {record.member_name or record.member_id}", None
        if (member_id := member_id_of(resource)) not in ("", record.member_id) and member_id in record.members:
            name = resource["metadata"]["name"]
            return f"EtcdMember {name} speaks of {member_id}, which is a member; it was left alone", None
        if not (status := _status(resource, record)):
            return "", resource
        try:
            return "", await gateway.patch_status(resource, status, departing=record.member_name)
        except ConflictError:
            continue
    msg = f"the EtcdMember changed {CONFLICT_TRIES} times while its status was written"
    raise ConflictError(msg)


def _status(resource: dict[str, Any], record: Record) -> dict[str, Any]:
    """The status fields to set so that the EtcdMember says what `record` says; empty when it does already."""
    truth = Truth(record.member_id, record.joined, record.message, record.failed, record.peer_urls)
    return status_for(resource, truth, datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"))


async def _tell(gateway: KubernetesGateway, resource: dict[str, Any], record: Record) -> None:
    """One Event for each step and one for the end; told again after a lost answer, they are the same Events."""
    news = [
        News(
            reason="".join(part.title() for part in step.name.split("_")),
            message=f"{step.outcome} in {step.milliseconds:.0f} ms on {step.node}"
            + (f": {step.note}" * bool(step.note)),
            warning=step.outcome in BAD,
            once=f"{record.run_id} {number}",
        )
        for number, step in enumerate(record.steps)
    ]
    end = "NotRemoved" if record.failed else "Removed"
    news.append(News(reason=end, message=record.message, warning=record.failed, once=record.run_id))
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    events = (event_for(resource, item, now) for item in news)
    await asyncio.gather(*(gateway.record_event(event, departing=record.member_name) for event in events))


async def _as_it_is(gateway: KubernetesGateway, member_name: str) -> dict[str, Any] | None:
    """The EtcdMember of this name, None when it cannot be had."""
    await asyncio.sleep(LET_GO_SECONDS)
    with contextlib.suppress(KubernetesError, ConfigError):
        return await gateway.get(resource_name(member_name), departing=member_name)
    return None


async def _resource(gateway: KubernetesGateway, member_name: str, member_id: str) -> dict[str, Any] | None:
    """The member's EtcdMember: by its name, unless that one speaks of another member and a third carries the ID."""
    named = None
    if member_name:
        try:
            named = await gateway.get(resource_name(member_name), departing=member_name)
        except ObjectGoneError:
            named = None
    if named is not None and member_id_of(named) in ("", member_id):
        return named
    everything = await gateway.list(departing=member_name)
    return next((r for r in everything if member_id_of(r) == member_id), named)
